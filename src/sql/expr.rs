//! Scalar expressions: simplified, made physical, and looked at for what a view must know.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::checked::{as_operators, checked};
use crate::error::{Error, Result};

/// Types an expression over `schema` and folds its constants; `now()` becomes the session's time.
///
/// # Errors
/// When a type does not fit.
pub fn simplify(state: &SessionState, expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = checked(simplifier.coerce(expr, schema)?, schema)?.data;
    Ok(simplifier.simplify(expr)?)
}

/// An expression ready to be evaluated over batches of `schema`.
///
/// # Errors
/// When the batch engine cannot evaluate it (a subquery that was not turned into a join).
pub fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let expr = checked(expr.clone(), schema)?.data;
    let expr = create_physical_expr(&expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    Ok(as_operators(expr)?)
}

/// A text that tells everything about expressions over the columns of one node. Their own texts leave out the types of
/// literals; what they print for debugging grows with the square, and for CASE within CASE doubles with each level.
///
/// # Errors
/// Never, short of a bug.
pub fn identity(exprs: &[Arc<dyn PhysicalExpr>]) -> Result<String> {
    let mut text = String::new();
    for expr in exprs {
        text.push_str(&format!("{expr} with"));
        expr.apply(|e| {
            if let Some(literal) = e.downcast_ref::<Literal>() {
                text.push_str(&format!(" {:?}", literal.value().data_type()));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        text.push_str("; ");
    }
    Ok(text)
}

/// How far an expression depends on more than its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    /// On nothing else.
    Row,
    /// On the time of the commit, such as `now()`.
    Time,
}

/// What an expression depends on.
///
/// # Errors
/// When it calls a volatile function, whose result could not be rebuilt from the log.
pub fn dependence(expr: &Expr) -> Result<Dependence> {
    let mut found = Dependence::Row;
    let mut refused = None;
    expr.apply(|e| {
        if let Expr::ScalarFunction(ScalarFunction { func, .. }) = e {
            match func.signature().volatility {
                Volatility::Immutable => {}
                Volatility::Stable => found = Dependence::Time,
                Volatility::Volatile => {
                    refused = Some(func.name().to_string());
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match refused {
        None => Ok(found),
        Some(name) => Err(Error::unsupported(format!(
            "`{name}()` gives another value at each call, so a view over it could not be rebuilt from the log"
        ))
        .with_hint(format!("compute `{name}()` when inserting the row"))),
    }
}

/// Refuses a view's plan that calls a volatile function anywhere, even where the optimiser would drop the call.
///
/// # Errors
/// As [`dependence`].
pub fn refuse_volatile(plan: &LogicalPlan) -> Result<()> {
    let mut found = Ok(());
    plan.apply_with_subqueries(|node| {
        found = node.expressions().iter().try_for_each(|expr| dependence(expr).map(|_| ()));
        Ok(if found.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    found
}

/// Whether a plan depends on the time of the commit anywhere.
///
/// # Errors
/// As [`dependence`].
pub fn uses_time(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    let mut failed = None;
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            match dependence(&expr) {
                Ok(d) => found |= d == Dependence::Time,
                Err(error) => {
                    failed = Some(error);
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    failed.map_or(Ok(found), Err)
}
