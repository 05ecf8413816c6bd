//! `sum` of integers, decimals, durations and intervals, and `avg` of decimals and durations.
//!
//! A group keeps its exact sum, wider than the type of the result; while that is out of the type's range the group
//! fails, and it heals with the row that brings it back. A group without a value has no sum.

use std::sync::Arc;

use arrow::array::{ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::DataType;

use super::state::{Change, Output, State};
use crate::error::Result;
use crate::operators::total::{Addend, Total, more_digits, out_of_range};

/// A sum and the number of its values per group.
pub struct Sum<T: ArrowPrimitiveType>
where
    T::Native: Addend,
{
    output: DataType,
    /// Of an average: how many more digits it has than its values.
    average: Option<u32>,
    groups: Vec<Total<<T::Native as Addend>::Parts>>,
}

impl<T: ArrowPrimitiveType> Sum<T>
where
    T::Native: Addend,
{
    /// A sum whose output is of this type.
    pub fn new(output: DataType) -> Self {
        Sum { output, average: None, groups: Vec::new() }
    }

    /// The average of values of a type, or `None` where the output has fewer digits than they.
    pub fn average(input: &DataType, output: DataType) -> Option<Self> {
        Some(Sum { average: Some(more_digits(input, &output)?), output, groups: Vec::new() })
    }
}

impl<T: ArrowPrimitiveType> State for Sum<T>
where
    T::Native: Addend,
{
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Total::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<T>().values();
        change.for_each(|row, group, weight| self.groups[group].add(values[row], weight));
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let mut failures = Vec::new();
        let values: Vec<Option<T::Native>> = groups
            .iter()
            .enumerate()
            .map(|(position, group)| {
                let total = self.groups[*group as usize];
                if total.count == 0 {
                    return None;
                }
                let (name, value) = match self.average {
                    None => ("sum", T::Native::whole(total.parts, &self.output)),
                    Some(digits) => ("avg", T::Native::average(total.parts, total.count, digits, &self.output)),
                };
                if value.is_none() {
                    failures.push((position, out_of_range(name, &self.output)));
                }
                value
            })
            .collect();
        let array: PrimitiveArray<T> = values.into_iter().collect();
        Ok(vec![Output { values: Arc::new(array.with_data_type(self.output.clone())), failures }])
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Total::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Total<<T::Native as Addend>::Parts>>()
    }
}
