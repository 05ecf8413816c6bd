//! The rows of a batch plan, accounted for while they come.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::delta::size::batch_bytes;

/// All rows of a plan. The batch engine reserves memory for what its operators hold; what they put out is reserved
/// here, until all of it is handed over.
///
/// # Errors
/// What the plan meets; that the memory pool of `context` has no more.
pub async fn collect(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    let held = MemoryConsumer::new("result").register(context.memory_pool());
    let mut stream = execute_stream(plan, context)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        held.try_grow(batch_bytes(&batch))?;
        batches.push(batch);
    }
    Ok(batches)
}
