//! A plan whose rows are made of all rows of its input at once.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use futures::{TryStreamExt, stream};

use crate::operators::collect::collect;

/// What is made of all rows. What it holds is registered in the reservation.
pub trait OverAll: Send + Sync {
    /// The name of the plan.
    fn name(&self) -> &'static str;

    /// What it does, for EXPLAIN.
    fn text(&self) -> &str;

    /// Columns of what is made.
    fn schema(&self) -> &SchemaRef;

    /// The rows that are made of those of each input.
    ///
    /// # Errors
    /// Where an expression fails, or memory is at its end.
    fn of(&self, inputs: Vec<Vec<RecordBatch>>, held: &MemoryReservation) -> Result<Vec<RecordBatch>>;
}

/// Runs it.
pub struct OverAllExec {
    run: Arc<dyn OverAll>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl OverAllExec {
    /// Over the rows of some plans.
    pub fn new(run: Arc<dyn OverAll>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(run.schema().clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        OverAllExec { run, inputs, properties }
    }
}

impl fmt::Debug for OverAllExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} over {:?}", self.run.name(), self.run.text(), self.inputs)
    }
}

impl DisplayAs for OverAllExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.run.name(), self.run.text())
    }
}

impl ExecutionPlan for OverAllExec {
    fn name(&self) -> &str {
        self.run.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; self.inputs.len()])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.len() == self.inputs.len() {
            true => Ok(Arc::new(OverAllExec::new(self.run.clone(), children))),
            false => internal_err!("{} has {} inputs", self.run.name(), self.inputs.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::execution_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new(self.run.name()).register(context.memory_pool());
        let (run, inputs) = (self.run.clone(), self.inputs.clone());
        let rows = stream::once(async move {
            let mut batches = Vec::with_capacity(inputs.len());
            for input in inputs {
                batches.push(collect(input, context.clone()).await?);
            }
            let shown = run.of(batches, &held)?;
            Ok::<_, DataFusionError>(stream::iter(shown.into_iter().map(move |batch| {
                let _ = &held;
                Ok(batch)
            })))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.run.schema().clone(), rows.try_flatten())))
    }
}
