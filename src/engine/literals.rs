//! What VALUES and SET mean by the column that they are for: its DEFAULT, numbers for DECIMAL columns, which are kept
//! digit by digit, and numbers for whole ones, which must be whole.
//!
//! The batch engine reads `1234567890123456.7891` as a double, which has no room for it. Where such a number is given
//! to a DECIMAL column as it stands, in VALUES or SET, it is handed on as text, which is cast without loss. So are `1.9`
//! and `99999999999` for an INTEGER column: as text they are refused with their place. Texts for columns of bytes and of
//! arrays are read as Postgres reads them.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::catalog::Object;
use crate::error::{Error, Result, list};
use crate::sql::parse::parse_expression;
use crate::sql::postgres::read_as;

/// Refuses a row of VALUES, by its number, that has too many values or too few.
///
/// # Errors
/// As it says; the names of the columns are the hint.
pub fn check_width(found: usize, wanted: usize, row: usize, target: &Object) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    let values = if found == 1 { "value" } else { "values" };
    let names: Vec<&str> = target.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let message = format!("row {row} for `{}` has {found} {values} where {wanted} are expected", target.name);
    Err(Error::input(message).with_hint(format!("its columns are {}", list(&names))))
}

/// Rewrites a value that a statement gives to a column of its target.
///
/// # Errors
/// When a default cannot be parsed, which would be a bug.
pub fn fit(expr: &mut ast::Expr, target: &Object, column: Option<usize>) -> Result<()> {
    let Some(column) = column else { return Ok(()) };
    if is_default(expr) {
        *expr = match target.defaults.get(column).cloned().flatten() {
            Some(text) => parse_expression(&text)?,
            None => ast::Expr::value(ast::Value::Null),
        };
    }
    let data_type = target.schema.field(column).data_type();
    let is_none = || digits(unsigned(expr)).is_some_and(|d| !is_whole_number(d, data_type));
    if data_type.is_decimal() || data_type.is_integer() && is_none() {
        as_text(expr);
    }
    read_as(expr, data_type)
}

/// The keyword, which the parser takes for a name.
fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

fn as_text(expr: &mut ast::Expr) {
    let text = match &*expr {
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => digits(expr).map(|digits| format!("-{digits}")),
        expr => digits(expr).map(str::to_string),
    };
    if let Some(text) = text {
        let span = expr.span();
        *expr = ast::Expr::Value(ast::Value::SingleQuotedString(text).with_span(span));
    }
}

/// Whether digits are a whole number that a column of this type can hold.
fn is_whole_number(digits: &str, data_type: &DataType) -> bool {
    let bits = data_type.primitive_width().map_or(0, |bytes| 8 * bytes as i32);
    let bits = if data_type.is_signed_integer() { bits - 1 } else { bits };
    // The least value has no positive one beside it: what is not sure here, the cast decides.
    digits.parse::<f64>().is_ok_and(|number| number.fract() == 0.0 && number <= 2_f64.powi(bits))
}

fn unsigned(expr: &ast::Expr) -> &ast::Expr {
    match expr {
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => expr,
        expr => expr,
    }
}

fn digits(expr: &ast::Expr) -> Option<&str> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}
