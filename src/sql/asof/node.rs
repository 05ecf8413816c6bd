//! The node of a plan, and in a batch query.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::delta::index::KeyIndex;
use crate::delta::size::batch_bytes;
use crate::delta::values::Zeros;
use crate::operators::asof::{Nearest, Spec, ranks};
use crate::operators::sessions::numbers;
use crate::sql::over_all::{OverAll, OverAllExec};

/// Left rows, each beside the right row that is nearest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsOfNode {
    /// Of each side the columns of keys, then the one of times.
    columns: (Vec<Expr>, Vec<Expr>),
    nearest: Nearest,
    /// Whether left rows without a right one stay.
    keep_left: bool,
    inputs: (LogicalPlan, LogicalPlan),
    schema: DFSchemaRef,
}

impl AsOfNode {
    /// A plan of the node over two sides, each with its columns of keys and the one of times behind them.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub(super) fn plan(
        left: (LogicalPlan, Vec<Expr>),
        right: (LogicalPlan, Vec<Expr>),
        nearest: Nearest,
        keep_left: bool,
    ) -> Result<LogicalPlan> {
        let node = AsOfNode::new((left.1, right.1), nearest, keep_left, (left.0, right.0))?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn new(
        columns: (Vec<Expr>, Vec<Expr>),
        nearest: Nearest,
        keep_left: bool,
        inputs: (LogicalPlan, LogicalPlan),
    ) -> Result<AsOfNode> {
        let of_right = inputs.1.schema().iter().map(|(qualifier, field)| {
            (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(keep_left || field.is_nullable())))
        });
        let of_left = inputs.0.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), field.clone()));
        let schema = Arc::new(DFSchema::new_with_metadata(of_left.chain(of_right).collect(), Default::default())?);
        Ok(AsOfNode { columns, nearest, keep_left, inputs, schema })
    }

    /// The node of a plan, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&AsOfNode> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        extension.node.as_any().downcast_ref()
    }

    /// The two sides.
    pub fn sides(&self) -> (&LogicalPlan, &LogicalPlan) {
        (&self.inputs.0, &self.inputs.1)
    }

    /// What rows are compared by, by the places of the sides' columns.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn spec(&self) -> Result<Spec> {
        let places = |columns: &[Expr], side: &LogicalPlan| {
            let place = |expr: &Expr| match expr {
                Expr::Column(column) => side.schema().index_of_column(column),
                other => internal_err!("ASOF JOIN by {other}"),
            };
            columns.iter().map(place).collect::<Result<Vec<_>>>()
        };
        let mut keys = (places(&self.columns.0, &self.inputs.0)?, places(&self.columns.1, &self.inputs.1)?);
        let (Some(left), Some(right)) = (keys.0.pop(), keys.1.pop()) else {
            return internal_err!("ASOF JOIN without times");
        };
        Ok(Spec { keys, times: (left, right), nearest: self.nearest, keep_left: self.keep_left })
    }
}

impl fmt::Display for AsOfNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.columns.0.iter().zip(&self.columns.1).collect();
        let (time, keys) = pairs.split_last().expect("a time");
        write!(f, "{} {} {}", time.0, self.nearest.sign(), time.1)?;
        keys.iter().try_for_each(|(left, right)| write!(f, ", {left} = {right}"))
    }
}

impl PartialOrd for AsOfNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts = |node: &AsOfNode| (node.columns.clone(), node.nearest, node.keep_left);
        (parts(self), &self.inputs).partial_cmp(&(parts(other), &other.inputs))
    }
}

impl UserDefinedLogicalNodeCore for AsOfNode {
    fn name(&self) -> &str {
        "AsOfJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.inputs.0, &self.inputs.1]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns.0.iter().chain(&self.columns.1).cloned().collect()
    }

    /// All columns of the right side: which of several rows it is goes by all of them.
    fn necessary_children_exprs(&self, wanted: &[usize]) -> Option<Vec<Vec<usize>>> {
        let spec = self.spec().ok()?;
        let width = |side: &LogicalPlan| side.schema().fields().len();
        let wanted = wanted.iter().copied().filter(|column| *column < width(&self.inputs.0));
        let mut left: Vec<usize> = wanted.chain(spec.keys.0).chain([spec.times.0]).collect();
        left.sort_unstable();
        left.dedup();
        Some(vec![left, (0..width(&self.inputs.1)).collect()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}AsOfJoin: {self}", if self.keep_left { "Left" } else { "" })
    }

    fn with_exprs_and_inputs(&self, mut left: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(below_right), Some(below_left)) = (inputs.pop(), inputs.pop()) else {
            return internal_err!("ASOF JOIN has two inputs");
        };
        let right = left.split_off(left.len() / 2);
        AsOfNode::new((left, right), self.nearest, self.keep_left, (below_left, below_right))
    }
}

