//! Statements that change rows: INSERT, UPDATE, DELETE, MERGE and TRUNCATE, evaluated once, into rows.
//!
//! ```text
//! text -> parser's tree -> Dml (checked against the catalog) -> rows of the state -> Effect: -old +new, and RETURNING
//! ```
//!
//! The log gets the change of rows, never the statement. What a statement reads of its own target is the state right
//! before it; where it can only be about rows with known keys, only those are looked at.

mod assign;
mod conflict;
mod fit;
mod insert;
mod keys;
mod merge;
mod names;
mod read;
mod returning;
mod scope;
mod update;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast;

use self::conflict::OnConflict;
use self::insert::Source;
use self::merge::Merge;
use self::names::Context;
use self::scope::Scope;
use self::update::Update;
use super::catalog::{Catalog, Kind, Object};
use super::constraint::Constraints;
use super::names::sources;
use super::query::{Rows, Runner};
use super::request::Change;
use super::snapshot::Snapshot;
use super::table::{TableChange, last_of_each_key};
use crate::delta::Delta;
use crate::error::{Error, Result};

/// A statement that changes rows.
pub struct Dml {
    /// What it is called when it is done.
    pub verb: &'static str,
    targets: Vec<Arc<Object>>,
    /// What expressions call the target.
    called: String,
    form: Form,
    returning: Option<Vec<ast::SelectItem>>,
    /// The objects that it reads, besides the rows that it may change.
    reads: BTreeSet<u32>,
    /// Rows to be inserted that were evaluated beforehand.
    proposed: Option<RecordBatch>,
}

enum Form {
    Insert(Box<Insert>),
    Update(Box<Update>),
    Merge(Box<Merge>),
    Truncate,
}

struct Insert {
    source: Source,
    conflict: Option<OnConflict>,
}

/// Which rows of its target a statement must see to be evaluated.
pub enum Wants {
    /// None: others may commit before it does.
    Nothing,
    /// Those with these primary keys.
    Keys(RecordBatch),
    /// All.
    Everything,
}

/// What a statement comes to.
pub struct Done {
    /// The changes.
    pub changes: Vec<Change>,
    /// How many rows it was about, changed or not.
    pub rows: usize,
    /// What RETURNING gives.
    pub returned: Option<Rows>,
}

/// A change of one table, and what it was about.
struct Effect {
    change: TableChange,
    /// The rows as RETURNING shows them.
    after: RecordBatch,
    /// The columns that were read beside them.
    others: Option<Scope>,
    /// Whether these come first.
    others_first: bool,
}

impl Effect {
    /// Rows removed and rows put in.
    fn new(context: &Context<'_>, old: RecordBatch, new: RecordBatch, after: &RecordBatch) -> Result<Self> {
        let (old, new) = (Delta::insert(old).negate(), Delta::insert(new));
        let change = TableChange::Exact(Delta::concat(&context.schema(), [&old, &new])?);
        Ok(Effect { change, after: after.clone(), others: None, others_first: false })
    }

    /// The same, found beside rows of other tables.
    fn beside(self, others: Scope) -> Self {
        Effect { others: Some(others), ..self }
    }

    /// The same, behind the columns of a source.
    fn behind(self, source: Scope) -> Self {
        Effect { others: Some(source), others_first: true, ..self }
    }

    /// What RETURNING knows.
    fn scope(&self, called: &str) -> Result<Scope> {
        let (known, columns) = (scope::known(called, &self.after), self.after.columns().to_vec());
        let (more, values) = self.others.as_ref().map(|o| (o.known(), o.columns().to_vec())).unwrap_or_default();
        let (known, columns) = match self.others_first {
            true => ([more, known].concat(), [values, columns].concat()),
            false => ([known, more].concat(), [columns, values].concat()),
        };
        Scope::new(known, columns, self.after.num_rows())
    }
}

impl Dml {
    /// The table or stream that it changes.
    pub fn target(&self) -> u32 {
        self.targets[0].id
    }

    /// Whether the result depends on the rows of the target, so that no other commit may come in between.
    pub fn depends_on_target(&self) -> bool {
        match &self.form {
            Form::Insert(insert) => insert.conflict.is_some(),
            _ => true,
        }
    }

    /// The objects whose rows it must be given.
    pub fn reads(&self, catalog: &Catalog, wants: &Wants) -> Vec<u32> {
        let mut reads = self.reads.clone();
        if matches!(wants, Wants::Everything) {
            reads.extend(self.targets.iter().map(|target| target.id));
        }
        sources(catalog, &reads, false)
    }

