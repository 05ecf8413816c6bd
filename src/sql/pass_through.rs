//! Physical nodes that pass the rows of their one input on, unlike it in how it is run alone.

use std::fmt::{self, Debug};
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// How the input of a [`PassThrough`] is run.
pub trait Pass: Clone + Debug + Send + Sync + 'static {
    /// The node's name in a plan.
    const NAME: &'static str;

    /// What EXPLAIN shows.
    fn text(&self) -> String {
        Self::NAME.into()
    }

    /// The rows of a partition, in the order of the input.
    ///
    /// # Errors
    /// When the input fails, or the node's own law is broken.
    fn run(
        &self,
        input: &dyn ExecutionPlan,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// A node that gives the rows of its input.
#[derive(Debug)]
pub struct PassThrough<P> {
    pass: P,
    input: Arc<dyn ExecutionPlan>,
}

impl<P: Pass> PassThrough<P> {
    /// The node over an input.
    pub fn over(input: Arc<dyn ExecutionPlan>, pass: P) -> Arc<dyn ExecutionPlan> {
        Arc::new(PassThrough { pass, input })
    }
}

impl<P: Pass> DisplayAs for PassThrough<P> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.pass.text())
    }
}

impl<P: Pass> ExecutionPlan for PassThrough<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(PassThrough::over(input, self.pass.clone())),
            _ => internal_err!("{} has one input", P::NAME),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.pass.run(self.input.as_ref(), partition, context)
    }
}
