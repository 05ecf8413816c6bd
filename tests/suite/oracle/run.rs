//! Runs a case through the database's public interface and compares what it holds with the reference.

use std::path::Path;

use arrow::array::RecordBatch;
use millstream::{Database, Durability, Error, Options, Outcome, Session, Ticket};

use super::case::{Case, Change, Relation, Step};
use super::reference::{Bag, Reference, bag, difference};
use super::value::batch;

/// Bytes of a segment, so small that a case fills several.
const SEGMENT_BYTES: u64 = 2048;

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Each statement after the other, in memory; everything is compared after each.
    Stepwise,
    /// Inserts as appended batches that the engine groups as it likes, on disk in small segments; compared at the end and
    /// when the database was opened again.
    Grouped,
}

/// What a run came to when all was well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Comparisons of a view with its query.
    pub comparisons: usize,
    /// Comparisons in which both failed.
    pub failures: usize,
    /// Views that neither side takes.
    pub refused: usize,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.comparisons += other.comparisons;
        self.failures += other.failures;
        self.refused += other.refused;
    }
}

struct Run<'a> {
    case: &'a Case,
    database: Database,
    reference: Reference,
    views: Vec<String>,
    tally: Tally,
}

/// Runs a case; the error tells what was wrong.
pub fn run(case: &Case, way: Way) -> Result<Tally, String> {
    match way {
        Way::Stepwise => {
            let mut run = Run::new(case, Database::in_memory().unwrap());
            run.steps(way)?;
            Ok(run.tally)
        }
        Way::Grouped => {
            let folder = tempfile::tempdir().unwrap();
            let mut run = Run::new(case, open(folder.path()));
            run.steps(way)?;
            run.compare("at the end")?;
            let Run { database, reference, views, tally, .. } = run;
            database.close().map_err(|e| format!("closing: {e}"))?;
            let mut run = Run { case, database: open(folder.path()), reference, views, tally };
            run.compare("after opening again")?;
            run.verify()?;
            Ok(run.tally)
        }
    }
}

