//! Operators that Postgres has and the batch engine plans not at all, or otherwise.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::utils::list_ndims;
use datafusion::error::Result;
use datafusion::functions_nested::concat::{array_append_udf, array_prepend_udf};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::Cleared;
use super::{division, interval, json, json_within, moments, subscript};

/// The planners of operators of a session, ours first.
pub fn planners(known: Vec<Arc<dyn ExprPlanner>>) -> Vec<Arc<dyn ExprPlanner>> {
    let ours: Arc<dyn ExprPlanner> = Arc::new(Operators);
    std::iter::once(ours).chain(known).collect()
}

#[derive(Debug)]
struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let mut planned = json::call(&expr)?;
        if planned.is_none() {
            planned = json_within::call(&expr, schema)?;
        }
        if planned.is_none() {
            planned = interval::product(&expr, schema)?;
        }
        if planned.is_none() {
            planned = moments::arithmetic(&expr, schema);
        }
        if planned.is_none() {
            planned = division::quotient(&expr, schema)?;
        }
        if planned.is_none() {
            planned = element(&expr, schema)?;
        }
        Ok(planned.map_or(PlannerResult::Original(expr), PlannerResult::Planned))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let planned = subscript::place(&expr, schema)?;
        Ok(planned.map_or(PlannerResult::Original(expr), PlannerResult::Planned))
    }
}

/// `list || element` and `element || list`.
fn element(expr: &RawBinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    if expr.op != BinaryOperator::StringConcat {
        return Ok(None);
    }
    let (left, right) = (list_ndims(&expr.left.get_type(schema)?), list_ndims(&expr.right.get_type(schema)?));
    let function = match left.cmp(&right) {
        Ordering::Less => array_prepend_udf(),
        Ordering::Greater => array_append_udf(),
        Ordering::Equal => return Ok(None),
    };
    Ok(Some(ScalarUDF::from(Cleared::new(function)).call(vec![expr.left.clone(), expr.right.clone()])))
}
