//! Calls that fail for every row, whatever is in it, and aggregates that are over other rows than it seems: the fault is
//! in the text, and is told before a view is made.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::expr::{physical, simplify};
use crate::error::{Error, Result};

/// Functions whose first argument is one of a few words.
const BY_WORD: [&str; 2] = ["date_part", "date_trunc"];
/// Aggregates whose second argument is a share of the rows.
const BY_SHARE: [&str; 2] = ["percentile_cont", "approx_percentile_cont"];

/// Refuses a plan with a call that no row can answer.
///
/// # Errors
/// That name the call.
pub fn refuse_unanswerable(plan: &LogicalPlan, state: &SessionState) -> Result<()> {
    let mut found = Ok(());
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|e| {
                found = refuse(e, state);
                Ok(if found.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })?;
            if found.is_err() {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found
}

fn refuse(expr: &Expr, state: &SessionState) -> Result<()> {
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, params })
            if func.name() == "count" && params.distinct && params.args.len() > 1 =>
        {
            Err(Error::unsupported("count(DISTINCT ...) of several values")
                .with_hint("SELECT count(*) FROM (SELECT DISTINCT a, b FROM ...) counts rows of several"))
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) if is_over_outer_rows(params) => {
            Err(Error::unsupported(format!("`{}` within a subquery, over columns of the query around it", func.name()))
                .with_hint("it is an aggregate of that query; write it outside the subquery"))
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) if BY_SHARE.contains(&func.name()) => {
            let Some(share) = params.args.get(1) else { return Ok(()) };
            if share.any_column_refs() {
                return Err(Error::unsupported(format!("{} of a share that is not constant", func.name())));
            }
            match simplify(state, share.clone(), &DFSchema::empty()) {
                Ok(Expr::Literal(value, _)) => within_one(func.name(), &value),
                _ => Ok(()),
            }
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if BY_WORD.contains(&func.name()) => {
            let Some(Expr::Literal(word, metadata)) = args.first() else { return Ok(()) };
            let moment = Expr::Literal(ScalarValue::TimestampNanosecond(Some(0), None), None);
            let args = vec![Expr::Literal(word.clone(), metadata.clone()), moment];
            let call = Expr::ScalarFunction(ScalarFunction { func: func.clone(), args });
            let schema = DFSchema::empty();
            let batch = RecordBatch::new_empty(schema.inner().clone());
            physical(&call, &schema)?.evaluate(&batch).map(|_| ()).map_err(Error::from)
        }
        _ => Ok(()),
    }
}

/// Whether all columns that an aggregate names are those of an outer query, of whose rows it then is.
fn is_over_outer_rows(params: &AggregateFunctionParams) -> bool {
    let keys = params.order_by.iter().map(|key| &key.expr);
    let filter = params.filter.iter().map(|filter| filter.as_ref());
    let exprs: Vec<&Expr> = params.args.iter().chain(filter).chain(keys).collect();
    exprs.iter().any(|expr| expr.contains_outer()) && !exprs.iter().any(|expr| expr.any_column_refs())
}

/// A share is from 0 to 1.
fn within_one(name: &str, value: &ScalarValue) -> Result<()> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(share))) if !(0.0..=1.0).contains(&share) => {
            Err(Error::input(format!("{name} takes a share from 0 to 1, not {value}")))
        }
        _ => Ok(()),
    }
}
