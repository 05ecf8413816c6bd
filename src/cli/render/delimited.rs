//! CSV and TSV.
//!
//! ```text
//! csv   RFC 4180 with `\n`: a field with `,` `"` or a line end is quoted, `"` inside doubled. A text that equals
//!       the text of NULL is quoted too, so that '' and NULL differ (as in PostgreSQL's COPY).
//! tsv   no quotes: tab, line ends and `\` are written `\t` `\n` `\r` `\\`.
//! ```

use std::io::Write;

use millstream::Rows;

use super::{Failure, Header, for_each_row};

/// Writes CSV.
pub fn csv(out: &mut dyn Write, rows: &Rows, null: &str, header: Header) -> Result<(), Failure> {
    let quote = |text: &str| {
        let special = text == null || text.contains(['"', ',', '\n', '\r']);
        if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
    };
    write(out, rows, null, header, ",", quote)
}

/// Writes TSV.
pub fn tsv(out: &mut dyn Write, rows: &Rows, null: &str, header: Header) -> Result<(), Failure> {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
    write(out, rows, null, header, "\t", escape)
}

fn write(
    out: &mut dyn Write,
    rows: &Rows,
    null: &str,
    header: Header,
    separator: &str,
    protect: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    if rows.schema.fields().is_empty() {
        return Ok(());
    }
    if header == Header::Shown {
        let names: Vec<String> = rows.schema.fields().iter().map(|f| protect(f.name())).collect();
        writeln!(out, "{}", names.join(separator))?;
    }
    for_each_row(&rows.schema, &rows.batches, |cells| {
        let fields: Vec<String> =
            cells.iter().map(|c| c.as_deref().map_or_else(|| null.to_string(), &protect)).collect();
        Ok(writeln!(out, "{}", fields.join(separator))?)
    })
}
