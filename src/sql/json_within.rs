//! `a @> b` and `a <@ b`: whether one JSON value holds another, as Postgres has it ("jsonb Containment and Existence",
//! section 8.14.3 of its manual).
//!
//! ```text
//! {"a": 1, "b": [1, 2, 2]} @> {"b": [2]}     an object holds one with fewer keys, each value of which it holds
//! [1, [2, 3]] @> [[3]]                       an array holds one each element of which an element of it holds
//! [1, 2] @> 2                                and, as the only exception, a value that is an element of it
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, exec_datafusion_err};
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarUDF, Volatility, create_udf};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use serde_json::{Number, Value};

/// The function that the operators stand for.
const NAME: &str = "json_within";

/// `json_within(part, whole)`.
pub fn json_within() -> ScalarUDF {
    let body = |args: &[ColumnarValue]| {
        let texts = ColumnarValue::values_to_arrays(args)?;
        let pairs = texts[0].as_string::<i32>().iter().zip(texts[1].as_string::<i32>());
        let holds = |(part, whole): (Option<&str>, Option<&str>)| match (part, whole) {
            (Some(part), Some(whole)) => Ok(Some(is_within(&read(part)?, &read(whole)?))),
            _ => Ok(None),
        };
        let holds = pairs.map(holds).collect::<Result<BooleanArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(holds) as ArrayRef))
    };
    let texts = vec![DataType::Utf8, DataType::Utf8];
    create_udf(NAME, texts, DataType::Boolean, Volatility::Immutable, Arc::new(body))
}

/// The call that `@>` or `<@` between texts stands for; nothing for lists.
///
/// # Errors
/// When an operand has no type.
pub(super) fn call(expr: &RawBinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (part, whole) = match expr.op {
        BinaryOperator::AtArrow => (&expr.right, &expr.left),
        BinaryOperator::ArrowAt => (&expr.left, &expr.right),
        _ => return Ok(None),
    };
    let are_texts = part.get_type(schema)?.is_string() && whole.get_type(schema)?.is_string();
    Ok(are_texts.then(|| json_within().call(vec![part.clone(), whole.clone()])))
}

fn read(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| exec_datafusion_err!("invalid input syntax for type json: '{text}': {error}"))
}

fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Array(_) | Value::Object(_), _) => holds(whole, part),
        (scalar, Value::Array(elements)) => elements.iter().any(|element| holds(element, scalar)),
        (scalar, whole) => holds(whole, scalar),
    }
}

/// Recurses as deep as the values are, which are read to a depth of 128.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| holds(whole, part)))
        }
        (Value::Number(whole), Value::Number(part)) => is_same(whole, part),
        (whole, part) => whole == part,
    }
}

/// Whether two numbers are the same, as `1` and `1.0` are.
fn is_same(left: &Number, right: &Number) -> bool {
    left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_held_as_in_postgres() {
        for (whole, part, held) in [
            ("{}", "{}", true),
            (r#"{"a": 1, "b": 2}"#, r#"{"b": 2.0}"#, true),
            (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {"c": 2}}"#, true),
            (r#"{"a": {"b": {"c": 2}}}"#, r#"{"c": 2}"#, false),
            ("[1, 2, 3]", "[3, 1, 3]", true),
            ("[1, 2]", "[3]", false),
            ("[1, 2]", "2", true),
            ("2", "[2]", false),
            ("[[1, 2]]", "[1]", false),
            ("[1, [2, 3]]", "[[3]]", true),
            (r#"["a"]"#, r#""a""#, true),
            ("null", "null", true),
            ("1", r#""1""#, false),
        ] {
            assert_eq!(is_within(&read(part).unwrap(), &read(whole).unwrap()), held, "{whole} @> {part}");
        }
    }
}
