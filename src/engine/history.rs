//! The events of streams up to an offset: archived files first, then the segments of the log.

mod commits;
mod moment;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};

use crate::archive::{Archive, OFFSET_COLUMN, WEIGHT_COLUMN};
use crate::delta::Delta;
use crate::delta::added::Added;
use crate::error::Result;
use crate::log::{Record, Segment};
use crate::operators::project::batch as with_schema;

pub use commits::{CommitChanges, Commits};

/// Rows of the first step that a view is filled with.
const STEP_ROWS_MIN: usize = 1 << 16;
/// Rows past which a step takes no further batch.
const STEP_ROWS_MAX: usize = 1 << 19;
/// Bytes past which a step takes no further batch.
const STEP_BYTES_MAX: usize = 64 << 20;

/// How to read what the log held at an offset. Cheap to clone; stays readable while the log moves on.
#[derive(Debug, Clone)]
pub struct History {
    /// The archive, if there is one.
    pub archive: Option<Arc<Archive>>,
    /// The last offset that is read from the archive rather than from segments.
    pub archived_to: u64,
    /// The segments that are not archived, oldest first.
    pub segments: Arc<Vec<Arc<Segment>>>,
    /// The last offset that is seen.
    pub to: u64,
    /// What rows from before a column was added have there, by object.
    pub added: Arc<BTreeMap<u32, Added>>,
    /// Events after that, by object: those of the transaction that reads.
    pub pending: Arc<Vec<(u32, RecordBatch)>>,
}

impl History {
    /// The changes of one object in the order of the log, in batches of bounded size, then the pending ones.
    pub fn scan(&self, object: u32, schema: &SchemaRef) -> impl Iterator<Item = Result<Delta>> + Send + use<> {
        let (from, to) = (self.archived_to + 1, self.to);
        let archived = self.archive.as_ref().and_then(|a| a.scan(object, 1, self.archived_to.min(to)));
        let target = schema.clone();
        let added = self.added.get(&object).cloned().unwrap_or_default();
        let older = added.clone();
        let archived = archived.into_iter().flatten().map(move |batch| from_archive(&batch?, &target, &older));
        let columns = schema.clone();
        let schema = schema.clone();
        let segments: Vec<Arc<Segment>> = self.segments.to_vec();
        let logged = segments.into_iter().flat_map(move |segment| segment.records(from, to)).flat_map(move |record| {
            let deltas = match record {
                Err(error) => vec![Err(error)],
                Ok(Record::Statement(_)) => Vec::new(),
                Ok(Record::Rows(group)) => {
                    group.parts.iter().filter(|p| p.object == object).map(|p| p.delta(&schema, &added)).collect()
                }
            };
            deltas.into_iter()
        });
        let pending: Vec<RecordBatch> =
            self.pending.iter().filter(|(of, _)| *of == object).map(|(_, batch)| batch.clone()).collect();
        let pending = pending
            .into_iter()
            .map(move |batch| Ok(Delta::insert(with_schema(&columns, batch.columns().to_vec(), batch.num_rows())?)));
        archived.chain(logged).chain(pending)
    }

    /// As [`History::scan`], in steps that grow from small to large: a view is filled with few of them.
    pub fn steps(&self, object: u32, schema: &SchemaRef) -> impl Iterator<Item = Result<Delta>> + Send + use<> {
        Steps { deltas: self.scan(object, schema), schema: schema.clone(), rows: STEP_ROWS_MIN }
    }
}

struct Steps<I> {
    deltas: I,
    schema: SchemaRef,
    /// Rows of the next step.
    rows: usize,
}

impl<I: Iterator<Item = Result<Delta>>> Iterator for Steps<I> {
    type Item = Result<Delta>;

    fn next(&mut self) -> Option<Result<Delta>> {
        let (mut parts, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < self.rows && bytes < STEP_BYTES_MAX {
            match self.deltas.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(delta)) => {
                    rows += delta.len();
                    bytes += delta.bytes();
                    parts.push(delta);
                }
            }
        }
        self.rows = (self.rows * 2).min(STEP_ROWS_MAX);
        (!parts.is_empty()).then(|| Delta::concat(&self.schema, &parts))
    }
}

/// The declared columns of an archived batch with its weights, without the columns that say where in the log.
fn from_archive(batch: &RecordBatch, schema: &SchemaRef, added: &Added) -> Result<Delta> {
    let declared = batch.schema().index_of(OFFSET_COLUMN)?;
    let columns = added.widen(batch.columns()[..declared].to_vec(), batch.num_rows(), schema)?;
    let rows = with_schema(schema, columns, batch.num_rows())?;
    Ok(match batch.column_by_name(WEIGHT_COLUMN) {
        Some(weights) => Delta::new(rows, weights.as_primitive::<Int64Type>().values().to_vec()),
        None => Delta::insert(rows),
    })
}
