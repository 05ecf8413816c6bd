//! The default of `lag` and `lead`, which has the type of their value.

use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::error::sql_types;

/// Refuses a number that the batch engine would cut to the type of the value.
///
/// # Errors
/// As it says.
pub fn refuse_cut(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let name = call.fun.name();
    let [value, _, default] = call.params.args.as_slice() else { return Ok(()) };
    if !matches!(name, "lag" | "lead") {
        return Ok(());
    }
    let (own, given) = (value.get_type(schema)?, default.get_type(schema)?);
    if own == given || !own.is_numeric() || !given.is_numeric() {
        return Ok(());
    }
    let is_kept = match default {
        Expr::Literal(number, _) => {
            number.cast_to(&own).and_then(|cast| cast.cast_to(&given)).is_ok_and(|again| again == *number)
        }
        _ => own.is_floating() || given.is_integer() && own.is_decimal(),
    };
    if is_kept {
        return Ok(());
    }
    let own = sql_types(&own.to_string());
    plan_err!("the default of {name}() is no {own}, the type of its first argument: cast one of them")
}
