//! Values as they are compared: functions that no query names.
//!
//! ```text
//! interval_length   months of thirty days, days of twenty-four hours, in nanoseconds: equal where the intervals are
//! interval_key      length (16 bytes), months (4), days (4), nanoseconds (8): in the order of lengths, and one for each
//!                   interval; `interval_of_key` gives the interval back
//! one_value         a float with one zero and one not-a-number
//! list_order        -1, 0, 1 for two lists, NULL in them being the greatest
//! ```

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use arrow::array::make_comparator;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int8Array, IntervalMonthDayNanoArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, create_udf,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const LENGTH: DataType = DataType::Decimal128(38, 0);
const DAY_NANOSECONDS: i128 = 86_400_000_000_000;
const MONTH_DAYS: i128 = 30;

/// How long an interval is, or what can be cast to one.
pub(super) fn length(interval: Expr) -> Expr {
    LENGTH_OF.call(vec![cast(interval, INTERVAL)])
}

/// An interval as bytes in the order of lengths.
pub(super) fn key(interval: Expr) -> Expr {
    KEY.call(vec![cast(interval, INTERVAL)])
}

/// The interval of bytes that [`key`] made.
pub(super) fn of_key(key: Expr) -> Expr {
    OF_KEY.call(vec![key])
}

/// A float with one zero and one not-a-number; other values as they are.
pub(super) fn one_value(value: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Float64 | DataType::Float32 => ONE_VALUE.call(vec![value]),
        _ => value,
    }
}

/// How two lists of one type are ordered.
pub(super) fn list_order(left: Expr, right: Expr) -> Expr {
    ORDER.call(vec![left, right])
}

type Body = fn(&ArrayRef) -> ArrayRef;

fn of_one(name: &str, from: DataType, to: DataType, body: Body) -> ScalarUDF {
    let call = move |args: &[ColumnarValue]| Ok(ColumnarValue::Array(body(&ColumnarValue::values_to_arrays(args)?[0])));
    create_udf(name, vec![from], to, Volatility::Immutable, Arc::new(call))
}

// One of each, so that equal expressions are equal.
static LENGTH_OF: LazyLock<ScalarUDF> = LazyLock::new(|| of_one("interval_length", INTERVAL, LENGTH, lengths));
static KEY: LazyLock<ScalarUDF> = LazyLock::new(|| of_one("interval_key", INTERVAL, DataType::Binary, keys));
static OF_KEY: LazyLock<ScalarUDF> = LazyLock::new(|| of_one("interval_of_key", DataType::Binary, INTERVAL, of_keys));
static ONE_VALUE: LazyLock<ScalarUDF> = LazyLock::new(|| {
    let floats = vec![DataType::Float64, DataType::Float32];
    ScalarUDF::from(OneValue { signature: Signature::uniform(1, floats, Volatility::Immutable) })
});
static ORDER: LazyLock<ScalarUDF> =
    LazyLock::new(|| ScalarUDF::from(ListOrder { signature: Signature::any(2, Volatility::Immutable) }));

fn nanoseconds(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * MONTH_DAYS + i128::from(interval.days);
    days * DAY_NANOSECONDS + i128::from(interval.nanoseconds)
}

fn lengths(intervals: &ArrayRef) -> ArrayRef {
    let lengths: Decimal128Array =
        intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| interval.map(nanoseconds)).collect();
    Arc::new(lengths.with_data_type(LENGTH))
}

fn keys(intervals: &ArrayRef) -> ArrayRef {
    // Negative numbers come first when their sign is turned.
    let key = |interval: IntervalMonthDayNano| {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&(nanoseconds(interval) ^ i128::MIN).to_be_bytes());
        key[16..20].copy_from_slice(&(interval.months ^ i32::MIN).to_be_bytes());
        key[20..24].copy_from_slice(&(interval.days ^ i32::MIN).to_be_bytes());
        key[24..].copy_from_slice(&(interval.nanoseconds ^ i64::MIN).to_be_bytes());
        key
    };
    let keys: BinaryArray =
        intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| interval.map(key)).collect();
    Arc::new(keys)
}

fn of_keys(keys: &ArrayRef) -> ArrayRef {
    let interval = |key: &[u8]| {
        let months = i32::from_be_bytes(key.get(16..20)?.try_into().ok()?) ^ i32::MIN;
        let days = i32::from_be_bytes(key.get(20..24)?.try_into().ok()?) ^ i32::MIN;
        let nanoseconds = i64::from_be_bytes(key.get(24..32)?.try_into().ok()?) ^ i64::MIN;
        Some(IntervalMonthDayNano::new(months, days, nanoseconds))
    };
    let intervals: IntervalMonthDayNanoArray = keys.as_binary::<i32>().iter().map(|key| interval(key?)).collect();
    Arc::new(intervals)
}

/// Takes either width: the type of an argument is settled after the call is written.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneValue {
    signature: Signature,
}

impl ScalarUDFImpl for OneValue {
    fn name(&self) -> &str {
        "one_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = &ColumnarValue::values_to_arrays(&args.args)?[0];
        let one: ArrayRef = match values.as_primitive_opt::<Float32Type>() {
            Some(values) => {
                Arc::new(values.unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }))
            }
            None => Arc::new(
                values
                    .as_primitive::<Float64Type>()
                    .unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
            ),
        };
        Ok(ColumnarValue::Array(one))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListOrder {
    signature: Signature,
}

impl ScalarUDFImpl for ListOrder {
    fn name(&self) -> &str {
        "list_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = ColumnarValue::values_to_arrays(&args.args)?;
        let (left, right) = (&args[0], &args[1]);
        let compare = make_comparator(left, right, SortOptions { descending: false, nulls_first: false })?;
        let order = |row| {
            (left.is_valid(row) && right.is_valid(row)).then(|| match compare(row, row) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            })
        };
        Ok(ColumnarValue::Array(Arc::new((0..left.len()).map(order).collect::<Int8Array>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_lengths_and_hold_the_interval() {
        let interval = |months, days, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
        let ordered = [
            interval(i32::MIN, i32::MIN, 0),
            interval(0, -1, -1),
            interval(0, 0, -24),
            interval(0, -1, 24),
            interval(0, 0, 24),
            interval(0, 1, 0),
            interval(0, 0, 25),
            interval(0, 30, 0),
            interval(1, 0, 0),
            interval(1, 0, 1),
            interval(i32::MAX, i32::MAX, 1_000_000),
        ];
        let array: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from_iter_values(ordered));
        let keys = keys(&array);
        let bytes = keys.as_binary::<i32>();
        assert!((1..bytes.len()).all(|at| bytes.value(at - 1) < bytes.value(at)));
        assert_eq!(&of_keys(&keys), &array);
        let lengths = lengths(&array);
        let lengths = lengths.as_primitive::<arrow::datatypes::Decimal128Type>();
        let equal: Vec<usize> = (1..lengths.len()).filter(|at| lengths.value(at - 1) == lengths.value(*at)).collect();
        assert_eq!(equal, [5, 8]);
    }
}
