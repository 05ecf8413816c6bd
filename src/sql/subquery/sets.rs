//! GROUPING SETS for all outer values.
//!
//! A set without keys has a row for each combination, also over no rows. Where there is such a set each combination without
//! rows gets a row of NULLs, which makes a group of every set; those of sets with keys are left out again.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, internal_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::utils::enumerate_grouping_sets;
use datafusion::logical_expr::{
    Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, cast, lit,
};

use super::domain::{Carried, Domain, Padded, columns, filtered};

impl Domain<'_> {
    pub(super) fn grouped_by_sets(&self, aggregate: Aggregate) -> Result<Carried> {
        let Some(Expr::GroupingSet(sets)) = aggregate.group_expr.first() else {
            return internal_err!("an aggregate without grouping sets has sets");
        };
        let has_total = match sets {
            GroupingSet::Rollup(_) | GroupingSet::Cube(_) => true,
            GroupingSet::GroupingSets(sets) => sets.iter().any(Vec::is_empty),
        };
        let count_of_keys = sets.distinct_expr().len();
        let input = Arc::unwrap_or_clone(aggregate.input);
        if !has_total {
            let Carried { plan, keys } = self.carry(input)?;
            let groups = columns(&keys).chain(self.within_sets(aggregate.group_expr, &keys)?).collect();
            let groups = enumerate_grouping_sets(groups)?;
            let calls = self.bound(aggregate.aggr_expr, &keys)?;
            let plan = LogicalPlan::Aggregate(Aggregate::try_new(plan.into(), groups, calls)?);
            return Ok(Carried { plan, keys });
        }
        let Padded { plan, keys, inner, is_present } = self.padded(input)?;
        let groups = columns(&keys).chain(self.within_sets(aggregate.group_expr, &inner)?).collect();
        let groups = enumerate_grouping_sets(groups)?;
        let rows = self.names.next("rows");
        let calls = self.bound(aggregate.aggr_expr, &inner)?.into_iter().chain([count(lit(1)).alias(&rows)]);
        let calls = calls.map(|call| filtered(call, &is_present)).collect::<Result<_>>()?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(plan.into(), groups, calls)?);
        // The bits of the keys that a set leaves out, the last key lowest; the domain's columns come before.
        let all = (1_u64 << count_of_keys) - 1;
        let id = cast(Expr::Column(Column::from_name(Aggregate::INTERNAL_GROUPING_ID)), DataType::UInt64);
        let is_total = binary_expr(id, Operator::BitwiseAnd, lit(all)).eq(lit(all));
        let has_rows = Expr::Column(Column::from_name(rows)).gt(lit(0_i64));
        let plan = LogicalPlanBuilder::from(plan).filter(has_rows.or(is_total))?.build()?;
        Ok(Carried { plan, keys })
    }

    fn within_sets(&self, groups: Vec<Expr>, keys: &[Column]) -> Result<Vec<Expr>> {
        let bound = |exprs: Vec<Expr>| self.bound(exprs, keys);
        let sets = groups.into_iter().map(|group| -> Result<GroupingSet> {
            match group {
                Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Ok(GroupingSet::Rollup(bound(exprs)?)),
                Expr::GroupingSet(GroupingSet::Cube(exprs)) => Ok(GroupingSet::Cube(bound(exprs)?)),
                Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
                    Ok(GroupingSet::GroupingSets(sets.into_iter().map(bound).collect::<Result<_>>()?))
                }
                other => Ok(GroupingSet::GroupingSets(vec![bound(vec![other])?])),
            }
        });
        sets.map(|set| Ok(Expr::GroupingSet(set?))).collect()
    }
}
