//! Numbers cast to whole ones are rounded, as Postgres does; the batch engine cuts off what is behind the point.
//!
//! Only the casts of the text are: what the batch engine casts on its own account, to compare numbers of different types, comes
//! later. Halves are rounded away from zero.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::functions::math::round;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast};

/// The plan with its casts to whole numbers rounded.
///
/// # Errors
/// Never, short of a bug.
pub fn rounded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        if !node.expressions().iter().any(casts_to_whole) {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        let schema = match &node {
            LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
            node => merge_schema(&node.inputs()),
        };
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(rounded_expr(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    });
    Ok(plan?.data)
}

/// The expression with its casts to whole numbers rounded.
///
/// # Errors
/// Never, short of a bug.
pub fn rounded_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Cast(Cast { expr, field }) if is_rounded(&expr, field.data_type(), schema) => {
                Transformed::yes(Expr::Cast(Cast { expr: Box::new(round().call(vec![*expr])), field }))
            }
            Expr::TryCast(TryCast { expr, field }) if is_rounded(&expr, field.data_type(), schema) => {
                Transformed::yes(Expr::TryCast(TryCast { expr: Box::new(round().call(vec![*expr])), field }))
            }
            other => Transformed::no(other),
        })
    })
}

fn casts_to_whole(expr: &Expr) -> bool {
    let is_one = |expr: &Expr| match expr {
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => field.data_type().is_integer(),
        _ => false,
    };
    expr.exists(|expr| Ok(is_one(expr))).unwrap_or(false)
}

/// What has no type yet, such as a parameter, is cast as it is.
fn is_rounded(expr: &Expr, data_type: &DataType, schema: &DFSchema) -> bool {
    data_type.is_integer() && expr.get_type(schema).is_ok_and(|from| from.is_floating() || from.is_decimal())
}
