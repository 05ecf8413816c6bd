//! What a row must satisfy to be accepted: NOT NULL, the primary key's columns, CHECK.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Object};
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::sql::bind::{Binder, Names};
use crate::sql::parse::parse_expression;

/// Constraints of one stream or table, ready to be evaluated.
pub struct Constraints {
    name: String,
    kind: &'static str,
    columns: Vec<String>,
    not_null: Vec<usize>,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

/// Names for an expression that may read no relation.
pub(super) struct NoNames;

impl Names for NoNames {
    fn table(&self, _: &str) -> Result<Option<Arc<dyn datafusion::datasource::TableProvider>>> {
        Ok(None)
    }

    fn all(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Constraints {
    /// The constraints of an object.
    ///
    /// # Errors
    /// When a CHECK is not a condition over the object's columns.
    pub fn new(session: &SessionState, object: &Object) -> Result<Self> {
        let required = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
            (!field.is_nullable() || object.key.contains(&at)).then_some(at)
        };
        let schema = DFSchema::try_from(object.schema.as_ref().clone())?;
        let checks = object
            .checks
            .iter()
            .map(|check| {
                let expr = bound(session, &check.text, &schema)?;
                let expr = crate::sql::expr::simplify(session, expr, &schema)?;
                let physical = crate::sql::expr::physical(&expr, &schema)?;
                if physical.data_type(schema.as_arrow())? != arrow::datatypes::DataType::Boolean {
                    return Err(Error::input(format!("CHECK ({}) is not a condition", check.text)));
                }
                Ok((check.name.clone(), physical))
            })
            .collect::<Result<_>>()?;
        Ok(Constraints {
            name: object.name.clone(),
            kind: object.kind.name(),
            columns: object.schema.fields().iter().map(|f| f.name().clone()).collect(),
            not_null: object.schema.fields().iter().enumerate().filter_map(required).collect(),
            checks,
        })
    }

    /// The rows that are refused, each with the reason, in order.
    ///
    /// # Errors
    /// When a CHECK cannot be evaluated at all.
    pub fn refused(&self, batch: &RecordBatch) -> Result<Vec<(usize, String)>> {
        let mut refused: Vec<(usize, String)> = Vec::new();
        for column in &self.not_null {
            let array = batch.column(*column);
            let Some(nulls) = array.logical_nulls().filter(|n| n.null_count() > 0) else { continue };
            let rows = (0..array.len()).filter(|row| nulls.is_null(*row));
            refused.extend(rows.map(|row| (row, format!("column `{}` is NULL", self.columns[*column]))));
        }
        for (name, check) in &self.checks {
            match check.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())) {
                Ok(values) => refused
                    .extend(false_rows(values.as_boolean()).map(|row| (row, format!("check `{name}` is not met")))),
                // One row's failure fails the batch: ask row by row.
                Err(_) => {
                    for row in 0..batch.num_rows() {
                        match check.evaluate(&batch.slice(row, 1)).and_then(|v| v.into_array(1)) {
                            Ok(value) if false_rows(value.as_boolean()).next().is_some() => {
                                refused.push((row, format!("check `{name}` is not met")));
                            }
                            Ok(_) => {}
                            Err(error) => refused.push((row, format!("check `{name}` fails: {}", Error::from(error)))),
                        }
                    }
                }
            }
        }
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        Ok(refused)
    }

    /// Refuses a batch for its first row that does not satisfy the constraints.
    ///
    /// # Errors
    /// Names the object, the constraint and the row.
    pub fn check(&self, batch: &RecordBatch) -> Result<()> {
        match self.refused(batch)?.first() {
            None => Ok(()),
            Some((row, reason)) => Err(Error::input(format!(
                "{} `{}`: {reason} in the row {}",
                self.kind,
                self.name,
                show_row(batch, *row)
            ))),
        }
    }
}

/// NULL is no violation.
fn false_rows(values: &BooleanArray) -> impl Iterator<Item = usize> {
    values.iter().enumerate().filter(|(_, value)| *value == Some(false)).map(|(row, _)| row)
}

pub(super) fn bound(session: &SessionState, text: &str, schema: &DFSchema) -> Result<Expr> {
    let expression = parse_expression(text)?;
    let reads_more = ast::visit_expressions(&expression, |expr| match expr {
        ast::Expr::Subquery(_) | ast::Expr::InSubquery { .. } | ast::Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let more_rows = || Error::input(format!("`{text}` reads more than the row that it is for"));
    if reads_more.is_break() {
        return Err(more_rows());
    }
    let expr = Binder::new(session, &NoNames).expression(expression, schema).map_err(Error::without_place)?;
    let reads_more = expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_))))?;
    if reads_more { Err(more_rows()) } else { Ok(expr) }
}

/// The expressions of an object's DEFAULTs, by column, each of the column's type.
///
/// # Errors
/// When a default reads a column or does not fit its own.
pub fn defaults(session: &SessionState, object: &Object) -> Result<Vec<(String, Expr)>> {
    let empty = DFSchema::empty();
    let mut defaults = Vec::new();
    for (field, text) in object.schema.fields().iter().zip(&object.defaults) {
        let Some(text) = text else { continue };
        let expr = bound(session, text, &empty)
            .and_then(|e| {
                crate::sql::expr::simplify(
                    session,
                    datafusion::logical_expr::cast(e, field.data_type().clone()),
                    &empty,
                )
            })
            .map_err(|e| Error::input(format!("the default of column `{}`: {e}", field.name())))?;
        defaults.push((field.name().clone(), expr));
    }
    Ok(defaults)
}

/// A snapshot of nothing, for statements that read nothing.
pub fn empty_snapshot(catalog: Arc<Catalog>, time: i64) -> Arc<Snapshot> {
    let history = super::history::History {
        archive: None,
        archived_to: 0,
        segments: Arc::default(),
        to: 0,
        added: Arc::default(),
        pending: Arc::default(),
    };
    Arc::new(Snapshot {
        offset: 0,
        time,
        catalog,
        rows: std::collections::HashMap::new(),
        history,
        closings: Default::default(),
        versions: Default::default(),
    })
}
