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

use super::bits::{self, Operation};
use super::count::Count;
use super::distinct::Distinct;
use super::extreme::{self, Side};
use super::float::FloatSum;
use super::statistics::Statistics;
use super::sum::Sum;
use super::{Call, Function};
use crate::error::Result;

/// The state of one aggregate for every group.
pub trait State: Send {
    /// Makes room for groups below `groups`; new ones have seen nothing.
    fn grow(&mut self, groups: usize);

    /// Takes a batch of changes.
    ///
    /// # Errors
    /// When memory limits are passed.
    fn update(&mut self, change: &Change) -> Result<()>;

    /// The present values of some groups: of one aggregate, or of each that shares the state.
    ///
    /// # Errors
    /// When the values do not fit one array.
    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>>;

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

impl Output {
    /// The values of the only aggregate of a state.
    pub fn one(values: ArrayRef) -> Vec<Output> {
        vec![values.into()]
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
    /// A change of these rows; rows with a NULL among the arguments do not count.
    pub fn new(groups: &'a [u32], weights: Option<&'a [i64]>, arguments: &'a [ArrayRef]) -> Self {
        Change::counting(groups, weights, arguments, arguments)
    }

    /// A change of these rows; rows with a NULL among `needed` do not count.
    pub fn counting(
        groups: &'a [u32],
        weights: Option<&'a [i64]>,
        arguments: &'a [ArrayRef],
        needed: &[ArrayRef],
    ) -> Self {
        let nulls = needed.iter().fold(None, |nulls: Option<NullBuffer>, argument| {
            NullBuffer::union(nulls.as_ref(), argument.logical_nulls().as_ref())
        });
        Change { groups, weights, arguments, nulls: nulls.filter(|n| n.null_count() > 0) }
    }

    /// Visits the rows that count: row, group, weight.
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

/// The state for a call of a function that has one of its own; `None` where it does not take these types.
///
/// # Errors
/// When DISTINCT values cannot be kept.
pub fn build(
    call: &Call,
    arguments: &[DataType],
    output: &DataType,
    append_only: bool,
) -> Result<Option<Box<dyn State>>> {
    // DISTINCT makes no difference to the others.
    let distinct = call.distinct
        && matches!(
            call.function,
            Function::Count | Function::Sum | Function::Avg | Function::BitXor | Function::Statistic(_)
        );
    let state: Option<Box<dyn State>> = match (&call.function, arguments) {
        (Function::Count, _) if !distinct || arguments.len() == 1 => Some(Box::<Count>::default()),
        (Function::Sum, [argument]) => sum(argument, output),
        (Function::Avg, [argument]) => average(argument, output, distinct),
        (Function::Min, [argument]) => extreme::build(argument, Side::Least, append_only),
        (Function::Max, [argument]) => extreme::build(argument, Side::Greatest, append_only),
        (Function::BoolAnd, [boolean @ DataType::Boolean]) => extreme::build(boolean, Side::Least, append_only),
        (Function::BoolOr, [boolean @ DataType::Boolean]) => extreme::build(boolean, Side::Greatest, append_only),
        (Function::BitAnd, [argument]) => bits::build(argument, Operation::And),
        (Function::BitOr, [argument]) => bits::build(argument, Operation::Or),
        (Function::BitXor, [argument]) => bits::build(argument, Operation::Xor),
        (Function::Statistic(statistic), [DataType::Float64] | [DataType::Float64, DataType::Float64]) => {
            Some(Box::new(Statistics::new(vec![*statistic])))
        }
        _ => None,
    };
    state
        .map(|state| if distinct { Ok(Box::new(Distinct::new(arguments, state)?) as _) } else { Ok(state) })
        .transpose()
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

fn average(argument: &DataType, output: &DataType, distinct: bool) -> Option<Box<dyn State>> {
    Some(match argument {
        DataType::Float64 => Box::new(FloatSum::average()),
        DataType::Decimal32(..) => Box::new(Sum::<Decimal32Type>::average(argument, output.clone())?),
        DataType::Decimal64(..) => Box::new(Sum::<Decimal64Type>::average(argument, output.clone())?),
        DataType::Decimal128(..) => Box::new(Sum::<Decimal128Type>::average(argument, output.clone())?),
        DataType::Decimal256(..) => Box::new(Sum::<Decimal256Type>::average(argument, output.clone())?),
        DataType::Duration(unit) if !distinct => match unit {
            TimeUnit::Second => Box::new(Sum::<DurationSecondType>::average(argument, output.clone())?),
            TimeUnit::Millisecond => Box::new(Sum::<DurationMillisecondType>::average(argument, output.clone())?),
            TimeUnit::Microsecond => Box::new(Sum::<DurationMicrosecondType>::average(argument, output.clone())?),
            TimeUnit::Nanosecond => Box::new(Sum::<DurationNanosecondType>::average(argument, output.clone())?),
        },
        _ => return None,
    })
}
