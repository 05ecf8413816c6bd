//! Evaluates expressions over a delta, with failing rows as data.
//!
//! The batch engine's expressions fail for a whole batch at once. A batch that fails is cut in halves until the
//! failing rows stand alone; the others go on. A row that succeeds in some batch succeeds alone too (a batch
//! evaluates at least what its rows need), so which rows fail does not depend on how rows came together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;

use crate::delta::{Delta, RowError};
use crate::error::{Error, Result};

/// Characters of a row shown in an error message.
const ROW_CHARS_MAX: usize = 200;

/// Columns of results for the rows that succeeded, and the failures.
pub struct Evaluated {
    /// One array per expression.
    pub columns: Vec<ArrayRef>,
    /// The rows of the input that `columns` hold, or `None` where they are all of them.
    pub rows: Option<Vec<u32>>,
    /// A failure per row that is missing.
    pub errors: Vec<RowError>,
}

/// Evaluates each expression over each row.
///
/// # Errors
/// When memory or a limit is at its end; never for what an expression finds wrong with a row.
pub fn evaluate(exprs: &[Arc<dyn PhysicalExpr>], delta: &Delta) -> Result<Evaluated> {
    match evaluate_batch(exprs, &delta.batch) {
        Ok(columns) => Ok(Evaluated { columns, rows: None, errors: Vec::new() }),
        Err(error) if is_fatal(&error) => Err(error.into()),
        Err(_) => evaluate_apart(exprs, delta),
    }
}

fn evaluate_batch(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>, DataFusionError> {
    exprs.iter().map(|e| e.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// Whether an error is one of memory or the disk, and says nothing about a row.
pub fn is_fatal(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_) | DataFusionError::IoError(_))
}

fn evaluate_apart(exprs: &[Arc<dyn PhysicalExpr>], delta: &Delta) -> Result<Evaluated> {
    let mut apart = Apart { parts: vec![Vec::new(); exprs.len()], rows: Vec::new(), errors: Vec::new() };
    apart.split(exprs, delta, 0, delta.len())?;
    let columns = apart
        .parts
        .iter()
        .zip(exprs)
        .map(|(parts, expr)| {
            if parts.is_empty() {
                return Ok(arrow::array::new_empty_array(&expr.data_type(&delta.schema())?));
            }
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            Ok(concat(&parts)?)
        })
        .collect::<Result<_>>()?;
    Ok(Evaluated { columns, rows: Some(apart.rows), errors: apart.errors })
}

struct Apart {
    parts: Vec<Vec<ArrayRef>>,
    rows: Vec<u32>,
    errors: Vec<RowError>,
}

impl Apart {
    /// The depth of the recursion is the logarithm of the number of rows.
    fn split(&mut self, exprs: &[Arc<dyn PhysicalExpr>], delta: &Delta, start: usize, length: usize) -> Result<()> {
        // A constant that fails does so over no rows, too.
        if length == 0 {
            return Ok(());
        }
        match evaluate_batch(exprs, &delta.batch.slice(start, length)) {
            Ok(columns) => {
                for (parts, column) in self.parts.iter_mut().zip(columns) {
                    parts.push(column);
                }
                self.rows.extend(start as u32..(start + length) as u32);
                Ok(())
            }
            Err(error) if is_fatal(&error) => Err(error.into()),
            Err(error) if length == 1 => {
                let error: Error = error.into();
                let message = format!("{error}, on the row {}", show_row_by_name(&delta.batch, start));
                self.errors.push(RowError { message, weight: delta.weights.get(start) });
                Ok(())
            }
            Err(_) => {
                self.split(exprs, delta, start, length / 2)?;
                self.split(exprs, delta, start + length / 2, length - length / 2)
            }
        }
    }
}

/// What the batch engine calls the columns that it makes for itself.
const MADE_COLUMN: &str = "__common_expr_";

/// A row as `(column = value, ...)`, cut when it is long.
pub fn show_row(batch: &RecordBatch, row: usize) -> String {
    shown(values(batch, row))
}

/// The same in the order of the columns' names: the planner does not put the columns of a row in one order every time, and
/// equal failures have equal texts.
fn show_row_by_name(batch: &RecordBatch, row: usize) -> String {
    let mut values = values(batch, row);
    values.sort_unstable();
    shown(values)
}

/// The columns of a row and their values.
fn values(batch: &RecordBatch, row: usize) -> Vec<(String, String)> {
    let options = FormatOptions::new().with_null("NULL");
    let value = |column: &ArrayRef| match ArrayFormatter::try_new(column.as_ref(), &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(_) => "?".into(),
    };
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).filter(|(of, _)| !of.name().starts_with(MADE_COLUMN));
    columns.map(|(field, column)| (field.name().clone(), value(column))).collect()
}

fn shown(values: Vec<(String, String)>) -> String {
    let values: Vec<String> = values.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let mut text = format!("({}", values.join(", "));
    if let Some((cut, _)) = text.char_indices().nth(ROW_CHARS_MAX) {
        text.truncate(cut);
        text.push_str("...");
    }
    text.push(')');
    text
}
