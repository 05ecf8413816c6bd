//! An interval times a number, and divided by one.
//!
//! The parts are multiplied each for itself. What a part of a month or of a day comes to goes to the smaller parts, a
//! month having thirty days and a day twenty-four hours, as in Postgres.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{DFSchema, exec_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarUDF, Volatility, create_udf};
use datafusion::sql::sqlparser::ast::BinaryOperator;

const DAYS_PER_MONTH: f64 = 30.0;
const NANOSECONDS_PER_DAY: f64 = 86_400e9;

/// `interval * number`, `number * interval` and `interval / number` as a call; nothing for other operands.
///
/// # Errors
/// When the operands have no type.
pub(super) fn product(expr: &RawBinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    if !matches!(expr.op, BinaryOperator::Multiply | BinaryOperator::Divide) {
        return Ok(None);
    }
    let (left, right) = (&expr.left, &expr.right);
    let types = (left.get_type(schema)?, right.get_type(schema)?);
    let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
    Ok(match expr.op {
        BinaryOperator::Multiply if is_interval(&types.0) && types.1.is_numeric() => {
            Some(times(left.clone(), right.clone(), false))
        }
        BinaryOperator::Multiply if types.0.is_numeric() && is_interval(&types.1) => {
            Some(times(right.clone(), left.clone(), false))
        }
        BinaryOperator::Divide if is_interval(&types.0) && types.1.is_numeric() => {
            Some(times(left.clone(), right.clone(), true))
        }
        _ => None,
    })
}

/// One of each, so that equal expressions are equal.
static TIMES: LazyLock<ScalarUDF> = LazyLock::new(|| function("interval_times", false));
static DIVIDED: LazyLock<ScalarUDF> = LazyLock::new(|| function("interval_divided", true));

fn times(interval: Expr, number: Expr, divide: bool) -> Expr {
    if divide { DIVIDED.call(vec![interval, number]) } else { TIMES.call(vec![interval, number]) }
}

fn function(name: &str, divide: bool) -> ScalarUDF {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let body = move |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let (intervals, numbers) =
            (args[0].as_primitive::<IntervalMonthDayNanoType>(), args[1].as_primitive::<Float64Type>());
        let values = (0..intervals.len()).map(|row| {
            if intervals.is_null(row) || numbers.is_null(row) {
                return Ok(None);
            }
            multiplied(intervals.value(row), numbers.value(row), divide).map(Some)
        });
        let values: IntervalMonthDayNanoArray = values.collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(values) as ArrayRef))
    };
    create_udf(name, vec![interval.clone(), DataType::Float64], interval, Volatility::Immutable, Arc::new(body))
}

fn multiplied(interval: IntervalMonthDayNano, number: f64, divide: bool) -> Result<IntervalMonthDayNano> {
    if divide && number == 0.0 {
        return Err(exec_datafusion_err!("division of an interval by zero"));
    }
    let by = |part: f64| if divide { part / number } else { part * number };
    let months = by(f64::from(interval.months));
    let days = by(f64::from(interval.days)) + (months - months.trunc()) * DAYS_PER_MONTH;
    let rest = (days - days.trunc()) * NANOSECONDS_PER_DAY;
    let nanoseconds = if !divide && number.fract() == 0.0 && fits(number, i64::MAX as f64) {
        // Whole nanoseconds stay exact.
        i128::from(interval.nanoseconds) * i128::from(number as i64)
    } else {
        by(interval.nanoseconds as f64).round() as i128
    };
    let nanoseconds = i64::try_from(nanoseconds + rest.round() as i128);
    match nanoseconds {
        Ok(nanoseconds) if fits(months, f64::from(i32::MAX)) && fits(days, f64::from(i32::MAX)) => {
            Ok(IntervalMonthDayNano::new(months.trunc() as i32, days.trunc() as i32, nanoseconds))
        }
        _ => Err(exec_datafusion_err!("the interval is out of range")),
    }
}

/// Not a number fits nowhere.
fn fits(value: f64, max: f64) -> bool {
    value.abs() < max
}
