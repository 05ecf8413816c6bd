//! The nodes of a plan that compare: joins, sorts, windows, aggregates and DISTINCT.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result, TableReference, not_impl_err};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, GroupingSet, Join, LogicalPlan, LogicalPlanBuilder, Sort,
    SortExpr, Window, ident,
};

use super::keys::{key, length, of_key, one_value};
use super::{compared_expr, is_interval, of_interval, value_type};
use crate::sql::functions::{is_order_sensitive, row_number};

/// The plan, as it is written, with its comparisons as the text of [`super`] says.
///
/// # Errors
/// For what intervals are compared in and cannot be: grouping sets, the DISTINCT values of most aggregates, and the rows
/// of a recursive UNION.
pub fn compared(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let expressions = in_expressions(node)?;
        let node = in_node(expressions.data)?;
        Ok(Transformed::new_transformed(node.data, expressions.transformed || node.transformed))
    })?;
    Ok(plan.data)
}

fn in_expressions(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if matches!(node, LogicalPlan::TableScan(_)) || node.expressions().is_empty() {
        return Ok(Transformed::no(node));
    }
    let names = NamePreserver::new(&node);
    let is_sort = matches!(node, LogicalPlan::Sort(_));
    let schema = merge_schema(&node.inputs());
    node.map_expressions(|expr| match expr {
        // The names of sets are those of what is in them.
        Expr::GroupingSet(_) => expr.map_children(|expr| {
            let name = names.save(&expr);
            Ok(compared_expr(expr, &schema)?.update_data(|expr| name.restore(expr)))
        }),
        expr if is_sort => compared_expr(expr, &schema),
        expr => {
            let name = names.save(&expr);
            Ok(compared_expr(expr, &schema)?.update_data(|expr| name.restore(expr)))
        }
    })
}

fn in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    Ok(match node {
        LogicalPlan::Join(join) => in_join(join)?,
        LogicalPlan::Sort(sort) => {
            let (expr, changed) = in_order(sort.expr, sort.input.schema());
            Transformed::new_transformed(LogicalPlan::Sort(Sort { expr, ..sort }), changed)
        }
        LogicalPlan::Window(window) => in_window(window)?,
        LogicalPlan::Aggregate(aggregate) => in_aggregate(aggregate)?,
        LogicalPlan::Distinct(Distinct::All(input)) if has_intervals(input.schema()) => {
            let columns: Vec<Expr> = input.schema().iter().map(|of| Expr::Column(of.into())).collect();
            let groups = in_aggregate(Aggregate::try_new(input, columns, Vec::new())?)?.data;
            // The rows are different now; INTERSECT and EXCEPT are told from their forms with ALL by this node.
            Transformed::yes(LogicalPlan::Distinct(Distinct::All(groups.into())))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let schema = on.input.schema();
            let mut changed = false;
            let mut on_expr = Vec::with_capacity(on.on_expr.len());
            for expr in on.on_expr {
                let (expr, other) = stand_in(expr, schema);
                changed |= other;
                on_expr.push(expr);
            }
            let sort_expr = on.sort_expr.map(|order| {
                let (order, other) = in_order(order, schema);
                changed |= other;
                order
            });
            let on = DistinctOn { on_expr, sort_expr, ..on };
            Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed)
        }
        LogicalPlan::RecursiveQuery(query) if query.is_distinct && has_intervals(&query.schema) => {
            return not_impl_err!("a recursive UNION whose rows have intervals: use UNION ALL");
        }
        other => Transformed::no(other),
    })
}

fn in_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let schemas = (join.left.schema().clone(), join.right.schema().clone());
    let has_interval = |(l, r): &(Expr, Expr)| of_interval(l, &schemas.0) || of_interval(r, &schemas.1);
    if !join.on.iter().any(has_interval) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let is_set_operation = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull;
    let on = join.on.into_iter().map(|pair| if has_interval(&pair) { (length(pair.0), length(pair.1)) } else { pair });
    let mut on: Vec<(Expr, Expr)> = on.collect();
    if !is_set_operation || matches!(join.left.as_ref(), LogicalPlan::Distinct(_)) {
        return Ok(Transformed::yes(LogicalPlan::Join(Join { on, ..join })));
    }
    let (left, right) = (numbered(join.left)?, numbered(join.right)?);
    on.push((ident(NUMBER), ident(NUMBER)));
    let of = (join.join_type, join.join_constraint, join.null_equality, join.null_aware);
    let joined = Join::try_new(left.into(), right.into(), on, join.filter, of.0, of.1, of.2, of.3)?;
    let columns = schemas.0.iter().map(|of| Expr::Column(of.into()));
    Ok(Transformed::yes(LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()?))
}

