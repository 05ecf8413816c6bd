//! Window functions, over the total order that was put under them.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, SortExpr, Window as WindowPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::physical_planner::create_window_expr;

use super::recompute::has_subquery;
use super::{Lowering, closing, may_fail, output};
use crate::circuit::time::{Bound, Closing};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::ordered::Order;
use crate::operators::row_codec::SortKey;
use crate::operators::window::{Call, Window};
use crate::sql::expr::{Dependence, dependence, physical};
use crate::sql::total_order::TotalOrder;

/// Functions to which their frame means nothing.
const WITHOUT_FRAME: [&str; 8] =
    ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

/// The input of window functions.
pub(super) struct Ordered {
    /// The rows, with the expressions that the functions and the order need as more columns.
    pub node: NodeId,
    /// How many columns the rows have without these.
    pub width: usize,
    pub order: Order,
    /// The functions over columns called by their place.
    pub functions: Vec<WindowFunction>,
    /// What the functions share, in words.
    pub text: String,
}

impl Lowering<'_> {
    pub(super) fn window(&mut self, plan: &WindowPlan) -> Result<Option<NodeId>> {
        let Some(Ordered { node, width, order, functions, text }) = self.ordered(plan)? else {
            return Ok(None);
        };
        let schema = output(&plan.schema);
        let detail = functions.iter().map(|f| format!("{} {:?}; ", f.fun.name(), f.params)).collect::<String>();
        let functions = functions.into_iter().map(|f| self.call(node, f)).collect::<Result<Vec<_>>>()?;
        for (Call { expr: function, .. }, field) in functions.iter().zip(&schema.fields()[width..]) {
            if function.field()?.data_type() != field.data_type() {
                return Ok(None);
            }
        }
        let names: Vec<String> = plan.window_expr.iter().map(called).collect();
        let text = format!("{}{text}", names.join(", "));
        let closing = self.closing_of(node, &order, width);
        let facts = Facts { append_only: false, key: self.key_within(node, width), closing };
        let detail = format!("{detail}{order:?}");
        let operator = Window::new(self.circuit.schema(node), schema, &order, functions, text)?;
        Ok(Some(self.add(operator, vec![node], facts, detail)))
    }

    /// A function over the columns of a node, called by their place, with the batch engine's evaluator.
    fn call(&self, node: NodeId, call: WindowFunction) -> Result<Call> {
        let schema = self.circuit.schema(node);
        let field = |(at, field): (usize, &FieldRef)| Field::new(name(at), field.data_type().clone(), true);
        let fields: Vec<Field> = schema.fields().iter().enumerate().map(field).collect();
        let schema = DFSchema::try_from(Schema::new(fields))?;
        let filter = call.params.filter.as_ref().map(|filter| physical(filter, &schema)).transpose()?;
        let expr = Expr::WindowFunction(Box::new(call.clone()));
        let expr = create_window_expr(&expr, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
        Ok(Call { call, expr, filter })
    }

    /// The key of a node, where it lies within its first columns.
    pub(super) fn key_within(&self, node: NodeId, width: usize) -> Option<Vec<usize>> {
        self.circuit.facts(node).key.clone().filter(|key| key.iter().all(|column| *column < width))
    }

    /// Puts a column first by which partitions are known that change no more, if there is one.
    fn closing_first(&self, node: NodeId, partition: &mut [usize]) -> Option<Bound> {
        let known = &self.circuit.facts(node).closing;
        let of = |column: &usize| known.iter().find(|closing| closing.column == *column);
        let (at, closing) = partition.iter().enumerate().find_map(|(at, column)| Some((at, of(column)?)))?;
        partition[..=at].rotate_right(1);
        Some(closing.bound.clone())
    }

    /// By which columns the rows of partitions are known that change no more, where these are among the first.
    pub(super) fn closing_of(&self, node: NodeId, order: &Order, width: usize) -> Vec<Closing> {
        let of_partition = |column: usize| Some(column).filter(|c| *c < width && order.partition.contains(c));
        closing::picked(&self.circuit.facts(node).closing, of_partition)
    }

    /// The input of window functions, or nothing where they depend on the time or on what cannot be kept in order.
    pub(super) fn ordered(&mut self, plan: &WindowPlan) -> Result<Option<Ordered>> {
        let calls: Option<Vec<WindowFunction>> = plan
            .window_expr
            .iter()
            .map(|expr| match expr.clone().unalias() {
                Expr::WindowFunction(function) => Some(*function),
                _ => None,
            })
            .collect();
        let (Some(calls), Some(Base { plan: base, mut columns, exprs, ties })) = (calls, Base::of(&plan.input)?) else {
            return Ok(None);
        };
        let Some(first) = calls.first().map(|call| call.params.clone()) else { return Ok(None) };
        let text = shared(&first.partition_by, &first.order_by);
        let (mut functions, mut partition, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for expr in &first.partition_by {
            partition.push(columns.place(expr)?);
        }
        for sort in &first.order_by {
            keys.push(columns.key(sort)?);
        }
        for call in calls {
            functions.push(columns.call(call)?);
        }
        let computed = columns.computed;
        for expr in computed.iter().chain(&exprs) {
            if dependence(expr)? == Dependence::Time || has_subquery(expr) {
                return Ok(None);
            }
        }
        let types = columns.schema.fields().iter().map(|f| f.data_type().clone());
        let computed_types = computed.iter().map(|e| e.get_type(&columns.schema)).collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<SortField> = types.chain(computed_types).map(SortField::new).collect();
        if !RowConverter::supports_fields(&fields) {
            return Ok(None);
        }
        if exprs.iter().any(may_fail) {
            self.refuse_to_skip(
                "a window function beside an expression that may fail and is used more than once",
                "it is computed for the rows' order and for the function at once",
            )?;
        }
        let mut node = self.plan(base)?;
        if !exprs.is_empty() {
            node = self.projected(node, &exprs, base.schema(), output(&columns.schema))?;
        }
        if !computed.is_empty() {
            node = self.with_computed(node, computed, &columns.schema)?;
        }
        let width = plan.input.schema().fields().len();
        let closing = self.closing_first(node, &mut partition);
        Ok(Some(Ordered { node, width, order: Order { partition, keys, ties, closing }, functions, text }))
    }
}

/// The rows below a total order, perhaps with a projection above it.
struct Base<'a> {
    plan: &'a LogicalPlan,
    columns: Columns,
    /// What is computed of the plan's rows first: the projection, and the order after it. Nothing where there is none.
    exprs: Vec<Expr>,
    ties: Vec<SortKey>,
}

