//! The engine's part of a lookup: rows of tables and views by the values of some columns, without a scan.
//!
//! The key of a view is indexed when somebody first looks it up, and what CREATE INDEX names when it is made and when
//! the database is opened. An index is kept up with every change; when memory is short it goes, and comes back with the
//! next lookup.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::catalog::{Catalog, Ddl};
use super::core::Core;
use super::snapshot::Rows;
use crate::delta::rows::RowSet;
use crate::error::Result;

/// Keys to look up.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose rows.
    pub object: u32,
    /// The columns of the key, by place.
    pub columns: Vec<usize>,
    /// Their values: an array for each, of the column's type.
    pub keys: Vec<ArrayRef>,
    /// How many keys there are; it counts where there is no column.
    pub count: usize,
}

/// The rows that were found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The last commit that they show.
    pub offset: u64,
    /// For each of the wanted, its rows with all columns; none where the object is gone.
    pub rows: Vec<Option<Rows>>,
}

impl Core {
    /// Looks keys up, all at the present offset.
    pub(super) fn find(&mut self, wanted: &[Wanted]) -> Result<Found> {
        let mut made = 0;
        let mut rows = Vec::with_capacity(wanted.len());
        for Wanted { object, columns, keys, count } in wanted {
            let (set, failure) = if let Some(table) = self.tables.get_mut(object) {
                (table.rows(), None)
            } else if let Some(view) = self.views.get_mut(object) {
                let failure = view.failure(&self.circuit);
                (&mut view.rows, failure)
            } else {
                rows.push(None);
                continue;
            };
            let before = set.bytes();
            let chunks = match failure {
                None if *count > 0 => vec![Arc::new(set.find(columns, keys, *count)?)],
                _ => Vec::new(),
            };
            made += set.bytes() - before;
            rows.push(Some(Rows { schema: set.schema().clone(), chunks, failure }));
        }
        if made > 0 {
            self.account_moved(made);
        }
        Ok(Found { offset: self.tick.offset, rows })
    }

    /// The columns of a table's or view's key.
    pub(super) fn key(&self, object: u32) -> Option<Vec<usize>> {
        match self.views.get(&object) {
            Some(view) => self.circuit.facts(*view.node.as_ref().ok()?).key.clone(),
            None => self.catalog.get(object)?.facts().key,
        }
    }

    fn row_set(&mut self, object: u32) -> Option<&mut RowSet> {
        match self.tables.get_mut(&object) {
            Some(table) => Some(table.rows()),
            None => self.views.get_mut(&object).map(|view| &mut view.rows),
        }
    }

    /// Makes the indexes among `entries` of objects that are there.
    pub(super) fn index_rows(&mut self, entries: &[Ddl]) -> Result<()> {
        for entry in entries {
            if let Ddl::CreateIndex(index) = entry {
                self.index(index.object, &index.columns)?;
            }
        }
        Ok(())
    }

    /// Makes every index of the catalog.
    pub(super) fn index_all(&mut self) -> Result<()> {
        let catalog = self.catalog.clone();
        catalog.indexes().try_for_each(|index| self.index(index.object, &index.columns))
    }

    /// Makes the indexes of an object whose rows have been put in another place.
    pub(super) fn index_object(&mut self, object: u32) -> Result<()> {
        let catalog = self.catalog.clone();
        let mut indexes = catalog.indexes().filter(|index| index.object == object);
        indexes.try_for_each(|index| self.index(index.object, &index.columns))
    }

    fn index(&mut self, object: u32, columns: &[usize]) -> Result<()> {
        let Some(rows) = self.row_set(object) else { return Ok(()) };
        let before = rows.bytes();
        rows.index(columns)?;
        let made = rows.bytes() - before;
        self.account_moved(made);
        Ok(())
    }

    /// Frees the memory of indexes that were dropped. One that serves a key as well comes back when it is looked up.
    pub(super) fn let_go_of_indexes(&mut self, before: &Catalog, names: &[String]) {
        for index in names.iter().filter_map(|name| before.index(name)) {
            if let Some(rows) = self.row_set(index.object) {
                rows.drop_index(&index.columns);
            }
        }
    }
}
