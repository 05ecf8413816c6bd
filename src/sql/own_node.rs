//! Nodes of our own in the batch engine's plans: what it has no right node for.
//!
//! | node | rows |
//! |---|---|
//! | `Single` | its input's, of which there may be one for each combination of the first columns; more is an error |
//! | `IntersectAll`, `ExceptAll` | those of the left input, as often as the right one says |

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::utils::normalize_float_zero;
use datafusion::common::{DFSchema, DFSchemaRef, Result, exec_err, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::operators::collect::collect;
use crate::operators::eval::show_row;
use crate::operators::single::MORE_THAN_ONE;

/// What a node of ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum Own {
    /// Lets one row pass for each combination of so many columns, and fails over more.
    Single {
        /// How many of the first columns tell rows apart.
        keys: usize,
    },
    /// INTERSECT ALL, or EXCEPT ALL, of two inputs with columns of the same types.
    Bag {
        /// Whether it is EXCEPT ALL.
        except: bool,
    },
}

/// A node of ours in a plan. Its columns are those of its first input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnNode {
    own: Own,
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
}

impl PartialOrd for OwnNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.own, &self.inputs).partial_cmp(&(other.own, &other.inputs))
    }
}

impl OwnNode {
    /// A plan of the node over its inputs.
    pub fn plan(own: Own, inputs: Vec<LogicalPlan>) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(OwnNode::new(own, inputs)) })
    }

    fn new(own: Own, inputs: Vec<LogicalPlan>) -> Self {
        let schema = match own {
            Own::Single { .. } => may_be_null(inputs[0].schema()),
            Own::Bag { .. } => inputs[0].schema().clone(),
        };
        OwnNode { own, inputs, schema }
    }

    /// The node of a plan, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<(Own, &[LogicalPlan])> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        extension.node.as_any().downcast_ref::<OwnNode>().map(|node| (node.own, node.inputs.as_slice()))
    }
}

impl Own {
    fn name(self) -> &'static str {
        match self {
            Own::Single { .. } => "Single",
            Own::Bag { except: false } => "IntersectAll",
            Own::Bag { except: true } => "ExceptAll",
        }
    }
}

impl UserDefinedLogicalNodeCore for OwnNode {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.own.name())?;
        match self.own {
            Own::Single { keys } if keys > 0 => write!(f, ": by the first {keys} columns"),
            _ => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if inputs.len() != self.inputs.len() {
            return internal_err!("{} has {} inputs", self.own.name(), self.inputs.len());
        }
        Ok(OwnNode::new(self.own, inputs))
    }
}

/// Columns of which each may be NULL: where there is no row, the value of a subquery is.
fn may_be_null(schema: &DFSchemaRef) -> DFSchemaRef {
    let fields = schema
        .iter()
        .map(|(qualifier, field)| (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true))));
    let made = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone());
    made.map_or_else(|_| schema.clone(), Arc::new)
}

/// The same of a physical plan.
fn with_nulls(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Makes physical plans of [`OwnNode`].
pub struct OwnPlanner;

#[async_trait]
impl ExtensionPlanner for OwnPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let node = node.as_any().downcast_ref::<OwnNode>();
        Ok(node.map(|node| Arc::new(OwnExec::new(node.own, inputs.to_vec())) as Arc<dyn ExecutionPlan>))
    }
}

#[derive(Debug)]
struct OwnExec {
    own: Own,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl OwnExec {
    fn new(own: Own, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let schema = match own {
            Own::Single { .. } => with_nulls(&inputs[0].schema()),
            Own::Bag { .. } => inputs[0].schema(),
        };
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        OwnExec { own, inputs, properties }
    }
}

/// The rows seen so far, numbered, and how often each may still come or has come.
struct Counted {
    index: KeyIndex,
    ids: Vec<u32>,
    counts: Vec<usize>,
}

impl Counted {
    fn new(batch: &Schema, columns: usize) -> Result<Self> {
        let types: Vec<_> = batch.fields().iter().take(columns).map(|f| f.data_type().clone()).collect();
        Ok(Counted { index: KeyIndex::new(&types, Zeros::Folded)?, ids: Vec::new(), counts: Vec::new() })
    }

    fn intern(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        self.index.intern(columns, rows, &mut self.ids)?;
        self.counts.resize(self.index.columns().slots(), 0);
        Ok(())
    }

    /// Fails where a row of the batch is not the first with its key.
    fn single(&mut self, batch: &RecordBatch, keys: usize) -> Result<()> {
        self.intern(&batch.columns()[..keys], batch.num_rows())?;
        for (row, id) in self.ids.iter().enumerate() {
            self.counts[*id as usize] += 1;
            if self.counts[*id as usize] > 1 {
                return match keys {
                    0 => exec_err!("{MORE_THAN_ONE}"),
                    _ => {
                        let columns: Vec<usize> = (0..keys).collect();
                        exec_err!("{MORE_THAN_ONE}, for {}", show_row(&batch.project(&columns)?, row))
                    }
                };
            }
        }
        Ok(())
    }

    /// The rows of the batch that the other side's leave, or that meet one of them.
    fn left(&mut self, batch: &RecordBatch, except: bool) -> Result<RecordBatch> {
        // Like DISTINCT, which shows `-0.0` as `0.0`.
        let columns = batch.columns().iter().map(normalize_float_zero).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options)?;
        self.intern(batch.columns(), batch.num_rows())?;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for id in &self.ids {
            let count = &mut self.counts[*id as usize];
            keep.push((*count > 0) != except);
            *count = count.saturating_sub(1);
        }
        Ok(filter_record_batch(&batch, &BooleanArray::from(keep))?)
    }
}

impl DisplayAs for OwnExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}Exec", self.own.name())
    }
}

impl ExecutionPlan for OwnExec {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Rows are counted over all partitions.
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
        Ok(Arc::new(OwnExec::new(self.own, children)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(OwnExec::new(self.own, children)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (own, schema) = (self.own, self.schema());
        let shown = schema.clone();
        let held = MemoryConsumer::new(own.name()).register(context.memory_pool());
        let first = self.inputs[0].execute(partition, context.clone())?;
        let second = self.inputs.get(1).cloned();
        let of = schema.clone();
        let rows = stream::once(async move {
            let mut counted = Counted::new(
                &of,
                match own {
                    Own::Single { keys } => keys,
                    Own::Bag { .. } => of.fields().len(),
                },
            )?;
            if let Some(second) = second {
                for batch in collect(second, context).await? {
                    counted.intern(batch.columns(), batch.num_rows())?;
                    counted.ids.iter().for_each(|id| counted.counts[*id as usize] += 1);
                }
            }
            let rows = first.map(move |batch| {
                let batch = batch?;
                let batch = match own {
                    Own::Single { keys } => {
                        counted.single(&batch, keys)?;
                        // The rows are the same, whatever else their schema says.
                        batch.clone().with_schema(shown.clone()).unwrap_or(batch)
                    }
                    Own::Bag { except } => counted.left(&batch, except)?,
                };
                held.try_resize(counted.index.bytes())?;
                Ok(batch)
            });
            Ok::<_, datafusion::error::DataFusionError>(rows)
        })
        .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
