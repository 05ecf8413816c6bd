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
use crate::delta::columns::ABSENT;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::error::Result;

/// The distinct values of every group, and the state they feed.
pub struct Distinct {
    values: KeyIndex,
    weights: Vec<i64>,
    members: Members,
    inner: Box<dyn State>,
}

/// The values of each group, as a chain through their ids.
#[derive(Default)]
struct Members {
    /// The first value of each group.
    heads: Vec<u32>,
    /// By value: the next and the previous one of its group.
    links: Vec<[u32; 2]>,
}

impl Members {
    fn link(&mut self, group: u32, id: u32) {
        let head = std::mem::replace(&mut self.heads[group as usize], id);
        if head != ABSENT {
            self.links[head as usize][1] = id;
        }
        self.links[id as usize] = [head, ABSENT];
    }

    fn unlink(&mut self, group: u32, id: u32) {
        let [next, previous] = self.links[id as usize];
        if next != ABSENT {
            self.links[next as usize][1] = previous;
        }
        match previous {
            ABSENT => self.heads[group as usize] = next,
            previous => self.links[previous as usize][0] = next,
        }
    }
}

impl Distinct {
    /// Values of these types, taken together, before `inner`.
    ///
    /// # Errors
    /// When a type cannot be a key.
    pub fn new(types: &[DataType], inner: Box<dyn State>) -> Result<Self> {
        let types: Vec<DataType> = std::iter::once(&DataType::UInt32).chain(types).cloned().collect();
        let values = KeyIndex::new(&types, Zeros::Kept)?;
        Ok(Distinct { values, weights: Vec::new(), members: Members::default(), inner })
    }
}

impl State for Distinct {
    fn grow(&mut self, groups: usize) {
        self.members.heads.resize(groups, ABSENT);
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
        let fresh = self.values.intern(&keys, groups.len(), &mut ids)?.to_vec();
        self.weights.resize(self.values.columns().slots(), 0);
        self.members.links.resize(self.weights.len(), [ABSENT; 2]);
        fresh.iter().for_each(|row| self.members.link(groups[*row as usize], ids[*row as usize]));

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
                self.members.unlink(groups[row as usize], id);
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

    fn clear(&mut self, group: u32) {
        let mut id = std::mem::replace(&mut self.members.heads[group as usize], ABSENT);
        while id != ABSENT {
            let [next, _] = self.members.links[id as usize];
            self.weights[id as usize] = 0;
            self.values.remove(id);
            id = next;
        }
        self.inner.clear(group);
    }

    fn bytes(&self) -> usize {
        let members = self.members.heads.capacity() * 4 + self.members.links.capacity() * 8;
        self.values.bytes() + self.weights.capacity() * 8 + members + self.inner.bytes()
    }
}
