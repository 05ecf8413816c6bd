//! Runs a case through the database's public interface and compares what it holds with the reference.

use std::path::Path;

use arrow::array::RecordBatch;
use millstream::{Database, Durability, Error, Options, Outcome, Subscription, Ticket};

use super::bag::{Bag, bag, difference};
use super::case::{Case, Relation, Step};
use super::change::Change;
use super::heard::hear;
use super::lookup::{Lookup, lookups};
use super::random::Random;
use super::reference::{Reference, is_too_large};
use super::skip;
use super::stock::{FLOATS, is_closed};
use super::tally::Tally;
use super::value::{Kind, batch};
use crate::embed_support::operators;
use crate::past::Remembered;

/// Bytes of a segment, so small that a case fills several.
const SEGMENT_BYTES: u64 = 2048;

/// What tells a query of which an expression may fail on some rows.
const MAY_FAIL: [&str; 6] = [" / ", " % ", "AS BIGINT", "AS SMALLINT", "AS DECIMAL", "abs("];

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Each statement after the other, in memory; everything is compared after each.
    Stepwise,
    /// Inserts as appended batches that the engine groups as it likes, on disk in small segments; compared at the end and
    /// when the database was opened again.
    Grouped,
}

struct Run<'a> {
    case: &'a Case,
    /// Nowhere only while it is closed.
    database: Option<Database>,
    folder: Option<tempfile::TempDir>,
    reference: Reference,
    views: Vec<View>,
    tally: Tally,
}

struct View {
    name: String,
    sql: String,
    /// What a subscriber has heard; nothing where the view has failed, since then there is nothing to hear.
    heard: Option<(Subscription, Bag)>,
    lookups: Vec<Lookup>,
    past: Remembered,
    /// The view beside it that leaves out failing rows.
    skipping: Option<String>,
}

/// Runs a case; the error tells what was wrong.
pub fn run(case: &Case, way: Way) -> Result<Tally, String> {
    let mut run = Run::new(case, way);
    run.steps(way)?;
    run.compare_listed()?;
    run.compare_past()?;
    if way == Way::Stepwise {
        run.compare_with_stock()?;
    }
    if way == Way::Grouped {
        run.compare("at the end")?;
        run.reopen()?;
        run.compare("after opening again")?;
        run.compare_listed()?;
        run.verify()?;
        run.compare_past()?;
    }
    Ok(run.tally)
}