    /// Which rows of its target it must see. What can be evaluated beforehand, is.
    ///
    /// # Errors
    /// When the rows to be inserted cannot be evaluated, or one breaks a constraint.
    pub fn wants(&mut self, runner: &Runner, catalog: &Arc<Catalog>) -> Result<Wants> {
        let Some(target) = self.targets.first() else { return Ok(Wants::Everything) };
        match &self.form {
            Form::Insert(insert) if insert.conflict.is_none() => Ok(Wants::Nothing),
            Form::Insert(insert) if insert.source.reads_nothing() => {
                let nothing = super::constraint::empty_snapshot(catalog.clone(), 0);
                let context = Context { runner, snapshot: &nothing, target, rows: &[] };
                let rows = insert.source.rows(&context)?;
                Constraints::new(runner.session(), target)?.check(&rows)?;
                let keys = rows.project(&target.key)?;
                self.proposed = Some(rows);
                Ok(Wants::Keys(keys))
            }
            Form::Update(update) => {
                Ok(keys::of(update, runner, catalog, target)?.map_or(Wants::Everything, Wants::Keys))
            }
            _ => Ok(Wants::Everything),
        }
    }

    /// Runs the statement over a state; `found` are the rows of the target with the keys that it wants.
    ///
    /// # Errors
    /// When the statement does not fit the columns, fails on a row, or a row breaks a constraint.
    pub fn evaluate(&self, runner: &Runner, snapshot: &Arc<Snapshot>, found: Option<RecordBatch>) -> Result<Done> {
        let Some(target) = self.targets.first() else { return Ok(self.truncated(snapshot)) };
        let found = found.map(|rows| vec![Arc::new(rows)]);
        let rows = match &found {
            Some(found) => found.as_slice(),
            None => snapshot.rows.get(&target.id).map(|rows| rows.chunks.as_slice()).unwrap_or_default(),
        };
        let context = Context { runner, snapshot, target, rows };
        let effect = match &self.form {
            Form::Truncate => return Ok(self.truncated(snapshot)),
            Form::Update(update) => update.effect(&context)?,
            Form::Merge(merge) => merge.effect(&context)?,
            Form::Insert(insert) => {
                let Insert { source, conflict } = insert.as_ref();
                let rows = match &self.proposed {
                    Some(rows) => rows.clone(),
                    None => {
                        let rows = source.rows(&context)?;
                        Constraints::new(runner.session(), target)?.check(&rows)?;
                        rows
                    }
                };
                match conflict {
                    Some(conflict) => conflict.effect(&context, &self.called, &rows)?,
                    None => return self.inserted(&context, rows),
                }
            }
        };
        let returned = self.returned(&context, || effect.scope(&self.called))?;
        let (object, rows) = (target.id, effect.after.num_rows());
        Ok(Done { changes: vec![Change::Table { object, change: effect.change }], rows, returned })
    }

    /// Rows that are inserted, each in the place of the one with its key.
    fn inserted(&self, context: &Context<'_>, batch: RecordBatch) -> Result<Done> {
        let (object, rows) = (context.target.id, batch.num_rows());
        let returned = self.returned(context, || {
            let stays = last_of_each_key(&context.target.key, &batch)?;
            Scope::of_table(&self.called, &Delta::insert(batch.clone()).take(&stays)?.batch)
        })?;
        let change = match context.target.kind {
            Kind::Stream => Change::Events { object, batch },
            _ => Change::Table { object, change: TableChange::Upsert(batch) },
        };
        Ok(Done { changes: vec![change], rows, returned })
    }

    fn truncated(&self, snapshot: &Snapshot) -> Done {
        let mut changes = Vec::new();
        for target in &self.targets {
            let chunks = snapshot.rows.get(&target.id).map(|rows| rows.chunks.as_slice()).unwrap_or_default();
            changes.extend(chunks.iter().map(|rows| Change::Table {
                object: target.id,
                change: TableChange::Exact(Delta::insert(rows.as_ref().clone()).negate()),
            }));
        }
        Done { rows: changes.iter().map(Change::len).sum(), changes, returned: None }
    }

    fn returned(&self, context: &Context<'_>, scope: impl Fn() -> Result<Scope>) -> Result<Option<Rows>> {
        let Some(items) = &self.returning else { return Ok(None) };
        returning::returned(context, &scope()?, items).map(Some)
    }
}

/// The error for a target that a statement cannot change.
fn unchangeable(verb: &str, object: &Object) -> Error {
    let name = &object.name;
    match object.kind {
        Kind::Stream => Error::input(format!("{verb}: `{name}` is a stream, whose events are facts and do not change"))
            .with_hint("keep what changes in a TABLE, or record a correction as a new event"),
        kind => Error::input(format!("{verb}: `{name}` is a {}, which its query alone changes", kind.name())),
    }
}
