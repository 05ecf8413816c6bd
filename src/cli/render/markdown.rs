//! A table for a Markdown page: `|` is escaped, a line end is `<br>`.

use std::io::Write;

use millstream::Rows;

use super::cell::{is_number, on_one_line};
use super::{Failure, for_each_row};

/// Writes the table.
pub fn write(out: &mut dyn Write, rows: &Rows, null: &str) -> Result<(), Failure> {
    let fields = rows.schema.fields();
    if fields.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = fields.iter().map(|f| escape(f.name())).collect();
    let rules: Vec<&str> = fields.iter().map(|f| if is_number(f.data_type()) { "---:" } else { "---" }).collect();
    writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "))?;
    for_each_row(&rows.schema, &rows.batches, |cells| {
        let cells: Vec<String> = cells.iter().map(|c| escape(c.as_deref().unwrap_or(null))).collect();
        Ok(writeln!(out, "| {} |", cells.join(" | "))?)
    })
}

fn escape(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|l| on_one_line(l.trim_end_matches('\r'))).collect();
    lines.join("<br>").replace('|', "\\|")
}
