//! `sum` and `avg` of floats: an [`ExactSum`] per group.
//!
//! The average is the rounded exact sum divided by the count, so two roundings in all, whatever the order of the rows.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::Float64Type;

use super::state::{Change, Output, State};
use crate::error::Result;
use crate::operators::exact::ExactSum;

/// An exact sum and the number of its values per group.
pub struct FloatSum {
    average: bool,
    groups: Vec<(ExactSum, i64)>,
}

impl FloatSum {
    /// `sum`.
    pub fn sum() -> Self {
        FloatSum { average: false, groups: Vec::new() }
    }

    /// `avg`.
    pub fn average() -> Self {
        FloatSum { average: true, groups: Vec::new() }
    }
}

impl State for FloatSum {
    fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups, Default::default);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<Float64Type>().values();
        change.for_each(|row, group, weight| {
            let (sum, count) = &mut self.groups[group];
            sum.add(values[row], weight);
            *count += weight;
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let values: Float64Array = groups
            .iter()
            .map(|group| {
                let (sum, count) = &self.groups[*group as usize];
                let divisor = if self.average { *count as f64 } else { 1.0 };
                (*count != 0).then(|| sum.value() / divisor)
            })
            .collect();
        Ok(Output::one(Arc::new(values)))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Default::default();
    }

    fn bytes(&self) -> usize {
        let wide: usize = self.groups.iter().map(|(sum, _)| sum.heap_bytes()).sum();
        self.groups.capacity() * size_of::<(ExactSum, i64)>() + wide
    }
}
