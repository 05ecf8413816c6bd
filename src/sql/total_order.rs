//! A total order of rows that no optimiser removes: what [`super::canonical`] puts under window functions.
//!
//! An ordinary sort would be dropped or replaced by the weaker one that the window asks for; then rows that tie there
//! would come in any order.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, SortExpr, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, create_physical_sort_expr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::asof::AsOfPlanner;
use super::match_recognize::MatchPlanner;
use super::own_node::OwnPlanner;
use super::time_windows::SessionPlanner;

/// Rows in the order of `order`, whether or not anybody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct TotalOrder {
    input: LogicalPlan,
    order: Vec<SortExpr>,
}

impl TotalOrder {
    /// A plan with its rows in order.
    pub fn plan(input: LogicalPlan, order: Vec<SortExpr>) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(TotalOrder { input, order }) })
    }

    /// The node of a plan, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&TotalOrder> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The rows that are put in order.
    pub fn input(&self) -> &LogicalPlan {
        &self.input
    }

    /// What the rows are ordered by.
    pub fn order(&self) -> &[SortExpr] {
        &self.order
    }

    /// The same order of other rows with the same columns.
    #[must_use]
    pub fn over(&self, input: LogicalPlan) -> LogicalPlan {
        TotalOrder::plan(input, self.order.clone())
    }
}

impl UserDefinedLogicalNodeCore for TotalOrder {
    fn name(&self) -> &str {
        "TotalOrder"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    /// None: rows that a condition leaves out are in nobody's way.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.order.iter().map(|sort| sort.expr.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let order: Vec<String> = self.order.iter().map(ToString::to_string).collect();
        write!(f, "TotalOrder: {}", order.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty() && exprs.len() == self.order.len()) else {
            return internal_err!("a total order has one input");
        };
        let order = self.order.iter().zip(exprs).map(|(sort, expr)| sort.with_expr(expr)).collect();
        Ok(TotalOrder { input, order })
    }
}

/// The batch engine's planner, which also knows [`TotalOrder`] and the nodes of [`super::own_node`].
#[derive(Debug)]
pub struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planners: [Arc<dyn ExtensionPlanner + Send + Sync>; 5] = [
            Arc::new(TotalOrderPlanner),
            Arc::new(OwnPlanner),
            Arc::new(MatchPlanner),
            Arc::new(SessionPlanner),
            Arc::new(AsOfPlanner),
        ];
        let planner = DefaultPhysicalPlanner::with_extension_planners(planners.to_vec());
        planner.create_physical_plan(plan, session).await
    }
}

struct TotalOrderPlanner;

#[async_trait]
impl ExtensionPlanner for TotalOrderPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [logical], [input]) =
            (node.as_any().downcast_ref::<TotalOrder>(), logical_inputs, physical_inputs)
        else {
            return Ok(None);
        };
        let order = node
            .order
            .iter()
            .map(|sort| create_physical_sort_expr(sort, logical.schema(), session.execution_props(), context))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(match LexOrdering::new(order) {
            Some(order) => Arc::new(TotalOrderExec { sort: Arc::new(SortExec::new(order, input.clone())) }),
            None => input.clone(),
        }))
    }
}

/// A sort that says of itself only in which order its rows come.
#[derive(Debug)]
struct TotalOrderExec {
    sort: Arc<SortExec>,
}

impl DisplayAs for TotalOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "TotalOrderExec: {}", self.sort.expr())
    }
}

impl ExecutionPlan for TotalOrderExec {
    fn name(&self) -> &str {
        "TotalOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.sort.properties()
    }

    /// All rows together: a part of them has an order of its own.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.sort.input_distribution_requirements()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.sort.input()]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => {
                let sort = SortExec::new(self.sort.expr().clone(), input);
                Ok(Arc::new(TotalOrderExec { sort: Arc::new(sort) }))
            }
            None => internal_err!("a total order has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::execution_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for sort in self.sort.expr() {
            if f(&sort.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.sort.execute(partition, context)
    }
}
