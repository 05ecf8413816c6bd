//! One input of a join: its rows by key, or, where the other side's rows alone are put out, how many there are of each
//! key.

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, SchemaRef};

use crate::circuit::StateSize;
use crate::circuit::time::{Bound, Closing, Due, Watermarks, moments_of};
use crate::delta::Delta;
use crate::delta::columns::ABSENT;
use crate::delta::index::KeyIndex;
use crate::delta::rows::RowSet;
use crate::delta::values::Zeros;
use crate::error::{Error, Result};

/// One input: its rows so far, or what must be known of them.
pub struct Side {
    store: Store,
    /// The key columns of the input.
    pub keys: Vec<usize>,
    schema: SchemaRef,
    /// The column by which rows are known that meet no row to come, and when they do.
    closing: Option<(Closing, Due)>,
}

enum Store {
    Rows(Box<RowSet>),
    Totals(Box<Totals>),
}

impl Side {
    /// A side whose rows are kept, until they are closed by a column.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn rows(schema: SchemaRef, keys: Vec<usize>, append_only: bool, closing: Option<Closing>) -> Result<Self> {
        // Rows of a bag that is only added to have no place of their own that could be given back.
        let append_only = append_only && closing.is_none();
        let store = Store::Rows(Box::new(RowSet::new(schema.clone(), Some(keys.clone()), append_only)?));
        Ok(Side { store, keys, schema, closing: closing.map(|closing| (closing, Due::default())) })
    }

    /// A side of which only the keys are kept.
    ///
    /// # Errors
    /// When a key cannot be kept.
    pub fn totals(schema: SchemaRef, keys: Vec<usize>, closing: Option<Closing>) -> Result<Self> {
        let store = Store::Totals(Box::new(Totals::new(&schema, &keys)?));
        // Of the other columns nothing is kept.
        let closing = closing.filter(|closing| keys.contains(&closing.column));
        Ok(Side { store, keys, schema, closing: closing.map(|closing| (closing, Due::default())) })
    }

    /// The columns of the input.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows; asked for only of a side that keeps them.
    pub fn bag(&self) -> &RowSet {
        match &self.store {
            Store::Rows(rows) => rows,
            Store::Totals(_) => unreachable!("only the keys of this side are kept"),
        }
    }

    /// The key columns of a change of this side.
    pub fn keys_of(&self, delta: &Delta) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| delta.column(*key).clone()).collect()
    }

    /// The id of each of `rows` keys, [`ABSENT`] where no row here has it.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        match &self.store {
            Store::Rows(bag) => bag.chains().expect("a join side has a key").find(keys, rows, &mut ids)?,
            Store::Totals(totals) => totals.index.find(keys, rows, &mut ids)?,
        }
        Ok(ids)
    }

    /// For each of `rows` keys whether a row here has it.
    ///
    /// # Errors
    /// As [`Side::find`].
    pub fn has(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
        Ok(self.find(keys, rows)?.into_iter().map(|id| id != ABSENT).collect())
    }

    /// The ids of the rows that have a key.
    pub fn chain(&self, key: u32) -> impl Iterator<Item = u32> {
        self.bag().chains().expect("a join side has a key").rows(key)
    }

    /// Adds a change.
    ///
    /// # Errors
    /// When more is deleted than is there, or the ids are used up.
    pub fn apply(&mut self, delta: &Delta) -> Result<()> {
        match &mut self.store {
            Store::Rows(rows) => {
                rows.apply(delta)?;
                if let Some((closing, due)) = &mut self.closing {
                    let moments = moments_of(delta.column(closing.column))?;
                    for (row, id) in rows.applied().iter().enumerate().filter(|(_, id)| rows.weight(**id) > 0) {
                        due.push(moment(&moments, row), *id);
                    }
                }
                Ok(())
            }
            Store::Totals(totals) => {
                let keys: Vec<ArrayRef> = self.keys.iter().map(|key| delta.column(*key).clone()).collect();
                totals.apply(&keys, delta)?;
                if let Some((closing, due)) = &mut self.closing {
                    let moments = moments_of(delta.column(closing.column))?;
                    let ids = totals.find(&keys, delta.len())?;
                    for (row, id) in ids.into_iter().enumerate().filter(|(_, id)| *id != ABSENT) {
                        due.push(moment(&moments, row), id);
                    }
                }
                Ok(())
            }
        }
    }

    /// Where the rows are that it keeps, if it does not keep all.
    pub fn bound(&self) -> Option<&Bound> {
        self.closing.as_ref().map(|(closing, _)| &closing.bound)
    }

    /// Lets go of the rows that meet no row to come.
    ///
    /// # Errors
    /// When the closing column has no moments.
    pub fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let Some((closing, due)) = &mut self.closing else { return Ok(()) };
        let Some(bound) = closing.bound.at(watermarks) else { return Ok(()) };
        let mut ids = due.take(bound);
        if ids.is_empty() {
            return Ok(());
        }
        // A place of a row that is gone may have been given to another.
        let is_old = |moments: &Int64Array, row| moment(moments, row) < bound;
        match &mut self.store {
            Store::Rows(rows) => {
                ids.retain(|id| rows.weight(*id) > 0);
                let batch = rows.gather(&ids)?;
                let moments = moments_of(batch.column(closing.column))?;
                let old: Vec<u32> = (0..ids.len() as u32).filter(|row| is_old(&moments, *row as usize)).collect();
                let weights: Vec<i64> = ids.iter().map(|id| -rows.weight(*id)).collect();
                rows.apply(&Delta::new(batch, weights).take(&old)?)
            }
            Store::Totals(totals) => {
                let place = self.keys.iter().position(|key| *key == closing.column);
                let place = place.expect("the column is among the keys");
                ids.retain(|id| totals.totals[*id as usize] > 0);
                let moments = moments_of(&totals.index.gather(&ids)?[place])?;
                for (row, id) in ids.into_iter().enumerate().filter(|(row, _)| is_old(&moments, *row)) {
                    debug_assert!(row < moments.len());
                    totals.totals[id as usize] = 0;
                    totals.index.remove(id);
                }
                Ok(())
            }
        }
    }

    /// The rows of a change without a NULL in their keys, and those with one; nothing where none has one.
    ///
    /// # Errors
    /// When Arrow cannot build the smaller columns.
    pub fn apart_from_nulls(&self, delta: &Delta) -> Result<Option<(Delta, Delta)>> {
        let nulls = self.keys.iter().fold(None, |nulls: Option<NullBuffer>, key| {
            NullBuffer::union(nulls.as_ref(), delta.column(*key).logical_nulls().as_ref())
        });
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(None) };
        let with = BooleanArray::new(nulls.inner().clone(), None);
        let without = BooleanArray::new(!nulls.inner(), None);
        Ok(Some((delta.filter(&with)?, delta.filter(&without)?)))
    }

    /// What the side holds.
    pub fn state(&self) -> StateSize {
        match &self.store {
            Store::Rows(rows) => StateSize { rows: rows.columns().len(), bytes: rows.bytes() },
            Store::Totals(totals) => StateSize { rows: totals.index.columns().len(), bytes: totals.bytes() },
        }
    }
}

