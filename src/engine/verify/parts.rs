//! Aggregates and window functions over rows of which failing ones have been left out.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Window};

use super::skip::{Skipping, columns_of};
use crate::error::{Error, Result};
use crate::sql::lower::may_fail;
use crate::sql::total_order::TotalOrder;

impl Skipping<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Err(Error::Internal("grouping sets leave out no rows".into()));
        }
        let input = self.plan(&aggregate.input)?;
        let mut inner = aggregate.group_expr.clone();
        inner.extend(aggregate.aggr_expr.iter().flat_map(arguments));
        let (input, over) = self.with_columns(input, &inner)?;
        let keys: Vec<Expr> = over[..aggregate.group_expr.len()].iter().map(|key| key.clone().unalias()).collect();
        let replaced = |expr: &Expr| replace(expr, &inner, &over);
        let calls = aggregate.aggr_expr.iter().map(replaced).collect::<Result<Vec<_>>>()?;
        let calls: Vec<Expr> = calls.into_iter().map(|call| call.unalias().alias(self.name())).collect();
        let node = |input: LogicalPlan| -> Result<LogicalPlan> {
            let node = Aggregate::try_new(Arc::new(input), keys.clone(), calls.clone())?;
            named_as(LogicalPlan::Aggregate(node), |at| at, &aggregate.schema)
        };
        self.by_parts(input, &keys, &node)
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<LogicalPlan> {
        let inner: Vec<Expr> = window.window_expr.iter().flat_map(arguments).collect();
        let (order, below) = match TotalOrder::of(&window.input) {
            Some(order) => (order.order().to_vec(), self.plan(order.input())?),
            // The projection above the order has nothing that may fail.
            None => {
                let LogicalPlan::Projection(projection) = window.input.as_ref() else {
                    return Err(Error::Internal("a window over rows without an order leaves out no rows".into()));
                };
                let Some(order) = TotalOrder::of(&projection.input).filter(|_| !inner.iter().any(may_fail)) else {
                    return Err(Error::Internal("a window over a projection leaves out no rows".into()));
                };
                let below = self.plan(order.input())?;
                let keys = partition(window);
                let node = |input: LogicalPlan| -> Result<LogicalPlan> {
                    let ordered = order.over(input);
                    let shown = window.input.with_new_exprs(projection.expr.clone(), vec![ordered])?;
                    let node = Window::try_new(window.window_expr.clone(), Arc::new(shown))?;
                    Ok(LogicalPlan::Window(node))
                };
                let keys = keys.into_iter().map(|key| beneath(key, projection)).collect::<Result<Vec<_>>>()?;
                return self.by_parts(below, &keys, &node);
            }
        };
        let width = window.input.schema().fields().len();
        let mut all: Vec<Expr> = order.iter().map(|sort| sort.expr.clone()).collect();
        all.extend(inner);
        let (input, over) = self.with_columns(below, &all)?;
        let order: Vec<_> = order.iter().zip(&over).map(|(sort, key)| sort.with_expr(key.clone())).collect();
        let replaced = |expr: &Expr| replace(expr, &all, &over);
        let calls = window.window_expr.iter().map(replaced).collect::<Result<Vec<_>>>()?;
        let calls: Vec<Expr> = calls.into_iter().map(|call| call.unalias().alias(self.name())).collect();
        let keys = partition(window).iter().map(replaced).collect::<Result<Vec<_>>>()?;
        let made = input.schema().fields().len() - width;
        let node = |input: LogicalPlan| -> Result<LogicalPlan> {
            let ordered = TotalOrder::plan(input, order.clone());
            let node = LogicalPlan::Window(Window::try_new(calls.clone(), Arc::new(ordered))?);
            // The columns that were made for the functions stand between the rows' own and theirs.
            named_as(node, |at| if at < width { at } else { at + made }, &window.schema)
        };
        self.by_parts(input, &keys, &node)
    }
}

/// What is evaluated for each row before the call of an aggregate or of a window function.
fn arguments(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    match expr.clone().unalias() {
        Expr::AggregateFunction(call) => {
            found.extend(call.params.args);
            found.extend(call.params.filter.map(|filter| *filter));
            found.extend(call.params.order_by.into_iter().map(|sort| sort.expr));
        }
        Expr::WindowFunction(call) => {
            found.extend(call.params.args);
            found.extend(call.params.partition_by);
            found.extend(call.params.order_by.into_iter().map(|sort| sort.expr));
            found.extend(call.params.filter.map(|filter| *filter));
        }
        _ => {}
    }
    found
}

/// What the functions of a window are partitioned by: the same for all of them.
fn partition(window: &Window) -> Vec<Expr> {
    match window.window_expr.first().map(|expr| expr.clone().unalias()) {
        Some(Expr::WindowFunction(call)) => call.params.partition_by,
        _ => Vec::new(),
    }
}

/// An expression with others in the place of its parts.
fn replace(expr: &Expr, parts: &[Expr], by: &[Expr]) -> Result<Expr> {
    let replaced = expr.clone().transform_down(|e| match parts.iter().position(|part| *part == e) {
        Some(at) => Ok(Transformed::new(by[at].clone(), true, datafusion::common::tree_node::TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(e)),
    })?;
    Ok(replaced.data)
}

/// An expression over a projection's columns as one over the columns below it.
fn beneath(expr: Expr, projection: &datafusion::logical_expr::Projection) -> Result<Expr> {
    let columns = columns_of(&projection.schema);
    let below: Vec<Expr> = projection.expr.iter().map(|expr| expr.clone().unalias()).collect();
    replace(&expr, &columns, &below)
}

/// The plan with its column `place(n)` as the column `n` of `schema`.
fn named_as(plan: LogicalPlan, place: impl Fn(usize) -> usize, schema: &DFSchema) -> Result<LogicalPlan> {
    let columns = columns_of(plan.schema());
    let named = schema
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| columns[place(at)].clone().alias_qualified(qualifier.cloned(), field.name()));
    let named: Vec<Expr> = named.collect();
    Ok(LogicalPlanBuilder::from(plan).project(named)?.build()?)
}
