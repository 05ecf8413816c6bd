//! INTERSECT ALL and EXCEPT ALL count rows.
//!
//! The batch engine plans both as joins that ask whether a row is on the right side, not how often. Such a join, on NULLs
//! that are equal and over a left side that may hold a row twice, comes from nothing else; here it becomes a node that
//! counts.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, NullEquality, Result, plan_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, cast};

use super::base_types::coerced;
use super::own_node::{Own, OwnNode};

/// Rewrites a plan as the module's text says. Applied to the plan as it is written.
///
/// # Errors
/// When two columns have types that cannot be compared.
pub fn count_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewrite = |plan| match plan {
        LogicalPlan::Join(join) if is_bag_operation(&join) => Ok(Transformed::yes(bag(join)?)),
        other => Ok(Transformed::no(other)),
    };
    Ok(plan.transform_up_with_subqueries(rewrite)?.data)
}

fn is_bag_operation(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && join.on.len() == join.left.schema().fields().len()
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_)))
}

fn bag(join: Join) -> Result<LogicalPlan> {
    let except = join.join_type == JoinType::LeftAnti;
    // As it is written, a CASE has the type of its first branch, and a UNION those of its first query.
    let settled = |side: &LogicalPlan| coerced(side.clone(), &ConfigOptions::default());
    let join = Join { left: settled(&join.left)?.into(), right: settled(&join.right)?.into(), ..join };
    let (mut left, mut right, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (l, r)) in join.on.into_iter().enumerate() {
        let (l_type, r_type) = (l.get_type(join.left.schema())?, r.get_type(join.right.schema())?);
        let common = if l_type == r_type { Some(l_type.clone()) } else { comparison_coercion(&l_type, &r_type) };
        let Some(common) = common else {
            let word = if except { "EXCEPT ALL" } else { "INTERSECT ALL" };
            return plan_err!("{word} of columns of types {l_type} and {r_type}, which cannot be compared");
        };
        let (qualifier, field) = join.left.schema().qualified_field(at);
        let to = |expr: Expr, from: &DataType, to: &DataType| if from == to { expr } else { cast(expr, to.clone()) };
        let name = format!("column {at}");
        left.push(to(l, &l_type, &common).alias(&name));
        right.push(to(r, &r_type, &common).alias(&name));
        let column = Expr::Column(datafusion::common::Column::from_name(name));
        back.push(to(column, &common, &l_type).alias_qualified(qualifier.cloned(), field.name()));
    }
    let left = LogicalPlanBuilder::from(join.left.as_ref().clone()).project(left)?.build()?;
    let right = LogicalPlanBuilder::from(join.right.as_ref().clone()).project(right)?.build()?;
    LogicalPlanBuilder::from(OwnNode::plan(Own::Bag { except }, vec![left, right])).project(back)?.build()
}
