//! IN, ANY and ALL by EXISTS, as SQL has them with NULLs.
//!
//! ```text
//! x IN S       CASE WHEN EXISTS (S where y = x) THEN true
//!                   WHEN EXISTS (S where y IS NULL) OR (x IS NULL AND EXISTS (S)) THEN NULL
//!                   ELSE false END
//! x op ANY S   the same, with x op y in the place of y = x
//! x op ALL S   NOT (x op' ANY S), where op' is what holds when op does not
//! ```

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue, Spans, plan_err};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr, lit, not, when,
};

use super::outer::{has_subquery, outer_columns};
use super::shape::is_plain;

/// Whether the batch engine makes the right join of an IN or NOT IN that is a condition: NOT IN that names outer columns
/// it does not, nor that of a constant.
pub fn is_joined_rightly(within: &InSubquery) -> Result<bool> {
    let plan = within.subquery.subquery.as_ref();
    let plain = is_plain(plan)? && !has_subquery(&within.expr) && !within.expr.contains_outer();
    Ok(match within.negated {
        false => plain,
        true => plain && outer_columns(plan)?.is_empty() && !within.expr.column_refs().is_empty(),
    })
}

/// A condition as several, none of which is NOT over a subquery: `NOT IN` that the batch engine does not do rightly as NOT
/// EXISTS of what would make it other than true, and such an `IN` as EXISTS of what makes it true.
pub fn as_conditions(condition: Expr, schema: &DFSchema) -> Result<Vec<Expr>> {
    let condition = match condition {
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(within) => Expr::InSubquery(InSubquery { negated: !within.negated, ..within }),
            Expr::Exists(exists) => Expr::Exists(Exists { negated: !exists.negated, ..exists }),
            other => not(other),
        },
        other => other,
    };
    let condition = match condition {
        Expr::SetComparison(set) => match (set.op, &set.quantifier) {
            (Operator::Eq, SetQuantifier::Any) => Expr::InSubquery(InSubquery::new(set.expr, set.subquery, false)),
            (Operator::NotEq, SetQuantifier::All) => Expr::InSubquery(InSubquery::new(set.expr, set.subquery, true)),
            _ => Expr::SetComparison(set),
        },
        other => other,
    };
    match condition {
        Expr::InSubquery(within) if within.negated && !is_joined_rightly(&within)? => {
            let parts = Parts::of(*within.expr, Operator::Eq, &within.subquery, schema)?;
            let value_is_null = parts.expr.clone().is_null();
            Ok(vec![asks(&parts.holds, true), asks(&parts.null, true), not(value_is_null.and(asks(&parts.any, false)))])
        }
        Expr::InSubquery(within) if !within.negated && !is_joined_rightly(&within)? => {
            Ok(vec![asks(&Parts::of(*within.expr, Operator::Eq, &within.subquery, schema)?.holds, false)])
        }
        other => Ok(vec![other]),
    }
}

/// `x IN S` as a value.
pub fn is_in(within: InSubquery, schema: &DFSchema) -> Result<Expr> {
    Parts::of(*within.expr, Operator::Eq, &within.subquery, schema)?.value(!within.negated)
}

/// `x op ANY S` or `x op ALL S` as a value.
pub fn compares(set: SetComparison, schema: &DFSchema) -> Result<Expr> {
    let (op, found) = match set.quantifier {
        SetQuantifier::Any => (Some(set.op), true),
        SetQuantifier::All => (set.op.negate(), false),
    };
    match op.filter(is_comparison) {
        Some(op) => Parts::of(*set.expr, op, &set.subquery, schema)?.value(found),
        None => plan_err!("`{}` with ANY or ALL: what compares values is expected", set.op),
    }
}

/// Whether an operator gives NULL where one of its sides is NULL, and nowhere else.
fn is_comparison(op: &Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// The subqueries that decide about an IN, ANY or ALL.
struct Parts {
    expr: Expr,
    any: LogicalPlan,
    holds: LogicalPlan,
    null: LogicalPlan,
}

impl Parts {
    fn of(expr: Expr, op: Operator, subquery: &Subquery, schema: &DFSchema) -> Result<Parts> {
        let any = subquery.subquery.as_ref().clone();
        let value = match any.schema().columns().as_slice() {
            [column] => Expr::Column(column.clone()),
            columns => {
                return plan_err!("a subquery of IN, ANY or ALL has one column, and this one has {}", columns.len());
            }
        };
        let of = |condition: Expr| LogicalPlanBuilder::from(any.clone()).filter(condition)?.build();
        let holds = of(binary_expr(as_outer(expr.clone(), schema)?, op, value.clone()))?;
        let null = of(value.is_null())?;
        Ok(Parts { expr, any, holds, null })
    }

    /// `found` where a row holds; NULL where one may; else the opposite.
    fn value(self, found: bool) -> Result<Expr> {
        let unknown = asks(&self.null, false).or(self.expr.is_null().and(asks(&self.any, false)));
        when(asks(&self.holds, false), lit(found)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(!found))
    }
}

/// An expression of a query as one of a subquery in it.
fn as_outer(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let outer = |e| match e {
        Expr::Column(column) => {
            let field = schema.field_from_column(&column)?.clone();
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform_up(outer)?.data)
}

/// EXISTS, or NOT EXISTS, of a plan.
fn asks(plan: &LogicalPlan, negated: bool) -> Expr {
    let outer_ref_columns = plan.all_out_ref_exprs();
    let subquery = Subquery { subquery: plan.clone().into(), outer_ref_columns, spans: Spans::new() };
    Expr::Exists(Exists { subquery, negated })
}
