//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE: each a commit of its own, or a part of the open transaction.

use datafusion::sql::sqlparser::ast;

use super::{Outcome, Session};
use crate::engine::clock::now;
use crate::engine::constraint::empty_snapshot;
use crate::engine::core::ask;
use crate::engine::dml::{Dml, Wants};
use crate::engine::query::Rows;
use crate::engine::request::{Commit, Evaluate, Request};
use crate::engine::temporary::seen_by;
use crate::error::{Error, Result};

impl Session {
    pub(super) fn change(&mut self, mut statement: ast::Statement) -> Result<Outcome> {
        self.database.writable()?;
        let catalog = self.catalog();
        let versions = self.versions(&mut statement)?;
        let mut dml = Dml::new(&catalog, statement)?;
        let verb = dml.verb;
        let runner = self.runner();
        if let Some(transaction) = &mut self.transaction {
            let wants = if dml.depends_on_target() { Wants::Everything } else { Wants::Nothing };
            let snapshot = transaction.snapshot(&self.database, &dml.reads(&catalog, &wants))?.with_versions(versions);
            let done = dml.evaluate(&runner, &snapshot, None)?;
            transaction.add(done.changes)?;
            return Ok(changed(verb, done.rows, done.returned));
        }
        let wants = dml.wants(&runner, &catalog)?;
        let reads = dml.reads(&catalog, &wants);
        let engine = &self.database.inner().engine;
        if let Wants::Nothing = wants {
            let snapshot =
                if reads.is_empty() { empty_snapshot(catalog, now()) } else { self.database.snapshot_of(reads)? };
            let done = dml.evaluate(&runner, &snapshot.with_versions(versions), None)?;
            self.database.commit(Commit { changes: done.changes, ..Commit::default() }).wait()?;
            return Ok(changed(verb, done.rows, done.returned));
        }
        let keys = match wants {
            Wants::Keys(keys) => Some((dml.target(), keys)),
            _ => None,
        };
        // What RETURNING gives is shown when the commit is durable.
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let viewer = self.database.viewer().cloned();
        let evaluate: Evaluate = Box::new(move |snapshot, found| {
            let snapshot = seen_by(viewer.as_ref(), snapshot).with_versions(versions);
            let done = dml.evaluate(&runner, &snapshot, found)?;
            // The asker waits for the commit and has not gone.
            let _ = sender.send((done.rows, done.returned));
            Ok(Commit { changes: done.changes, ..Commit::default() })
        });
        ask(engine, |reply| Request::Evaluate { reads, keys, evaluate, reply }).wait()?;
        let (rows, returned) =
            receiver.try_recv().map_err(|_| Error::Internal(format!("{verb} was committed and not evaluated")))?;
        Ok(changed(verb, rows, returned))
    }
}

fn changed(verb: &str, rows: usize, returned: Option<Rows>) -> Outcome {
    match returned {
        Some(rows) => Outcome::Rows(rows),
        None => Outcome::done(format!("{verb} {rows}")),
    }
}
