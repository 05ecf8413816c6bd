//! `on_error = 'skip'`: views that leave out the rows on which an expression fails.
//!
//! Filters, projections and the expressions below aggregates, joins and windows are evaluated row by row, and leave out
//! the row that fails; an aggregate leaves out the group of which a value fails, a window function the partition. What
//! cannot tell what it is that fails is refused: a wrong row would be worse than none.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::Lowering;
use crate::error::{Error, Result};

/// What a view does about rows on which an expression fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Reading it fails while there is one.
    Fail,
    /// It leaves them out and lists them.
    Skip,
}

/// Functions that take every value of the types they are declared for.
const TOTAL_FUNCTIONS: [&str; 10] = [
    "coalesce",
    "nullif",
    "lower",
    "upper",
    "character_length",
    "octet_length",
    "btrim",
    "concat",
    "get_field",
    "starts_with",
];

impl Lowering<'_> {
    /// Refuses what cannot leave out failing rows, where they are to be left out.
    pub(super) fn refuse_to_skip(&self, what: &str, why: &str) -> Result<()> {
        match self.on_error {
            OnError::Fail => Ok(()),
            OnError::Skip => Err(Error::unsupported(format!("on_error = 'skip' with {what}: {why}")).with_hint(
                "put what may fail into a view of its own with on_error = 'skip', and read that one from a view without",
            )),
        }
    }

    /// Refuses what is recomputed: its batch plan fails as a whole.
    pub(super) fn tells_rows(&self, plan: &LogicalPlan) -> Result<()> {
        let what = plan.display().to_string();
        self.refuse_to_skip(&what, "it is recomputed over all rows, which does not tell the row that fails")
    }
}

/// Whether the evaluation of an expression may find something wrong with a row. What is not known to take every value
/// may.
pub fn may_fail(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= !is_total(e);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Whether the expression itself, whatever is below it, takes every value.
fn is_total(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::TryCast(_)
        | Expr::Case(_) => true,
        Expr::BinaryExpr(binary) => matches!(
            binary.op,
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
                | Operator::And
                | Operator::Or
        ),
        Expr::Cast(cast) => matches!(cast.field.data_type(), DataType::Utf8),
        Expr::ScalarFunction(call) => TOTAL_FUNCTIONS.contains(&call.func.name()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, try_cast};
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn what_may_fail_is_what_is_not_known_to_take_every_value() {
        for total in [
            col("a").lt(lit(1)).and(col("b").is_null()),
            cast(col("a"), DataType::Utf8),
            try_cast(col("a"), DataType::Int64),
            col("a").in_list(vec![lit(1), col("b")], true),
        ] {
            assert!(!may_fail(&total), "{total}");
        }
        for partial in
            [col("a") / col("b"), cast(col("a"), DataType::Int64).is_null(), col("a").eq(col("b") + lit(1)), -col("a")]
        {
            assert!(may_fail(&partial), "{partial}");
        }
    }
}