fn open(path: &Path) -> Database {
    let durability = Durability::Os;
    let options = Options { path: Some(path.into()), durability, segment_bytes: SEGMENT_BYTES, ..Options::default() };
    Database::open_with(options).unwrap()
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, database: Database) -> Self {
        let reference = Reference::new(&case.relations);
        for relation in &case.relations {
            database.execute(&relation.create()).unwrap();
        }
        Run { case, database, reference, views: Vec::new(), tally: Tally::default() }
    }

    fn steps(&mut self, way: Way) -> Result<(), String> {
        let mut tickets: Vec<Ticket> = Vec::new();
        let mut session = self.database.session();
        for (at, step) in self.case.steps.iter().enumerate() {
            match step {
                Step::View { name, sql } => self.create_view(name, sql)?,
                Step::Commit(changes)
                    if way == Way::Grouped && changes.iter().all(|c| matches!(c, Change::Insert { .. })) =>
                {
                    tickets.extend(self.append(changes)?);
                }
                Step::Commit(changes) => self.commit(&mut session, changes)?,
            }
            if way == Way::Stepwise {
                let when = format!("after step {at}");
                if let Step::Commit(changes) = step {
                    changes.iter().try_for_each(|change| self.compare_relation(&when, change.relation()))?;
                }
                self.compare_views(&when)?;
            }
        }
        for ticket in tickets {
            ticket.wait().map_err(|e| format!("an appended batch was refused: {e}"))?;
        }
        Ok(())
    }

    fn create_view(&mut self, name: &str, sql: &str) -> Result<(), String> {
        let created = self.database.execute(&format!("CREATE MATERIALIZED VIEW {name} AS {sql}"));
        let expected = self.reference.create_view(name, sql);
        match (created, expected) {
            (Ok(_), _) => self.views.push(name.into()),
            (Err(error), Ok(())) => return Err(format!("view {name} was refused: {error}\n  {sql}")),
            (
                Err(error @ (Error::Internal(_) | Error::Io { .. } | Error::Corrupt { .. } | Error::Poisoned(_))),
                Err(expected),
            ) => {
                return Err(format!("view {name} was refused: {error}, while batch says {expected}\n  {sql}"));
            }
            (Err(error), Err(_)) if self.reference.runs(sql) => {
                return Err(format!("view {name} was refused: {error}, and runs in batch\n  {sql}"));
            }
            (Err(error), Err(_)) => {
                if std::env::var("ORACLE_REFUSED").is_ok() {
                    eprintln!("refused: {error}: {sql}");
                }
                self.tally.refused += 1;
                self.reference.drop_view(name);
            }
        }
        Ok(())
    }

    fn commit(&mut self, session: &mut Session, changes: &[Change]) -> Result<(), String> {
        let transaction = changes.len() > 1;
        if transaction {
            session.execute("BEGIN").map_err(|e| e.to_string())?;
        }
        for change in changes {
            let sql = change.sql(&self.case.relations);
            match (session.execute(&sql), self.reference.change(change)) {
                (Ok(_), Ok(())) | (Err(Error::Input(_)), Err(_)) => {}
                (Ok(_), Err(error)) => return Err(format!("taken, but should be refused ({error}): {sql}")),
                (Err(error), _) => return Err(format!("refused: {error}: {sql}")),
            }
        }
        if transaction {
            session.execute("COMMIT").map_err(|e| format!("COMMIT: {e}"))?;
        }
        Ok(())
    }

    /// Appends the batches that the reference takes, without waiting.
    fn append(&mut self, changes: &[Change]) -> Result<Option<Ticket>, String> {
        let mut batches: Vec<(&str, RecordBatch)> = Vec::new();
        for change in changes {
            let Change::Insert { relation, rows } = change else { continue };
            let Relation { name, columns, .. } = &self.case.relations[*relation];
            if self.reference.change(change).is_ok() {
                batches.push((name, batch(columns, rows)));
            }
        }
        if batches.is_empty() {
            return Ok(None);
        }
        self.database.append_all(batches).map(Some).map_err(|e| format!("append: {e}"))
    }

    fn compare(&mut self, when: &str) -> Result<(), String> {
        (0..self.case.relations.len()).try_for_each(|at| self.compare_relation(when, at))?;
        self.compare_views(when)
    }

    fn compare_relation(&self, when: &str, at: usize) -> Result<(), String> {
        let name = &self.case.relations[at].name;
        let rows = self.database.query(&format!("SELECT * FROM {name}"));
        let rows = rows.map_err(|e| format!("{when}: {name} cannot be read: {e}"))?;
        let (expected, got) = (self.reference.relation(at), bag(&rows.batches));
        match expected == got {
            true => Ok(()),
            false => Err(format!("{when}: {name} differs\n{}", difference(&expected, &got))),
        }
    }

    fn compare_views(&mut self, when: &str) -> Result<(), String> {
        for view in &self.views {
            self.tally.comparisons += 1;
            let got: Result<Bag, Error> = self.database.snapshot(view).map(|(_, rows)| bag(&rows.batches));
            match (self.reference.view(view), got) {
                (Ok(expected), Ok(got)) if expected == got => {}
                (Ok(expected), Ok(got)) => {
                    return Err(format!("{when}: {view} differs\n{}", difference(&expected, &got)));
                }
                (Err(_), Err(Error::Input(_))) => self.tally.failures += 1,
                (Err(expected), Ok(got)) => {
                    return Err(format!("{when}: {view} should fail ({expected}) and holds {got:?}"));
                }
                (Ok(_), Err(error)) => return Err(format!("{when}: {view} fails: {error}")),
                (Err(expected), Err(error)) => {
                    return Err(format!("{when}: {view} fails: {error}, where batch says {expected}"));
                }
            }
        }
        Ok(())
    }

    /// The engine's own comparison.
    fn verify(&mut self) -> Result<(), String> {
        match self.database.execute("VERIFY") {
            Ok(Outcome::Verified { ok: true, .. }) => Ok(()),
            Ok(Outcome::Verified { rows, .. }) => {
                let said: Bag = bag(&rows.batches)
                    .into_keys()
                    .filter(|row| !row.ends_with("\u{1f}ok\u{1f}"))
                    .map(|r| (r, 1))
                    .collect();
                Err(format!("VERIFY refused where the reference agrees: {said:?}"))
            }
            Ok(other) => Err(format!("VERIFY gives {other:?}")),
            Err(error) => Err(format!("VERIFY refused: {error}")),
        }
    }
}
