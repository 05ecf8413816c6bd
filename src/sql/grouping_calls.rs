//! `grouping(a, b)` as an expression over the number of the grouping set, before anything is built upon its aggregate:
//! the batch engine does so later, and the aggregate has one column less then.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;

/// The plan without calls of `grouping`.
///
/// # Errors
/// When an argument is no group expression.
pub fn resolve_grouping(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !calls_grouping(&plan)? {
        return Ok(plan);
    }
    let plan = ResolveGroupingFunction::new().analyze(plan, &ConfigOptions::default())?;
    Ok(plan.transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))?.data)
}

fn calls_grouping(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            let is_call = |expr: &Expr| matches!(expr.clone().unalias(), Expr::AggregateFunction(call) if call.func.name() == "grouping");
            found |= aggregate.aggr_expr.iter().any(is_call);
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
