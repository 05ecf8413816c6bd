//! SUM of integers, decimals, durations and intervals, and AVG of decimals and durations, from exact sums.
//!
//! The batch engine's own wrap around where a sum leaves the range of its type, and cut off the digits of an average.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::PrimitiveArray;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Field, FieldRef, Int64Type,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit, UInt64Type,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::operators::total::{Addend, Parts, Total, more_digits, out_of_range};

/// Runs the body with `T` as the arrow type of numbers that have exact sums, or else the other.
macro_rules! each_addend {
    ($data_type:expr, $T:ident => $body:expr, $other:expr) => {{
        use DataType::*;
        macro_rules! with {
            ($type:ty) => {{
                type $T = $type;
                $body
            }};
        }
        match $data_type {
            Int64 => with!(Int64Type),
            UInt64 => with!(UInt64Type),
            Decimal32(..) => with!(Decimal32Type),
            Decimal64(..) => with!(Decimal64Type),
            Decimal128(..) => with!(Decimal128Type),
            Decimal256(..) => with!(Decimal256Type),
            Duration(TimeUnit::Second) => with!(DurationSecondType),
            Duration(TimeUnit::Millisecond) => with!(DurationMillisecondType),
            Duration(TimeUnit::Microsecond) => with!(DurationMicrosecondType),
            Duration(TimeUnit::Nanosecond) => with!(DurationNanosecondType),
            Interval(IntervalUnit::YearMonth) => with!(IntervalYearMonthType),
            Interval(IntervalUnit::DayTime) => with!(IntervalDayTimeType),
            Interval(IntervalUnit::MonthDayNano) => with!(IntervalMonthDayNanoType),
            _ => $other,
        }
    }};
}

/// A sum or an average.
#[derive(Debug, Clone)]
pub struct Exact {
    output: DataType,
    /// Of an average: how many more digits it has than its values.
    average: Option<u32>,
}

impl Exact {
    /// The function over values of type `input`; `None` where it is not one of these.
    pub fn of(average: bool, input: &DataType, output: &DataType) -> Option<Exact> {
        let known = each_addend!(output, T => T::DATA_TYPE.primitive_width().is_some(), false);
        let average = if average { Some(more_digits(input, output)?) } else { None };
        known.then(|| Exact { output: output.clone(), average })
    }

    /// What one part of the rows hands on.
    pub fn state_fields(&self, name: &str, distinct: bool) -> Vec<FieldRef> {
        let parts = each_addend!(&self.output, T => parts_type::<T>(), DataType::Null);
        let parts = if distinct {
            Field::new_list(format!("{name}[values]"), Field::new_list_field(parts, true), true)
        } else {
            Field::new(format!("{name}[parts]"), parts, true)
        };
        vec![parts.into(), Field::new(format!("{name}[count]"), DataType::Int64, true).into()]
    }

    /// What adds the rows of one group, or of one frame.
    pub fn accumulator(self, distinct: bool) -> Result<Box<dyn Accumulator>> {
        let output = self.output.clone();
        each_addend!(output, T => Ok(match distinct {
            true => Box::new(DistinctTotal::<T> { exact: self, values: BTreeMap::new() }),
            false => Box::new(PlainTotal::<T> { exact: self, total: Total::default() }),
        }), unknown(&output))
    }

    /// What adds the rows of all groups.
    pub fn groups_accumulator(self) -> Result<Box<dyn GroupsAccumulator>> {
        let output = self.output.clone();
        each_addend!(output, T => Ok(Box::new(Totals::<T> { exact: self, totals: Vec::new() })), unknown(&output))
    }

    fn value<N: Addend>(&self, total: Total<N::Parts>) -> Result<Option<N>> {
        if total.count == 0 {
            return Ok(None);
        }
        let (name, value) = match self.average {
            None => ("sum", N::whole(total.parts, &self.output)),
            Some(digits) => ("avg", N::average(total.parts, total.count, digits, &self.output)),
        };
        match value {
            Some(value) => Ok(Some(value)),
            None => Err(DataFusionError::Execution(out_of_range(name, &self.output))),
        }
    }

    fn scalar<T: ArrowPrimitiveType>(&self, total: Total<<T::Native as Addend>::Parts>) -> Result<ScalarValue>
    where
        T::Native: Addend,
    {
        ScalarValue::new_primitive::<T>(self.value(total)?, &self.output)
    }
}

fn unknown<R>(data_type: &DataType) -> Result<R> {
    Err(DataFusionError::Internal(format!("no exact sum of {data_type}")))
}

type PartsOf<T> = <<T as ArrowPrimitiveType>::Native as Addend>::Parts;

fn parts_type<T: ArrowPrimitiveType>() -> DataType
where
    T::Native: Addend,
{
    DataType::FixedSizeBinary(PartsOf::<T>::BYTES as i32)
}

