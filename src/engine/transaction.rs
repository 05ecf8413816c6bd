//! A transaction: statements whose changes become one commit.
//!
//! Each statement is evaluated when it is run, over the state at the first one plus the changes of those before it.
//! COMMIT is refused when a table that UPDATE or DELETE or a query read has been changed by others since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;

use super::catalog::Kind;
use super::database::Database;
use super::request::{Change, Commit};
use super::snapshot::{Rows, Snapshot};
use super::table::Table;
use crate::delta::Delta;
use crate::delta::size::batch_bytes;
use crate::error::{Error, Result, nearest};

/// Changes that a transaction may hold.
const CHANGES_MAX: usize = 100_000;

/// Bytes of a table's rows as the transaction keeps them, for each byte of the rows: they have an index.
const OVERLAY_FACTOR: usize = 2;

/// An open transaction.
pub struct Transaction {
    /// The state that it began from, with the rows that were asked for so far.
    base: Option<Arc<Snapshot>>,
    /// Tables as the transaction sees them.
    tables: BTreeMap<u32, Table>,
    changes: Vec<Change>,
    read: BTreeSet<u32>,
    /// Names for places in `changes`: how many there were then.
    savepoints: Vec<(String, usize)>,
    /// The memory of all this.
    held: MemoryReservation,
}

impl Transaction {
    /// A transaction without changes; its memory is taken from `held`.
    pub fn new(held: MemoryReservation) -> Self {
        let (tables, changes, read, savepoints) = Default::default();
        Transaction { base: None, tables, changes, read, savepoints, held }
    }

    /// The state that a statement of the transaction sees.
    ///
    /// # Errors
    /// When another commit came in between two reads: what they see would not be one state.
    pub fn snapshot(&mut self, database: &Database, objects: &[u32]) -> Result<Arc<Snapshot>> {
        let mut state = match &self.base {
            Some(base) => base.as_ref().clone(),
            None => self.fetch(database, Vec::new())?.as_ref().clone(),
        };
        let missing: Vec<u32> = objects.iter().copied().filter(|o| !state.rows.contains_key(o)).collect();
        if !missing.is_empty() {
            let more = self.fetch(database, missing)?;
            if more.offset != state.offset && !state.rows.is_empty() {
                return Err(Error::input("another commit came between two statements of the transaction")
                    .with_hint("ROLLBACK and run it again"));
            }
            state.rows.extend(more.rows.iter().map(|(id, rows)| (*id, rows.clone())));
            (state.offset, state.time) = (more.offset, more.time);
            state.history = more.history.clone();
            state.catalog = more.catalog.clone();
        }
        self.read.extend(objects.iter().filter(|id| is_table(&state, **id)));
        self.base = Some(Arc::new(state.clone()));
        let events = self.changes.iter().filter_map(|change| match change {
            Change::Events { object, batch } => Some((*object, batch.clone())),
            Change::Table { .. } => None,
        });
        state.history.pending = Arc::new(events.collect());
        for id in objects {
            self.overlay(*id)?;
        }
        for (id, table) in &mut self.tables {
            let set = table.rows();
            let rows = Rows { schema: set.schema().clone(), chunks: set.snapshot()?, failure: None };
            state.rows.insert(*id, rows);
        }
        Ok(Arc::new(state))
    }

    fn fetch(&self, database: &Database, objects: Vec<u32>) -> Result<Arc<Snapshot>> {
        database.snapshot_of(objects)
    }

    /// Adds a statement's changes, all or none.
    ///
    /// # Errors
    /// When a change breaks a constraint or there is no memory for it; nothing is then added.
    pub fn add(&mut self, changes: Vec<Change>) -> Result<()> {
        if self.changes.len() + changes.len() > CHANGES_MAX {
            return Err(Error::Limit(format!("the transaction has {CHANGES_MAX} changes, which is the limit")));
        }
        self.held.try_grow(changes.iter().map(Change::bytes).sum())?;
        // Resolved all before one is carried out: those of one statement are of different rows.
        let mut resolved = Vec::new();
        for change in &changes {
            if let Change::Table { object, change } = change
                && let Some(table) = self.tables.get(object)
            {
                resolved.push((*object, table.resolve(change)?));
            }
        }
        for (object, delta) in &resolved {
            if let Some(table) = self.tables.get_mut(object) {
                table.apply(delta)?;
            }
        }
        self.changes.extend(changes);
        Ok(())
    }

    /// Gives the place behind the last change a name. One that has the name already is hidden until this one is released.
    ///
    /// # Errors
    /// When there are too many.
    pub fn save(&mut self, name: &str) -> Result<()> {
        if self.savepoints.len() >= CHANGES_MAX {
            return Err(Error::Limit(format!("the transaction has {CHANGES_MAX} savepoints, which is the limit")));
        }
        self.savepoints.push((name.to_string(), self.changes.len()));
        Ok(())
    }

    /// Forgets a savepoint and those behind it; the changes stay.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn release(&mut self, name: &str) -> Result<()> {
        let at = self.saved(name)?;
        self.savepoints.truncate(at);
        Ok(())
    }

    /// Takes back the changes since a savepoint, which stays, and those behind it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn roll_back_to(&mut self, name: &str) -> Result<()> {
        let at = self.saved(name)?;
        self.savepoints.truncate(at + 1);
        self.changes.truncate(self.savepoints[at].1);
        // They are made again from the changes that are left when they are read.
        self.tables.clear();
        self.held.free();
        Ok(self.held.try_grow(self.changes.iter().map(Change::bytes).sum())?)
    }

    fn saved(&self, name: &str) -> Result<usize> {
        let found = self.savepoints.iter().rposition(|(saved, _)| saved == name);
        found.ok_or_else(|| {
            let error = Error::input(format!("no savepoint `{name}` in the transaction"));
            match nearest(name, self.savepoints.iter().map(|(saved, _)| saved.as_str())) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }

    /// Makes a table as the transaction sees it, once it has been read: the rows at the beginning and the changes.
    fn overlay(&mut self, id: u32) -> Result<()> {
        let Some(base) = &self.base else { return Ok(()) };
        let (Some(object), Some(rows)) = (base.catalog.get(id), base.rows.get(&id)) else { return Ok(()) };
        if object.kind != Kind::Table || self.tables.contains_key(&id) {
            return Ok(());
        }
        self.held.try_grow(rows.chunks.iter().map(|chunk| batch_bytes(chunk)).sum::<usize>() * OVERLAY_FACTOR)?;
        let mut table = Table::new(object.clone())?;
        for chunk in &rows.chunks {
            table.apply(&Delta::insert(chunk.as_ref().clone()))?;
        }
        for change in &self.changes {
            if let Change::Table { object, change } = change
                && *object == id
            {
                let delta = table.resolve(change)?;
                table.apply(&delta)?;
            }
        }
        self.tables.insert(id, table);
        Ok(())
    }

    /// The commit of all changes.
    pub fn into_commit(self) -> Commit {
        let unless_changed = self.base.map(|base| (base.offset, self.read.into_iter().collect()));
        Commit { changes: self.changes, mark: None, unless_changed }
    }
}

fn is_table(state: &Snapshot, id: u32) -> bool {
    state.catalog.get(id).is_some_and(|object| object.kind == Kind::Table)
}
