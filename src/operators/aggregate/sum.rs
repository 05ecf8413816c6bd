//! `sum` of integers, decimals, durations and intervals.
//!
//! Overflow wraps around, as DataFusion's does; so deletion is exact whatever happened before. A group without a value
//! has no sum. A decimal sum is not checked against its precision, as DataFusion's is not.

use std::sync::Arc;

use arrow::array::{ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano, i256};

use super::state::{Change, Output, State};
use crate::error::Result;

/// A number that can be added several times, wrapping around.
pub trait Addend: ArrowNativeTypeOp {
    /// `self * weight`, modulo the width of the type.
    fn times(self, weight: i64) -> Self;
}

macro_rules! addend {
    ($($native:ty),*) => {
        $(impl Addend for $native {
            #[inline]
            fn times(self, weight: i64) -> Self {
                self.wrapping_mul(weight as $native)
            }
        })*
    };
}
addend!(i32, i64, u64, i128);

impl Addend for i256 {
    fn times(self, weight: i64) -> Self {
        self.wrapping_mul(i256::from_i128(weight.into()))
    }
}

impl Addend for IntervalDayTime {
    fn times(self, weight: i64) -> Self {
        IntervalDayTime::new(self.days.times(weight), self.milliseconds.times(weight))
    }
}

impl Addend for IntervalMonthDayNano {
    fn times(self, weight: i64) -> Self {
        IntervalMonthDayNano::new(self.months.times(weight), self.days.times(weight), self.nanoseconds.times(weight))
    }
}

/// A sum and the number of its values per group.
pub struct Sum<T: ArrowPrimitiveType> {
    data_type: DataType,
    groups: Vec<Total<T::Native>>,
}

/// A wrapping sum of so many values.
#[derive(Clone, Copy, Default)]
pub struct Total<N> {
    /// The sum.
    pub sum: N,
    /// How many values it has.
    pub count: i64,
}

impl<N: Addend> Total<N> {
    /// Adds a value some times.
    #[inline]
    pub fn add(&mut self, value: N, weight: i64) {
        let term = if weight == 1 { value } else { value.times(weight) };
        self.sum = self.sum.add_wrapping(term);
        self.count += weight;
    }
}

impl<T: ArrowPrimitiveType> Sum<T> {
    /// A sum whose output is of this type.
    pub fn new(data_type: DataType) -> Self {
        Sum { data_type, groups: Vec::new() }
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
        let totals = groups.iter().map(|g| self.groups[*g as usize]);
        let nulls: NullBuffer = totals.clone().map(|total| total.count != 0).collect();
        let values = totals.map(|total| total.sum).collect::<Vec<_>>();
        let array = PrimitiveArray::<T>::new(values.into(), Some(nulls)).with_data_type(self.data_type.clone());
        Ok(Output::one(Arc::new(array)))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Total::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Total<T::Native>>()
    }
}