/// Makes physical plans of [`AsOfNode`].
pub struct AsOfPlanner;

#[async_trait]
impl ExtensionPlanner for AsOfPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<AsOfNode>() else { return Ok(None) };
        let sides = inputs.iter().map(|input| input.schema()).collect();
        let run = InBatch { spec: node.spec()?, schema: node.schema.inner().clone(), sides, text: node.to_string() };
        Ok(Some(Arc::new(OverAllExec::new(Arc::new(run), inputs.to_vec()))))
    }
}

/// The join of all rows.
struct InBatch {
    spec: Spec,
    schema: SchemaRef,
    sides: Vec<SchemaRef>,
    text: String,
}

impl OverAll for InBatch {
    fn name(&self) -> &'static str {
        "AsOfJoinExec"
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn of(&self, inputs: Vec<Vec<RecordBatch>>, held: &MemoryReservation) -> Result<Vec<RecordBatch>> {
        let mut sides = Vec::new();
        for (schema, batches) in self.sides.iter().zip(&inputs) {
            let side = compute::concat_batches(schema, batches)?;
            held.try_grow(batch_bytes(&side) * 2)?;
            sides.push(side);
        }
        let [left, right] = sides.as_slice() else { return internal_err!("ASOF JOIN has two inputs") };
        let mut index = self.index(left)?;
        let of_right = points(&mut index, right, &self.spec.keys.1, self.spec.times.1)?;
        let of_left = points(&mut index, left, &self.spec.keys.0, self.spec.times.0)?;
        let mut order: Vec<u32> =
            (0..right.num_rows() as u32).filter(|row| of_right[*row as usize].is_some()).collect();
        let ranks = ranks(right)?;
        order.sort_by_key(|row| (of_right[*row as usize], ranks[*row as usize]));
        let sorted: Vec<(u32, i64)> = order.iter().filter_map(|row| of_right[*row as usize]).collect();
        let (mut lefts, mut rights): (Vec<u32>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
        for row in 0..left.num_rows() as u32 {
            let found = of_left[row as usize].and_then(|point| self.nearest(&sorted, point));
            if found.is_some() || self.spec.keep_left {
                lefts.push(row);
                rights.push(found.map(|at| order[at]));
            }
        }
        let left = compute::take_record_batch(left, &UInt32Array::from(lefts))?;
        let right = compute::take_record_batch(right, &UInt32Array::from(rights))?;
        let columns = left.columns().iter().chain(right.columns()).cloned().collect();
        Ok(vec![RecordBatch::try_new(self.schema.clone(), columns)?])
    }
}

impl InBatch {
    fn index(&self, left: &RecordBatch) -> Result<KeyIndex> {
        let types: Vec<_> = self.spec.keys.0.iter().map(|at| left.column(*at).data_type().clone()).collect();
        Ok(KeyIndex::new(&types, Zeros::Folded)?)
    }

    /// The place of the last row of the nearest ones among the right rows in order.
    fn nearest(&self, sorted: &[(u32, i64)], (key, time): (u32, i64)) -> Option<usize> {
        let last = match self.spec.nearest {
            Nearest::NotAfter => sorted.partition_point(|point| *point <= (key, time)).checked_sub(1)?,
            Nearest::Before => sorted.partition_point(|point| *point < (key, time)).checked_sub(1)?,
            Nearest::NotBefore | Nearest::After => {
                let first = match self.spec.nearest {
                    Nearest::NotBefore => sorted.partition_point(|point| *point < (key, time)),
                    _ => sorted.partition_point(|point| *point <= (key, time)),
                };
                let nearest = *sorted.get(first)?;
                sorted.partition_point(|point| *point <= nearest) - 1
            }
        };
        (sorted[last].0 == key).then_some(last)
    }
}

/// The key and the time of each row; nothing for one of which some is NULL.
fn points(index: &mut KeyIndex, rows: &RecordBatch, keys: &[usize], time: usize) -> Result<Vec<Option<(u32, i64)>>> {
    let times = numbers(rows.column(time))?;
    let keys: Vec<ArrayRef> = keys.iter().map(|at| rows.column(*at).clone()).collect();
    let mut ids = vec![0; rows.num_rows()];
    if !keys.is_empty() {
        index.intern(&keys, rows.num_rows(), &mut ids)?;
    }
    let known = |row: usize| times.is_valid(row) && keys.iter().all(|key| key.is_valid(row));
    Ok((0..rows.num_rows()).map(|row| known(row).then(|| (ids[row], times.value(row)))).collect())
}
