//! What one aggregate keeps per group, for all groups at once.
//!
//! The state of group `g` lies at position `g` of a vector. One virtual call takes a whole batch; within, the loops
//! are typed.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Int64Type, IntervalDayTimeType,
    IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit, UInt64Type,
};

use super::average::{DecimalAverage, DurationAverage};
use super::count::Count;
use super::distinct::Distinct;
use super::extreme::{self, Side};
use super::float::FloatSum;
use super::sum::Sum;
use super::{Call, Function};
use crate::error::{Error, Result};

/// The state of one aggregate for every group.
pub trait State: Send {
    /// Makes room for groups below `groups`; new ones have seen nothing.
    fn grow(&mut self, groups: usize);

    /// Takes a batch of changes.
    ///
    /// # Errors
    /// When memory limits are passed.
    fn update(&mut self, change: &Change) -> Result<()>;

    /// The present value of some groups.
    ///
    /// # Errors
    /// When the values do not fit one array.
    fn output(&self, groups: &[u32]) -> Result<Output>;

    /// Forgets what a group has seen.
    fn clear(&mut self, group: u32);

    /// Bytes of memory held.
    fn bytes(&self) -> usize;
}

/// Values of some groups.
pub struct Output {
    /// One value for each group asked for.
    pub values: ArrayRef,
    /// Positions in `values` that have no value, and why.
    pub failures: Vec<(usize, String)>,
}

impl From<ArrayRef> for Output {
    fn from(values: ArrayRef) -> Self {
        Output { values, failures: Vec::new() }
    }
}

/// A batch of rows that come (positive weight) and go (negative weight).
pub struct Change<'a> {
    /// The group of each row.
    pub groups: &'a [u32],
    /// The weight of each row; `None` when each is one.
    pub weights: Option<&'a [i64]>,
    /// The arguments.
    pub arguments: &'a [ArrayRef],
    nulls: Option<NullBuffer>,
}

impl<'a> Change<'a> {
    /// A change of these rows; rows with a NULL among the arguments count for no aggregate.
    pub fn new(groups: &'a [u32], weights: Option<&'a [i64]>, arguments: &'a [ArrayRef]) -> Self {
        let nulls = arguments.iter().fold(None, |nulls: Option<NullBuffer>, argument| {
            NullBuffer::union(nulls.as_ref(), argument.logical_nulls().as_ref())
        });
        Change { groups, weights, arguments, nulls: nulls.filter(|n| n.null_count() > 0) }
    }

    /// Visits the rows without NULL: row, group, weight.
    #[inline(always)]
    pub fn for_each(&self, mut visit: impl FnMut(usize, usize, i64)) {
        match (&self.nulls, self.weights) {
            (None, None) => {
                for (row, group) in self.groups.iter().enumerate() {
                    visit(row, *group as usize, 1);
                }
            }
            (None, Some(weights)) => {
                for ((row, group), weight) in self.groups.iter().enumerate().zip(weights) {
                    visit(row, *group as usize, *weight);
                }
            }
            (Some(nulls), weights) => {
                for row in nulls.valid_indices() {
                    visit(row, self.groups[row] as usize, weights.map_or(1, |w| w[row]));
                }
            }
        }
    }
}

/// The state for a call, or an error that says which types it does not take.
///
/// # Errors
/// [`Error::Unsupported`] where [`super::Aggregate::supports`] is false.
pub fn build(call: &Call, arguments: &[DataType], output: &DataType, append_only: bool) -> Result<Box<dyn State>> {
    let distinct = call.distinct && matches!(call.function, Function::Count | Function::Sum | Function::Avg);
    let state = match (call.function, arguments) {
        (Function::Count, _) if !distinct || arguments.len() == 1 => Some(Box::<Count>::default() as Box<dyn State>),
        (Function::Sum, [argument]) => sum(argument, output),
        (Function::Avg, [argument]) => average(argument, output, distinct),
        (Function::Min, [argument]) => extreme::build(argument, Side::Least, append_only),
        (Function::Max, [argument]) => extreme::build(argument, Side::Greatest, append_only),
        _ => None,
    };
    let state =
        state.ok_or_else(|| Error::unsupported(format!("no incremental {:?} of {arguments:?}", call.function)))?;
    if distinct { Ok(Box::new(Distinct::new(&arguments[0], state)?)) } else { Ok(state) }
}

fn sum(argument: &DataType, output: &DataType) -> Option<Box<dyn State>> {
    let output = output.clone();
    Some(match argument {
        DataType::Int64 => Box::new(Sum::<Int64Type>::new(output)),
        DataType::UInt64 => Box::new(Sum::<UInt64Type>::new(output)),
        DataType::Float64 => Box::new(FloatSum::sum()),
        DataType::Decimal32(..) => Box::new(Sum::<Decimal32Type>::new(output)),
        DataType::Decimal64(..) => Box::new(Sum::<Decimal64Type>::new(output)),
        DataType::Decimal128(..) => Box::new(Sum::<Decimal128Type>::new(output)),
        DataType::Decimal256(..) => Box::new(Sum::<Decimal256Type>::new(output)),
        DataType::Duration(TimeUnit::Second) => Box::new(Sum::<DurationSecondType>::new(output)),
        DataType::Duration(TimeUnit::Millisecond) => Box::new(Sum::<DurationMillisecondType>::new(output)),
        DataType::Duration(TimeUnit::Microsecond) => Box::new(Sum::<DurationMicrosecondType>::new(output)),
        DataType::Duration(TimeUnit::Nanosecond) => Box::new(Sum::<DurationNanosecondType>::new(output)),
        DataType::Interval(IntervalUnit::YearMonth) => Box::new(Sum::<IntervalYearMonthType>::new(output)),
        DataType::Interval(IntervalUnit::DayTime) => Box::new(Sum::<IntervalDayTimeType>::new(output)),
        DataType::Interval(IntervalUnit::MonthDayNano) => Box::new(Sum::<IntervalMonthDayNanoType>::new(output)),
        _ => return None,
    })
}

/// Decimal sums are as wide as DataFusion's: 13 digits above the input, at least the width of its type.
fn average(argument: &DataType, output: &DataType, distinct: bool) -> Option<Box<dyn State>> {
    const HEADROOM_DIGITS: u8 = 13;
    let wide = |precision: u8| precision.saturating_add(HEADROOM_DIGITS);
    match argument {
        DataType::Float64 => Some(Box::new(FloatSum::average())),
        DataType::Duration(_) if !distinct => Some(Box::new(DurationAverage::new(output.clone()))),
        DataType::Decimal32(p, s) if wide(*p) <= 18 => {
            DecimalAverage::<Decimal32Type, Decimal64Type>::build(*s, output)
        }
        DataType::Decimal32(_, s) => DecimalAverage::<Decimal32Type, Decimal128Type>::build(*s, output),
        DataType::Decimal64(p, s) if wide(*p) <= 18 => {
            DecimalAverage::<Decimal64Type, Decimal64Type>::build(*s, output)
        }
        DataType::Decimal64(_, s) => DecimalAverage::<Decimal64Type, Decimal128Type>::build(*s, output),
        DataType::Decimal128(p, s) if wide(*p) <= 38 => {
            DecimalAverage::<Decimal128Type, Decimal128Type>::build(*s, output)
        }
        DataType::Decimal128(_, s) => DecimalAverage::<Decimal128Type, Decimal256Type>::build(*s, output),
        DataType::Decimal256(_, s) => DecimalAverage::<Decimal256Type, Decimal256Type>::build(*s, output),
        _ => None,
    }
}
