//! JSON in columns of text: the functions `json_get*`, and the operators `->`, `->>`, `#>`, `#>>` and `?` as Postgres has them.
//!
//! `->` gives JSON, as text; `->>` gives text, without the quotes of a string. A chain of them is one call:
//! `j -> 'a' -> 0 ->> 'b'` is `json_as_text(j, 'a', 0, 'b')`, which reads `j` once.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, Volatility, create_udf, lit, when,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion_functions_json::JSON_UNION_DATA_TYPE;
use datafusion_functions_json::udfs::{json_as_text_udf, json_contains_udf, json_get_json_udf, json_union_to_text_udf};
use serde::de::IgnoredAny;

use super::json_within::json_within;
use crate::error::Result;

/// Adds the functions to a session.
///
/// # Errors
/// Never, short of a bug.
pub fn register(state: &mut SessionState) -> Result<()> {
    datafusion_functions_json::register_all(state)?;
    state.register_udf(Arc::new(json_valid()))?;
    state.register_udf(Arc::new(json_checked()))?;
    state.register_udf(Arc::new(json_within()))?;
    Ok(())
}

/// `json_valid(text)`: whether a text is JSON.
fn json_valid() -> ScalarUDF {
    let body = |args: &[ColumnarValue]| {
        let texts = ColumnarValue::values_to_arrays(args)?;
        let is_json = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
        let valid: BooleanArray = texts[0].as_string::<i32>().iter().map(|text| text.map(is_json)).collect();
        Ok(ColumnarValue::Array(Arc::new(valid)))
    };
    create_udf("json_valid", vec![DataType::Utf8], DataType::Boolean, Volatility::Immutable, Arc::new(body))
}

/// The function that a cast to JSON is.
pub(super) const CHECKED: &str = "json_checked";
/// Characters of a text that an error shows.
const SHOWN_MAX: usize = 100;

/// `json_checked(text)`: the text as it is, which must be JSON.
fn json_checked() -> ScalarUDF {
    let body = |args: &[ColumnarValue]| {
        let texts = ColumnarValue::values_to_arrays(args)?;
        for text in texts[0].as_string::<i32>().iter().flatten() {
            if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
                let shown: String = text.chars().take(SHOWN_MAX).collect();
                return exec_err!("invalid input syntax for type json: '{shown}': {error}");
            }
        }
        Ok(args[0].clone())
    };
    create_udf(CHECKED, vec![DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(body))
}

/// The plan with its columns of JSON values, which may be of another type in each row, as text.
///
/// # Errors
/// Never, short of a bug.
pub fn readable(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_union = |field: &Field| *field.data_type() == *JSON_UNION_DATA_TYPE;
    if !plan.schema().fields().iter().any(|field| is_union(field)) {
        return Ok(plan);
    }
    let columns = plan.schema().iter().map(|(qualifier, field)| {
        let column = Expr::Column((qualifier, field).into());
        if is_union(field) { json_union_to_text_udf().call(vec![column]).alias(field.name()) } else { column }
    });
    let columns: Vec<Expr> = columns.collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// The call that an operator stands for; nothing for an operator of something else.
///
/// # Errors
/// Never, short of a bug.
pub(super) fn call(expr: &RawBinaryExpr) -> datafusion::error::Result<Option<Expr>> {
    let function = match expr.op {
        BinaryOperator::Arrow | BinaryOperator::HashArrow => json_get_json_udf(),
        BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => json_as_text_udf(),
        BinaryOperator::Question => json_contains_udf(),
        _ => return Ok(None),
    };
    let path = match expr.op {
        BinaryOperator::HashArrow | BinaryOperator::HashLongArrow => path(&expr.right),
        _ => vec![expr.right.clone()],
    };
    let mut args = match &expr.left {
        Expr::ScalarFunction(ScalarFunction { func, args }) if is_literal_path(func, args, &path) => args.clone(),
        left => vec![left.clone()],
    };
    args.extend(path);
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, args));
    // The function says that NULL holds nothing; nobody knows what it holds.
    if expr.op == BinaryOperator::Question {
        return when(expr.left.clone().is_not_null(), call).end().map(Some);
    }
    Ok(Some(call))
}

/// The steps of a path such as `{a,0,b}`; a number is a place in an array.
fn path(expr: &Expr) -> Vec<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr else { return vec![expr.clone()] };
    let Some(steps) = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return vec![expr.clone()];
    };
    let step = |step: &str| match step.trim().parse::<i64>() {
        Ok(place) => lit(place),
        Err(_) => lit(step.trim().trim_matches('"')),
    };
    steps.split(',').map(step).collect()
}

/// Whether more steps can be taken in the same call.
fn is_literal_path(function: &ScalarUDF, args: &[Expr], steps: &[Expr]) -> bool {
    function.name() == json_get_json_udf().name()
        && args[1..].iter().chain(steps).all(|arg| matches!(arg, Expr::Literal(..)))
}
