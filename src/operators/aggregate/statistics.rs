//! Variances, covariances, correlations and regressions: exact [`Moments`] per group, shared by all statistics of the
//! same values.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, UInt64Array};
use arrow::datatypes::Float64Type;

use super::state::{Change, Output, State};
use crate::error::Result;
use crate::operators::moments::{Moments, Statistic};

/// Sums per group, and the statistics that are read from them.
pub struct Statistics {
    statistics: Vec<Statistic>,
    groups: Vec<Moments>,
}

impl Statistics {
    /// These statistics of one argument or of two.
    pub fn new(statistics: Vec<Statistic>) -> Self {
        Statistics { statistics, groups: Vec::new() }
    }
}

impl State for Statistics {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Moments::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let first = change.arguments[0].as_primitive::<Float64Type>().values();
        match change.arguments.get(1) {
            None => change.for_each(|row, group, weight| self.groups[group].add(first[row], weight)),
            Some(second) => {
                let second = second.as_primitive::<Float64Type>().values();
                change.for_each(|row, group, weight| self.groups[group].add_pair(first[row], second[row], weight));
            }
        }
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let moments = groups.iter().map(|group| &self.groups[*group as usize]);
        let values = self.statistics.iter().map(|statistic| -> ArrayRef {
            match statistic {
                Statistic::Count => Arc::new(UInt64Array::from_iter_values(moments.clone().map(|m| m.count() as u64))),
                statistic => Arc::new(moments.clone().map(|m| m.value(*statistic)).collect::<Float64Array>()),
            }
        });
        Ok(values.map(Output::from).collect())
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Moments::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Moments>() + self.groups.iter().map(Moments::heap_bytes).sum::<usize>()
    }
}
