//! `avg` of decimals and durations: a wide wrapping sum divided by the count, toward zero.
//!
//! The decimal rules are DataFusion 55's (`DecimalAverager`): the sum is scaled up to the output's scale, divided, and
//! checked against the output's precision. An average that does not fit is a failure of its group.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute;
use arrow::compute::DecimalCast;
use arrow::datatypes::{ArrowNativeType, DataType, DecimalType, Int64Type};

use super::state::{Change, Output, State};
use super::sum::{Addend, Total};
use crate::error::Result;

/// What DataFusion says when an average does not fit.
const OVERFLOW: &str = "Arithmetic Overflow in AvgAccumulator";

/// Averages of decimals of type `I`, summed as `S`.
pub struct DecimalAverage<I: DecimalType, S: DecimalType> {
    output: DataType,
    precision: u8,
    scale: i8,
    /// Ten to the power of the output's scale less the input's.
    factor: S::Native,
    groups: Vec<Total<S::Native>>,
    input: std::marker::PhantomData<I>,
}

impl<I, S> DecimalAverage<I, S>
where
    I: DecimalType + ArrowPrimitiveType,
    S: DecimalType + ArrowPrimitiveType,
    I::Native: Into<S::Native> + DecimalCast,
    S::Native: DecimalCast + Addend,
{
    /// A state, or `None` where the output cannot hold the input's scale (DataFusion then always fails).
    pub fn build(input_scale: i8, output: &DataType) -> Option<Box<dyn State>> {
        let (precision, scale) = match output {
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => (*p, *s),
            _ => return None,
        };
        if input_scale < 0 || scale < input_scale {
            return None;
        }
        let factor = S::Native::from_usize(10)?.pow_wrapping((scale - input_scale) as u32);
        let output = output.clone();
        Some(Box::new(Self { output, precision, scale, factor, groups: Vec::new(), input: std::marker::PhantomData }))
    }

    fn average(&self, total: Total<S::Native>) -> Option<I::Native> {
        let count = S::Native::from_usize(total.count as usize)?;
        let average = total.sum.mul_checked(self.factor).ok()?.div_wrapping(count);
        S::validate_decimal_precision(average, self.precision, self.scale).ok()?;
        I::Native::from_decimal(average)
    }
}

impl<I, S> State for DecimalAverage<I, S>
where
    I: DecimalType + ArrowPrimitiveType,
    S: DecimalType + ArrowPrimitiveType,
    I::Native: Into<S::Native> + DecimalCast,
    S::Native: DecimalCast + Addend,
{
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Total::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<I>().values();
        change.for_each(|row, group, weight| self.groups[group].add(values[row].into(), weight));
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let mut failures = Vec::new();
        let values: Vec<Option<I::Native>> = groups
            .iter()
            .enumerate()
            .map(|(position, group)| {
                let total = self.groups[*group as usize];
                if total.count == 0 {
                    return None;
                }
                let average = self.average(total);
                if average.is_none() {
                    failures.push((position, OVERFLOW.to_owned()));
                }
                average
            })
            .collect();
        let array: PrimitiveArray<I> = values.into_iter().collect();
        Ok(vec![Output { values: Arc::new(array.with_data_type(self.output.clone())), failures }])
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Total::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Total<S::Native>>()
    }
}

/// Averages of durations of any unit.
pub struct DurationAverage {
    output: DataType,
    groups: Vec<Total<i64>>,
}

impl DurationAverage {
    /// Averages of this duration type.
    pub fn new(output: DataType) -> Self {
        DurationAverage { output, groups: Vec::new() }
    }
}

impl State for DurationAverage {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Total::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let numbers = compute::cast(&change.arguments[0], &DataType::Int64)?;
        let values = numbers.as_primitive::<Int64Type>().values();
        change.for_each(|row, group, weight| self.groups[group].add(values[row], weight));
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let totals = groups.iter().map(|g| self.groups[*g as usize]);
        let nulls: NullBuffer = totals.clone().map(|total| total.count != 0).collect();
        let values: ScalarBuffer<i64> = totals.map(|total| total.sum.checked_div(total.count).unwrap_or(0)).collect();
        let numbers: ArrayRef = Arc::new(Int64Array::new(values, Some(nulls)));
        Ok(Output::one(compute::cast(&numbers, &self.output)?))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Total::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Total<i64>>()
    }
}
