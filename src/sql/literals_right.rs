//! Comparisons of columns with literals, in one form.
//!
//! Where several stand beside each other, the batch engine keeps the narrowest, and none where two equalities differ. It
//! takes `x = 1` and `1 = x` for two that differ, as `x = 0.0` and `x = -0.0`, and of `x >= 1` and `1 < x` it may keep the
//! wider. So before it looks at them, literals stand on the right, and zeros have no sign.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Puts literals on the right of comparisons in filters and in conditions of joins.
#[derive(Debug)]
pub struct LiteralsRight;

impl OptimizerRule for LiteralsRight {
    fn name(&self) -> &str {
        "literals_right"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) => {
                plan.map_expressions(|expr| expr.transform_up(in_one_form))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn in_one_form(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(comparison) = expr else { return Ok(Transformed::no(expr)) };
    let Some(op) = turned(comparison.op) else { return Ok(Transformed::no(Expr::BinaryExpr(comparison))) };
    let mut changed = is_literal(&comparison.left) && !is_literal(&comparison.right);
    let BinaryExpr { left, op, mut right } = match changed {
        true => BinaryExpr::new(comparison.right, op, comparison.left),
        false => comparison,
    };
    if let Expr::Literal(zero, _) = right.as_mut()
        && is_negative_zero(zero)
    {
        *zero = ScalarValue::new_zero(&zero.data_type())?;
        changed = true;
    }
    Ok(Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), changed))
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

/// The comparison with its sides exchanged, if it is one.
fn turned(op: Operator) -> Option<Operator> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq).then(|| op.swap()).flatten()
}

fn is_negative_zero(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(value)) => *value == 0.0 && value.is_sign_negative(),
        ScalarValue::Float32(Some(value)) => *value == 0.0 && value.is_sign_negative(),
        _ => false,
    }
}
