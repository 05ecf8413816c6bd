//! Dates and timestamps with intervals, as Postgres has them.
//!
//! ```text
//! date + interval, date - interval    a timestamp: the hours of the interval count
//! timestamp - timestamp               an interval of days and time
//! ```

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit, TimestampNanosecondType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarUDF, Volatility, cast, create_udf,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

const DAY_NANOSECONDS: i128 = 86_400_000_000_000;

/// The sum or difference in words of the batch engine; nothing for operands that it takes as Postgres does. What has no
/// type yet, such as a parameter, is left alone.
pub(super) fn arithmetic(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    let op = match expr.op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        _ => return None,
    };
    let (left, right) = (expr.left.get_type(schema).ok()?, expr.right.get_type(schema).ok()?);
    let is_date = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Date64);
    let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
    let is_moment = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..)) || is_date(data_type);
    let timestamp = |expr: &Expr| cast(expr.clone(), DataType::Timestamp(TimeUnit::Nanosecond, None));
    let binary =
        |left: Expr, right: Expr| Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) });
    if is_date(&left) && is_interval(&right) {
        Some(binary(timestamp(&expr.left), expr.right.clone()))
    } else if op == Operator::Plus && is_interval(&left) && is_date(&right) {
        Some(binary(expr.left.clone(), timestamp(&expr.right)))
    } else if op == Operator::Minus && is_moment(&left) && is_moment(&right) && !(is_date(&left) && is_date(&right)) {
        // A timestamp without a zone is one of UTC.
        let moment = |expr: &Expr| cast(expr.clone(), utc());
        Some(DIFFERENCE.call(vec![moment(&expr.left), moment(&expr.right)]))
    } else {
        None
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

/// One, so that equal expressions are equal.
static DIFFERENCE: LazyLock<ScalarUDF> = LazyLock::new(|| {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let body = |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let moments = |arg: usize| args[arg].as_primitive::<TimestampNanosecondType>();
        let differences: IntervalMonthDayNanoArray =
            moments(0).iter().zip(moments(1)).map(|(to, from)| Some(difference(to?, from?))).collect();
        Ok(ColumnarValue::Array(Arc::new(differences) as ArrayRef))
    };
    create_udf("timestamp_difference", vec![utc(), utc()], interval, Volatility::Immutable, Arc::new(body))
});

/// Whole days, and the time that is left of the same sign. Any two moments of nanoseconds are less than 2^31 days apart.
fn difference(to: i64, from: i64) -> IntervalMonthDayNano {
    let nanoseconds = i128::from(to) - i128::from(from);
    IntervalMonthDayNano::new(0, (nanoseconds / DAY_NANOSECONDS) as i32, (nanoseconds % DAY_NANOSECONDS) as i64)
}
