//! What SQL leaves open, decided by value.
//!
//! The batch engine may give any of several right answers to `LIMIT` without an order, to ties in a top-k, and to
//! aggregates and window functions that depend on the order of their rows. A view must have one answer, whatever the
//! order in which its rows came, and its batch query the same. This rewrite gives each such node a total order of its
//! input: what the query asks for first, then every column that can be ordered, ascending, NULL last. Rows that tie
//! then are equal, and their order cannot be seen.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Aggregate, Distinct, DistinctOn, Expr, Limit, LogicalPlan, Sort, SortExpr, Window};

use super::functions::is_order_sensitive;
use super::total_order::TotalOrder;

/// Rewrites a plan as the module's text says. Applied to the plan as it is written, before any optimisation.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn canonical(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(rewrite)?.data)
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(mut sort) => {
            add_ties(&mut sort.expr, sort.input.schema());
            Ok(Transformed::yes(LogicalPlan::Sort(sort)))
        }
        LogicalPlan::Limit(limit) if !has_order(&limit.input) => {
            let order = total_order(limit.input.schema());
            let sorted = LogicalPlan::Sort(Sort { expr: order, input: limit.input, fetch: None });
            Ok(Transformed::yes(LogicalPlan::Limit(Limit { input: sorted.into(), ..limit })))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let given =
                on.sort_expr.unwrap_or_else(|| on.on_expr.iter().map(|e| e.clone().sort(true, false)).collect());
            let mut order = once(given);
            add_ties(&mut order, on.input.schema());
            let on = DistinctOn::try_new(on.on_expr, on.select_expr, Some(order), on.input)?;
            Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
        }
        LogicalPlan::Aggregate(aggregate) => rewrite_aggregate(aggregate),
        LogicalPlan::Window(window) => rewrite_window(window),
        other => Ok(Transformed::no(other)),
    }
}

/// Whether the rows of a plan come in an order that a limit above it means.
fn has_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => has_order(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_order(&alias.input),
        _ => false,
    }
}

fn rewrite_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let order = total_order(aggregate.input.schema());
    let mut changed = false;
    let aggr_expr = aggregate
        .aggr_expr
        .into_iter()
        .map(|expr| {
            let name = expr.schema_name().to_string();
            let rewritten = expr.transform_up(|e| match e {
                Expr::AggregateFunction(AggregateFunction { func, mut params }) if is_order_sensitive(func.name()) => {
                    changed = true;
                    // DISTINCT values can be ordered by nothing but themselves.
                    params.order_by = once(params.order_by);
                    if params.distinct {
                        let own: Vec<Expr> = params.args.iter().take(1).cloned().collect();
                        if params.order_by.is_empty() {
                            params.order_by = own.into_iter().map(|e| e.sort(true, false)).collect();
                        }
                    } else {
                        add(&mut params.order_by, &order);
                    }
                    Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
                }
                other => Ok(Transformed::no(other)),
            })?;
            // The order is part of a column's name, by which the nodes above know it.
            Ok(if rewritten.transformed { rewritten.data.alias(name) } else { rewritten.data })
        })
        .collect::<Result<Vec<_>>>()?;
    let plan = Aggregate::try_new(aggregate.input, aggregate.group_expr, aggr_expr)?;
    Ok(Transformed::new_transformed(LogicalPlan::Aggregate(plan), changed))
}

/// Puts the input in the order of partition, order and then everything else. The window asks for less and takes it.
fn rewrite_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut order: Vec<SortExpr> = Vec::new();
    // Windows of other partitions or orders sit in nodes of their own: the planner groups equal ones.
    if let Some(Expr::WindowFunction(function)) = window.window_expr.first().map(|e| e.clone().unalias()) {
        let WindowFunction { params, .. } = *function;
        let partition: Vec<SortExpr> = params.partition_by.into_iter().map(|e| e.sort(true, false)).collect();
        add(&mut order, &partition);
        add(&mut order, &params.order_by);
    }
    add_ties(&mut order, window.input.schema());
    if order.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let input = TotalOrder::plan(window.input.as_ref().clone(), order);
    Ok(Transformed::yes(LogicalPlan::Window(Window { input: input.into(), ..window })))
}

fn add_ties(order: &mut Vec<SortExpr>, schema: &DFSchema) {
    add(order, &total_order(schema));
}

fn add(order: &mut Vec<SortExpr>, more: &[SortExpr]) {
    for sort in more {
        if !order.iter().any(|s| s.expr == sort.expr) {
            order.push(sort.clone());
        }
    }
}

/// The order without expressions that it has already: the batch engine panics over them.
fn once(order: Vec<SortExpr>) -> Vec<SortExpr> {
    let mut distinct = Vec::with_capacity(order.len());
    add(&mut distinct, &order);
    distinct
}

/// Every column that can be ordered, ascending, NULL last.
fn total_order(schema: &DFSchema) -> Vec<SortExpr> {
    schema
        .iter()
        .filter(|(_, field)| is_orderable(field.data_type()))
        .map(|(qualifier, field)| Expr::Column((qualifier, field).into()).sort(true, false))
        .collect()
}

fn is_orderable(data_type: &arrow::datatypes::DataType) -> bool {
    arrow::row::RowConverter::supports_fields(&[arrow::row::SortField::new(data_type.clone())])
        && !matches!(data_type, arrow::datatypes::DataType::Map(..) | arrow::datatypes::DataType::Null)
}
