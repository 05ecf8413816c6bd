//! The texts among the arguments of a series, which Postgres reads as values of the others' type.

use datafusion::sql::sqlparser::ast::{DataType, Expr, FunctionArg, FunctionArgExpr, TimezoneInfo};

use super::calls::{cast, is_text};
use super::rewrite_expr;
use crate::error::Result;

/// `generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day')`: the ends are of the type that one of them is cast
/// to, timestamps if neither is, and the step is an interval.
pub(super) fn typed_ends(args: &mut [FunctionArg]) -> Result<()> {
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(start)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(stop)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(step)),
    ] = args
    else {
        return Ok(());
    };
    let of_time = is_text(step) || matches!(step, Expr::Interval(_));
    if is_text(step) && !(is_text(start) && is_text(stop)) {
        *step = cast(step.clone(), DataType::Interval { fields: None, precision: None });
    }
    if !of_time || is_text(start) == is_text(stop) {
        return Ok(());
    }
    let (text, typed) = if is_text(start) { (start, stop) } else { (stop, start) };
    let data_type = match typed {
        Expr::Cast { data_type, .. } => data_type.clone(),
        Expr::TypedString(typed) => typed.data_type.clone(),
        _ => DataType::Timestamp(None, TimezoneInfo::None),
    };
    *text = cast(text.clone(), data_type);
    rewrite_expr(text)
}
