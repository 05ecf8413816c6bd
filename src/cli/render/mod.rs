//! Results as text, in the format the user chose.
//!
//! ```text
//! Rows --Style--> table | csv | tsv | json | ndjson | markdown | line
//! ```
//!
//! Every format writes the same cell texts; they differ in what stands between them.

mod cell;
mod line;
mod markdown;
mod table;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;
use millstream::Rows;
use millstream::sink::text::{self, Delimited, Objects};

pub use cell::on_one_line;
pub use millstream::sink::text::Failure;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A box around aligned columns
    #[default]
    Table,
    /// Comma-separated, with a header line
    Csv,
    /// Tab-separated, with a header line
    Tsv,
    /// One array of objects
    Json,
    /// One object on each line
    Ndjson,
    /// A table for a Markdown page
    Markdown,
    /// One `column = value` on each line
    Line,
}

impl Format {
    /// The word that chooses the format.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_string())
    }

    /// What NULL looks like unless the user says otherwise: programs read CSV, people read the others.
    fn null(self) -> &'static str {
        match self {
            Format::Csv | Format::Tsv => "",
            _ => "NULL",
        }
    }
}

/// Everything that decides how a result looks.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// The format.
    pub format: Format,
    /// The text of NULL, where it is not the format's own.
    pub null: Option<String>,
    /// Set when a person looks on: long tables are cut, and wide ones folded to the width.
    pub screen: Option<Screen>,
}

/// A terminal.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Characters in a line.
    pub width: u16,
    /// Whether it shows more than ASCII.
    pub utf8: bool,
}

impl Style {
    fn null(&self) -> &str {
        self.null.as_deref().unwrap_or(self.format.null())
    }
}

/// Whether the column names are written before the rows; a continued result has them already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// They are.
    Shown,
    /// They are not, where the format has a header line of its own.
    Continued,
}

/// Writes a result.
pub fn write(out: &mut dyn Write, rows: &Rows, style: &Style, header: Header) -> Result<(), Failure> {
    match style.format {
        Format::Table => table::write(out, rows, style),
        Format::Csv => delimited(out, rows, &Delimited::quoted(',', style.null()), header),
        Format::Tsv => delimited(out, rows, &Delimited::escaped(style.null()), header),
        Format::Json | Format::Ndjson => objects(out, rows, style.format),
        Format::Markdown => markdown::write(out, rows, style.null()),
        Format::Line => line::write(out, rows, style.null()),
    }
}

/// How many rows a result has.
fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Calls `each` with the cell texts of every row.
fn for_each_row(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    mut each: impl FnMut(Vec<Option<String>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    batches.iter().try_for_each(|batch| text::for_each_row(schema, batch, &mut each))
}

fn delimited(out: &mut dyn Write, rows: &Rows, how: &Delimited, header: Header) -> Result<(), Failure> {
    if header == Header::Shown {
        how.header(out, &rows.schema)?;
    }
    rows.batches.iter().try_for_each(|batch| how.rows(out, &rows.schema, batch))
}

/// One array of objects, or one object on each line.
fn objects(out: &mut dyn Write, rows: &Rows, format: Format) -> Result<(), Failure> {
    let (begin, between, end): (&[u8], &[u8], &[u8]) = match format {
        Format::Json => (b"[", b",\n", b"]\n"),
        _ => (b"", b"\n", b""),
    };
    let (objects, last) = (Objects::new(&rows.schema), count(&rows.batches));
    let mut written = 0;
    out.write_all(begin)?;
    for batch in &rows.batches {
        objects.rows(batch, |object| {
            written += 1;
            out.write_all(object)?;
            let is_last = written == last && format == Format::Json;
            Ok(out.write_all(if is_last { b"" } else { between })?)
        })?;
    }
    Ok(out.write_all(end)?)
}

#[cfg(test)]
mod tests;
