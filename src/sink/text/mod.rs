//! Rows as text, value by value: what COPY writes, and what programs print.
//!
//! Every format writes the same [cells](Cells); they differ in what stands between them.

mod cell;
mod delimited;
mod json;

use std::io;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use cell::Cells;
pub use delimited::Delimited;
pub use json::Objects;

use crate::error::{Error, Result};

/// What stops rows from being written.
#[derive(Debug)]
pub enum Failure {
    /// The place they are written to.
    Io(io::Error),
    /// The values.
    Value(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Value(error)
    }
}

/// Calls `each` with the texts of every row, `None` for NULL.
///
/// # Errors
/// When a type has no text, and what `each` meets.
pub fn for_each_row(
    schema: &SchemaRef,
    batch: &RecordBatch,
    mut each: impl FnMut(Vec<Option<String>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let columns = schema.fields().iter().zip(batch.columns());
    let mut cells = columns.map(|(f, c)| Cells::new(f, c.as_ref())).collect::<Result<Vec<_>>>()?;
    (0..batch.num_rows()).try_for_each(|row| each(cells.iter_mut().map(|c| c.text(row)).collect()))
}
