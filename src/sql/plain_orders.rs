//! Orders within aggregates, without what orders nothing.
//!
//! The batch engine takes an expression that stands in an ORDER BY twice, or becomes the same as another when it is
//! simplified, out of the order of `first_value` and its like, but not out of the columns that it hands them, and panics.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Takes constants out of orders, and what stands there before.
#[derive(Debug)]
pub struct PlainOrders;

impl OptimizerRule for PlainOrders {
    fn name(&self) -> &str {
        "plain_orders"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Aggregate(_)) {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(plain)?.update_data(|expr| name.restore(expr)))
        })
    }
}

fn plain(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::AggregateFunction(call) if call.params.order_by.len() != ordering(&call.params.order_by).len() => {
            let order_by = ordering(&call.params.order_by).into_iter().cloned().collect();
            let AggregateFunction { func, mut params } = call;
            params.order_by = order_by;
            Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Those that order something; of constants alone, the first.
fn ordering(order: &[Sort]) -> Vec<&Sort> {
    let mut kept: Vec<&Sort> = Vec::new();
    for sort in order {
        let is_constant = matches!(sort.expr, Expr::Literal(..));
        if !is_constant && !kept.iter().any(|before| before.expr == sort.expr) {
            kept.push(sort);
        }
    }
    if kept.is_empty() { order.iter().take(1).collect() } else { kept }
}
