//! Operators that Postgres has and the batch engine plans not at all, or otherwise.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::utils::list_ndims;
use datafusion::error::Result;
use datafusion::functions_nested::concat::{array_append_udf, array_prepend_udf};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr, RawWindowExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, try_cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::Cleared;
use super::{division, interval, json, moments, subscript};

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

    fn plan_window(&self, expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        let is_number = matches!(expr.func_def.name(), "row_number" | "rank" | "dense_rank" | "ntile");
        Ok(if is_number { PlannerResult::Planned(signed(expr)) } else { PlannerResult::Original(expr) })
    }
}

/// The number of a row as BIGINT: the batch engine's has no sign, so that the difference of two may be out of range. The
/// cast is one that never fails, so that nothing takes it for what may.
fn signed(expr: RawWindowExpr) -> Expr {
    let RawWindowExpr { func_def, args, partition_by, order_by, window_frame, filter, null_treatment, distinct } = expr;
    let params = WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct };
    try_cast(Expr::WindowFunction(Box::new(WindowFunction { fun: func_def, params })), DataType::Int64)
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
