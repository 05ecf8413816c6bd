//! The digits of a quotient of decimals.
//!
//! The batch engine gives `a / b` four digits more after the point than `a` has, so that `1 / 3.0` has four. Postgres
//! gives at least sixteen significant ones. Here the dividend gets twelve digits after the point before it is divided,
//! where there is room for them, which makes sixteen.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Digits after the point that a dividend has.
const DIGITS: u8 = 12;

/// A quotient of decimals, or of an integer and a decimal, with enough digits.
pub(super) fn quotient(expr: &RawBinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    if expr.op != BinaryOperator::Divide {
        return Ok(None);
    }
    let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
        return Ok(None);
    };
    let is_decimal = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..));
    let (before, scale) = match left {
        DataType::Decimal128(precision, scale) if scale >= 0 && (is_decimal(&right) || right.is_integer()) => {
            (precision.saturating_sub(scale.unsigned_abs()), scale.unsigned_abs())
        }
        integer if integer.is_integer() && is_decimal(&right) => (digits(&integer), 0),
        _ => return Ok(None),
    };
    let more = DIGITS.min(DECIMAL128_MAX_PRECISION - before);
    if more <= scale {
        return Ok(None);
    }
    let dividend = Cast::new(Box::new(expr.left.clone()), DataType::Decimal128(before + more, more as i8));
    let quotient = BinaryExpr::new(Box::new(Expr::Cast(dividend)), Operator::Divide, Box::new(expr.right.clone()));
    Ok(Some(Expr::BinaryExpr(quotient)))
}

/// The digits of the greatest value of an integer type.
fn digits(integer: &DataType) -> u8 {
    match integer {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        _ => 20,
    }
}
