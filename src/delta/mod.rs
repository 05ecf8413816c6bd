//! Deltas: Z-sets over Arrow batches, and the keyed state that operators build from them.
//!
//! A delta says how a bag of rows changes: a weight of `+n` means that the row was inserted `n` times, `-n`
//! that it was deleted `n` times. A row may occur more than once in a delta; its change is the sum of the weights.
//! Adding the deltas of a node from the first to offset N gives the node's bag at N (its *integral*).
//!
//! ```text
//! columns | a | b     weight
//!         | 1 | x       +1
//!         | 2 | y       -1
//! ```

pub mod added;
pub mod arena;
pub mod byte_array;
pub mod chains;
pub mod columns;
mod consolidate;
pub mod hash;
pub mod index;
pub mod patch;
pub mod rows;
pub mod size;
pub mod text;
pub mod values;

pub use consolidate::consolidate;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute;
use arrow::datatypes::SchemaRef;

use crate::error::Result;

/// A change of a bag of rows.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The rows.
    pub batch: RecordBatch,
    /// How often each row was inserted (positive) or deleted (negative); never zero.
    pub weights: Weights,
    /// Rows whose expressions failed: they are in no batch, and the views above report them.
    pub errors: Vec<RowError>,
}

/// A row on which an expression failed, with the change of how often it is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// What failed, and on which row. Equal failures of equal rows have equal messages.
    pub message: String,
    /// `+n`: the row came `n` times; `-n`: it went.
    pub weight: i64,
}

/// One weight per row. The common case, every row inserted once, takes no memory.
#[derive(Debug, Clone)]
pub struct Weights(Option<ScalarBuffer<i64>>);

impl Weights {
    /// Every row inserted once.
    pub fn ones() -> Self {
        Weights(None)
    }

    /// A weight for each row.
    pub fn new(weights: Vec<i64>) -> Self {
        Weights(Some(weights.into()))
    }

    /// The weights, or `None` where each is `+1`.
    pub fn as_slice(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }

    /// The weight of one row.
    #[inline]
    pub fn get(&self, row: usize) -> i64 {
        self.0.as_ref().map_or(1, |w| w[row])
    }

    /// Whether each row is inserted, none deleted.
    pub fn is_append(&self) -> bool {
        self.0.as_ref().is_none_or(|w| w.iter().all(|w| *w > 0))
    }

    /// Whether each row is deleted, none inserted.
    pub fn negated_only(&self) -> bool {
        self.0.as_ref().is_some_and(|w| w.iter().all(|w| *w < 0))
    }

    /// The weights of some rows.
    pub fn take(&self, rows: &[u32]) -> Self {
        Weights(self.0.as_ref().map(|w| rows.iter().map(|r| w[*r as usize]).collect()))
    }

    /// The weights as a slice of `rows` numbers.
    pub fn to_vec(&self, rows: usize) -> Vec<i64> {
        self.0.as_ref().map_or_else(|| vec![1; rows], |w| w.to_vec())
    }

    /// `length` weights from `start`.
    pub fn slice(&self, start: usize, length: usize) -> Self {
        Weights(self.0.as_ref().map(|w| w.slice(start, length)))
    }
}

impl From<Vec<i64>> for Weights {
    fn from(weights: Vec<i64>) -> Self {
        Weights::new(weights)
    }
}

impl Delta {
    /// Rows that are all inserted once.
    pub fn insert(batch: RecordBatch) -> Self {
        Delta { batch, weights: Weights::ones(), errors: Vec::new() }
    }

    /// Rows with their weights, one for each.
    pub fn new(batch: RecordBatch, weights: impl Into<Weights>) -> Self {
        let weights = weights.into();
        debug_assert!(weights.as_slice().is_none_or(|w| w.len() == batch.num_rows()));
        Delta { batch, weights, errors: Vec::new() }
    }

    /// No change.
    pub fn empty(schema: SchemaRef) -> Self {
        Delta::insert(RecordBatch::new_empty(schema))
    }

    /// The schema of the rows.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// How many rows the delta lists (not how many it inserts).
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether the delta lists a row.
    pub fn has_rows(&self) -> bool {
        self.batch.num_rows() != 0
    }

    /// Whether nothing changes: no row and no failed row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.errors.is_empty()
    }

    /// One column.
    pub fn column(&self, index: usize) -> &ArrayRef {
        self.batch.column(index)
    }

    /// The rows for which `keep` is true; NULL is not true.
    ///
    /// # Errors
    /// When Arrow cannot build the smaller columns.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Delta> {
        let keep = if keep.null_count() > 0 { &compute::prep_null_mask_filter(keep) } else { keep };
        let batch = compute::filter_record_batch(&self.batch, keep)?;
        let weights = match &self.weights.0 {
            None => Weights::ones(),
            Some(w) => {
                let kept = compute::filter(&Int64Array::new(w.clone(), None), keep)?;
                Weights(Some(
                    arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&kept).values().clone(),
                ))
            }
        };
        Ok(Delta { batch, weights, errors: Vec::new() })
    }

    /// The listed rows, in that order.
    ///
    /// # Errors
    /// When Arrow cannot build the columns.
    pub fn take(&self, rows: &[u32]) -> Result<Delta> {
        let indices = UInt32Array::from(rows.to_vec());
        let columns =
            self.batch.columns().iter().map(|c| compute::take(c, &indices, None)).collect::<Result<_, _>>()?;
        // Rows without columns are still so many rows.
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema(), columns, &options)?;
        Ok(Delta::new(batch, self.weights.take(rows)))
    }

    /// The same change seen from the other side: what was inserted is deleted.
    #[must_use]
    pub fn negate(&self) -> Delta {
        let weights = self.weights.to_vec(self.len()).iter().map(|w| -w).collect::<Vec<_>>();
        let errors = self.errors.iter().map(|e| RowError { message: e.message.clone(), weight: -e.weight }).collect();
        Delta { batch: self.batch.clone(), weights: Weights::new(weights), errors }
    }

    /// The sum of several changes of one bag: their rows one after another.
    ///
    /// # Errors
    /// When Arrow cannot join the columns (over 2 GiB of text in one).
    pub fn concat<'a>(schema: &SchemaRef, deltas: impl IntoIterator<Item = &'a Delta>) -> Result<Delta> {
        let mut parts: Vec<&Delta> = Vec::new();
        let mut errors = Vec::new();
        for delta in deltas {
            errors.extend(delta.errors.iter().cloned());
            if delta.has_rows() {
                parts.push(delta);
            }
        }
        let (batch, weights) = match parts.as_slice() {
            [] => (RecordBatch::new_empty(schema.clone()), Weights::ones()),
            [one] => (one.batch.clone(), one.weights.clone()),
            many => {
                let batch = compute::concat_batches(schema, many.iter().map(|d| &d.batch))?;
                let ones = many.iter().all(|d| d.weights.0.is_none());
                let weights = if ones {
                    Weights::ones()
                } else {
                    Weights::new(many.iter().flat_map(|d| d.weights.to_vec(d.len())).collect())
                };
                (batch, weights)
            }
        };
        Ok(Delta { batch, weights, errors })
    }

    /// Bytes that the listed rows take.
    pub fn bytes(&self) -> usize {
        size::batch_bytes(&self.batch) + self.weights.0.as_ref().map_or(0, |w| w.len() * 8)
    }
}
