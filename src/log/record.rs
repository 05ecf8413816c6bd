//! What a frame of the log says: a DDL statement, or a group of commits with the rows that they change.
//!
//! Commits that were queued together are written together: one frame, one sync, and one batch per stream or table
//! for the whole group. Runs say which rows belong to which commit:
//!
//! ```text
//! group 7..=9   part of stream 3: rows  a b c d   runs (commit 0, 1 row) (commit 2, 3 rows)
//!               offsets of its rows     7 9 9 9   commit 1 (offset 8) changed something else
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::root_as_message;
use serde::{Deserialize, Serialize};

use crate::delta::added::{Added, columns_of};
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// The place of a commit in the total order. The first commit is 1; 0 is the empty log.
pub type Offset = u64;

/// A stream or a table. The catalog maps it to a name and a schema.
pub type ObjectId = u32;

/// One entry of the log.
#[derive(Debug, Clone)]
pub enum Record {
    /// Changes of rows.
    Rows(Group),
    /// A change of the catalog: a commit of its own.
    Statement(Statement),
}

/// A DDL statement, as a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its offset.
    pub offset: Offset,
    /// Its commit time, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What it says; opaque to the log.
    pub text: String,
}

/// Consecutive commits that were written at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// The offset of the first commit.
    pub first_offset: Offset,
    /// The commit time of each commit, in microseconds since 1970-01-01 UTC; one at least.
    pub times: Vec<i64>,
    /// What changed, one part per stream or table.
    pub parts: Vec<Part>,
    /// How far sources have been read once the whole group is applied.
    pub marks: Vec<Mark>,
}

/// The changes of one stream or table by a group of commits.
#[derive(Debug, Clone)]
pub struct Part {
    /// The stream or table.
    pub object: ObjectId,
    /// Which rows belong to which commit: the rows of the first run come first. Commits ascend.
    pub runs: Vec<Run>,
    /// The rows with their weights.
    pub rows: PartRows,
}

/// Consecutive rows of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The commit's place in its group, from 0.
    pub commit: u32,
    /// How many rows.
    pub rows: u32,
}

/// The rows of a part: as given, or as read from a file.
#[derive(Debug, Clone)]
pub enum PartRows {
    /// As given to the log.
    Delta(Delta),
    /// As read from a segment: columns once someone brings the schema.
    Encoded(Encoded),
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stream or table that the source feeds.
    pub object: ObjectId,
    /// The position; opaque to the log.
    pub value: String,
}

/// Rows as they lie in a frame: an Arrow IPC record batch message without its schema.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub(super) message: Buffer,
    pub(super) body: Buffer,
    pub(super) weights: Weights,
    /// Rows in the message.
    pub(super) total: usize,
    /// The rows of it that are meant: `length` from `start`.
    pub(super) start: usize,
    pub(super) length: usize,
    /// The frame, for errors.
    pub(super) file: Arc<Path>,
    pub(super) position: u64,
}

/// What a record takes in memory beside its rows, and what each of its parts does.
const RECORD_BYTES: usize = 128;

impl Record {
    /// Bytes of memory that the record takes.
    pub fn bytes(&self) -> usize {
        RECORD_BYTES
            + match self {
                Record::Statement(statement) => statement.text.len(),
                Record::Rows(group) => {
                    let rows = |part: &Part| match &part.rows {
                        PartRows::Delta(delta) => delta.bytes(),
                        PartRows::Encoded(encoded) => encoded.body.len(),
                    };
                    let runs = |part: &Part| part.runs.len() * size_of::<Run>();
                    let parts: usize = group.parts.iter().map(|part| RECORD_BYTES + runs(part) + rows(part)).sum();
                    parts + group.times.len() * size_of::<i64>()
                }
            }
    }

    /// The offset of the first commit.
    pub fn first_offset(&self) -> Offset {
        match self {
            Record::Rows(group) => group.first_offset,
            Record::Statement(statement) => statement.offset,
        }
    }

    /// The offset of the last commit.
    pub fn last_offset(&self) -> Offset {
        match self {
            Record::Rows(group) => group.last_offset(),
            Record::Statement(statement) => statement.offset,
        }
    }

    /// The time of the last commit, in microseconds since 1970-01-01 UTC.
    pub fn last_time(&self) -> i64 {
        match self {
            Record::Rows(group) => *group.times.last().expect("a group holds a commit"),
            Record::Statement(statement) => statement.time,
        }
    }

    /// The commits `from..=to` of the record, if it holds any.
    pub fn slice(self, from: Offset, to: Offset) -> Option<Record> {
        if self.first_offset() >= from && self.last_offset() <= to {
            return Some(self);
        }
        match self {
            Record::Rows(group) => group.slice(from, to).map(Record::Rows),
            Record::Statement(_) => None,
        }
    }
}

impl Group {
    /// The offset of the last commit.
    pub fn last_offset(&self) -> Offset {
        self.first_offset + self.times.len() as u64 - 1
    }

    /// The commits `from..=to` of the group, if it holds any. Marks belong to the group's end and stay with it.
    pub fn slice(&self, from: Offset, to: Offset) -> Option<Group> {
        let (first, last) = (from.max(self.first_offset), to.min(self.last_offset()));
        if first > last {
            return None;
        }
        let (low, high) = ((first - self.first_offset) as u32, (last - self.first_offset) as u32);
        Some(Group {
            first_offset: first,
            times: self.times[low as usize..=high as usize].to_vec(),
            parts: self.parts.iter().filter_map(|part| part.slice(low, high)).collect(),
            marks: if last == self.last_offset() { self.marks.clone() } else { Vec::new() },
        })
    }
}

