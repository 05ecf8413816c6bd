//! The changes of one relation, commit by commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::execution::memory_pool::MemoryReservation;

use super::Origin;
use crate::archive::{Moment, OFFSET_COLUMN, TIME_COLUMN, WEIGHT_COLUMN};
use crate::circuit::{Outputs, Tick};
use crate::delta::consolidate;
use crate::delta::size::batch_bytes;
use crate::engine::catalog::{Ddl, Kind, Object};
use crate::engine::core::Core;
use crate::engine::define::stream_schema;
use crate::engine::history::{CommitChanges, Commits};
use crate::engine::query::{Cancel, Rows};
use crate::engine::subscribe::{Feed, Update};
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::lower::nullable;

/// Columns of a change behind those of its relation: the offset and time of the commit, and how often the row came, or went.
pub const CHANGES_COLUMNS: [&str; 3] = [OFFSET_COLUMN, TIME_COLUMN, WEIGHT_COLUMN];

/// What a relation's commits changed, one after the other; those that changed nothing of it are left out.
pub struct Changes {
    from: Source,
    cancel: Cancel,
}

/// What one commit changed.
pub struct Change {
    /// Its offset.
    pub offset: u64,
    /// Its time, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What a subscriber of a view is told of it.
    pub update: Update,
}

enum Source {
    /// The rows of a stream or table are in the log.
    Logged(Commits),
    /// Those of a view are what its circuit makes of it.
    Computed(Box<Computed>),
}

struct Computed {
    core: Core,
    commits: std::iter::Peekable<Commits>,
    /// The commits with their times, of a view that also moves by those that change nothing that it reads.
    times: BTreeMap<u64, i64>,
    feed: Feed,
    /// What the commits so far have changed and nobody has asked for.
    waiting: std::collections::VecDeque<Change>,
}

impl Origin {
    /// The changes of a relation by the commits `from..=to`.
    ///
    /// # Errors
    /// As [`Origin::at`].
    pub fn changes(
        &self,
        object: &Object,
        (from, to): (u64, u64),
        held: &MemoryReservation,
        cancel: &Cancel,
    ) -> Result<Changes> {
        let (before, mut history) = (from.saturating_sub(1), self.history());
        history.to = to;
        if matches!(object.kind, Kind::Stream | Kind::Table) {
            self.below(&BTreeSet::from([object.id]))?;
            let commits = history.commits(before, [(object.id, nullable(&object.schema))]);
            return Ok(Changes { from: Source::Logged(commits), cancel: cancel.clone() });
        }
        let mut core = match object.kind {
            Kind::View => self.materialized(object)?.at(&[object.id].into(), Moment::Offset(before), held, cancel)?,
            _ => self.at(&[object.id].into(), Moment::Offset(before), held, cancel)?,
        };
        let feed = Feed::new(usize::MAX);
        let view = core.views.get_mut(&object.id).ok_or_else(|| Error::Internal("a view has no rows".into()))?;
        let node = view.node.clone()?;
        view.feeds.push(feed.clone());
        view.told_failing = core.circuit.failure(node).is_some();
        let inputs: BTreeSet<u32> = core.circuit.inputs().into_iter().map(|(id, _)| id).collect();
        let inputs = inputs.into_iter().map(|id| (id, nullable(&stream_schema(&core.catalog, id))));
        let commits = history.commits(before, inputs).peekable();
        let times = match core.circuit.depends_on_time(node) {
            true => history.commit_times(before)?,
            false => BTreeMap::new(),
        };
        let computed = Computed { core, commits, times, feed, waiting: Default::default() };
        Ok(Changes { from: Source::Computed(Box::new(computed)), cancel: cancel.clone() })
    }