fn written<P: Parts>(parts: P) -> ScalarValue {
    ScalarValue::FixedSizeBinary(P::BYTES as i32, Some(parts.write()))
}

#[derive(Debug)]
struct PlainTotal<T: ArrowPrimitiveType>
where
    T::Native: Addend,
{
    exact: Exact,
    total: Total<PartsOf<T>>,
}

impl<T: ArrowPrimitiveType> PlainTotal<T>
where
    T::Native: Addend,
{
    fn add_all(&mut self, values: &ArrayRef, weight: i64) {
        values.as_primitive::<T>().iter().flatten().for_each(|value| self.total.add(value, weight));
    }
}

impl<T: ArrowPrimitiveType + Debug> Accumulator for PlainTotal<T>
where
    T::Native: Addend,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.exact.scalar::<T>(self.total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![written(self.total.parts), ScalarValue::from(self.total.count)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (parts, count) in states[0].as_fixed_size_binary().iter().zip(states[1].as_primitive::<Int64Type>()) {
            if let (Some(parts), Some(count)) = (parts, count) {
                self.total.parts = self.total.parts.plus(Parts::read(parts));
                self.total.count += count;
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

#[derive(Debug)]
struct DistinctTotal<T: ArrowPrimitiveType>
where
    T::Native: Addend,
{
    exact: Exact,
    /// How often each value is there: a window's frame may drop one of several.
    values: BTreeMap<PartsOf<T>, i64>,
}

impl<T: ArrowPrimitiveType> DistinctTotal<T>
where
    T::Native: Addend,
{
    fn add_all(&mut self, values: &ArrayRef, weight: i64) {
        for value in values.as_primitive::<T>().iter().flatten() {
            *self.values.entry(value.parts()).or_insert(0) += weight;
        }
        if weight < 0 {
            self.values.retain(|_, count| *count != 0);
        }
    }
}

impl<T: ArrowPrimitiveType + Debug> Accumulator for DistinctTotal<T>
where
    T::Native: Addend,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total = Total::<PartsOf<T>>::default();
        for parts in self.values.keys() {
            total.parts = total.parts.plus(*parts);
            total.count += 1;
        }
        self.exact.scalar::<T>(total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.keys().map(|parts| written(*parts)).collect();
        let list = ScalarValue::new_list_nullable(&values, &parts_type::<T>());
        Ok(vec![ScalarValue::List(list), ScalarValue::from(values.len() as i64)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            for parts in values.as_fixed_size_binary().iter().flatten() {
                *self.values.entry(Parts::read(parts)).or_insert(0) += 1;
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.len() * 2 * size_of::<(PartsOf<T>, i64)>()
    }
}

struct Totals<T: ArrowPrimitiveType>
where
    T::Native: Addend,
{
    exact: Exact,
    totals: Vec<Total<PartsOf<T>>>,
}

/// Whether a row passes a filter.
fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl<T: ArrowPrimitiveType> Totals<T>
where
    T::Native: Addend,
{
    fn parted(totals: &[Total<PartsOf<T>>]) -> Result<Vec<ArrayRef>> {
        let parts = totals.iter().map(|total| Some(total.parts.write()));
        let parts = FixedSizeBinaryArray::try_from_sparse_iter_with_size(parts, PartsOf::<T>::BYTES as i32)?;
        let counts = Int64Array::from_iter_values(totals.iter().map(|total| total.count));
        Ok(vec![Arc::new(parts), Arc::new(counts)])
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Totals<T>
where
    T::Native: Addend,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.totals.resize(count, Total::default());
        let values = values[0].as_primitive::<T>();
        let all = values.null_count() == 0 && filter.is_none();
        for (row, group) in groups.iter().enumerate() {
            if all || values.is_valid(row) && passes(filter, row) {
                self.totals[*group].add(values.value(row), 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let totals = emit.take_needed(&mut self.totals);
        let values = totals.into_iter().map(|total| self.exact.value::<T::Native>(total));
        let array: PrimitiveArray<T> = values.collect::<Result<_>>()?;
        Ok(Arc::new(array.with_data_type(self.exact.output.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Self::parted(&emit.take_needed(&mut self.totals))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.totals.resize(count, Total::default());
        let (parts, counts) = (states[0].as_fixed_size_binary(), states[1].as_primitive::<Int64Type>());
        for (row, group) in groups.iter().enumerate() {
            if parts.is_valid(row) && counts.is_valid(row) {
                let total = &mut self.totals[*group];
                total.parts = total.parts.plus(Parts::read(parts.value(row)));
                total.count += counts.value(row);
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let mut totals = vec![Total::default(); values.len()];
        for (row, total) in totals.iter_mut().enumerate() {
            if values.is_valid(row) && passes(filter, row) {
                total.add(values.value(row), 1);
            }
        }
        Self::parted(&totals)
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Total<PartsOf<T>>>()
    }
}