impl<'a> Base<'a> {
    fn of(plan: &'a LogicalPlan) -> Result<Option<Base<'a>>> {
        if let Some(order) = TotalOrder::of(plan) {
            let mut columns = Columns { schema: plan.schema().as_ref().clone(), computed: Vec::new() };
            let ties = order.order().iter().map(|sort| columns.key(sort)).collect::<Result<_>>()?;
            return Ok(Some(Base { plan: order.input(), columns, exprs: Vec::new(), ties }));
        }
        let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
        let Some(order) = TotalOrder::of(&projection.input) else { return Ok(None) };
        let below = order.input().schema();
        let (mut exprs, mut ties, mut fields) = (projection.expr.clone(), Vec::new(), Vec::new());
        for (at, sort) in order.order().iter().enumerate() {
            let shown = projection.expr.iter().position(|expr| expr.clone().unalias() == sort.expr);
            let column = shown.unwrap_or(exprs.len());
            ties.push(SortKey { column, descending: !sort.asc, nulls_first: sort.nulls_first });
            if shown.is_some() {
                continue;
            }
            fields.push((None, Arc::new(Field::new(format!("tie {at}"), sort.expr.get_type(below)?, true))));
            exprs.push(sort.expr.clone());
        }
        let given = projection.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.clone()));
        let schema = DFSchema::new_with_metadata(given.chain(fields).collect(), Default::default())?;
        Ok(Some(Base { plan: order.input(), columns: Columns { schema, computed: Vec::new() }, exprs, ties }))
    }
}