const NUMBER: &str = "number among equals";

/// The rows with their number among the equal ones. INTERSECT ALL and EXCEPT ALL of these are what they are without ALL.
fn numbered(plan: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    let equal = schema.iter().map(|of| stand_in(Expr::Column(of.into()), &schema).0).collect();
    let number = row_number().partition_by(equal).build()?.alias(NUMBER);
    LogicalPlanBuilder::from(LogicalPlan::Window(Window::try_new(vec![number], plan)?)).distinct()?.build()
}

/// The keys of an order as they are compared, and whether any is another.
fn in_order(order: Vec<SortExpr>, schema: &DFSchema) -> (Vec<SortExpr>, bool) {
    let mut changed = false;
    let order = order.into_iter().map(|sort| {
        let (expr, other) = stand_in(sort.expr, schema);
        changed |= other;
        SortExpr { expr, ..sort }
    });
    (order.collect(), changed)
}

/// What stands for the value of an expression where it is compared, and whether that is another.
pub fn stand_in(expr: Expr, schema: &DFSchema) -> (Expr, bool) {
    match type_of(&expr, schema) {
        Some(data_type) if is_interval(&data_type) => (length(expr), true),
        Some(data_type) if data_type.is_floating() => (one_value(expr, &data_type), true),
        _ => (expr, false),
    }
}

/// A column without a qualifier is the one that has none, if there is one.
fn type_of(expr: &Expr, schema: &DFSchema) -> Option<arrow::datatypes::DataType> {
    if let Expr::Column(column) = expr {
        let at = schema.index_of_column_by_name(column.relation.as_ref(), &column.name)?;
        return Some(schema.field(at).data_type().clone());
    }
    value_type(expr, schema)
}

fn in_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let schema = window.input.schema().clone();
    let mut changed = false;
    let mut shown = Shown::of(&window.schema);
    let first = schema.fields().len();
    let mut calls = Vec::with_capacity(window.window_expr.len());
    for (at, expr) in window.window_expr.into_iter().enumerate() {
        let name = expr.schema_name().to_string();
        let mut extreme = false;
        let rewritten = expr.transform_up(|expr| {
            let Expr::WindowFunction(mut function) = expr else { return Ok(Transformed::no(expr)) };
            let params = &mut function.params;
            let mut other = false;
            for partition in &mut params.partition_by {
                let stand_in = stand_in(std::mem::take(partition), &schema);
                *partition = stand_in.0;
                other |= stand_in.1;
            }
            let order = in_order(std::mem::take(&mut params.order_by), &schema);
            params.order_by = order.0;
            if let WindowFunctionDefinition::AggregateUDF(of) = &function.fun
                && is_extreme(of.name(), &params.args, &schema)
            {
                params.args = params.args.drain(..).map(key).collect();
                (params.distinct, extreme) = (false, true);
            }
            let other = other || order.1 || extreme;
            Ok(Transformed::new_transformed(Expr::WindowFunction(function), other))
        })?;
        if extreme {
            shown.interval(first + at);
        }
        changed |= rewritten.transformed;
        let is_named = matches!(rewritten.data, Expr::Alias(_));
        calls.push(if rewritten.transformed && !is_named { rewritten.data.alias(name) } else { rewritten.data });
    }
    let plan = LogicalPlan::Window(Window::try_new(calls, window.input)?);
    Ok(Transformed::new_transformed(shown.over(plan)?, changed))
}