impl Part {
    /// The rows as a delta with the columns of `schema`; a part read from a file shares the memory of its frame. Rows
    /// from before a column was added have there what `added` says.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the frame does not hold rows of that schema.
    pub fn delta(&self, schema: &SchemaRef, added: &Added) -> Result<Delta> {
        let delta = match &self.rows {
            PartRows::Delta(delta) => delta.clone(),
            PartRows::Encoded(encoded) => encoded.delta(schema)?,
        };
        let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        if names(schema) == names(&delta.schema()) {
            return Ok(delta);
        }
        let columns = added.widen(delta.batch.columns().to_vec(), delta.len(), schema)?;
        Ok(Delta::new(RecordBatch::try_new(schema.clone(), columns)?, delta.weights))
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match &self.rows {
            PartRows::Delta(delta) => delta.len(),
            PartRows::Encoded(encoded) => encoded.length,
        }
    }

    /// Whether the part has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset of each row; `group` is the group that holds the part.
    pub fn offsets(&self, group: &Group) -> Int64Array {
        self.per_row(|commit| (group.first_offset + u64::from(commit)) as i64).into()
    }

    /// The commit time of each row, in UTC; `group` is the group that holds the part.
    pub fn times(&self, group: &Group) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(self.per_row(|commit| group.times[commit as usize])).with_timezone("UTC")
    }

    fn per_row(&self, value: impl Fn(u32) -> i64) -> Vec<i64> {
        let mut values = Vec::with_capacity(self.len());
        for run in &self.runs {
            values.resize(values.len() + run.rows as usize, value(run.commit));
        }
        values
    }

    /// The rows of the commits `low..=high` of the group, with those commits counted from `low`.
    fn slice(&self, low: u32, high: u32) -> Option<Part> {
        let begin = self.runs.partition_point(|run| run.commit < low);
        let end = self.runs.partition_point(|run| run.commit <= high);
        let count = |runs: &[Run]| runs.iter().map(|run| run.rows as usize).sum::<usize>();
        let (start, length) = (count(&self.runs[..begin]), count(&self.runs[begin..end]));
        if length == 0 {
            return None;
        }
        let runs = self.runs[begin..end].iter().map(|run| Run { commit: run.commit - low, rows: run.rows }).collect();
        let rows = match &self.rows {
            PartRows::Delta(delta) => {
                PartRows::Delta(Delta::new(delta.batch.slice(start, length), delta.weights.slice(start, length)))
            }
            PartRows::Encoded(encoded) => {
                PartRows::Encoded(Encoded { start: encoded.start + start, length, ..encoded.clone() })
            }
        };
        Some(Part { object: self.object, runs, rows })
    }
}

impl Encoded {
    fn delta(&self, schema: &SchemaRef) -> Result<Delta> {
        // The checksum held, so a mismatch means that the bytes were written for another schema. Arrow checks most
        // of that and panics on the rest.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decode(schema)));
        let batch = decoded.unwrap_or_else(|_| Err("its buffers do not fit the schema".into()));
        let batch = batch.map_err(|reason| self.corrupt(&reason))?;
        if batch.num_rows() != self.total {
            return Err(self.corrupt(&format!("{} rows instead of {}", batch.num_rows(), self.total)));
        }
        if self.length == self.total {
            return Ok(Delta::new(batch, self.weights.clone()));
        }
        Ok(Delta::new(batch.slice(self.start, self.length), self.weights.slice(self.start, self.length)))
    }

    fn decode(&self, schema: &SchemaRef) -> Result<RecordBatch, String> {
        let message = root_as_message(&self.message).map_err(|e| e.to_string())?;
        let batch = message.header_as_record_batch().ok_or("the message is no record batch")?;
        let arrays = batch.nodes().map_or(0, |nodes| nodes.len());
        let columns = columns_of(schema, arrays).ok_or_else(|| format!("it has {arrays} arrays"))?;
        let schema = match columns == schema.fields().len() {
            true => schema.clone(),
            false => Arc::new(Schema::new(schema.fields()[..columns].to_vec())),
        };
        let dictionaries = Default::default();
        RecordBatchDecoder::try_new(&self.body, batch, schema, &dictionaries, &message.version())
            .and_then(RecordBatchDecoder::read_record_batch)
            .map_err(|e| e.to_string())
    }

    fn corrupt(&self, reason: &str) -> Error {
        Error::corrupt(&self.file, self.position, format!("the frame's rows cannot be read: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{group, numbers};

    #[test]
    fn offsets_and_times_follow_the_runs() {
        let group = group(7, &[(0, &[1]), (2, &[2, 3, 4])]);
        let part = &group.parts[0];
        assert_eq!(part.offsets(&group).values(), &[7, 9, 9, 9]);
        assert_eq!(part.times(&group).values(), &[7_000, 9_000, 9_000, 9_000]);
    }

    #[test]
    fn a_slice_has_the_rows_of_its_commits() {
        let group = group(7, &[(0, &[1]), (2, &[2, 3, 4]), (3, &[5])]);
        let slice = group.slice(8, 9).unwrap();
        assert_eq!((slice.first_offset, slice.times.clone()), (8, vec![8_000, 9_000]));
        assert_eq!(slice.parts[0].runs, [Run { commit: 1, rows: 3 }]);
        assert_eq!(numbers(&Record::Rows(slice)), [(9, 2), (9, 3), (9, 4)]);
        assert!(group.slice(8, 8).unwrap().parts.is_empty());
        assert!(group.slice(11, 20).is_none());
    }
}