    /// The same log, with a plain view kept as a materialized one.
    fn materialized(&self, view: &Object) -> Result<Origin> {
        let mut catalog = self.catalog.as_ref().clone();
        let object = Object { kind: Kind::MaterializedView, schema: nullable(&view.schema), ..view.clone() };
        catalog.apply(&Ddl::Create(Box::new(object)))?;
        Ok(Origin {
            catalog: Arc::new(catalog),
            offset: self.offset,
            store: self.store.past(),
            session: self.session.clone(),
            budget: self.budget.clone(),
        })
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if self.cancel.is_cancelled() {
                return Some(Err(Error::Cancelled));
            }
            match &mut self.from {
                Source::Logged(commits) => {
                    let CommitChanges { offset, time, changes } = match commits.next()? {
                        Ok(commit) => commit,
                        Err(error) => return Some(Err(error)),
                    };
                    for (_, delta) in changes {
                        match consolidate(&delta) {
                            Err(error) => return Some(Err(error)),
                            Ok(delta) if !delta.has_rows() => {}
                            Ok(delta) => {
                                return Some(Ok(Change { offset, time, update: Update::Delta { offset, delta } }));
                            }
                        }
                    }
                }
                Source::Computed(computed) => match computed.waiting.pop_front() {
                    Some(change) => return Some(Ok(change)),
                    None => match computed.step() {
                        Ok(true) => {}
                        Ok(false) => return None,
                        Err(error) => return Some(Err(error)),
                    },
                },
            }
        }
    }
}

impl Computed {
    /// Goes on by a commit; says whether there was one.
    fn step(&mut self) -> Result<bool> {
        let logged = match self.commits.peek() {
            Some(Ok(commit)) => Some(commit.offset),
            Some(Err(_)) | None => None,
        };
        let passed = self.times.first_key_value().map(|(offset, _)| *offset);
        let commit = match passed.filter(|passed| logged.is_none_or(|logged| *passed < logged)) {
            Some(offset) => CommitChanges { offset, time: self.times[&offset], changes: Vec::new() },
            None => match self.commits.next() {
                Some(commit) => commit?,
                None => return Ok(false),
            },
        };
        self.times.remove(&commit.offset);
        self.core.follow(&commit)?;
        let (offset, time) = (commit.offset, commit.time);
        self.waiting.extend(self.feed.take().into_iter().map(|update| Change { offset, time, update }));
        Ok(true)
    }
}

impl Core {
    /// Takes in a commit that was logged before.
    fn follow(&mut self, commit: &CommitChanges) -> Result<()> {
        self.tick = Tick { offset: commit.offset, time: commit.time, ..self.tick.clone() };
        let mut inputs = Outputs::new();
        for (object, delta) in &commit.changes {
            self.clocks.observe(*object, &delta.batch)?;
            self.circuit.route(*object, delta, &mut inputs)?;
        }
        self.tick.watermarks = self.clocks.shared(&self.tick.watermarks);
        self.step(inputs);
        match self.views.values().find_map(|view| view.node.as_ref().err()) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// The columns of `changes(...)` over a relation.
pub fn schema(columns: &Schema) -> SchemaRef {
    let types = [DataType::Int64, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), DataType::Int64];
    let ours = CHANGES_COLUMNS.iter().zip(types).map(|(name, data_type)| Arc::new(Field::new(*name, data_type, true)));
    let fields = nullable(columns).fields().iter().cloned().chain(ours).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

/// The rows of `changes(...)`.
///
/// # Errors
/// What the changes meet, and when there is no memory for them.
pub fn rows(changes: Changes, columns: &Schema, held: &MemoryReservation) -> Result<Rows> {
    let schema = schema(columns);
    let mut batches = Vec::new();
    for change in changes {
        let Change { offset, time, update: Update::Delta { delta, .. } } = change? else { continue };
        let weights = delta.weights.to_vec(delta.len());
        // What went stands before what came.
        let (came, went): (Vec<usize>, Vec<usize>) = (0..delta.len()).partition(|row| weights[*row] > 0);
        let order: Int64Array = went.iter().chain(&came).map(|row| *row as i64).collect();
        let batch = take_record_batch(&delta.batch, &order)?;
        let rows = batch.num_rows();
        let ours: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![offset as i64; rows])),
            Arc::new(TimestampMicrosecondArray::from(vec![time; rows]).with_timezone("UTC")),
            Arc::new(went.iter().chain(&came).map(|row| weights[*row]).collect::<Int64Array>()),
        ];
        let batch: RecordBatch = with_schema(&schema, [batch.columns(), &ours].concat(), rows)?;
        held.try_grow(batch_bytes(&batch))?;
        batches.push(batch);
    }
    Ok(Rows { schema, batches })
}
