//! An OFFSET stays beside the order that it counts in.
//!
//! The batch engine drops a sort that nothing above it can see: a projection between the two that leaves out a column of
//! the order is enough, and the OFFSET then passes over any rows. A LIMIT is safe, as it becomes part of the sort.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Limit, LogicalPlan, Projection, SkipType, SubqueryAlias};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Moves an OFFSET below projections, down to the sort.
#[derive(Debug)]
pub struct SkipSorted;

impl OptimizerRule for SkipSorted {
    fn name(&self) -> &str {
        "skip_sorted"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Limit(limit) if skips(&limit)? && !is_sort(&limit.input) => match below(&limit, &limit.input)?
            {
                Some(moved) => Ok(Transformed::yes(moved)),
                None => Ok(Transformed::no(LogicalPlan::Limit(limit))),
            },
            other => Ok(Transformed::no(other)),
        }
    }
}

fn skips(limit: &Limit) -> Result<bool> {
    Ok(!matches!(limit.get_skip_type()?, SkipType::Literal(0)))
}

fn is_sort(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Sort(_))
}

/// The plan with the limit right above its sort; nothing when other than projections are between.
fn below(limit: &Limit, plan: &Arc<LogicalPlan>) -> Result<Option<LogicalPlan>> {
    match plan.as_ref() {
        LogicalPlan::Sort(_) => Ok(Some(LogicalPlan::Limit(Limit { input: Arc::clone(plan), ..limit.clone() }))),
        LogicalPlan::Projection(Projection { input, .. }) | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => {
            let moved = below(limit, input)?;
            moved.map(|input| plan.with_new_exprs(plan.expressions(), vec![input])).transpose()
        }
        _ => Ok(None),
    }
}
