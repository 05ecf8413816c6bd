//! What may fail is evaluated, whatever the batch engine knows of the rows.
//!
//! An expression fails on its own rows, and on each of them (see `docs/sql.md`). Two of the batch engine's rules do with
//! less or more: one drops an outer join whose rows change nothing, and the failures of its condition with it, but only
//! where it sees a key, as it does in the query of a view on views and not in the view. Another computes what a join's
//! condition says of one side for all rows of that side, also for those that meet none.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::remove_unnecessary_projections;

use super::lower::may_fail;

/// A rule of joins that is kept from dropping an outer join in which something may fail.
#[derive(Debug)]
pub struct KeepFailing(pub Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for KeepFailing {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let before = failing_joins(&plan)?;
        if before == 0 {
            return self.0.rewrite(plan, config);
        }
        let rewritten = self.0.rewrite(plan.clone(), config)?;
        let kept = failing_joins(&rewritten.data)? == before;
        Ok(if kept { rewritten } else { Transformed::no(plan) })
    }
}

/// How many outer joins of a plan may fail in what a dropped one would take with it.
fn failing_joins(plan: &LogicalPlan) -> Result<usize> {
    let mut count = 0;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            let dropped = match join.join_type {
                JoinType::Left => Some(&join.right),
                JoinType::Right => Some(&join.left),
                _ => None,
            };
            if let Some(side) = dropped {
                count += usize::from(node_fails(node)? || fails(side)?);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}

/// Whether an expression of the plan may fail.
fn fails(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node_fails(node)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn node_fails(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= may_fail(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Pushes projections down. Where each row is looked at by itself, since something failed, it computes nothing for rows
/// that a join's condition may not meet.
#[derive(Debug)]
pub struct KeepConditions(pub Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for KeepConditions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        match config.execution.batch_size.get() {
            1 => Ok(plan.transform_down(remove_unnecessary_projections)?.data),
            _ => self.0.optimize(plan, config),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
