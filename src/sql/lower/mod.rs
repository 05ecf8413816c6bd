//! Logical plan to circuit: one arm per kind of node.
//!
//! A node with an incremental operator becomes that operator over its lowered inputs; any other becomes
//! [`Recompute`](crate::operators::recompute) of that one node, over inputs that are still kept incrementally.

mod aggregate;
mod asof;
mod closing;
mod group_top;
mod grouping;
mod join;
mod join_times;
mod limit;
mod linear;
mod match_recognize;
mod own;
mod recompute;
mod recursion;
mod rounds;
mod session;
mod skip;
mod source;
mod temporal_filter;
mod window;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::{Constraints, DFSchema};
use datafusion::datasource::{TableProvider, TableType, source_as_provider};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;

use super::asof::AsOfNode;
use super::bounds::PLAN_NODES_MAX;
use super::match_recognize::MatchNode;
use super::own_node::OwnNode;
use super::time_windows::SessionNode;
use super::total_order::TotalOrder;
use crate::circuit::time::Closing;
use crate::circuit::{Circuit, Facts, NodeId, NodeSpec, Operator};
use crate::error::{Error, Result};

pub use recompute::scan_of_slot;
pub use skip::{OnError, may_fail};

/// A stream, table or view as an input of a view's plan: it has columns and facts but no rows.
#[derive(Debug)]
pub struct InputTable {
    /// The object's id in the catalog.
    pub object: u32,
    /// Its columns.
    pub schema: SchemaRef,
    /// What is known of its rows.
    pub facts: Facts,
    /// The primary key of a table, which lets a query group by it alone.
    pub key: Option<Constraints>,
    /// Whether the object has more columns than these first ones.
    pub narrow: bool,
}

#[async_trait]
impl TableProvider for InputTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.key.as_ref()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        Err(Error::Internal("an input of a view was run as a table".into()).into())
    }
}

/// Adds the operators of an optimised plan to a circuit and returns the node of its result.
///
/// # Errors
/// When the plan calls a volatile function or is larger than a view may be, or failing rows are to be left out where an
/// operator cannot tell which these are.
pub fn lower(plan: &LogicalPlan, circuit: &mut Circuit, session: &SessionState, on_error: OnError) -> Result<NodeId> {
    Lowering { circuit, session, nodes: 0, recomputes: 0, on_error }.plan(plan)
}

struct Lowering<'a> {
    circuit: &'a mut Circuit,
    session: &'a SessionState,
    nodes: usize,
    /// Nodes that became [`Recompute`](crate::operators::recompute).
    recomputes: usize,
    on_error: OnError,
}

impl Lowering<'_> {
    fn plan(&mut self, plan: &LogicalPlan) -> Result<NodeId> {
        self.nodes += 1;
        if self.nodes > PLAN_NODES_MAX {
            return Err(Error::Limit(format!("the view's plan has over {PLAN_NODES_MAX} nodes")));
        }
        let lowered = match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan)?,
            LogicalPlan::Projection(projection) => self.projection(projection)?,
            LogicalPlan::Filter(filter) => self.filter(filter)?,
            LogicalPlan::SubqueryAlias(alias) => Some(self.plan(&alias.input)?),
            LogicalPlan::Repartition(repartition) => Some(self.plan(&repartition.input)?),
            LogicalPlan::Union(union) => self.union(union)?,
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate)?,
            LogicalPlan::Join(join) => self.join(join)?,
            LogicalPlan::Sort(sort) => self.sort(sort)?,
            LogicalPlan::Limit(limit) => self.limit(limit)?,
            LogicalPlan::RecursiveQuery(query) => self.recursion(query)?,
            LogicalPlan::Window(window) => self.window(window)?,
            LogicalPlan::Unnest(unnest) => self.unnest(unnest)?,
            LogicalPlan::Values(values) => self.values(values)?,
            LogicalPlan::EmptyRelation(empty) => Some(self.empty(empty)),
            other if let Some(node) = MatchNode::of(other) => Some(self.match_recognize(node)?),
            other if let Some(node) = AsOfNode::of(other) => Some(self.asof(node)?),
            other if let Some(node) = SessionNode::of(other) => Some(self.session(node)?),
            other => match (TotalOrder::of(other), OwnNode::of(other)) {
                // Says nothing about a bag of rows; a node that depends on it has taken it along.
                (Some(order), _) => Some(self.plan(order.input())?),
                (_, Some((own, inputs))) => Some(self.own(own, inputs)?),
                _ => None,
            },
        };
        match lowered {
            Some(node) => Ok(node),
            None => self.recompute(plan),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Option<NodeId>> {
        let provider = source_as_provider(&scan.source)?;
        let Some(input) = provider.downcast_ref::<InputTable>() else {
            // The rows of a recursion in the making are no constants.
            let own_rows = provider.downcast_ref::<CteWorkTable>().is_some();
            return Ok((!own_rows).then(|| self.table_function(scan, provider.as_ref())));
        };
        if !scan.filters.is_empty() || scan.fetch.is_some() {
            return Err(Error::Internal("a filter or limit was pushed into an input of a view".into()));
        }
        let (object, schema, facts) = (input.object, nullable(&input.schema), input.facts.clone());
        let node = match input.narrow {
            false => self.circuit.input(object, schema, facts),
            true => self.circuit.narrow_input(object, schema, facts),
        };
        match &scan.projection {
            None => Ok(Some(node)),
            Some(columns) => self.pick(node, columns, nullable(scan.projected_schema.as_arrow())).map(Some),
        }
    }

    /// Adds an operator; `detail` tells what its printed line does not.
    fn add(&mut self, operator: impl Operator + 'static, inputs: Vec<NodeId>, facts: Facts, detail: String) -> NodeId {
        let identity = format!("{operator}|{detail}|{:?}", operator.schema().fields());
        let skips = self.on_error == OnError::Skip;
        self.circuit.add(NodeSpec { operator: Box::new(operator), inputs, facts, identity, every_tick: false, skips })
    }
}

/// Adds an operator over a node that also puts out rows, or takes them back, when watermarks move: rows change until
/// `later` microseconds after those of the node do.
pub fn add_timed(
    circuit: &mut Circuit,
    operator: impl Operator + 'static,
    input: NodeId,
    append_only: bool,
    later: i64,
) -> NodeId {
    let of = circuit.facts(input).clone();
    // What lets go of rows later does so by the first of the columns.
    let columns = if later == 0 { of.closing.len() } else { 1 };
    let shifted = |closing: Closing| Closing { bound: closing.bound.shifted(-later), ..closing };
    let closing = of.closing.into_iter().take(columns).map(shifted).collect();
    let facts = Facts { append_only, closing, ..of };
    let identity = format!("{operator}|{:?}", facts.closing);
    let (operator, inputs) = (Box::new(operator), vec![input]);
    circuit.add(NodeSpec { operator, inputs, facts, identity, every_tick: true, skips: false })
}

/// The same columns, each of which may be NULL: whether a value can be missing is for the operators to find out.
pub fn nullable(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> =
        schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

fn output(schema: &DFSchema) -> SchemaRef {
    nullable(schema.as_arrow())
}
