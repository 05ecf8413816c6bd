//! Distances between values of an ORDER BY, as RANGE has them.
//!
//! Only where adding and taking away are each other's opposite: numbers that are not floats, and times with a distance in
//! days and less. A distance in months is not the same both ways, nor is one that is rounded.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;

const NANOSECONDS_OF_DAY: i128 = 86_400_000_000_000;

/// The distance `by` between values of a type, in their smallest unit; nothing where it cannot be told.
pub(super) fn distance(by: &ScalarValue, order: &DataType) -> Option<i128> {
    let distance = match order {
        DataType::Date32 => {
            let nanoseconds = nanoseconds(by)?;
            (nanoseconds % NANOSECONDS_OF_DAY == 0).then_some(nanoseconds / NANOSECONDS_OF_DAY)
        }
        DataType::Timestamp(unit, zone) => {
            let is_even = zone.as_deref().is_none_or(|zone| matches!(zone, "+00:00" | "UTC"));
            let nanoseconds = nanoseconds(by).filter(|_| is_even)?;
            let of_unit = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            (nanoseconds % of_unit == 0).then_some(nanoseconds / of_unit)
        }
        DataType::Decimal128(_, scale) => match by {
            ScalarValue::Decimal128(Some(by), _, same) if same == scale => Some(*by),
            _ => None,
        },
        order if order.is_integer() && by.data_type().is_integer() => number(by)?,
        _ => None,
    };
    distance.filter(|distance| *distance >= 0)
}

fn nanoseconds(by: &ScalarValue) -> Option<i128> {
    match by {
        ScalarValue::IntervalMonthDayNano(Some(by)) if by.months == 0 => {
            Some(i128::from(by.days) * NANOSECONDS_OF_DAY + i128::from(by.nanoseconds))
        }
        ScalarValue::IntervalDayTime(Some(by)) => {
            Some(i128::from(by.days) * NANOSECONDS_OF_DAY + i128::from(by.milliseconds) * 1_000_000)
        }
        _ => None,
    }
}

/// The two ways between a value and its number.
macro_rules! numbered {
    ($($variant:ident($($rest:ident),*)),* $(,)?) => {
        /// The number that a value is in its smallest unit; NULL has none, and nothing is known of other types.
        pub(super) fn number(value: &ScalarValue) -> Option<Option<i128>> {
            match value {
                $(ScalarValue::$variant(number, $(numbered!(@any $rest)),*) => Some((*number).map(i128::from)),)*
                _ => None,
            }
        }

        /// The value of the same type with a number; nothing where the type does not hold it.
        pub(super) fn with_number(value: &ScalarValue, number: i128) -> Option<ScalarValue> {
            Some(match value {
                $(ScalarValue::$variant(_, $($rest),*) => {
                    ScalarValue::$variant(Some(number.try_into().ok()?), $($rest.clone()),*)
                })*
                _ => return None,
            })
        }
    };
    (@any $rest:ident) => { _ };
}

numbered!(
    Int8(),
    Int16(),
    Int32(),
    Int64(),
    UInt8(),
    UInt16(),
    UInt32(),
    UInt64(),
    Decimal128(precision, scale),
    Date32(),
    TimestampSecond(zone),
    TimestampMillisecond(zone),
    TimestampMicrosecond(zone),
    TimestampNanosecond(zone),
);

#[cfg(test)]
mod tests {
    use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano};

    use super::*;

    #[test]
    fn distances_are_in_the_unit_of_the_order() {
        let interval = |months, days, nanoseconds| {
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds }))
        };
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        assert_eq!(distance(&interval(0, 1, 1_000_000_000), &seconds), Some(86_401));
        assert_eq!(distance(&interval(0, 0, 1), &seconds), None);
        assert_eq!(distance(&interval(1, 0, 0), &seconds), None);
        assert_eq!(
            distance(&interval(0, 1, 0), &DataType::Timestamp(TimeUnit::Second, Some("Europe/Paris".into()))),
            None
        );
        let days = ScalarValue::IntervalDayTime(Some(IntervalDayTime { days: 2, milliseconds: 0 }));
        assert_eq!(distance(&days, &DataType::Date32), Some(2));
        assert_eq!(distance(&ScalarValue::Int64(Some(3)), &DataType::UInt8), Some(3));
        assert_eq!(distance(&ScalarValue::Int64(Some(-3)), &DataType::Int64), None);
        assert_eq!(distance(&ScalarValue::Float64(Some(3.0)), &DataType::Float64), None);
        let price = |number| ScalarValue::Decimal128(Some(number), 10, 2);
        assert_eq!(distance(&price(150), &DataType::Decimal128(10, 2)), Some(150));
        assert_eq!(with_number(&price(0), number(&price(150)).unwrap().unwrap()), Some(price(150)));
        assert_eq!(with_number(&ScalarValue::UInt8(None), -1), None);
    }
}
