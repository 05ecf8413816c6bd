//! Aggregates and window functions over rows of which failing ones have been left out.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection, Window};

use super::skip::{Skipping, columns_of};
use crate::error::{Error, Result};
use crate::sql::lower::may_fail;
use crate::sql::total_order::TotalOrder;

impl Skipping<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        // A view keeps no grouping sets that leave out rows: here they are over rows that cannot be.
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return self.over(&LogicalPlan::Aggregate(aggregate.clone()));
        }
        let input = self.plan(&aggregate.input)?;
        let mut inner = aggregate.group_expr.clone();
        inner.extend(aggregate.aggr_expr.iter().flat_map(arguments));
        let (input, over) = self.with_columns(input, &inner)?;
        let keys: Vec<Expr> = over[..aggregate.group_expr.len()].iter().map(|key| key.clone().unalias()).collect();
        let replaced = |expr: &Expr| replace(expr, &inner, &over);
        let calls = aggregate.aggr_expr.iter().map(replaced).collect::<Result<Vec<_>>>()?;
        let calls: Vec<Expr> = calls.into_iter().map(|call| call.unalias().alias(self.name())).collect();
        // The batch engine names a cast as what is cast.
        let named: Vec<Expr> = keys.iter().map(|key| key.clone().alias(self.name())).collect();
        let node = |input: LogicalPlan| -> Result<LogicalPlan> {
            let node = Aggregate::try_new(Arc::new(input), named.clone(), calls.clone())?;
            named_as(LogicalPlan::Aggregate(node), |at| at, &aggregate.schema)
        };
        self.by_parts(input, &keys, &node)
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<LogicalPlan> {
        // A projection above the order has nothing that may fail.
        let shown = match window.input.as_ref() {
            LogicalPlan::Projection(projection) => Some(projection),
            _ => None,
        };
        let Some(order) = TotalOrder::of(shown.map_or(&window.input, |projection| &projection.input)) else {
            return Err(Error::Internal("a window over rows without an order leaves out no rows".into()));
        };
        let below = |expr: &Expr| shown.map_or_else(|| Ok(expr.clone()), |projection| beneath(expr, projection));
        let input = self.plan(order.input())?;
        let inner: Vec<Expr> = window.window_expr.iter().flat_map(arguments).collect();
        let mut all: Vec<Expr> = order.order().iter().map(|sort| sort.expr.clone()).collect();
        for expr in &inner {
            all.push(below(expr)?);
        }
        let (input, over) = self.with_columns_unlisted(input, &all)?;
        let (keys, over) = over.split_at(order.order().len());
        let order: Vec<_> = order.order().iter().zip(keys).map(|(sort, key)| sort.with_expr(key.clone())).collect();
        // What could be left as it is, is an expression over the columns that the window sees.
        let over = inner.iter().zip(over).map(|(expr, over)| if may_fail(expr) { over.clone() } else { expr.clone() });
        let over: Vec<Expr> = over.collect();
        let calls = window.window_expr.iter().map(|call| replace(call, &inner, &over));
        let calls = calls.map(|call| Ok(call?.unalias().alias(self.name()))).collect::<Result<Vec<_>>>()?;
        let made: Vec<Expr> = over.iter().filter(|expr| !inner.contains(expr)).cloned().collect();
        let columns: Vec<Expr> = match shown {
            Some(projection) => projection.expr.clone(),
            None => columns_of(window.input.schema()),
        };
        let width = columns.len();
        let mut columns = columns;
        made.into_iter().for_each(|column| {
            if !columns.contains(&column) {
                columns.push(column)
            }
        });
        let made = columns.len() - width;
        let partition = partition(window);
        let parts = partition.iter().map(|key| replace(key, &inner, &over)).collect::<Result<Vec<_>>>()?;
        let parts = parts.iter().map(below).collect::<Result<Vec<_>>>()?;
        let node = |input: LogicalPlan| -> Result<LogicalPlan> {
            let ordered = TotalOrder::plan(input, order.clone());
            let seen = LogicalPlanBuilder::from(ordered).project(columns.clone())?.build()?;
            let node = LogicalPlan::Window(Window::try_new(calls.clone(), Arc::new(seen))?);
            // The columns that were made for the functions stand between the rows' own and theirs.
            named_as(node, |at| if at < width { at } else { at + made }, &window.schema)
        };
        self.by_parts(input, &parts, &node)
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
        Some(at) => Ok(Transformed::new(by[at].clone(), true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(e)),
    })?;
    Ok(replaced.data)
}

/// An expression over a projection's columns as one over the columns below it.
fn beneath(expr: &Expr, projection: &Projection) -> Result<Expr> {
    let columns = columns_of(&projection.schema);
    let below: Vec<Expr> = projection.expr.iter().map(|expr| expr.clone().unalias()).collect();
    replace(expr, &columns, &below)
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
