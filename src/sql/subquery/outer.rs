//! Columns of outer queries within a subquery: which there are, and putting others in their place.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

use super::lateral::lateral;

/// The columns of the outer query that a subquery names, each once. One that a query between the two has is that one's.
///
/// # Errors
/// Never, short of a bug.
pub fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found: Vec<Column> = Vec::new();
    // Nodes that are still to be looked at, each with the columns on the left of lateral joins that it is right of.
    let mut nodes: Vec<(&LogicalPlan, Vec<&DFSchema>)> = vec![(plan, Vec::new())];
    while let Some((node, known)) = nodes.pop() {
        for expr in node.expressions() {
            for column in of_expr(&expr, node)? {
                if !found.contains(&column) && !known.iter().any(|left| left.has_column(&column)) {
                    found.push(column);
                }
            }
        }
        let below = nodes.len();
        nodes.extend(node.inputs().into_iter().map(|input| (input, known.clone())));
        if let LogicalPlan::Join(join) = node
            && lateral(&join.right).is_some()
            && let Some((_, known)) = nodes.last_mut()
        {
            known.push(join.left.schema());
        }
        nodes[below..].reverse();
    }
    Ok(found)
}

/// The columns of queries outside of `node` that an expression of it names.
fn of_expr(expr: &Expr, node: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    expr.apply(|e| {
        match e {
            Expr::OuterReferenceColumn(_, column) => found.push(column.clone()),
            other => {
                if let Some(subquery) = subquery_of(other) {
                    let own = merge_schema(&node.inputs());
                    found.extend(outer_columns(&subquery.subquery)?.into_iter().filter(|c| !own.has_column(c)));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a subquery within an expression of `node` names columns of queries outside of that.
///
/// # Errors
/// Never, short of a bug.
pub fn reaches_out(expr: &Expr, node: &LogicalPlan) -> Result<bool> {
    let own = merge_schema(&node.inputs());
    let mut found = false;
    expr.apply(|e| {
        if let Some(subquery) = subquery_of(e) {
            found |= outer_columns(&subquery.subquery)?.iter().any(|column| !own.has_column(column));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a plan names any of these columns as those of an outer query.
///
/// # Errors
/// Never, short of a bug.
pub fn names_any(plan: &LogicalPlan, columns: &[Column]) -> Result<bool> {
    Ok(outer_columns(plan)?.iter().any(|column| columns.contains(column)))
}

/// The subquery of an expression that is one.
pub fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// Whether an expression holds a subquery.
pub fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| Ok(subquery_of(e).is_some())).expect("nothing fails here")
}

/// The expression with the columns `from` of an outer query as the columns `to` of its own; those that a subquery in
/// it names become outer columns of that.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn bind(expr: Expr, from: &[Column], to: &[Column]) -> Result<Expr> {
    let place = |column: &Column| from.iter().position(|c| c == column).map(|at| to[at].clone());
    let bound = expr.transform_up(|e| match e {
        Expr::OuterReferenceColumn(field, column) => Ok(match place(&column) {
            Some(own) => Transformed::yes(Expr::Column(own)),
            None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
        }),
        Expr::ScalarSubquery(subquery) => Ok(Transformed::yes(Expr::ScalarSubquery(rename(subquery, &place)?))),
        Expr::Exists(Exists { subquery, negated }) => {
            Ok(Transformed::yes(Expr::Exists(Exists { subquery: rename(subquery, &place)?, negated })))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let subquery = rename(subquery, &place)?;
            Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        Expr::SetComparison(set) => {
            let subquery = rename(set.subquery, &place)?;
            Ok(Transformed::yes(Expr::SetComparison(SetComparison { subquery, ..set })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}

/// A subquery with other names for outer columns.
fn rename(subquery: Subquery, place: &dyn Fn(&Column) -> Option<Column>) -> Result<Subquery> {
    let rename = |expr: Expr| {
        expr.transform_up(|e| match e {
            Expr::OuterReferenceColumn(field, column) => {
                let renamed = place(&column);
                let changed = renamed.is_some();
                let expr = Expr::OuterReferenceColumn(field, renamed.unwrap_or(column));
                Ok(Transformed::new_transformed(expr, changed))
            }
            other => Ok(Transformed::no(other)),
        })
    };
    let plan = subquery.subquery.as_ref().clone();
    let plan = plan.transform_up_with_subqueries(|node| node.map_expressions(rename))?.data;
    let outer = subquery.outer_ref_columns.into_iter().map(|e| Ok(rename(e)?.data)).collect::<Result<_>>()?;
    Ok(Subquery { subquery: plan.into(), outer_ref_columns: outer, spans: subquery.spans })
}