/// The moment of a row; without one it meets no row at all, and can go at once.
fn moment(moments: &Int64Array, row: usize) -> i64 {
    if moments.is_valid(row) { moments.value(row) } else { i64::MIN }
}

/// How many rows there are of each key.
pub struct Totals {
    index: KeyIndex,
    totals: Vec<i64>,
    ids: Vec<u32>,
}

impl Totals {
    /// No rows, with these of the columns of `schema` as key.
    ///
    /// # Errors
    /// When a column cannot be a key.
    pub fn new(schema: &SchemaRef, keys: &[usize]) -> Result<Self> {
        let types: Vec<DataType> = keys.iter().map(|key| schema.field(*key).data_type().clone()).collect();
        Ok(Totals { index: KeyIndex::new(&types, Zeros::Folded)?, totals: Vec::new(), ids: Vec::new() })
    }

    /// Adds the weights of a change, whose keys these are.
    ///
    /// # Errors
    /// [`Error::Internal`] when more rows of a key are deleted than there are.
    pub fn apply(&mut self, keys: &[ArrayRef], delta: &Delta) -> Result<()> {
        self.index.intern(keys, delta.len(), &mut self.ids)?;
        self.totals.resize(self.index.columns().slots(), 0);
        for (row, id) in self.ids.iter().enumerate() {
            self.totals[*id as usize] += delta.weights.get(row);
        }
        self.ids.sort_unstable();
        self.ids.dedup();
        for id in &self.ids {
            match self.totals[*id as usize] {
                0 => self.index.remove(*id),
                1.. => {}
                total => return Err(Error::Internal(format!("a key of a join is there {total} times"))),
            }
        }
        Ok(())
    }

    /// The id of each of `rows` keys, [`ABSENT`] where no row has it.
    fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.index.find(keys, rows, &mut ids)?;
        Ok(ids)
    }

    /// For each of `rows` keys whether a row has it.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn has(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
        Ok(self.find(keys, rows)?.into_iter().map(|id| id != ABSENT).collect())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.index.columns().len()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + (self.totals.capacity() * 2 + self.ids.capacity()) * 4
    }
}