fn in_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = aggregate.input.schema().clone();
    let mut changed = false;
    let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
    let mut extremes = Vec::new();
    for (at, expr) in aggregate.aggr_expr.into_iter().enumerate() {
        let name = expr.schema_name().to_string();
        let rewritten = expr.transform_up(|expr| match expr {
            Expr::AggregateFunction(function) => {
                if is_extreme(function.func.name(), &function.params.args, &schema) {
                    extremes.push(at);
                }
                let function = in_call(function, &schema)?;
                Ok(Transformed::new_transformed(Expr::AggregateFunction(function.data), function.transformed))
            }
            other => Ok(Transformed::no(other)),
        })?;
        changed |= rewritten.transformed;
        calls.push(if rewritten.transformed { rewritten.data.alias(name) } else { rewritten.data });
    }
    let in_sets = aggregate.group_expr.iter().any(|expr| match expr {
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter().flatten().any(|e| of_interval(e, &schema)),
        Expr::GroupingSet(GroupingSet::Rollup(exprs) | GroupingSet::Cube(exprs)) => {
            exprs.iter().any(|e| of_interval(e, &schema))
        }
        _ => false,
    });
    if in_sets {
        return not_impl_err!("grouping sets of intervals: group by `extract(epoch FROM interval)`");
    }
    let mut shown = Shown::of(&aggregate.schema);
    let groups = aggregate.group_expr.len();
    let mut group_expr = Vec::with_capacity(groups);
    let (first, mut least) = (aggregate.schema.fields().len() - calls.len(), Vec::new());
    for extreme in extremes {
        shown.interval(first + extreme);
    }
    for (at, expr) in aggregate.group_expr.into_iter().enumerate() {
        if !of_interval(&expr, &schema) {
            group_expr.push(expr);
            continue;
        }
        let name = format!("least of group {at}");
        group_expr.push(length(expr.clone()).alias(format!("length of group {at}")));
        least.push(min(key(expr)).alias(&name));
        shown.from(at, name);
    }
    changed |= !least.is_empty();
    if !changed {
        let plan = Aggregate::try_new_with_schema(aggregate.input, group_expr, calls, aggregate.schema)?;
        return Ok(Transformed::no(LogicalPlan::Aggregate(plan)));
    }
    calls.extend(least);
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input, group_expr, calls)?);
    Ok(Transformed::yes(shown.over(plan)?))
}

/// A call over values as they are compared.
fn in_call(function: AggregateFunction, schema: &DFSchema) -> Result<Transformed<AggregateFunction>> {
    let AggregateFunction { func, mut params } = function;
    let mut changed = false;
    if is_extreme(func.name(), &params.args, schema) {
        params.args = params.args.into_iter().map(key).collect();
        (params.distinct, changed) = (false, true);
    } else if params.distinct {
        let has_interval = params.args.iter().any(|arg| of_interval(arg, schema));
        if has_interval && func.name() != "count" {
            return not_impl_err!("{}(DISTINCT ...) of intervals", func.name());
        }
        for arg in &mut params.args {
            let stand_in = stand_in(std::mem::take(arg), schema);
            *arg = stand_in.0;
            changed |= stand_in.1;
        }
    }
    if is_order_sensitive(func.name()) {
        let order = in_order(params.order_by, schema);
        params.order_by = order.0;
        changed |= order.1;
    }
    Ok(Transformed::new_transformed(AggregateFunction { func, params }, changed))
}

fn is_extreme(name: &str, args: &[Expr], schema: &DFSchema) -> bool {
    matches!((name, args), ("min" | "max", [arg]) if of_interval(arg, schema))
}

fn has_intervals(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| is_interval(field.data_type()))
}

/// What a node is to show: its columns, some of them made of others.
struct Shown {
    columns: Vec<(Option<TableReference>, String, Option<Column>)>,
}

impl Shown {
    fn of(schema: &DFSchema) -> Shown {
        let columns = schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone(), None));
        Shown { columns: columns.collect() }
    }

    /// The column is the interval of the key that it holds.
    fn interval(&mut self, at: usize) {
        let (qualifier, name, key) = &mut self.columns[at];
        *key = Some(Column::new(qualifier.clone(), name.clone()));
    }

    /// The column is the interval of the key in another.
    fn from(&mut self, at: usize, column: String) {
        self.columns[at].2 = Some(Column::from_name(column));
    }

    fn over(self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.columns.iter().all(|(_, _, key)| key.is_none()) {
            return Ok(plan);
        }
        let columns = self.columns.into_iter().map(|(qualifier, name, key)| match key {
            Some(key) => of_key(Expr::Column(key)).alias_qualified(qualifier, name),
            None => Expr::Column(Column::new(qualifier, name)),
        });
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }
}
