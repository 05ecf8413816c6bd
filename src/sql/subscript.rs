//! Elements and slices of lists by place, which begins with one: the batch engine counts from the end where a place is
//! negative, and Postgres has nothing there.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::{array_element, array_slice};
use datafusion::logical_expr::planner::RawFieldAccessExpr;
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit, when};

/// The element or the slice; nothing for what the batch engine reads as Postgres does.
///
/// # Errors
/// Never, short of a bug.
pub(super) fn place(access: &RawFieldAccessExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let list = &access.expr;
    Ok(match &access.field_access {
        GetFieldAccess::ListIndex { key } if !is_place(key) => {
            if !matches!(
                list.get_type(schema)?,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
            ) {
                return Ok(None);
            }
            let key = key.as_ref();
            let place = when(key.clone().gt(lit(0i64)), key.clone()).end()?;
            Some(array_element(list.clone(), place))
        }
        GetFieldAccess::ListRange { start, stop, stride } if !(is_place(start) && is_place(stop)) => {
            let (start, stop) = (start.as_ref(), stop.as_ref());
            // From the second to the first is nothing.
            let from = when(stop.clone().lt(lit(1i64)), lit(2i64))
                .when(start.clone().lt(lit(1i64)), lit(1i64))
                .otherwise(start.clone())?;
            let to = when(stop.clone().lt(lit(1i64)), lit(1i64)).otherwise(stop.clone())?;
            Some(array_slice(list.clone(), from, to, Some(stride.as_ref().clone())))
        }
        _ => None,
    })
}

/// Whether an expression is a number from one.
fn is_place(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Int64(Some(1..)), _))
}
