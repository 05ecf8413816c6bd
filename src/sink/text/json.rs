//! Rows as JSON objects.
//!
//! Values are written by Arrow's own encoders. NULL is `null`, never left out. JSON has no numbers for NaN and the
//! infinities: they are the texts `"NaN"`, `"Infinity"` and `"-Infinity"`. A column name that occurs twice gets a
//! number, for most readers keep only the last of two equal keys.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{Failure, cell};
use crate::error::Result;

/// Writes rows as objects of the same keys.
#[derive(Debug)]
pub struct Objects {
    schema: SchemaRef,
    /// `"name":` of each column, from the second on with the comma before it.
    keys: Vec<String>,
}

impl Objects {
    /// Objects for rows of `schema`.
    pub fn new(schema: &SchemaRef) -> Objects {
        let mut taken: HashSet<String> = HashSet::new();
        let mut keys = Vec::new();
        for field in schema.fields() {
            let numbered = (2..).map(|n| format!("{}_{n}", field.name()));
            let name = std::iter::once(field.name().clone()).chain(numbered).find(|name| !taken.contains(name));
            let name = name.expect("the numbers do not end");
            let comma = if keys.is_empty() { "" } else { "," };
            keys.push(format!("{comma}{}:", serde_json::Value::from(name.as_str())));
            taken.insert(name);
        }
        Objects { schema: schema.clone(), keys }
    }

    /// Calls `each` with the text of every row's object.
    ///
    /// # Errors
    /// When a type has no JSON form, and what `each` meets.
    pub fn rows(&self, batch: &RecordBatch, mut each: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let columns = self.schema.fields().iter().zip(batch.columns());
        let mut cells = columns.map(|(f, c)| cell::json(f, c.as_ref())).collect::<Result<Vec<_>>>()?;
        let mut object = Vec::new();
        for row in 0..batch.num_rows() {
            object.clear();
            object.push(b'{');
            for (key, cell) in self.keys.iter().zip(&mut cells) {
                object.extend_from_slice(key.as_bytes());
                match cell.is_null(row) {
                    true => object.extend_from_slice(b"null"),
                    false => cell.encode(row, &mut object),
                }
            }
            object.push(b'}');
            each(&object)?;
        }
        Ok(())
    }
}
