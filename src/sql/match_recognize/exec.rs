//! The node in a batch query.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::node::{MatchNode, first_columns};
use crate::delta::Delta;
use crate::delta::size::batch_bytes;
use crate::operators::match_recognize::search::{Fault, Stretch};
use crate::operators::match_recognize::show::Match;
use crate::operators::match_recognize::spec::Spec;
use crate::operators::ordered::{Order, OrderedRows, by_partition};
use crate::sql::over_all::{OverAll, OverAllExec};

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
        Ok(Some(Arc::new(OverAllExec::new(Arc::new(matches), vec![input.clone()]))))
    }
}

/// What is run over the rows.
struct Matches {
    spec: Spec,
    order: Order,
    stored: SchemaRef,
    text: String,
}

impl OverAll for Matches {
    fn name(&self) -> &'static str {
        "MatchRecognizeExec"
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn schema(&self) -> &SchemaRef {
        self.spec.schema()
    }

    fn of(&self, inputs: Vec<Vec<RecordBatch>>, held: &MemoryReservation) -> Result<Vec<RecordBatch>> {
        let batches = inputs.concat();
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
}

impl Matches {
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
