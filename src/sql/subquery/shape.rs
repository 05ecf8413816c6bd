//! What the batch engine's optimiser makes joins of by itself, and rightly.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Operator, Projection, lit,
};

use super::outer::{has_subquery, outer_columns, reaches_out};
use crate::sql::own_node::{Own, OwnNode};

/// Whether a subquery names outer columns in conditions alone, with nothing above these that counts, orders, cuts off or
/// combines rows: then the conditions may as well be those of a join.
///
/// # Errors
/// Never, short of a bug.
pub fn is_plain(plan: &LogicalPlan) -> Result<bool> {
    if outer_columns(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) => Ok(!reaches_out(&filter.predicate, plan)? && is_plain(&filter.input)?),
        LogicalPlan::Projection(projection) => {
            Ok(!projection.expr.iter().any(names_outer) && !hides(projection)? && is_plain(&projection.input)?)
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            Ok(!sort.expr.iter().any(|s| names_outer(&s.expr)) && is_plain(&sort.input)?)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => is_plain(input),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let conditions = join.on.iter().flat_map(|(l, r)| [l, r]).chain(&join.filter);
            Ok(!conditions.into_iter().any(names_outer) && is_plain(&join.left)? && is_plain(&join.right)?)
        }
        _ => Ok(false),
    }
}

