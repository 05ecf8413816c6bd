//! LATERAL: a subquery that sees the rows on its left.

use std::sync::Arc;

use datafusion::common::{JoinType, Result, TableReference};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use super::domain::{Carried, Domain, equal};
use super::outer::outer_columns;
use super::shape::is_plain;
use super::spread::{is_row_by_row, with_row_for_none};
use super::{Rewrite, only};

/// The subquery on the right side of a lateral join, and its name.
pub fn lateral(plan: &LogicalPlan) -> Option<(&Subquery, Option<&TableReference>)> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some((subquery, None)),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => Some((subquery, Some(&alias.alias))),
            _ => None,
        },
        _ => None,
    }
}

impl Rewrite {
    /// Whether the right side of a join names columns of the left one though the batch engine has not marked it as
    /// lateral: it does not look into the subqueries of expressions. Where the join is itself within such a subquery, a
    /// column of that name may be meant that is further out.
    pub(super) fn sees_left(&self, join: &Join) -> Result<bool> {
        let is_top = self.depth.get() == 0 && matches!(join.join_type, JoinType::Inner | JoinType::Left);
        Ok(is_top && outer_columns(&join.right)?.iter().any(|column| join.left.schema().has_column(column)))
    }

    /// What cannot be joined as it is is joined by the outer values, or made row by row.
    pub(super) fn lateral(&self, join: Join) -> Result<LogicalPlan> {
        let (plan, alias) = match lateral(&join.right) {
            Some((subquery, alias)) => (subquery.subquery.as_ref().clone(), alias),
            None => (join.right.as_ref().clone(), None),
        };
        let (seen, further): (Vec<_>, Vec<_>) =
            outer_columns(&plan)?.into_iter().partition(|column| join.left.schema().has_column(column));
        let is_known = matches!(join.join_type, JoinType::Inner | JoinType::Left);
        if !is_known || lateral(&join.right).is_some() && further.is_empty() && is_plain(&plan)? {
            return Ok(LogicalPlan::Join(join));
        }
        let plan = match alias {
            Some(alias) => LogicalPlanBuilder::from(plan).alias(alias.clone())?.build()?,
            None => plan,
        };
        if seen.is_empty() {
            // What it names is of a query further out, for that to bind.
            return Ok(LogicalPlan::Join(Join { right: plan.into(), ..join }));
        }
        if let Some(spread) = self.spread(&join, &plan)? {
            return Ok(spread);
        }
        let columns = join.schema.columns();
        let Some((carried, outer, types)) = self.carried(&plan, &join.left)? else {
            return Ok(LogicalPlan::Join(join));
        };
        let mut condition = equal(&types, &outer, &carried.keys);
        condition.extend(conditions(&join));
        let left = LogicalPlanBuilder::from(Arc::unwrap_or_clone(join.left));
        only(left.join_on(carried.plan, join.join_type, condition)?.build()?, columns)
    }

    /// The rows of the left side, each with what the subquery makes of it, without a join.
    fn spread(&self, join: &Join, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let mut conditions = conditions(join);
        let plan = match join.join_type {
            JoinType::Inner if is_row_by_row(plan)? => Some(plan.clone()),
            JoinType::Left if conditions.is_empty() => with_row_for_none(plan)?,
            _ => None,
        };
        let Some(plan) = plan else { return Ok(None) };
        let outer = join.left.schema().columns();
        let named = outer.iter().map(|column| Expr::Column(column.clone()).alias(self.names.next(&column.name)));
        let rows = LogicalPlanBuilder::from(join.left.as_ref().clone()).project(named)?.build()?;
        let own = plan.schema().columns();
        let Carried { plan, keys } = Domain { outer: outer.clone(), rows, names: &self.names }.carry(plan)?;
        let left = keys
            .into_iter()
            .zip(&outer)
            .map(|(key, column)| Expr::Column(key).alias_qualified(column.relation.clone(), column.name.clone()));
        let all = left.chain(own.into_iter().map(Expr::Column));
        let mut plan = LogicalPlanBuilder::from(self.plan(plan)?).project(all)?;
        if let Some(condition) = conjunction(conditions.drain(..)) {
            plan = plan.filter(condition)?;
        }
        Ok(Some(plan.build()?))
    }
}

/// What must hold of two rows of a join.
fn conditions(join: &Join) -> Vec<Expr> {
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    keys.chain(join.filter.clone().filter(|filter| *filter != lit(true))).collect()
}
