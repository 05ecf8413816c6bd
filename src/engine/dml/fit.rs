//! Values for columns: assigned, cast to the column's type, and refused with the names of table, column and row.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::physical_expr::expressions::{Column, cast};

use crate::engine::catalog::Object;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::checked::{cast_rounds, rounded};
use crate::sql::interval_text::{canonical, is_read};

/// Values as those of a column of the target; `row` names the row that a number is of.
///
/// # Errors
/// When the column cannot hold them.
pub fn fit_column(target: &Object, at: usize, values: ArrayRef, row: &dyn Fn(usize) -> String) -> Result<ArrayRef> {
    let field = target.schema.field(at);
    if values.data_type() == field.data_type() {
        return Ok(values);
    }
    // Numbers of a fraction are rounded, as by a cast.
    let values = if cast_rounds(values.data_type(), field.data_type()) { rounded(&values)? } else { values };
    let values = match is_read(values.data_type(), field.data_type()) {
        true => Arc::new(canonical(values.as_string::<i32>())) as ArrayRef,
        false => values,
    };
    let schema = Arc::new(Schema::new(vec![Field::new(field.name(), values.data_type().clone(), true)]));
    let column = Arc::new(Column::new(field.name(), 0));
    let cast =
        cast(column, &schema, field.data_type().clone()).map_err(|error| named(error.into(), target, at, None))?;
    let rows = values.len();
    let batch = with_schema(&schema, vec![values], rows)?;
    match cast.evaluate(&batch).and_then(|fitting| fitting.into_array(rows)) {
        Ok(fitting) => Ok(fitting),
        Err(whole) => {
            for number in 0..rows {
                if let Err(error) = cast.evaluate(&batch.slice(number, 1)) {
                    return Err(named(error.into(), target, at, Some(row(number))));
                }
            }
            Err(named(whole.into(), target, at, None))
        }
    }
}

/// The error with the names of the table, the column and the row that it is about.
pub fn named(error: Error, target: &Object, at: usize, row: Option<String>) -> Error {
    let place = error.place();
    let (message, hint) = match error {
        Error::Input(error) | Error::Unsupported(error) => (error.message, error.hint),
        other => return other,
    };
    let column = target.schema.field(at).name();
    let row = row.map_or_else(String::new, |row| format!(", {row}"));
    let error = Error::input(format!("{message}: column `{column}` of {} `{}`{row}", target.kind.name(), target.name));
    let error = error.with_place(place);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// One row in words.
pub fn the_row(batch: &RecordBatch, row: usize) -> String {
    format!("in the row {}", crate::operators::eval::show_row(batch, row))
}
