//! FILTER as a guard: what it leaves out is not evaluated.
//!
//! ```text
//! sum(10 / b) FILTER (WHERE b <> 0)   ->   sum(CASE WHEN b <> 0 THEN 10 / b END) FILTER (WHERE b <> 0)
//! ```
//!
//! The batch engine computes the arguments of an aggregate for every row and looks at the filter then, so that a row
//! fails which takes no part. With the filter in the arguments, too, it does not.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunction, Case};

/// The call with the filter before its arguments and its order, where these are more than columns and constants.
pub fn guarded(mut function: AggregateFunction) -> Transformed<AggregateFunction> {
    let params = &mut function.params;
    let order = params.order_by.iter_mut().map(|sort| &mut sort.expr);
    let changed = guard(params.filter.as_deref(), params.args.iter_mut().chain(order));
    Transformed::new_transformed(function, changed)
}

/// Puts the filter before expressions that are more than columns and constants; says whether there are any.
pub fn guard<'a>(filter: Option<&Expr>, exprs: impl Iterator<Item = &'a mut Expr>) -> bool {
    let Some(filter) = filter.filter(|filter| !has_subquery(filter)) else {
        return false;
    };
    let mut changed = false;
    for expr in exprs.filter(|expr| may_fail(expr)) {
        let then = std::mem::take(expr);
        *expr = Expr::Case(Case::new(None, vec![(filter.clone().into(), then.into())], None));
        changed = true;
    }
    changed
}

/// Whether the evaluation of an expression may find something wrong with a row. Subqueries are left as they are: they
/// become joins, which no CASE can put off.
fn may_fail(expr: &Expr) -> bool {
    let is_plain = matches!(expr, Expr::Column(_) | Expr::Literal(..) | Expr::Placeholder(_));
    !is_plain && !has_subquery(expr)
}

fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |e: &Expr| {
        matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
    };
    expr.exists(|e| Ok(is_subquery(e))).unwrap_or(true)
}
