//! Which commits the log has, and when they were made.
//!
//! Every offset up to the last one is a commit. One that changed nothing that is kept (it marked how far a source was read,
//! say) is forgotten once it is archived; it then has the time of the commit before it.

use std::collections::BTreeMap;

use super::History;
use crate::archive::Moment;
use crate::error::Result;
use crate::log::{Record, Statement};

impl History {
    /// The last commit at a moment: its offset and time, in microseconds since 1970-01-01 UTC. Before the first commit it is
    /// offset 0, of time 0.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn last_commit(&self, moment: Moment) -> Result<(u64, i64)> {
        for segment in self.segments.iter().rev() {
            let mut last = None;
            for record in segment.records(self.archived_to + 1, self.to) {
                for (offset, time) in commits(&record?) {
                    if offset > self.to || !moment.has(offset, time) {
                        break;
                    }
                    last = Some((offset, time));
                }
            }
            if let Some(last) = last {
                return Ok(last);
            }
        }
        let Some(archive) = &self.archive else { return Ok((0, 0)) };
        let found = archive.last_commit(moment)?.unwrap_or((0, 0));
        Ok(match moment {
            Moment::Offset(offset) => (offset.min(self.archived_to), found.1),
            Moment::Time(_) => found,
        })
    }

    /// The times of the commits behind an offset.
    ///
    /// # Errors
    /// As [`History::last_commit`].
    pub fn commit_times(&self, after: u64) -> Result<BTreeMap<u64, i64>> {
        let archive = self.archive.as_ref().filter(|_| after < self.archived_to);
        let archived = archive.map(|archive| archive.commit_times(after + 1, self.archived_to.min(self.to)));
        let mut times = archived.transpose()?.unwrap_or_default();
        let from = self.archived_to.max(after) + 1;
        for segment in self.segments.iter() {
            for record in segment.records(from, self.to) {
                times.extend(commits(&record?).filter(|(offset, _)| (from..=self.to).contains(offset)));
            }
        }
        Ok(times)
    }

    /// The statements of the log.
    ///
    /// # Errors
    /// As [`History::last_commit`].
    pub fn statements(&self) -> Result<Vec<Statement>> {
        let archive = self.archive.iter().flat_map(|archive| archive.manifest().statements.clone());
        let mut statements: Vec<Statement> = archive.filter(|s| s.offset <= self.archived_to.min(self.to)).collect();
        for segment in self.segments.iter() {
            for record in segment.records(self.archived_to + 1, self.to) {
                if let Record::Statement(statement) = record? {
                    statements.push(statement);
                }
            }
        }
        Ok(statements)
    }
}

/// The commits of a record, with their times.
fn commits(record: &Record) -> impl Iterator<Item = (u64, i64)> {
    let (first, times) = match record {
        Record::Statement(statement) => (statement.offset, std::slice::from_ref(&statement.time)),
        Record::Rows(group) => (group.first_offset, group.times.as_slice()),
    };
    (first..).zip(times.iter().copied())
}
