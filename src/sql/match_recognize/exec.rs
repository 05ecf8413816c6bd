//! The node in a batch query.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{TryStreamExt, stream};

use super::node::{MatchNode, first_columns};
use crate::delta::Delta;
use crate::delta::size::batch_bytes;
use crate::operators::collect::collect;
use crate::operators::match_recognize::search::{Fault, Stretch};
use crate::operators::match_recognize::show::Match;
use crate::operators::match_recognize::spec::Spec;
use crate::operators::ordered::{Order, OrderedRows, by_partition};

/// Makes physical plans of [`MatchNode`].
pub struct MatchPlanner;

#[async_trait]
impl ExtensionPlanner for MatchPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<MatchNode>(), inputs) else { return Ok(None) };
        let stored = first_columns(&input.schema(), node.stored());
        let output = node.output();
        let matches =
            Matches { spec: node.spec(&stored, output)?, order: node.order(), stored, text: node.to_string() };
        Ok(Some(Arc::new(MatchExec::new(Arc::new(matches), input.clone()))))
    }
}

/// What is run over the rows.
struct Matches {
    spec: Spec,
    order: Order,
    stored: SchemaRef,
    text: String,
}

impl Matches {
    /// The rows of all matches.
    fn of(&self, batches: Vec<RecordBatch>, held: &MemoryReservation) -> Result<Vec<RecordBatch>> {
        let columns: Vec<usize> = (0..self.stored.fields().len()).collect();
        let batches = batches.iter().map(|batch| batch.project(&columns)).collect::<Result<Vec<_>, _>>()?;
        let rows = OrderedRows::new(self.stored.clone(), &self.order)?;
        let batch = arrow::compute::concat_batches(&self.stored, &batches)?;
        held.try_grow(batch_bytes(&batch) * 2)?;
        let changes: Vec<_> = rows.changes(&Delta::insert(batch))?.into_iter().collect();
        let mut shown = Vec::new();
        for (_, changes) in by_partition(&changes) {
            let keys = changes.iter().flat_map(|(key, change)| std::iter::repeat_n(key, change.weight as usize));
            let batch = rows.decode(keys)?;
            let found = self.in_partition(&batch).map_err(|fault| match fault {
                Fault::Rows(message) => exec_datafusion_err!("{message}"),
                Fault::Fatal(error) => error.into(),
            })?;
            if found.num_rows() > 0 {
                held.try_grow(batch_bytes(&found))?;
                shown.push(found);
            }
        }
        Ok(shown)
    }

    fn in_partition(&self, batch: &RecordBatch) -> Result<RecordBatch, Fault> {
        let stretch = Stretch::new(&self.spec, batch, true, 0)?;
        let mut found: Vec<Match> = Vec::new();
        stretch.scan(|attempt| {
            let number = found.len() as i64 + 1;
            found.extend(attempt.found.map(|symbols| Match { start: attempt.start, symbols, number }));
            ControlFlow::Continue(())
        })?;
        stretch.show(&self.spec, &found)
    }
}

struct MatchExec {
    matches: Arc<Matches>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl MatchExec {
    fn new(matches: Arc<Matches>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(matches.spec.schema().clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        MatchExec { matches, input, properties }
    }
}

impl fmt::Debug for MatchExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MatchRecognizeExec: {} over {:?}", self.matches.text, self.input)
    }
}

impl DisplayAs for MatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "MatchRecognizeExec: {}", self.matches.text)
    }
}

impl ExecutionPlan for MatchExec {
    fn name(&self) -> &str {
        "MatchRecognizeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(MatchExec::new(self.matches.clone(), input))),
            None => internal_err!("MATCH_RECOGNIZE has one input"),
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
        let held = MemoryConsumer::new("MatchRecognize").register(context.memory_pool());
        let (matches, input) = (self.matches.clone(), self.input.clone());
        let rows = stream::once(async move {
            let batches = collect(input, context).await?;
            let shown = matches.of(batches, &held)?;
            Ok::<_, DataFusionError>(stream::iter(shown.into_iter().map(move |batch| {
                let _ = &held;
                Ok(batch)
            })))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.matches.spec.schema().clone(), rows.try_flatten())))
    }
}
