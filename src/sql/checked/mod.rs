//! Arithmetic that fails where its result does not fit, and casts that round, as in Postgres.
//!
//! ```text
//! a + b     integers            add(a, b)               the batch engine's own wraps around
//! a * b     DECIMAL, 38 digits  multiply(a, b)          its own does not look at the precision
//! a / b     DECIMAL             divide(a, b)            its own cuts the last digit off
//! - a       integers            negate(a)               its own wraps around
//! x::INT    of a fraction       round_to_int32(x)       its own cuts the fraction off
//! x::INTERVAL  of a text        read_interval(x)        its own takes 10 for ten months
//! ```
//!
//! The functions on the right stand in the plans of views and of batch queries from the moment that types are known.
//! So what the optimiser derives from arithmetic that wraps, and folds by it, is never derived: it knows nothing of them
//! but how to evaluate them over constants, and leaves to the rows what fails.

mod arithmetic;
mod decimals;
mod defaults;
mod rounding;

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::expressions::BinaryExpr as PhysicalBinary;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use arithmetic::{Arithmetic, Operation};
use rounding::RoundedCast;
pub use rounding::{cast_rounds, rounded};

use super::interval_text;

/// Puts the checked functions in the place of the batch engine's operators, once types are known.
#[derive(Debug)]
pub struct CheckArithmetic;

impl AnalyzerRule for CheckArithmetic {
    fn name(&self) -> &str {
        "check_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(checked(expr, &schema)?.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(plan.data)
    }
}

/// An expression over `schema`, its types settled, with checked functions in it.
///
/// # Errors
/// When the types do not fit.
pub fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let function: Option<ScalarUDF> = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.get_type(schema), right.get_type(schema)) {
                (Ok(left), Ok(right)) => Operation::checked(*op, &left, &right).map(|o| Arithmetic::new(o).into()),
                _ => None,
            },
            Expr::Negative(inner) => {
                let wraps = inner.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
                wraps.then(|| Arithmetic::new(Operation::Negate).into())
            }
            Expr::Cast(Cast { expr: value, field }) | Expr::TryCast(TryCast { expr: value, field }) => {
                let tries = matches!(expr, Expr::TryCast(_));
                match value.get_type(schema) {
                    Ok(from) if cast_rounds(&from, field.data_type()) => {
                        Some(RoundedCast::new(field.data_type().clone(), tries).into())
                    }
                    Ok(from) if interval_text::is_read(&from, field.data_type()) => Some(interval_text::reader(tries)),
                    _ => None,
                }
            }
            Expr::WindowFunction(call) => {
                defaults::refuse_cut(call, schema)?;
                None
            }
            _ => None,
        };
        let Some(function) = function else { return Ok(Transformed::no(expr)) };
        let args = match expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![*left, *right],
            Expr::Negative(inner) => vec![*inner],
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => vec![*expr],
            other => vec![other],
        };
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args })))
    })
}

/// A physical expression with the integers' functions as the operators that they are, which is how EXPLAIN shows them.
///
/// # Errors
/// Never, short of a bug.
pub fn as_operators(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let expr = expr.transform_up(|expr| {
        let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(Transformed::no(expr)) };
        let Some(arithmetic) = function.fun().inner().downcast_ref::<Arithmetic>() else {
            return Ok(Transformed::no(expr));
        };
        match (arithmetic.operation.operator(), function.args()) {
            (Some(operator), [left, right]) if function.return_type().is_integer() => {
                let checked = PhysicalBinary::new(left.clone(), operator, right.clone()).with_fail_on_overflow(true);
                Ok(Transformed::yes(Arc::new(checked) as _))
            }
            _ => Ok(Transformed::no(expr)),
        }
    })?;
    Ok(expr.data)
}
