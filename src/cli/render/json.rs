//! JSON: one array, or one object on each line.
//!
//! Objects are written by Arrow's own encoders. NULL is `null`, never left out. JSON has no NaN or infinity: they are
//! `null` too. A column name that occurs twice gets a number, for most readers keep only the last of two equal keys.

use std::collections::HashSet;
use std::io::Write;

use arrow::datatypes::SchemaRef;
use millstream::Rows;

use super::{Failure, cell, count};

/// Writes one array of objects.
pub fn array(out: &mut dyn Write, rows: &Rows) -> Result<(), Failure> {
    let last = count(&rows.batches);
    let mut written = 0;
    out.write_all(b"[")?;
    objects(rows, |object| {
        written += 1;
        out.write_all(object)?;
        Ok(out.write_all(if written < last { b",\n" } else { b"" })?)
    })?;
    Ok(out.write_all(b"]\n")?)
}

/// Writes one object on each line.
pub fn lines(out: &mut dyn Write, rows: &Rows) -> Result<(), Failure> {
    objects(rows, |object| {
        out.write_all(object)?;
        Ok(out.write_all(b"\n")?)
    })
}

fn objects(rows: &Rows, mut each: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let keys = keys(&rows.schema);
    let mut object = Vec::new();
    for batch in &rows.batches {
        let columns = rows.schema.fields().iter().zip(batch.columns());
        let mut cells = columns.map(|(f, c)| cell::json(f, c.as_ref())).collect::<millstream::Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            object.clear();
            object.push(b'{');
            for (index, cell) in cells.iter_mut().enumerate() {
                object.extend_from_slice(keys[index].as_bytes());
                match cell.is_null(row) {
                    true => object.extend_from_slice(b"null"),
                    false => cell.encode(row, &mut object),
                }
            }
            object.push(b'}');
            each(&object)?;
        }
    }
    Ok(())
}

/// `"name":` of each column, from the second on with the comma before it.
fn keys(schema: &SchemaRef) -> Vec<String> {
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
    keys
}
