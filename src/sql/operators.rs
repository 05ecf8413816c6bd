//! Operators that Postgres has and the batch engine plans not at all, or otherwise.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};

use super::{interval, json};

/// The planners of operators of a session, ours first.
pub fn planners(known: Vec<Arc<dyn ExprPlanner>>) -> Vec<Arc<dyn ExprPlanner>> {
    let ours: Arc<dyn ExprPlanner> = Arc::new(Operators);
    std::iter::once(ours).chain(known).collect()
}

#[derive(Debug)]
struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let planned = match json::call(&expr)? {
            Some(planned) => Some(planned),
            None => interval::product(&expr, schema)?,
        };
        Ok(planned.map_or(PlannerResult::Original(expr), PlannerResult::Planned))
    }
}
