//! Aggregates of the DISTINCT values: a filter before any other state.
//!
//! ```text
//! rows -> (group, value) -> weight -> only 0 -> positive and positive -> 0 pass -> the plain aggregate
//! ```
//!
//! Values are told apart by their bits, as DataFusion's DISTINCT accumulators do. Floats come with one zero: the plan
//! says so (`sql/comparison`).

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use arrow::datatypes::DataType;

use super::state::{Change, Output, State};
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::error::Result;

/// The distinct values of every group, and the state they feed.
pub struct Distinct {
    values: KeyIndex,
    weights: Vec<i64>,
    inner: Box<dyn State>,
}

impl Distinct {
    /// Values of these types, taken together, before `inner`.
    ///
    /// # Errors
    /// When a type cannot be a key.
    pub fn new(types: &[DataType], inner: Box<dyn State>) -> Result<Self> {
        let types: Vec<DataType> = std::iter::once(&DataType::UInt32).chain(types).cloned().collect();
        let values = KeyIndex::new(&types, Zeros::Kept)?;
        Ok(Distinct { values, weights: Vec::new(), inner })
    }
}

impl State for Distinct {
    fn grow(&mut self, groups: usize) {
        self.inner.grow(groups);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let mut rows = Vec::new();
        let mut weights = Vec::new();
        change.for_each(|row, _, weight| {
            rows.push(row as u32);
            weights.push(weight);
        });
        let groups: Vec<u32> = rows.iter().map(|row| change.groups[*row as usize]).collect();
        let rows = UInt32Array::from(rows);
        let mut keys: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(groups.clone()))];
        keys.extend(compute::take_arrays(change.arguments, &rows, None)?);
        let mut ids = Vec::new();
        self.values.intern(&keys, groups.len(), &mut ids)?;
        self.weights.resize(self.values.columns().slots(), 0);

        // The first row of each value, with the weight before the batch.
        let mut firsts: Vec<(u32, i64)> = Vec::new();
        let mut seen = vec![false; self.weights.len()];
        for (row, id) in ids.iter().enumerate() {
            if !std::mem::replace(&mut seen[*id as usize], true) {
                firsts.push((row as u32, self.weights[*id as usize]));
            }
            self.weights[*id as usize] += weights[row];
        }
        let (mut moved, mut signs) = (Vec::new(), Vec::new());
        for (row, before) in firsts {
            let id = ids[row as usize];
            let after = self.weights[id as usize];
            if (before > 0) != (after > 0) {
                moved.push(row);
                signs.push(if after > 0 { 1 } else { -1 });
            }
            if after == 0 {
                self.values.remove(id);
            }
        }
        let groups: Vec<u32> = moved.iter().map(|row| groups[*row as usize]).collect();
        let values = compute::take_arrays(&keys[1..], &UInt32Array::from(moved), None)?;
        self.inner.update(&Change::new(&groups, Some(&signs), &values))
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        self.inner.outputs(groups)
    }

    /// The values of a group that is gone have all been deleted before.
    fn clear(&mut self, group: u32) {
        self.inner.clear(group);
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.weights.capacity() * 8 + self.inner.bytes()
    }
}
