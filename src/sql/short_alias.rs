//! `FROM t AS x (a, b)` with fewer names than columns: the others keep theirs.

use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{Ident, TableAlias, TableAliasColumnDef, TableFactor};

/// Completes the names. What is in FROM is planned before the columns that it has are known.
#[derive(Debug)]
pub struct ShortAlias;

impl RelationPlanner for ShortAlias {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> datafusion::error::Result<RelationPlanning> {
        let alias = match &mut relation {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::MatchRecognize { alias, .. }
            | TableFactor::Function { alias, .. } => alias,
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let Some(mut given) = alias.take_if(|alias| !alias.columns.is_empty()) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = context.plan(relation)?;
        let rest = plan.schema().fields().iter().skip(given.columns.len());
        complete(&mut given, rest.map(|field| field.name().as_str()));
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(given)))))
    }
}

/// Adds the names of the columns behind those that are given one.
fn complete<'a>(alias: &mut TableAlias, rest: impl Iterator<Item = &'a str>) {
    let column = |name| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None };
    alias.columns.extend(rest.map(column));
}
