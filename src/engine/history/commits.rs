//! The log commit by commit, for what depends on how commits follow each other.
//!
//! Each stream and table lies by itself, in the order of the log; the next commit is the one with the least offset among
//! the first rows that are left of each.

use std::collections::VecDeque;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};

use super::{History, from_archive};
use crate::archive::{OFFSET_COLUMN, TIME_COLUMN};
use crate::delta::Delta;
use crate::error::Result;
use crate::log::{Group, Record};

/// The changes of streams and tables, one commit after the other.
pub struct Commits {
    inputs: Vec<Input>,
}

/// One commit.
#[derive(Debug, Default)]
pub struct CommitChanges {
    /// Its offset.
    pub offset: u64,
    /// Its time, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What it changes, by object.
    pub changes: Vec<(u32, Delta)>,
}

/// Rows of one commit of one stream or table.
struct Placed {
    offset: u64,
    time: i64,
    delta: Delta,
}

/// What is left of one stream or table.
struct Input {
    object: u32,
    schema: SchemaRef,
    rest: Box<dyn Iterator<Item = Result<Placed>> + Send>,
    /// The next rows of `rest`.
    next: VecDeque<Placed>,
}

impl History {
    /// The changes of these streams and tables behind an offset, commit by commit. Other commits are not seen, nor pending
    /// events.
    pub fn commits(&self, after: u64, objects: impl IntoIterator<Item = (u32, SchemaRef)>) -> Commits {
        let input = |(object, schema): (u32, SchemaRef)| {
            let rest = Box::new(self.placed(after, object, &schema));
            Input { object, schema, rest, next: VecDeque::new() }
        };
        Commits { inputs: objects.into_iter().map(input).collect() }
    }

    /// The changes of one object behind an offset, in their order.
    fn placed(
        &self,
        after: u64,
        object: u32,
        schema: &SchemaRef,
    ) -> impl Iterator<Item = Result<Placed>> + Send + use<> {
        let (from, to) = (self.archived_to.max(after) + 1, self.to);
        let archived = self.archive.as_ref().and_then(|a| a.scan(object, after + 1, self.archived_to.min(to)));
        let added = self.added.get(&object).cloned().unwrap_or_default();
        let (older, target) = (added.clone(), schema.clone());
        let archived = archived.into_iter().flatten().flat_map(move |batch| {
            let placed = batch.and_then(|batch| {
                let offsets = batch.column_by_name(OFFSET_COLUMN).expect("an archive's rows have offsets");
                let offsets = offsets.as_primitive::<Int64Type>().values();
                let times = batch.column_by_name(TIME_COLUMN).expect("an archive's rows have times");
                let times = times.as_primitive::<TimestampMicrosecondType>().values();
                let delta = from_archive(&batch, &target, &older)?;
                let mut start = 0;
                let runs = offsets.chunk_by(|a, b| a == b).map(|run| {
                    start += run.len();
                    (run[0] as u64, times[start - 1], run.len())
                });
                Ok(cut(&delta, runs))
            });
            each(placed)
        });
        let schema = schema.clone();
        let segments = self.segments.to_vec();
        let logged = segments.into_iter().flat_map(move |segment| segment.records(from, to)).flat_map(move |record| {
            let placed = record.and_then(|record| match record {
                Record::Statement(_) => Ok(Vec::new()),
                Record::Rows(Group { first_offset, times, parts, .. }) => {
                    let mut placed = Vec::new();
                    for part in parts.iter().filter(|part| part.object == object) {
                        let runs = part.runs.iter();
                        let runs = runs.map(|run| {
                            let commit = first_offset + u64::from(run.commit);
                            (commit, times[run.commit as usize], run.rows as usize)
                        });
                        placed.extend(cut(&part.delta(&schema, &added)?, runs));
                    }
                    Ok(placed)
                }
            });
            each(placed)
        });
        archived.chain(logged)
    }
}

/// A change in pieces of so many rows, each with its offset and time.
fn cut(delta: &Delta, runs: impl Iterator<Item = (u64, i64, usize)>) -> Vec<Placed> {
    let mut start = 0;
    let piece = |(offset, time, rows): (u64, i64, usize)| {
        let piece = Delta::new(delta.batch.slice(start, rows), delta.weights.slice(start, rows));
        start += rows;
        Placed { offset, time, delta: piece }
    };
    runs.map(piece).collect()
}

fn each<T>(all: Result<Vec<T>>) -> Vec<Result<T>> {
    match all {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

impl Input {
    /// The offset and time of the next rows.
    fn place(&mut self) -> Result<Option<(u64, i64)>> {
        if self.next.is_empty() {
            self.next.extend(self.rest.next().transpose()?);
        }
        Ok(self.next.front().map(|placed| (placed.offset, placed.time)))
    }

    /// The rows of a commit, if it has any here.
    fn take(&mut self, offset: u64) -> Result<Option<Delta>> {
        let mut parts = Vec::new();
        while self.place()?.is_some_and(|(next, _)| next == offset) {
            parts.extend(self.next.pop_front().map(|placed| placed.delta));
        }
        match parts.is_empty() {
            true => Ok(None),
            false => Delta::concat(&self.schema, &parts).map(Some),
        }
    }
}

impl Commits {
    fn read(&mut self) -> Result<Option<CommitChanges>> {
        let mut first: Option<(u64, i64)> = None;
        for input in &mut self.inputs {
            let place = input.place()?;
            first = first.into_iter().chain(place).min();
        }
        let Some((offset, time)) = first else { return Ok(None) };
        let mut changes = Vec::new();
        for input in &mut self.inputs {
            changes.extend(input.take(offset)?.map(|delta| (input.object, delta)));
        }
        Ok(Some(CommitChanges { offset, time, changes }))
    }
}

impl Iterator for Commits {
    type Item = Result<CommitChanges>;

    fn next(&mut self) -> Option<Result<CommitChanges>> {
        let next = self.read().transpose();
        if matches!(next, Some(Err(_))) {
            self.inputs.clear();
        }
        next
    }
}
