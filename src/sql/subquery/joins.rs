//! Joins for all outer values: of the sides that see outer columns, and of those whose rows stay without a match.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality, Result, not_impl_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, Join, LogicalPlanBuilder, lit};

use super::domain::{Carried, Domain, columns, equal, rows_types, same};
use super::outer::{bind, names_any};

impl Domain<'_> {
    pub(super) fn join(&self, join: Join) -> Result<Carried> {
        if join.null_aware {
            return not_impl_err!("NOT IN over columns of the outer query within a subquery");
        }
        let (left_named, right_named) = (names_any(&join.left, &self.outer)?, names_any(&join.right, &self.outer)?);
        // A side whose rows stay without a match must have them for every combination.
        let (keeps_left, keeps_right) = match join.join_type {
            JoinType::Inner => (false, false),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
            JoinType::Full => (true, true),
        };
        let carries_right = right_named || keeps_right;
        let carries_left = left_named || keeps_left || !carries_right;
        let (left, right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
        let (left, right, keys, mut condition, both) = match (carries_left, carries_right) {
            (true, true) => {
                let (left, right) = (self.carry(left)?, self.carry(right)?);
                let condition = equal(&rows_types(&self.rows), &left.keys, &right.keys);
                let keys = if keeps_right { right.keys.clone() } else { left.keys.clone() };
                (left.plan, right.plan, keys, condition, Some((left.keys, right.keys)))
            }
            (true, false) => {
                let Carried { plan, keys } = self.carry(left)?;
                (plan, right, keys, Vec::new(), None)
            }
            (false, _) => {
                let Carried { plan, keys } = self.carry(right)?;
                (left, plan, keys, Vec::new(), None)
            }
        };
        for (l, r) in join.on {
            let (l, r) = (bind(l, &self.outer, &keys)?, bind(r, &self.outer, &keys)?);
            condition.push(match join.null_equality {
                NullEquality::NullEqualsNull => same(l, r),
                NullEquality::NullEqualsNothing => l.eq(r),
            });
        }
        if let Some(filter) = join.filter {
            condition.push(bind(filter, &self.outer, &keys)?);
        }
        let builder = LogicalPlanBuilder::from(left);
        let plan = match condition.is_empty() {
            true if join.join_type == JoinType::Inner => builder.cross_join(right)?,
            true => builder.join_on(right, join.join_type, [lit(true)])?,
            false => builder.join_on(right, join.join_type, condition)?,
        };
        let plan = plan.build()?;
        match both {
            Some((left, right)) if join.join_type == JoinType::Full => {
                // A row without a match has the combination on its own side alone.
                let own: Vec<Expr> = columns(&plan.schema().columns()).collect();
                let either = left
                    .into_iter()
                    .zip(right)
                    .map(|(l, r)| coalesce(vec![Expr::Column(l), Expr::Column(r)]).alias(self.names.next("either")));
                let count = self.outer.len();
                let all = either.chain(own);
                let plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
                let keys = plan.schema().columns().into_iter().take(count).collect();
                Ok(Carried { plan, keys })
            }
            _ => Ok(Carried { plan, keys }),
        }
    }
}
