//! A table: its present rows, and what a change of them means.
//!
//! An inserted row takes the place of the row with the same primary key; what the log gets is the change of rows that
//! comes of it, `-old +new`, so that replay decides nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use super::catalog::Object;
use crate::delta::index::KeyIndex;
use crate::delta::rows::RowSet;
use crate::delta::values::Zeros;
use crate::delta::{Delta, consolidate};
use crate::error::{Error, Result};
use crate::operators::eval::show_row;

/// What a statement does to a table.
#[derive(Debug, Clone)]
pub enum TableChange {
    /// Rows to insert, each in the place of the one with its key.
    Upsert(RecordBatch),
    /// Rows to remove and rows to put in their place, taken from the present state.
    Exact(Delta),
}

/// The rows of a table.
pub struct Table {
    object: Arc<Object>,
    rows: RowSet,
}

impl Table {
    /// An empty table.
    ///
    /// # Errors
    /// When a column is of a type that cannot be kept.
    pub fn new(object: Arc<Object>) -> Result<Self> {
        let key = (!object.key.is_empty()).then(|| object.key.clone());
        let rows = RowSet::new(crate::sql::lower::nullable(&object.schema), key, false)?;
        Ok(Table { object, rows })
    }

    /// The rows by id.
    pub fn rows(&mut self) -> &mut RowSet {
        &mut self.rows
    }

    /// The change of rows that a statement's change comes to. Nothing is changed yet.
    ///
    /// # Errors
    /// When a primary key would be there twice.
    pub fn resolve(&self, change: &TableChange) -> Result<Delta> {
        match change {
            TableChange::Upsert(batch) if self.object.key.is_empty() => Ok(Delta::insert(batch.clone())),
            TableChange::Upsert(batch) => self.upsert(batch),
            TableChange::Exact(delta) => {
                let delta = consolidate(delta)?;
                if !self.object.key.is_empty() {
                    self.check_keys(&delta)?;
                }
                Ok(delta)
            }
        }
    }

    /// Carries out a resolved change.
    ///
    /// # Errors
    /// When a row to remove is not there.
    pub fn apply(&mut self, delta: &Delta) -> Result<()> {
        self.rows.apply(delta)
    }

    /// The rows that have one of these primary keys.
    ///
    /// # Errors
    /// As [`RowSet::gather`].
    pub fn with_keys(&self, keys: &RecordBatch) -> Result<RecordBatch> {
        let mut ids = self.present(keys.columns(), keys.num_rows())?;
        ids.sort_unstable();
        ids.dedup();
        self.rows.gather(&ids)
    }

    fn upsert(&self, batch: &RecordBatch) -> Result<Delta> {
        let new = Delta::insert(batch.clone()).take(&last_of_each_key(&self.object.key, batch)?)?;
        let old = self.present(&self.keys(&new.batch), new.len())?;
        let old = Delta::insert(self.rows.gather(&old)?).negate();
        consolidate(&Delta::concat(self.rows.schema(), [&old, &new])?)
    }

    /// After the change no key may be there twice.
    fn check_keys(&self, delta: &Delta) -> Result<()> {
        let inserted: Vec<u32> = (0..delta.len() as u32).filter(|r| delta.weights.get(*r as usize) > 0).collect();
        let removed: Vec<u32> = (0..delta.len() as u32).filter(|r| delta.weights.get(*r as usize) < 0).collect();
        let (inserted, removed) = (delta.take(&inserted)?, delta.take(&removed)?);
        let keys = self.keys(&inserted.batch);
        let mut index = KeyIndex::new(&types(&keys), Zeros::Folded)?;
        let mut ids = Vec::new();
        index.intern(&keys, inserted.len(), &mut ids)?;
        let mut count: HashMap<u32, i64> = HashMap::new();
        for (row, id) in ids.iter().enumerate() {
            let count = count.entry(*id).or_default();
            *count += inserted.weights.get(row);
            if *count > 1 {
                return Err(self.duplicate(&inserted.batch, row));
            }
        }
        let mut gone = Vec::new();
        index.find(&self.keys(&removed.batch), removed.len(), &mut gone)?;
        let mut leaves: HashMap<u32, i64> = HashMap::new();
        for (row, id) in gone.iter().enumerate() {
            *leaves.entry(*id).or_default() -= removed.weights.get(row);
        }
        let mut present = Vec::new();
        let chains = self.rows.chains().expect("a table with a key has chains");
        chains.find(&keys, inserted.len(), &mut present)?;
        for (row, (id, there)) in ids.iter().zip(&present).enumerate() {
            let there = chains.rows(*there).count() as i64;
            if there > leaves.get(id).copied().unwrap_or(0) {
                return Err(self.duplicate(&inserted.batch, row));
            }
        }
        Ok(())
    }

    fn duplicate(&self, batch: &RecordBatch, row: usize) -> Error {
        let key = batch.project(&self.object.key).map(|b| show_row(&b, row)).unwrap_or_default();
        Error::input(format!("table `{}` would have the primary key {key} twice", self.object.name))
    }

    /// The ids of the rows that have one of these keys.
    fn present(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let chains = self.rows.chains().expect("a table with a key has chains");
        let mut found = Vec::new();
        chains.find(keys, rows, &mut found)?;
        Ok(found.into_iter().flat_map(|key| chains.rows(key)).collect())
    }

    fn keys(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.object.key.iter().map(|k| batch.column(*k).clone()).collect()
    }
}

/// The rows of a statement that stay: of several with one key, the last one.
///
/// # Errors
/// When the key is of a type that cannot be kept.
pub fn last_of_each_key(key: &[usize], batch: &RecordBatch) -> Result<Vec<u32>> {
    if key.is_empty() {
        return Ok((0..batch.num_rows() as u32).collect());
    }
    let keys: Vec<ArrayRef> = key.iter().map(|at| batch.column(*at).clone()).collect();
    let mut index = KeyIndex::new(&types(&keys), Zeros::Folded)?;
    let mut ids = Vec::new();
    index.intern(&keys, batch.num_rows(), &mut ids)?;
    let mut last: Vec<u32> = Vec::new();
    for (row, id) in ids.iter().enumerate() {
        let id = *id as usize;
        if id >= last.len() {
            last.resize(id + 1, 0);
        }
        last[id] = row as u32;
    }
    last.sort_unstable();
    Ok(last)
}

fn types(keys: &[ArrayRef]) -> Vec<arrow::datatypes::DataType> {
    keys.iter().map(|k| k.data_type().clone()).collect()
}
