//! Which rows `WHERE key = value` is about: those that the table's index finds, instead of all.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::sql::sqlparser::ast;

use super::names::Context;
use super::update::Update;
use crate::engine::catalog::{Catalog, Object};
use crate::engine::constraint::empty_snapshot;
use crate::engine::providers::Batching;
use crate::engine::query::Runner;
use crate::error::Result;
use crate::sql::expr::simplify;

/// The primary key that WHERE asks for in each of its columns, if it does. The rows are put to WHERE all the same: a
/// key only says that no others can satisfy it.
///
/// # Errors
/// When the key cannot be put together, which would be a bug.
pub fn of(
    update: &Update,
    runner: &Runner,
    catalog: &Arc<Catalog>,
    target: &Arc<Object>,
) -> Result<Option<RecordBatch>> {
    let Some(condition) = update.condition.as_ref().filter(|_| !target.key.is_empty()) else { return Ok(None) };
    let nothing = empty_snapshot(catalog.clone(), 0);
    let context = Context { runner, snapshot: &nothing, target, rows: &[] };
    let schema = DFSchema::try_from_qualified_schema(TableReference::bare(update.called.as_str()), &target.schema)?;
    let mut equal: Vec<Option<ScalarValue>> = vec![None; target.schema.fields().len()];
    for part in parts(condition) {
        // What cannot be bound here reads more than the row, or is wrong and will be said to be.
        let Ok(bound) = context.bind(Batching::Whole, part, &schema) else { continue };
        let Ok(bound) = simplify(runner.session(), bound, &schema) else { continue };
        for part in split_conjunction(&bound) {
            if let Some((at, value)) = equality(part, &schema) {
                equal[at] = Some(value);
            }
        }
    }
    let mut columns: Vec<ArrayRef> = Vec::new();
    for at in &target.key {
        let data_type = target.schema.field(*at).data_type();
        // Numbers that are equal and not the same have no place in an index.
        match &equal[*at] {
            Some(value) if value.data_type() == *data_type && !data_type.is_floating() && !value.is_null() => {
                columns.push(value.to_array()?);
            }
            _ => return Ok(None),
        }
    }
    let fields: Vec<_> = target.key.iter().map(|at| target.schema.field(*at).clone().with_nullable(true)).collect();
    Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?))
}

/// What is joined by AND.
fn parts(condition: &ast::Expr) -> Vec<&ast::Expr> {
    match condition {
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::And, right } => [parts(left), parts(right)].concat(),
        ast::Expr::Nested(inner) => parts(inner),
        other => vec![other],
    }
}

/// `column = value`, by the column's place.
fn equality(expr: &Expr, schema: &DFSchema) -> Option<(usize, ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
            Some((schema.index_of_column(column).ok()?, value.clone()))
        }
        _ => None,
    }
}
