//! Elements of lists for all outer values: unnesting passes the domain's columns along.

use std::sync::Arc;

use datafusion::common::{NullHandling, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Unnest, Values};

use super::domain::{Carried, Domain};
use super::outer::outer_columns;

impl Domain<'_> {
    pub(super) fn unnest(&self, unnest: Unnest) -> Result<Carried> {
        let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(unnest.input))?;
        let plan = LogicalPlanBuilder::from(plan).unnest_columns_with_options(unnest.exec_columns, unnest.options)?;
        Ok(Carried { plan: plan.build()?, keys })
    }
}

/// Whether a plan is one row without columns: what stands for FROM where there is none.
pub fn is_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty())
}

/// VALUES as a union of its rows, each of which may name outer columns.
///
/// # Errors
/// When a row cannot be one of expressions, which would be a bug.
pub fn as_union(values: Values) -> Result<LogicalPlan> {
    let schema = values.schema;
    let mut rows = values.values.into_iter().map(|row| {
        let named = row.into_iter().zip(schema.iter());
        let named = named.map(|(expr, (qualifier, field))| expr.alias_qualified(qualifier.cloned(), field.name()));
        LogicalPlanBuilder::empty(true).project(named)?.build()
    });
    let first = LogicalPlanBuilder::from(rows.next().expect("VALUES has rows")?);
    rows.try_fold(first, |all, row| all.union(row?))?.build()
}

/// Whether a plan makes the rows of each outer row by itself, from that row alone or a constant: then equal outer rows
/// may as well go through it together.
///
/// # Errors
/// Never, short of a bug.
pub fn is_row_by_row(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Projection(projection) => is_row_by_row(&projection.input),
        LogicalPlan::Filter(filter) => is_row_by_row(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_row_by_row(&alias.input),
        LogicalPlan::Unnest(unnest) => is_row_by_row(&unnest.input),
        LogicalPlan::Values(_) => Ok(true),
        LogicalPlan::Union(union) => {
            for input in &union.inputs {
                if !is_row_by_row(input)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        other => Ok(outer_columns(other)?.is_empty()),
    }
}

/// The same plan with a row of NULLs for lists that have no element, where all that it does is to give elements of
/// lists; nothing where it does more.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn with_row_for_none(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(expanded(plan)?.filter(|(_, from_lists)| from_lists.iter().all(|is| *is)).map(|(plan, _)| plan))
}

/// The plan with a row also for no elements, and which of its columns come from lists.
fn expanded(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<bool>)>> {
    let Some(input) = plan.inputs().first().copied() else { return Ok(None) };
    let (input, from_lists) = match plan {
        LogicalPlan::Unnest(unnest) if !unnest.list_type_columns.is_empty() => {
            let is_flat = unnest.list_type_columns.iter().all(|(_, list)| list.depth == 1);
            if !is_flat || !unnest.struct_type_columns.is_empty() || !is_row_of_expressions(input) {
                return Ok(None);
            }
            let of_list = |at: &usize| unnest.list_type_columns.iter().any(|(list, _)| list == at);
            let from_lists = unnest.dependency_indices.iter().map(of_list).collect();
            let options = unnest.options.clone().with_null_handling(NullHandling::PreserveAndExpandEmpty);
            return Ok(Some((LogicalPlan::Unnest(Unnest { options, ..unnest.clone() }), from_lists)));
        }
        LogicalPlan::Unnest(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => match expanded(input)? {
            Some(expanded) => expanded,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let from_lists: Option<Vec<bool>> = match plan {
        // A field of a struct that is NULL is NULL.
        LogicalPlan::Unnest(unnest) => Some(unnest.dependency_indices.iter().map(|at| from_lists[*at]).collect()),
        LogicalPlan::Projection(projection) => {
            let place = |expr: &Expr| match expr.clone().unalias_nested().data {
                Expr::Column(column) => input.schema().index_of_column(&column).ok().map(|at| from_lists[at]),
                _ => None,
            };
            projection.expr.iter().map(place).collect()
        }
        _ => Some(from_lists),
    };
    let Some(from_lists) = from_lists else { return Ok(None) };
    let plan = plan.with_new_exprs(plan.expressions(), vec![input])?;
    Ok(Some((plan, from_lists)))
}

/// Whether a plan is one row of whatever expressions.
fn is_row_of_expressions(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_row_of_expressions(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_row_of_expressions(&alias.input),
        other => is_one_row(other),
    }
}
