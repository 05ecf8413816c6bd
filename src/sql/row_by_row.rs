//! Row by row means every row of every operator.
//!
//! ```text
//! ProjectionExec: CASE WHEN n <> 0 THEN 10 / n END
//!   RowByRowExec               a batch for each row
//!     WindowAggExec            one batch of all rows
//! ```
//!
//! An expression over a batch may fail for a row that a condition beside it leaves out. So a query that fails is run
//! again with batches of one row. Windows, joins and constants do not keep to the size of batches that is asked for: what
//! they give is cut.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};

use crate::sql::pass_through::{Pass, PassThrough};

/// Cuts the rows of a plan's operators where batches are to have one row.
#[derive(Debug)]
pub struct CutBatches;

impl PhysicalOptimizerRule for CutBatches {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if config.execution.batch_size.get() > 1 {
            return Ok(plan);
        }
        let cut = plan.transform_up(|plan| {
            let children = plan.children();
            if children.iter().all(|child| keeps_batches(child)) {
                return Ok(Transformed::no(plan));
            }
            let cut = |child: &Arc<dyn ExecutionPlan>| match keeps_batches(child) {
                true => child.clone(),
                false => PassThrough::over(child.clone(), RowByRow),
            };
            let children = children.into_iter().map(cut).collect();
            Ok(Transformed::yes(
                plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?,
            ))
        })?;
        Ok(cut.data)
    }

    fn name(&self) -> &str {
        "cut_batches"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an operator gives no more rows in a batch than it takes.
fn keeps_batches(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<ProjectionExec>() || plan.is::<FilterExec>()
}

/// The same rows, each in a batch of its own.
#[derive(Debug, Clone)]
struct RowByRow;

impl Pass for RowByRow {
    const NAME: &'static str = "RowByRowExec";

    fn run(
        &self,
        input: &dyn ExecutionPlan,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let batches = input.execute(partition, context)?;
        let schema = batches.schema();
        let rows = |batch: RecordBatch| stream::iter((0..batch.num_rows()).map(move |row| Ok(batch.slice(row, 1))));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.map_ok(rows).try_flatten().boxed())))
    }
}
