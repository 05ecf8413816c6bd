//! GROUPING SETS for all outer values.
//!
//! A set without keys has a row for each combination, also over no rows. Where there is such a set each combination without
//! rows gets a row of NULLs, which makes a group of every set; those of sets with keys are left out again.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, internal_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_aggregate::grouping::grouping_udaf;
use datafusion::logical_expr::utils::enumerate_grouping_sets;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, cast, lit};

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
        let sets = self.within_sets(aggregate.group_expr, &inner)?;
        let named = sets.iter().find_map(|set| match set {
            Expr::GroupingSet(set) => Some(set.distinct_expr().into_iter().cloned().collect::<Vec<_>>()),
            _ => None,
        });
        let named = named.unwrap_or_default();
        let groups = enumerate_grouping_sets(columns(&keys).chain(sets).collect())?;
        let (rows, left_out) = (self.names.next("rows"), self.names.next("left_out"));
        let mut calls = self.bound(aggregate.aggr_expr, &inner)?;
        calls.push(count(lit(1)).alias(&rows));
        // A bit for each key that a set leaves out.
        let all = (1_i64 << named.len()) - 1;
        if !named.is_empty() {
            calls.push(grouping_udaf().call(named).alias(&left_out));
        }
        let calls = calls.into_iter().map(|call| filtered(call, &is_present)).collect::<Result<_>>()?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(plan.into(), groups, calls)?);
        let column = |name: String| Expr::Column(Column::from_name(name));
        let is_total = match all {
            0 => lit(true),
            all => cast(column(left_out), DataType::Int64).eq(lit(all)),
        };
        let plan = LogicalPlanBuilder::from(plan).filter(column(rows).gt(lit(0_i64)).or(is_total))?.build()?;
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
