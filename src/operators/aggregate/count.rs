//! `count`: the sum of the weights of rows whose arguments are not NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::state::{Change, Output, State};
use crate::error::Result;

/// A number per group.
#[derive(Default)]
pub struct Count {
    counts: Vec<i64>,
}

impl State for Count {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        change.for_each(|_, group, weight| self.counts[group] += weight);
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.counts[*g as usize])));
        Ok(Output::one(values))
    }

    fn clear(&mut self, group: u32) {
        self.counts[group as usize] = 0;
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * 8
    }
}
