//! CSV and TSV.
//!
//! ```text
//! quoted    RFC 4180 with `\n`: a field with the delimiter, `"` or a line end is quoted, `"` inside doubled. A text
//!           that equals the text of NULL is quoted too, so that '' and NULL differ (as in PostgreSQL's COPY).
//! escaped   no quotes: tab, line ends and `\` are written `\t` `\n` `\r` `\\`.
//! ```

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{Failure, for_each_row};

/// Writes rows as lines of fields.
#[derive(Debug, Clone)]
pub struct Delimited {
    delimiter: char,
    is_quoted: bool,
    null: String,
}

impl Delimited {
    /// Fields in quotes where they need them. `null` stands for NULL.
    pub fn quoted(delimiter: char, null: &str) -> Delimited {
        Delimited { delimiter, is_quoted: true, null: null.into() }
    }

    /// Fields between tabs, with escapes. `null` stands for NULL.
    pub fn escaped(null: &str) -> Delimited {
        Delimited { delimiter: '\t', is_quoted: false, null: null.into() }
    }

    /// Writes the names of the columns.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn header(&self, out: &mut dyn Write, schema: &SchemaRef) -> Result<(), Failure> {
        if schema.fields().is_empty() {
            return Ok(());
        }
        self.line(out, schema.fields().iter().map(|f| self.protect(f.name())))
    }

    /// Writes rows.
    ///
    /// # Errors
    /// When a type has no text, and what the writer meets.
    pub fn rows(&self, out: &mut dyn Write, schema: &SchemaRef, batch: &RecordBatch) -> Result<(), Failure> {
        if schema.fields().is_empty() {
            return Ok(());
        }
        for_each_row(schema, batch, |cells| {
            self.line(out, cells.into_iter().map(|cell| cell.map_or_else(|| self.null.clone(), |c| self.protect(&c))))
        })
    }

    fn line(&self, out: &mut dyn Write, fields: impl Iterator<Item = String>) -> Result<(), Failure> {
        let mut buffer = [0; 4];
        let delimiter = self.delimiter.encode_utf8(&mut buffer);
        Ok(writeln!(out, "{}", fields.collect::<Vec<_>>().join(delimiter))?)
    }

    fn protect(&self, text: &str) -> String {
        if !self.is_quoted {
            return text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        }
        if text == self.null || text.contains(['"', self.delimiter, '\n', '\r']) {
            return format!("\"{}\"", text.replace('"', "\"\""));
        }
        text.to_string()
    }
}
