//! The first rows in the order of lists are sorted for.
//!
//! Once it has as many rows as it is asked for, the batch engine's top-k leaves out those that do not compare as less. It
//! compares lists with NULL for the least element, whereas the order that it keeps has NULL as the greatest. So where lists
//! are ordered by, all rows are sorted, and the first taken.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

/// Puts a limit above a sort that is by lists.
#[derive(Debug)]
pub struct SortNested;

impl PhysicalOptimizerRule for SortNested {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sorted = plan.transform_up(|plan| {
            let Some((sort, fetch)) = plan.downcast_ref::<SortExec>().and_then(|sort| Some((sort, sort.fetch()?)))
            else {
                return Ok(Transformed::no(plan));
            };
            if !is_by_lists(sort, &sort.input().schema())? {
                return Ok(Transformed::no(plan));
            }
            Ok(Transformed::yes(Arc::new(LocalLimitExec::new(Arc::new(sort.with_fetch(None)), fetch))))
        })?;
        Ok(sorted.data)
    }

    fn name(&self) -> &str {
        "sort_nested"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_by_lists(sort: &SortExec, schema: &Schema) -> Result<bool> {
    for key in sort.expr() {
        if key.expr.data_type(schema)?.is_nested() {
            return Ok(true);
        }
    }
    Ok(false)
}