/// Columns, and expressions over them that are to be columns too.
struct Columns {
    schema: DFSchema,
    computed: Vec<Expr>,
}

impl Columns {
    /// The place of an expression among the columns.
    fn place(&mut self, expr: &Expr) -> Result<usize> {
        if let Expr::Column(column) = expr
            && let Some(at) = self.schema.maybe_index_of_column(column)
        {
            return Ok(at);
        }
        let at = self.computed.iter().position(|e| e == expr).unwrap_or_else(|| {
            self.computed.push(expr.clone());
            self.computed.len() - 1
        });
        Ok(self.schema.fields().len() + at)
    }

    fn key(&mut self, sort: &SortExpr) -> Result<SortKey> {
        Ok(SortKey { column: self.place(&sort.expr)?, descending: !sort.asc, nulls_first: sort.nulls_first })
    }

    /// An expression as a column, called by its place; one without columns stays: a function may want a constant.
    fn column(&mut self, expr: Expr) -> Result<Expr> {
        match has_column(&expr) {
            true => Ok(Expr::Column(Column::from_name(name(self.place(&expr)?)))),
            false => Ok(expr),
        }
    }

    fn call(&mut self, mut call: WindowFunction) -> Result<WindowFunction> {
        let params = &mut call.params;
        for expr in params.args.iter_mut().chain(&mut params.partition_by) {
            *expr = self.column(std::mem::take(expr))?;
        }
        for sort in &mut params.order_by {
            sort.expr = self.column(std::mem::take(&mut sort.expr))?;
        }
        if let Some(filter) = &mut params.filter {
            **filter = self.column(std::mem::take(filter.as_mut()))?;
        }
        Ok(call)
    }
}

fn has_column(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= matches!(e, Expr::Column(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn name(at: usize) -> String {
    format!("c{at}")
}

/// A function and its arguments, in words.
fn called(expr: &Expr) -> String {
    let Expr::WindowFunction(function) = expr.clone().unalias() else { return expr.to_string() };
    let params = &function.params;
    let args: Vec<String> = params.args.iter().map(Expr::to_string).collect();
    let distinct = if params.distinct { "DISTINCT " } else { "" };
    let mut text = format!("{}({distinct}{})", function.fun.name(), args.join(", "));
    if let Some(filter) = &params.filter {
        text.push_str(&format!(" filter {filter}"));
    }
    if let Some(nulls) = &params.null_treatment {
        text.push_str(&format!(" {nulls}"));
    }
    if !is_usual(&params.window_frame) && !WITHOUT_FRAME.contains(&function.fun.name()) {
        text.push_str(&format!(" over {}", params.window_frame));
    }
    text
}

/// Whether a frame is what is meant where none is given: up to the row's peers, or the whole partition.
fn is_usual(frame: &WindowFrame) -> bool {
    let ends_with_peers = frame.units == WindowFrameUnits::Range && frame.end_bound == WindowFrameBound::CurrentRow;
    frame.start_bound.is_unbounded() && (ends_with_peers || frame.end_bound.is_unbounded())
}

/// Partition and order, in words.
fn shared(partition: &[Expr], order: &[SortExpr]) -> String {
    let mut text = String::new();
    let partition: Vec<String> = partition.iter().map(Expr::to_string).collect();
    if !partition.is_empty() {
        text.push_str(&format!(" partitioned by {}", partition.join(", ")));
    }
    let order: Vec<String> = order.iter().map(in_words).collect();
    if !order.is_empty() {
        text.push_str(&format!(" ordered by {}", order.join(", ")));
    }
    text
}

/// A sort expression as SQL writes it: NULLs are the greatest where nothing is said.
pub(super) fn in_words(sort: &SortExpr) -> String {
    let direction = if sort.asc { "" } else { " desc" };
    let nulls = match (sort.asc, sort.nulls_first) {
        (true, true) => " nulls first",
        (false, false) => " nulls last",
        _ => "",
    };
    format!("{}{direction}{nulls}", sort.expr)
}
