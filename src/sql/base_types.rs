//! The types of what a recursive query begins with.
//!
//! The batch engine takes the types of the base, and of all further rows, from the plan as it is written: there a CASE has
//! the type of its first branch. Later it gives the branches one type, and the base no longer fits the step. So a base
//! whose types would change is written with casts:
//!
//! ```text
//! WITH RECURSIVE r AS (                          WITH RECURSIVE r AS (
//!   SELECT CASE WHEN x THEN 1 ELSE 0.5 END         SELECT arrow_cast(column0, 'Float64') AS ... FROM (
//!                                                    SELECT CASE WHEN x THEN 1 ELSE 0.5 END) AS base(column0)
//!   UNION ALL SELECT ... FROM r)                   UNION ALL SELECT ... FROM r)
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::sql::sqlparser::ast::{
    Cte, Query, SetExpr, Statement, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use super::canonical::comparable;
use super::parse::{normalize, parse_query};
use crate::error::Result;

/// The columns of a query, by name and type.
type Columns = Vec<(String, DataType)>;

/// The columns that each recursive query's base will have, of those where a type changes. Two of one name cannot be told
/// apart, and are left as they are; those of views that are read do not count, as their types were settled before.
fn changing(plan: &LogicalPlan, options: &ConfigOptions) -> Result<HashMap<String, Columns>> {
    let mut found: HashMap<String, Option<Columns>> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::RecursiveQuery(query) = node {
            let columns = |plan: &LogicalPlan| -> Columns {
                plan.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
            };
            let coerced = columns(&coerced(query.static_term.as_ref().clone(), options)?);
            if coerced != columns(&query.static_term) {
                found.entry(query.name.clone()).and_modify(|columns| *columns = None).or_insert(Some(coerced));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.into_iter().filter_map(|(name, columns)| columns.map(|columns| (name, columns))).collect())
}

/// The plan with the types that its expressions will have. A window that is ordered by a struct has none before it is
/// ordered by the fields.
///
/// # Errors
/// When types do not fit each other.
pub fn coerced(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    Ok(TypeCoercion::new().analyze(comparable(plan)?, options)?)
}

/// Writes the types of bases that would change into a statement whose plan this is. Says whether there are any.
///
/// # Errors
/// When the plan's types do not fit each other.
pub fn with_base_types(statement: &mut Statement, plan: &LogicalPlan, options: &ConfigOptions) -> Result<bool> {
    let mut types = changing(plan, options)?;
    if !types.is_empty() {
        let mut names = Names(HashMap::new());
        let _ = Visit::visit(statement, &mut names);
        types.retain(|name, _| names.0.get(name) == Some(&1));
    }
    if !types.is_empty() {
        let _ = statement.visit(&mut Bases(&types));
    }
    Ok(!types.is_empty())
}

/// How often a statement gives a name to a query.
struct Names(HashMap<String, usize>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            *self.0.entry(normalize(&cte.alias.name)).or_default() += 1;
        }
        ControlFlow::Continue(())
    }
}

struct Bases<'a>(&'a HashMap<String, Columns>);

impl VisitorMut for Bases<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for Cte { alias, query, .. } in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let Some(columns) = self.0.get(&normalize(&alias.name))
                && let SetExpr::SetOperation { left, .. } = query.body.as_mut()
            {
                cast(left, columns);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Puts casts around the columns of a query.
fn cast(base: &mut SetExpr, columns: &Columns) {
    let cast = |(number, (name, data_type)): (usize, &(String, DataType))| {
        let (name, data_type) = (name.replace('"', "\"\""), data_type.to_string().replace('\'', "''"));
        format!("arrow_cast(column{number}, '{data_type}') AS \"{name}\"")
    };
    let casts: Vec<String> = columns.iter().enumerate().map(cast).collect();
    let numbered: Vec<String> = (0..columns.len()).map(|number| format!("column{number}")).collect();
    let text = format!("SELECT {} FROM (SELECT 1) AS base({})", casts.join(", "), numbered.join(", "));
    let outer = parse_query(&text).map(|query| *query.body);
    let Ok(SetExpr::Select(mut select)) = outer else { return };
    if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
        std::mem::swap(subquery.body.as_mut(), base);
        *base = SetExpr::Select(select);
    }
}
