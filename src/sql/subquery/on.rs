//! Subqueries in ON.
//!
//! ```text
//! inner join     the condition may as well stand above the join
//! outer join     what the subquery gives is joined to the side whose columns it names, and the condition reads that
//! both sides     L LEFT JOIN R ON f(l.a, r.b)  is  L LEFT JOIN (DISTINCT l.a, R, f) AS p ON l.a = p.a AND p.f
//! ```
//!
//! For a subquery that names both sides, the side that may be left out is first paired with all values of the other
//! side's columns. One row of it is then there once for each of them, and matches at most one of them. In a FULL JOIN a
//! row would be left without a match once for each, so that is refused.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, not_impl_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder};

use super::domain::{equal, rows_types};
use super::outer::{bind, has_subquery, outer_columns, subquery_of};
use super::{Input, Place, Rewrite, only, predicate};

impl Rewrite {
    pub(super) fn join(&self, join: Join) -> Result<LogicalPlan> {
        match (join.join_type, join.filter.is_some()) {
            (JoinType::Inner, true) => self.inner(join),
            (JoinType::Left | JoinType::Right | JoinType::Full, true) => self.outer(join),
            _ => Ok(LogicalPlan::Join(join)),
        }
    }

    fn inner(&self, join: Join) -> Result<LogicalPlan> {
        let conditions = split_conjunction_owned(join.filter.expect("the caller has seen to it"));
        let (above, within): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_subquery);
        let join = Join { filter: conjunction(within), ..join };
        match conjunction(above) {
            Some(above) => self.filter(Filter::try_new(above, LogicalPlan::Join(join).into())?),
            None => Ok(LogicalPlan::Join(join)),
        }
    }

    fn outer(&self, join: Join) -> Result<LogicalPlan> {
        let columns = join.schema.columns();
        let filter = join.filter.clone().expect("the caller has seen to it");
        let filter = filter.transform_down(|expr| as_exists(expr, &join.schema))?.data;
        let pairs = self.pairs(&join, &filter)?;
        let mut left = Input::new(Arc::unwrap_or_clone(join.left));
        let mut right = Input::new(Arc::unwrap_or_clone(join.right));
        let (mut from, mut to, mut condition) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(pairs) = pairs {
            let side = if join.join_type == JoinType::Right { &mut left } else { &mut right };
            *side = Input::new(pairs.plan);
            (from, to, condition) = (pairs.from, pairs.to, pairs.condition);
        }
        let value = |expr: Expr| {
            let Some(subquery) = subquery_of(&expr) else { return Ok(Transformed::no(expr)) };
            let named = outer_columns(&subquery.subquery)?;
            let names = |side: &Input| named.iter().any(|column| side.plan.schema().has_column(column));
            let (expr, side) = match (names(&left), names(&right)) {
                (true, true) if join.join_type == JoinType::Right => (bind(expr, &from, &to)?, &mut left),
                (true, true) => (bind(expr, &from, &to)?, &mut right),
                (false, true) => (expr, &mut right),
                (_, false) => (expr, &mut left),
            };
            let value = self.value(expr, side, Place::Elsewhere)?;
            Ok(Transformed::new(value.data, true, TreeNodeRecursion::Jump))
        };
        let filter = filter.transform_down(value)?.data;
        let keys = join.on.into_iter().map(|(left, right)| left.eq(right));
        condition.extend(keys.chain([filter]));
        let plan = LogicalPlanBuilder::from(left.plan).join_on(right.plan, join.join_type, condition)?;
        only(plan.build()?, columns)
    }

    /// The pairs for subqueries that name columns of both sides; nothing where none does.
    fn pairs(&self, join: &Join, filter: &Expr) -> Result<Option<Pairs>> {
        let (kept, other) = match join.join_type {
            JoinType::Right => (&join.right, &join.left),
            _ => (&join.left, &join.right),
        };
        let mut from: Vec<Column> = Vec::new();
        filter.apply(|expr| {
            if let Some(subquery) = subquery_of(expr) {
                let named = outer_columns(&subquery.subquery)?;
                if named.iter().any(|column| other.schema().has_column(column)) {
                    let of_kept = named.into_iter().filter(|column| kept.schema().has_column(column));
                    from.extend(of_kept);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if from.is_empty() {
            return Ok(None);
        }
        if join.join_type == JoinType::Full {
            return not_impl_err!("a subquery in ON of a FULL JOIN that names columns of both its sides");
        }
        // What else the join asks leaves fewer pairs.
        let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let asked = keys.chain(split_conjunction_owned(filter.clone())).filter(|expr| !has_subquery(expr));
        let asked: Vec<Expr> = asked.collect();
        for expr in &asked {
            // In the order of the plan's columns, which is the same each time.
            let named = expr.column_refs();
            from.extend(kept.schema().columns().into_iter().filter(|column| named.contains(column)));
        }
        let mut seen = HashSet::new();
        from.retain(|column| seen.insert(column.clone()));
        let named = from.iter().map(|column| Expr::Column(column.clone()).alias(self.names.next(&column.name)));
        let rows = LogicalPlanBuilder::from(kept.as_ref().clone()).project(named)?.distinct()?;
        let rows = rows.alias(self.names.next("pairs"))?.build()?;
        let to = rows.schema().columns();
        let condition = equal(&rows_types(&rows), &from, &to);
        let renamed = |expr: Expr| {
            expr.transform_up(|expr| match expr {
                Expr::Column(column) => Ok(match from.iter().position(|from| *from == column) {
                    Some(at) => Transformed::yes(Expr::Column(to[at].clone())),
                    None => Transformed::no(Expr::Column(column)),
                }),
                other => Ok(Transformed::no(other)),
            })
        };
        let asked = asked.into_iter().map(|expr| Ok(renamed(expr)?.data)).collect::<Result<Vec<_>>>()?;
        let (rows, other) = (LogicalPlanBuilder::from(rows), other.as_ref().clone());
        let plan = match asked.is_empty() {
            true => rows.cross_join(other)?.build()?,
            false => rows.join_on(other, JoinType::Inner, asked)?.build()?,
        };
        Ok(Some(Pairs { plan, from, to, condition }))
    }
}

/// The rows of the side that an outer join may leave out, each with the values of the other side's columns that
/// subqueries name.
struct Pairs {
    plan: LogicalPlan,
    /// Columns of the side whose rows stay, and what they are called here.
    from: Vec<Column>,
    to: Vec<Column>,
    /// That they are the same.
    condition: Vec<Expr>,
}

/// ANY, ALL and IN as CASE over EXISTS, which names the columns that they compare.
fn as_exists(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::SetComparison(set) => Ok(Transformed::yes(predicate::compares(set, schema)?)),
        Expr::InSubquery(within) => Ok(Transformed::yes(predicate::is_in(within, schema)?)),
        other => Ok(Transformed::no(other)),
    }
}
