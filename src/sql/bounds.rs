//! How large a plan may get.
//!
//! A text is bounded, but a name in it can stand for a view that reads views, each twice: the plan doubles at each step.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use crate::error::{Error, Result};

/// Nodes of a plan, counted wherever they stand.
pub const PLAN_NODES_MAX: usize = 10_000;
/// Joins of a plan: the time to optimise it grows with their cube.
pub const PLAN_JOINS_MAX: usize = 200;

/// The plan, if it is not too large.
///
/// # Errors
/// [`Error::Limit`] past [`PLAN_NODES_MAX`] or [`PLAN_JOINS_MAX`].
pub fn bounded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let (mut nodes, mut joins) = (0, 0);
    // What is named twice is met twice; the walk ends where the limit is passed.
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        joins += usize::from(matches!(node, LogicalPlan::Join(_)));
        Ok(match nodes > PLAN_NODES_MAX || joins > PLAN_JOINS_MAX {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    let past = |what, limit| {
        let error =
            format!("with the views and CTEs that it names, the query has more {what} than the limit of {limit}");
        Err(Error::Limit(error))
    };
    match (nodes > PLAN_NODES_MAX, joins > PLAN_JOINS_MAX) {
        (true, _) => past("parts", PLAN_NODES_MAX),
        (_, true) => past("joins", PLAN_JOINS_MAX),
        _ => Ok(plan),
    }
}
