//! Subqueries in ON.
//!
//! ```text
//! inner join     the condition may as well stand above the join
//! outer join     what the subquery gives is joined to the side whose columns it names, and the condition reads that
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, not_impl_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder};

use super::outer::{has_subquery, outer_columns, subquery_of};
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
        let mut left = Input::new(Arc::unwrap_or_clone(join.left));
        let mut right = Input::new(Arc::unwrap_or_clone(join.right));
        let value = |expr: Expr| {
            let expr = match expr {
                Expr::SetComparison(set) => return Ok(Transformed::yes(predicate::compares(set, &join.schema)?)),
                Expr::InSubquery(within) => return Ok(Transformed::yes(predicate::is_in(within, &join.schema)?)),
                other => other,
            };
            let Some(subquery) = subquery_of(&expr) else { return Ok(Transformed::no(expr)) };
            let named = outer_columns(&subquery.subquery)?;
            let of_right = named.iter().any(|column| right.plan.schema().has_column(column));
            if of_right && named.iter().any(|column| left.plan.schema().has_column(column)) {
                return not_impl_err!("a subquery in ON of an outer join that names columns of both its sides");
            }
            let side = if of_right { &mut right } else { &mut left };
            let value = self.value(expr, side, Place::Elsewhere)?;
            Ok(Transformed::new(value.data, true, TreeNodeRecursion::Jump))
        };
        let filter = join.filter.expect("the caller has seen to it").transform_down(value)?.data;
        let keys = join.on.into_iter().map(|(left, right)| left.eq(right));
        let condition: Vec<Expr> = keys.chain([filter]).collect();
        let plan = LogicalPlanBuilder::from(left.plan).join_on(right.plan, join.join_type, condition)?;
        only(plan.build()?, columns)
    }
}
