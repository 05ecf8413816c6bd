//! Arithmetic that fails where its result does not fit, and casts that round, as in Postgres.
//!
//! ```text
//! a + b + c integers            add(a, b, c)            the batch engine's own wraps around
//! a * b     DECIMAL, 38 digits  multiply(a, b)          its own does not look at the precision
//! a / b     DECIMAL             divide(a, b)            its own cuts the last digit off
//! - a       integers            negate(a)               its own wraps around
//! x::INT    of a fraction       round_to_int32(x)       its own cuts the fraction off
//! x::INTERVAL  of a text        read_interval(x)        its own takes 10 for ten months
//! date_part('epoch', x)         epoch_of_interval(x)    its own has years of 360 days
//! x::TEXT   of an interval      show_interval(x)        its own has other words
//! ```
//!
//! The functions on the right stand in the plans of views and of batch queries from the moment that types are known.
//! So what the optimiser derives from arithmetic that wraps, and folds by it, is never derived: it knows nothing of them
//! but how to evaluate them over constants, and leaves to the rows what fails.

mod arithmetic;
mod chain;
mod decimals;
mod defaults;
mod parts;
mod rounding;

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::expressions::BinaryExpr as PhysicalBinary;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use arithmetic::{Arithmetic, Operation};
use chain::{chained, is_link};
use parts::part_of_interval;
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
    let down = |expr| match expr {
        Expr::BinaryExpr(last) if is_link(last.op) => {
            let chain = chained(last, schema)?;
            Ok(Transformed::new(chain.data, chain.transformed, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    };
    expr.transform_down_up(down, |expr| called(expr, schema))
}

/// The expression as a checked function, if it is one of a single operand.
fn called(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let function: Option<ScalarUDF> = match &expr {
        Expr::Negative(inner) => {
            let wraps = inner.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
            wraps.then(|| Arithmetic::new(vec![Operation::Negate]).into())
        }
        Expr::Cast(Cast { expr: value, field }) | Expr::TryCast(TryCast { expr: value, field }) => {
            let tries = matches!(expr, Expr::TryCast(_));
            match value.get_type(schema) {
                Ok(from) if cast_rounds(&from, field.data_type()) => {
                    Some(RoundedCast::new(field.data_type().clone(), tries).into())
                }
                Ok(from) if interval_text::is_read(&from, field.data_type()) => Some(interval_text::reader(tries)),
                Ok(from) if interval_text::is_shown(&from, field.data_type()) => Some(interval_text::writer()),
                _ => None,
            }
        }
        Expr::ScalarFunction(call) => part_of_interval(call, schema)?.map(ScalarUDF::from),
        Expr::WindowFunction(call) => {
            defaults::refuse_cut(call, schema)?;
            None
        }
        _ => None,
    };
    let Some(function) = function else { return Ok(Transformed::no(expr)) };
    let arg = match expr {
        Expr::Negative(inner) => *inner,
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => *expr,
        // The part that it is of an interval is in the function.
        Expr::ScalarFunction(ScalarFunction { mut args, .. }) => args.swap_remove(1),
        other => other,
    };
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args: vec![arg] })))
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
        let Some(operators) = arithmetic.operators().filter(|_| function.return_type().is_integer()) else {
            return Ok(Transformed::no(expr));
        };
        let mut operands = function.args().iter().cloned();
        let first = operands.next().expect("operators have operands");
        let all = operators.into_iter().zip(operands).fold(first, |left, (operator, right)| {
            Arc::new(PhysicalBinary::new(left, operator, right).with_fail_on_overflow(true)) as _
        });
        Ok(Transformed::yes(all))
    })?;
    Ok(expr.data)
}
