//! What a recursive query may not be, although it could be planned.
//!
//! A step that reads the rows so far within a subquery cannot be run: each round has only new rows. A step with another type
//! of number than the base has would be cut to it: `SELECT 1 AS n UNION SELECT n * 1.5 FROM r` would end at once.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Cte, Query, SetExpr, SetOperator, Statement, Visit, Visitor, With, visit_relations,
};

use super::base_types::coerced;
use super::parse::normalize;
use crate::error::{Error, Result};

/// Refuses plans in which the rows so far are read within a subquery.
///
/// # Errors
/// [`Error::Unsupported`] that names the query.
pub fn refuse_reads_within(plan: &LogicalPlan) -> Result<()> {
    match read_out_of_place(plan, &[])? {
        Some(name) => Err(Error::unsupported(format!("`{name}` reads its own rows within a subquery"))
            .with_hint("join them instead, as in FROM t JOIN r ON ...")),
        None => Ok(()),
    }
}

/// A recursive query whose rows so far are read where it is none of those around. A subquery is a query of its own.
fn read_out_of_place(plan: &LogicalPlan, around: &[&str]) -> Result<Option<String>> {
    if let LogicalPlan::TableScan(scan) = plan
        && let Ok(provider) = source_as_provider(&scan.source)
        && let Some(table) = provider.downcast_ref::<CteWorkTable>()
        && !around.contains(&table.name())
    {
        return Ok(Some(table.name().to_string()));
    }
    let mut found = None;
    plan.apply_subqueries(|subquery| {
        found = read_out_of_place(subquery, &[])?;
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if found.is_some() {
        return Ok(found);
    }
    let within = match plan {
        LogicalPlan::RecursiveQuery(query) => [around, &[query.name.as_str()]].concat(),
        _ => around.to_vec(),
    };
    for input in plan.inputs() {
        if let Some(name) = read_out_of_place(input, &within)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Refuses LIMIT over all rounds of a recursive query: there the batch engine reads past it.
///
/// # Errors
/// [`Error::Unsupported`] that names the query.
pub fn refuse_limits(statement: &Statement) -> Result<()> {
    let mut found = Found { terms: Vec::new(), limited: None };
    let _ = Visit::visit(statement, &mut found);
    match found.limited {
        Some(name) => Err(Error::unsupported(format!("LIMIT within the recursive query `{name}`"))
            .with_hint(format!("SELECT ... FROM {name} LIMIT ... takes so many of its rows"))),
        None => Ok(()),
    }
}

/// A recursive query's base and step as queries of their own.
pub struct Terms {
    pub name: String,
    pub base: Query,
    pub step: Query,
}

/// The base and the step of each recursive query in a statement.
pub fn terms(statement: &Statement) -> Vec<Terms> {
    let mut found = Found { terms: Vec::new(), limited: None };
    let _ = Visit::visit(statement, &mut found);
    found.terms
}

struct Found {
    terms: Vec<Terms>,
    /// A recursive query with a LIMIT over it.
    limited: Option<String>,
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(with) = query.with.as_ref().filter(|with| with.recursive) else { return ControlFlow::Continue(()) };
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = cte.query.body.as_ref() else {
                continue;
            };
            let name = normalize(&cte.alias.name);
            let reads_itself = visit_relations(right, |relation| match relation.0.as_slice() {
                [part] if part.as_ident().map(normalize).as_deref() == Some(&name) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            });
            if reads_itself.is_continue() {
                continue;
            }
            if cte.query.limit_clause.is_some() {
                self.limited = Some(name.clone());
            }
            let alone = |body: &SetExpr, tables: Vec<Cte>| {
                let with = (!tables.is_empty()).then(|| With { cte_tables: tables, ..with.clone() });
                Query { with, body: Box::new(body.clone()), ..cte.query.as_ref().clone() }
            };
            let before = with.cte_tables[..at].to_vec();
            let base = alone(left, before.clone());
            let read = Cte { query: Box::new(alone(left, Vec::new())), ..cte.clone() };
            let step = alone(right, before.into_iter().chain([read]).collect());
            self.terms.push(Terms { name, base, step });
        }
        ControlFlow::Continue(())
    }
}

/// Refuses a step whose numbers the base's types would cut.
///
/// # Errors
/// [`Error::Input`] that names the column and the types.
pub fn refuse_cuts(name: &str, base: LogicalPlan, step: LogicalPlan, options: &ConfigOptions) -> Result<()> {
    let (base, step) = (coerced(base, options)?, coerced(step, options)?);
    for (base, step) in base.schema().fields().iter().zip(step.schema().fields()) {
        if cuts(base.data_type(), step.data_type()) {
            return Err(Error::input(format!(
                "column `{}` of the recursive query `{name}` has type {} in its base and {} in its step",
                base.name(),
                base.data_type(),
                step.data_type()
            ))
            .with_hint(format!(
                "give the base that type: arrow_cast({}, '{}')",
                base.name(),
                step.data_type()
            )));
        }
    }
    Ok(())
}

/// Whether numbers of the step's type lose something, or more than the room for digits, as numbers of the base's.
fn cuts(base: &DataType, step: &DataType) -> bool {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    };
    match (base, step) {
        (base, step) if base.is_integer() => step.is_floating() || scale(step).is_some_and(|scale| scale > 0),
        (DataType::Float16, step) => matches!(step, DataType::Float32 | DataType::Float64),
        (DataType::Float32, step) => *step == DataType::Float64,
        (base, step) => match (scale(base), scale(step)) {
            (Some(base), Some(step)) => step > base,
            (Some(_), None) => step.is_floating(),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loses_digits_is_cut() {
        let decimal = |scale| DataType::Decimal128(20, scale);
        for (base, step, cut) in [
            (DataType::Int64, DataType::Float64, true),
            (DataType::Int64, decimal(1), true),
            (DataType::Int64, decimal(0), false),
            (DataType::Int64, DataType::Int32, false),
            (DataType::Float32, DataType::Float64, true),
            (DataType::Float64, decimal(4), false),
            (decimal(2), decimal(4), true),
            (decimal(2), DataType::Float64, true),
            (decimal(2), DataType::Int64, false),
            (DataType::Utf8, DataType::Int64, false),
        ] {
            assert_eq!(cuts(&base, &step), cut, "{base} {step}");
        }
    }
}