fn open(path: &Path) -> Database {
    let durability = Durability::Os;
    let options = Options { path: Some(path.into()), durability, segment_bytes: SEGMENT_BYTES, ..Options::default() };
    Database::open_with(options).unwrap()
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, way: Way) -> Self {
        let folder = (way == Way::Grouped).then(|| tempfile::tempdir().unwrap());
        let database = folder.as_ref().map_or_else(|| Database::in_memory().unwrap(), |folder| open(folder.path()));
        for relation in &case.relations {
            database.execute(&relation.create()).unwrap();
        }
        let reference = Reference::new(&case.relations);
        Run { case, database: Some(database), folder, reference, views: Vec::new(), tally: Tally::default() }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is open")
    }

    fn steps(&mut self, way: Way) -> Result<(), String> {
        let mut tickets: Vec<Ticket> = Vec::new();
        for (at, step) in self.case.steps.iter().enumerate() {
            match step {
                Step::View { name, sql } => self.create_view("CREATE", name, sql, way)?,
                Step::Replace { name, sql } => self.replace_view(name, sql, way)?,
                Step::Drop { name } => self.drop_view(name)?,
                Step::Commit(changes)
                    if way == Way::Grouped && changes.iter().all(|c| matches!(c, Change::Insert { .. })) =>
                {
                    tickets.extend(self.append(changes)?);
                }
                Step::Commit(changes) => self.commit(changes)?,
                Step::Checkpoint => {
                    self.database().execute("CHECKPOINT").map_err(|e| format!("CHECKPOINT: {e}"))?;
                }
                Step::Reopen => self.reopen()?,
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

    fn reopen(&mut self) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for view in &mut self.views {
            view.heard = None;
            view.lookups.iter_mut().for_each(Lookup::close);
        }
        let database = self.database.take().expect("it is open");
        database.close().map_err(|e| format!("closing: {e}"))?;
        self.database = Some(open(folder.path()));
        Ok(())
    }

    fn drop_view(&mut self, name: &str) -> Result<(), String> {
        skip::drop(self.database(), name)?;
        if let Some(view) = self.views.iter_mut().find(|view| view.name == name) {
            view.skipping = None;
        }
        match self.database().execute(&format!("DROP MATERIALIZED VIEW {name}")) {
            Ok(_) => self.views.retain(|view| view.name != name),
            // There is none, or others read it.
            Err(Error::Input(_)) => return Ok(()),
            Err(error) => return Err(format!("DROP of {name} was refused: {error}")),
        }
        self.reference.drop_view(name);
        Ok(())
    }

    /// Replaces a view. Where it is not there (the step that made it was left out), it is made.
    fn replace_view(&mut self, name: &str, sql: &str, way: Way) -> Result<(), String> {
        skip::drop(self.database(), name)?;
        if self.views.iter().any(|view| view.name == name) {
            self.reference.drop_view(name);
            self.views.retain(|view| view.name != name);
        }
        self.create_view("CREATE OR REPLACE", name, sql, way)?;
        if self.views.iter().all(|view| view.name != name) {
            // Refused: the old one is still there, and of no use to the reference.
            self.database().execute(&format!("DROP MATERIALIZED VIEW IF EXISTS {name}")).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn create_view(&mut self, create: &str, name: &str, sql: &str, way: Way) -> Result<(), String> {
        let created = self.database().execute(&format!("{create} MATERIALIZED VIEW {name} AS {sql}"));
        let expected = self.reference.create_view(name, sql);
        match (created, expected) {
            (Ok(_), Err(error)) if !self.reference.has_view(name) => {
                return Err(format!("view {name} was taken, and batch refused it: {error}\n  {sql}"));
            }
            (Ok(_), _) => {
                self.count(name)?;
                let lookups = lookups(self.database(), name, self.views.len())?;
                let heard = (way == Way::Stepwise).then(|| self.database().subscribe(name).ok()).flatten();
                let heard = heard.map(|heard| (heard, Bag::new()));
                // Where nothing can fail there is nothing to leave out.
                let may_fail = MAY_FAIL.iter().any(|words| sql.contains(words));
                let skipping = if may_fail { skip::create(self.database(), name, sql)? } else { None };
                self.tally.skipping += usize::from(skipping.is_some());
                self.views.push(View {
                    name: name.into(),
                    sql: sql.into(),
                    heard,
                    lookups,
                    past: Remembered::default(),
                    skipping,
                });
            }
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
            (Err(_), Err(_)) => {
                self.tally.refused += 1;
                self.reference.drop_view(name);
            }
        }
        Ok(())
    }

    /// Counts a new view by its operators.
    fn count(&mut self, name: &str) -> Result<(), String> {
        let circuit = self.database().query(&format!("EXPLAIN {name}"));
        let circuit = circuit.map_err(|e| format!("view {name} cannot be explained: {e}"))?;
        let operators = operators(&circuit);
        self.tally.views += 1;
        self.tally.recomputed += usize::from(operators.contains("Recompute"));
        operators.into_iter().for_each(|operator| *self.tally.operators.entry(operator).or_default() += 1);
        Ok(())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        let mut session = self.database().session();
        let transaction = changes.len() > 1;
        if transaction {
            session.execute("BEGIN").map_err(|e| e.to_string())?;
        }
        let before = self.reference.rows();
        for change in changes {
            let sql = change.sql(&self.case.relations);
            match (session.execute(&sql), self.reference.change(change)) {
                (Ok(_), Ok(())) => {}
                (Err(Error::Input(_)), Err(_)) if transaction => {
                    self.reference.set_rows(before);
                    return match session.execute("COMMIT") {
                        Err(Error::Input(_)) => Ok(()),
                        other => Err(format!("COMMIT after {sql} has failed: {other:?}")),
                    };
                }
                (Err(Error::Input(_)), Err(_)) => {}
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
        self.database().append_all(batches).map(Some).map_err(|e| format!("append: {e}"))
    }

    fn compare(&mut self, when: &str) -> Result<(), String> {
        (0..self.case.relations.len()).try_for_each(|at| self.compare_relation(when, at))?;
        self.compare_views(when)
    }

    /// What views list that leave out failing rows is the same for one that is created last.
    /// Views are again what they were.
    fn compare_past(&self) -> Result<(), String> {
        let mut random = Random::new(self.case.steps.len() as u64);
        self.views.iter().try_for_each(|view| view.past.check(self.database(), &mut random, 2))
    }

    fn compare_listed(&mut self) -> Result<(), String> {
        for (view, skipping) in self.views.iter().filter_map(|view| Some((view, view.skipping.as_ref()?))) {
            self.tally.listed += skip::compare_with_last(self.database(), skipping, &view.sql)?;
        }
        Ok(())
    }

    fn compare_relation(&self, when: &str, at: usize) -> Result<(), String> {
        let name = &self.case.relations[at].name;
        let rows = self.database().query(&format!("SELECT * FROM {name}"));
        let rows = rows.map_err(|e| format!("{when}: {name} cannot be read: {e}"))?;
        let (expected, got) = (self.reference.relation(at), bag(&rows.batches));
        match expected == got {
            true => Ok(()),
            false => Err(format!("{when}: {name} differs\n{}", difference(&expected, &got))),
        }
    }

    fn compare_views(&mut self, when: &str) -> Result<(), String> {
        for view in &mut self.views {
            let mut expected = self.reference.view(&view.name);
            if expected.as_ref().is_err_and(is_too_large) {
                view.heard = None;
                self.tally.too_large += 1;
                continue;
            }
            self.tally.comparisons += 1;
            let database = self.database.as_ref().expect("it is open");
            let name = &view.name;
            let got: Result<Bag, Error> = database.snapshot(name).map(|(_, rows)| bag(&rows.batches));
            if !matches!((&expected, &got), (Ok(expected), Ok(got)) if expected == got) {
                expected = self.reference.view_afresh(name);
            }
            if expected.is_err() && got.is_ok() {
                expected = self.reference.view_apart(name);
            }
            if let Some(skipping) = &view.skipping {
                let good = expected.as_ref().ok();
                skip::compare(database, skipping, good).map_err(|e| format!("{when}: {e}"))?;
            }
            match (expected, got) {
                (Ok(expected), Ok(got)) if expected == got => {
                    view.past.note(database, name);
                    let mut lookups = view.lookups.iter_mut();
                    lookups.try_for_each(|l| l.compare(database, name)).map_err(|e| format!("{when}: {e}"))?;
                    let Some((subscription, heard)) = &mut view.heard else { continue };
                    hear(subscription, heard);
                    if expected != *heard {
                        return Err(format!(
                            "{when}: what a subscriber heard of {name} differs\n{}",
                            difference(&expected, heard)
                        ));
                    }
                }
                (Ok(expected), Ok(got)) => {
                    return Err(format!("{when}: {name} differs\n{}", difference(&expected, &got)));
                }
                (Err(_), Err(Error::Input(_))) => {
                    view.heard = None;
                    self.tally.failures += 1;
                }
                (Err(expected), Ok(got)) => {
                    return Err(format!("{when}: {name} should fail ({expected}) and holds {got:?}"));
                }
                (Ok(_), Err(error)) => return Err(format!("{when}: {name} fails: {error}")),
                (Err(expected), Err(error)) => {
                    return Err(format!("{when}: {name} fails: {error}, where batch says {expected}"));
                }
            }
        }
        Ok(())
    }

    /// The batch engine without anything of ours must agree where SQL leaves nothing open.
    fn compare_with_stock(&mut self) -> Result<(), String> {
        let stored = |kind| self.case.relations.iter().any(|r| r.columns.iter().any(|c| c.kind == kind));
        let (floats_stored, lists_stored) = (stored(Kind::Float), stored(Kind::List));
        let mut open: Vec<&str> = Vec::new();
        for view in &self.views {
            // A view that reads another is as open as that one.
            let floats = floats_stored || FLOATS.iter().any(|word| view.sql.contains(word));
            let lists = lists_stored || view.sql.contains('[');
            if !is_closed(&view.sql, floats, lists) || open.iter().any(|name| view.sql.contains(name)) {
                open.push(&view.name);
                continue;
            }
            let (Ok(expected), Some(stock)) = (self.reference.view_afresh(&view.name), self.reference.stock(&view.sql))
            else {
                continue;
            };
            self.tally.stock += 1;
            if expected != stock {
                let difference = difference(&stock, &expected);
                return Err(format!("{} differs from the batch engine as it comes\n{difference}", view.name));
            }
        }
        Ok(())
    }

    /// The engine's own comparison.
    fn verify(&mut self) -> Result<(), String> {
        match self.database().execute("VERIFY") {
            Ok(Outcome::Verified { ok: true, .. }) => Ok(()),
            Ok(Outcome::Verified { rows, .. }) => {
                let said: Bag = bag(&rows.batches)
                    .into_keys()
                    .filter(|row| !row.ends_with("\u{1f}ok\u{1f}"))
                    .map(|r| (r, 1))
                    .collect();
                Err(format!("VERIFY refused where the reference agrees: {said:?}"))
            }
            other => Err(format!("VERIFY gives {other:?}")),
        }
    }
}
