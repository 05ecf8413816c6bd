//! SESSION in a plan, and in a batch query.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::{Field, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::{COLUMNS, unit};
use crate::circuit::time::show_length;
use crate::delta::index::KeyIndex;
use crate::delta::size::batch_bytes;
use crate::delta::values::Zeros;
use crate::operators::sessions::{Spec, numbers, sessions};
use crate::sql::over_all::{OverAll, OverAllExec};

/// The rows of its input, each with the two ends of its session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionNode {
    /// The columns of the partition, then the one of times, which is never NULL.
    columns: Vec<Expr>,
    /// Nanoseconds.
    gap: i64,
    input: LogicalPlan,
    schema: DFSchemaRef,
}

impl SessionNode {
    /// A plan of the node.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub(super) fn plan(input: LogicalPlan, keys: Vec<Expr>, time: Expr, gap: i64) -> Result<LogicalPlan> {
        let columns = keys.into_iter().chain([time]).collect();
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(SessionNode::new(columns, gap, input)?) }))
    }

    fn new(columns: Vec<Expr>, gap: i64, input: LogicalPlan) -> Result<SessionNode> {
        let Some(time) = columns.last() else { return internal_err!("SESSION without a time") };
        let data_type = time.get_type(input.schema())?;
        let added = COLUMNS[..2].iter().map(|name| (None, Arc::new(Field::new(*name, data_type.clone(), true))));
        let below = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), field.clone()));
        let schema = Arc::new(DFSchema::new_with_metadata(below.chain(added).collect(), Default::default())?);
        Ok(SessionNode { columns, gap, input, schema })
    }

    /// The node of a plan, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&SessionNode> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        extension.node.as_any().downcast_ref()
    }

    /// The rows below it.
    pub fn input(&self) -> &LogicalPlan {
        &self.input
    }

    /// What makes the sessions, by the places of the input's columns.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn spec(&self) -> Result<Spec> {
        let below = self.input.schema();
        let place = |expr: &Expr| match expr {
            Expr::Column(column) => below.index_of_column(column),
            other => internal_err!("SESSION by {other}"),
        };
        let mut partition = self.columns.iter().map(place).collect::<Result<Vec<_>>>()?;
        let Some(time) = partition.pop() else { return internal_err!("SESSION without a time") };
        let unit = unit(below.field(time).data_type());
        Ok(Spec { partition, time, gap: self.gap / unit })
    }
}

impl fmt::Display for SessionNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "a gap of {} in {}", show_length(self.gap / 1_000), names[names.len() - 1])?;
        match &names[..names.len() - 1] {
            [] => Ok(()),
            keys => write!(f, ", of each {}", keys.join(", ")),
        }
    }
}

impl PartialOrd for SessionNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.columns, self.gap, &self.input).partial_cmp(&(&other.columns, other.gap, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for SessionNode {
    fn name(&self) -> &str {
        "Session"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns.clone()
    }

    fn necessary_children_exprs(&self, wanted: &[usize]) -> Option<Vec<Vec<usize>>> {
        let spec = self.spec().ok()?;
        let below = self.input.schema().fields().len();
        let wanted = wanted.iter().copied().filter(|column| *column < below);
        let mut needed: Vec<usize> = wanted.chain(spec.partition).chain([spec.time]).collect();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Session: {self}")
    }

    fn with_exprs_and_inputs(&self, columns: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => SessionNode::new(columns, self.gap, input),
            _ => internal_err!("SESSION has one input"),
        }
    }
}

/// Makes physical plans of [`SessionNode`].
pub struct SessionPlanner;

#[async_trait]
impl ExtensionPlanner for SessionPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<SessionNode>(), inputs) else { return Ok(None) };
        let run = InBatch { spec: node.spec()?, schema: node.schema.inner().clone(), text: node.to_string() };
        Ok(Some(Arc::new(OverAllExec::new(Arc::new(run), vec![input.clone()]))))
    }
}

/// The sessions of all rows.
struct InBatch {
    spec: Spec,
    schema: SchemaRef,
    text: String,
}

impl OverAll for InBatch {
    fn name(&self) -> &'static str {
        "SessionExec"
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn of(&self, inputs: Vec<Vec<RecordBatch>>, held: &MemoryReservation) -> Result<Vec<RecordBatch>> {
        let batches = inputs.concat();
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let rows = compute::concat_batches(&first.schema(), &batches)?;
        held.try_grow(batch_bytes(&rows) * 3)?;
        let times = numbers(rows.column(self.spec.time))?;
        let mut partitions = vec![0; rows.num_rows()];
        if !self.spec.partition.is_empty() {
            let keys: Vec<ArrayRef> = self.spec.partition.iter().map(|at| rows.column(*at).clone()).collect();
            let types: Vec<_> = keys.iter().map(|key| key.data_type().clone()).collect();
            KeyIndex::new(&types, Zeros::Folded)?.intern(&keys, rows.num_rows(), &mut partitions)?;
        }
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_by_key(|row| (partitions[*row as usize], times.value(*row as usize)));
        let (mut starts, mut ends) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
        for group in order.chunk_by(|a, b| partitions[*a as usize] == partitions[*b as usize]) {
            let found = sessions(group.iter().map(|row| times.value(*row as usize)), self.spec.gap);
            for ((start, end), count) in found {
                starts.extend(std::iter::repeat_n(start, count));
                ends.extend(std::iter::repeat_n(end, count));
            }
        }
        let mut columns = compute::take_record_batch(&rows, &UInt32Array::from(order))?.columns().to_vec();
        let time = rows.column(self.spec.time).data_type();
        for numbers in [starts, ends] {
            columns.push(compute::cast(&Int64Array::from(numbers), time)?);
        }
        Ok(vec![RecordBatch::try_new(self.schema.clone(), columns)?])
    }
}