/// Whether a projection gives one of its columns the name of another column that stands beside an outer one below it: the
/// batch engine takes that column up through the projection, and then cannot tell the two apart.
fn hides(projection: &Projection) -> Result<bool> {
    let mut taken_up: Vec<Column> = Vec::new();
    projection.input.apply(|node| {
        if let LogicalPlan::Filter(filter) = node {
            let conditions = split_conjunction(&filter.predicate).into_iter().filter(|e| e.contains_outer());
            taken_up.extend(conditions.flat_map(|condition| condition.column_refs()).cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let named = projection.expr.iter().zip(projection.schema.iter()).filter(|(_, (qualifier, _))| qualifier.is_none());
    let mut named = named.map(|(expr, (_, field))| (expr.clone().unalias(), field.name()));
    Ok(named.any(|(expr, name)| taken_up.iter().any(|c| c.name == *name && expr != Expr::Column(c.clone()))))
}

/// A subquery that is asked only for whether it has a row, without what only names, orders and repeats its columns, as
/// rows and conditions on them.
fn bare(plan: &LogicalPlan) -> Result<(&LogicalPlan, Vec<Expr>)> {
    let mut base = plan;
    let mut conditions: Vec<Expr> = Vec::new();
    loop {
        base = match base {
            LogicalPlan::Projection(projection) if !projection.expr.iter().any(names_outer) => {
                let exprs = projection.expr.iter().map(|e| e.clone().unalias());
                below(&mut conditions, projection.schema.columns(), exprs.collect())?;
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let columns = alias.input.schema().columns().into_iter().map(Expr::Column);
                below(&mut conditions, alias.schema.columns(), columns.collect())?;
                &alias.input
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            // A subquery in a condition stays where the columns are that it names.
            LogicalPlan::Filter(filter) if !has_subquery(&filter.predicate) => {
                conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                &filter.input
            }
            _ => return Ok((base, conditions)),
        };
    }
}

/// A subquery that is asked only for whether it has a row, as one of which the batch engine makes a join rightly; nothing
/// where there is none.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn as_plain(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    if is_plain(plan)? {
        return Ok(Some(plan.clone()));
    }
    let (base, conditions) = bare(plan)?;
    let rows = LogicalPlanBuilder::from(base.clone());
    let plan = match conjunction(conditions) {
        Some(condition) => rows.filter(condition)?.build()?,
        None => rows.build()?,
    };
    Ok(is_plain(&plan)?.then_some(plan))
}

/// A subquery that is asked only for whether it has a row, as the right side of a join under the name `alias`; nothing
/// where outer columns are named in other places than conditions. Columns of `outer` become those of the left side; others
/// are of queries further out, for these to bind.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn as_join(plan: &LogicalPlan, alias: &str, outer: &DFSchema) -> Result<Option<Asked>> {
    let (base, conditions) = bare(plan)?;
    let (conditions, own): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(Expr::contains_outer);
    if !outer_columns(base)?.is_empty() {
        return Ok(None);
    }
    let mut columns: Vec<Column> = Vec::new();
    let mut joined = Vec::new();
    for condition in conditions {
        let condition = condition.transform_up(|e| match e {
            Expr::OuterReferenceColumn(_, column) if outer.has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            Expr::Column(column) => {
                let at = columns.iter().position(|c| *c == column).unwrap_or_else(|| {
                    columns.push(column);
                    columns.len() - 1
                });
                Ok(Transformed::yes(Expr::Column(Column::new(Some(alias), format!("key {at}")))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        joined.push(condition.data);
    }
    let mut right = LogicalPlanBuilder::from(base.clone());
    if let Some(own) = conjunction(own) {
        right = right.filter(own)?;
    }
    let keys = columns.into_iter().enumerate().map(|(at, column)| Expr::Column(column).alias(format!("key {at}")));
    let keys: Vec<Expr> = keys.collect();
    if keys.is_empty() {
        return Ok(Some(Asked { right: any_row(right.build()?, alias)?, condition: joined, keyed: false }));
    }
    Ok(Some(Asked { right: right.project(keys)?.alias(alias)?.build()?, condition: joined, keyed: true }))
}

/// One row with the column `row`, if there is any in a plan.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn any_row(plan: LogicalPlan, alias: &str) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).project([lit(true).alias("row")])?.distinct()?.alias(alias)?.build()
}

/// A subquery that is asked only for whether it has a row, as the right side of a join.
pub struct Asked {
    /// The right side.
    pub right: LogicalPlan,
    /// What must hold of a pair of rows.
    pub condition: Vec<Expr>,
    /// Whether the right side has columns that the condition names. Without, it is [`any_row`]: the batch engine loses the
    /// name of a mark where the right side of its join has no column.
    pub keyed: bool,
}

/// Conditions over a node's columns as conditions over its input.
fn below(conditions: &mut [Expr], columns: Vec<Column>, exprs: Vec<Expr>) -> Result<()> {
    for condition in conditions {
        let moved = std::mem::take(condition).transform_up(|e| match &e {
            Expr::Column(column) => match columns.iter().position(|c| c == column) {
                Some(at) => Ok(Transformed::yes(exprs[at].clone())),
                None => Ok(Transformed::no(e)),
            },
            _ => Ok(Transformed::no(e)),
        })?;
        *condition = moved.data;
    }
    Ok(())
}

/// Whether a scalar subquery is one aggregate over rows that are equal to the outer ones in some columns.
///
/// # Errors
/// Never, short of a bug.
pub fn is_plain_total(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Projection(projection) => {
            Ok(!projection.expr.iter().any(names_outer) && !hides(projection)? && is_plain_total(&projection.input)?)
        }
        LogicalPlan::SubqueryAlias(alias) => is_plain_total(&alias.input),
        LogicalPlan::Aggregate(aggregate) => Ok(aggregate.group_expr.is_empty()
            && !aggregate.aggr_expr.iter().any(names_outer)
            && is_plain(&aggregate.input)?
            && is_by_equality(&aggregate.input)?),
        _ => Ok(false),
    }
}

/// Whether every condition that names outer columns is `own column = outer column`.
fn is_by_equality(plan: &LogicalPlan) -> Result<bool> {
    let mut all = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            all &= split_conjunction(&filter.predicate).into_iter().filter(|e| names_outer(e)).all(|e| match e {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => matches!(
                    (left.as_ref(), right.as_ref()),
                    (Expr::Column(_), Expr::OuterReferenceColumn(..))
                        | (Expr::OuterReferenceColumn(..), Expr::Column(_))
                ),
                _ => false,
            });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}

/// Whether an expression names a column of an outer query, or holds a subquery, which may.
fn names_outer(expr: &Expr) -> bool {
    expr.contains_outer() || has_subquery(expr)
}

/// Whether a plan has a row at least, whatever its input.
pub fn has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Projection(projection) => has_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_a_row(&alias.input),
        LogicalPlan::Sort(sort) => has_a_row(&sort.input),
        _ => false,
    }
}

/// Whether a plan has one row at most, whatever its input.
pub fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Filter(filter) => has_one_row(&filter.input),
        LogicalPlan::Sort(sort) => has_one_row(&sort.input),
        LogicalPlan::Limit(limit) => {
            has_one_row(&limit.input) || matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0 | 1))))
        }
        LogicalPlan::Values(values) => values.values.len() <= 1,
        other => matches!(OwnNode::of(other), Some((Own::Single { keys: 0 }, _))),
    }
}
