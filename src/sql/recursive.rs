//! Recursive queries before they are planned: one zero, and names that are not mistaken for each other.

use std::sync::Arc;

use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, TableScan, lit};

/// The query with one meaning, the ones below it having theirs.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub(super) fn recursive(query: RecursiveQuery) -> Result<Transformed<LogicalPlan>> {
    let (named, renamed) = own_name(query)?;
    let rewritten = one_zero(named)?;
    let changed = renamed || rewritten.transformed;
    Ok(Transformed::new_transformed(LogicalPlan::RecursiveQuery(rewritten.data), changed))
}

/// A UNION whose floats have one zero. To the batch engine `-0.0` and `0.0` are one value there, of which it keeps the
/// one that comes first; DISTINCT and GROUP BY show `0.0`.
fn one_zero(query: RecursiveQuery) -> Result<Transformed<RecursiveQuery>> {
    let has_zeros = query.schema.fields().iter().any(|field| field.data_type().is_floating());
    if !query.is_distinct || !has_zeros {
        return Ok(Transformed::no(query));
    }
    let positive = |term: &LogicalPlan| {
        let columns = term.schema().iter().map(|(qualifier, field)| {
            let column = Expr::Column((qualifier, field).into());
            if !field.data_type().is_floating() {
                return Ok(column);
            }
            let zero = lit(ScalarValue::new_zero(field.data_type())?);
            Ok((column + zero).alias_qualified(qualifier.cloned(), field.name()))
        });
        LogicalPlanBuilder::from(term.clone()).project(columns.collect::<Result<Vec<_>>>()?)?.build()
    };
    let (base, step) = (positive(&query.static_term)?, positive(&query.recursive_term)?);
    Ok(Transformed::yes(RecursiveQuery::try_new(query.name, base.into(), step.into(), query.is_distinct)?))
}

/// A query under a name that no recursive query below it has, and whether it has another now. The batch engine finds a
/// query's own rows by its name, and a view that it reads may hold a recursive query of that name.
fn own_name(query: RecursiveQuery) -> Result<(RecursiveQuery, bool)> {
    let mut below = Vec::new();
    for term in [&query.static_term, &query.recursive_term] {
        term.apply_with_subqueries(|node| {
            if let LogicalPlan::RecursiveQuery(inner) = node {
                below.push(inner.name.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if !below.contains(&query.name) {
        return Ok((query, false));
    }
    let mut numbered = (2..).map(|number| format!("{}:{number}", query.name));
    let name = numbered.find(|name| !below.contains(name)).expect("the numbers do not end");
    let step = query.recursive_term.as_ref().clone().transform_down_with_subqueries(|node| match node {
        // Rows of that name are its own there.
        LogicalPlan::RecursiveQuery(inner) if inner.name == query.name => {
            Ok(Transformed::new(LogicalPlan::RecursiveQuery(inner), false, TreeNodeRecursion::Jump))
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source)?;
            match provider.downcast_ref::<CteWorkTable>() {
                Some(table) if table.name() == query.name => {
                    let source = provider_as_source(Arc::new(CteWorkTable::new(&name, table.schema())));
                    Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
                }
                _ => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok((RecursiveQuery { name, recursive_term: Arc::new(step.data), ..query }, true))
}
