//! One `column = value` on each line, rows apart by an empty line: for wide rows.

use std::io::Write;

use millstream::Rows;

use super::cell::on_one_line;
use super::{Failure, for_each_row};

/// Writes the rows; the names are aligned on their right.
pub fn write(out: &mut dyn Write, rows: &Rows, null: &str) -> Result<(), Failure> {
    let names: Vec<String> = rows.schema.fields().iter().map(|f| on_one_line(f.name())).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let mut first = true;
    for_each_row(&rows.schema, &rows.batches, |cells| {
        if !std::mem::replace(&mut first, false) {
            writeln!(out)?;
        }
        for (name, cell) in names.iter().zip(&cells) {
            writeln!(out, "{name:>width$} = {}", cell.as_deref().map_or_else(|| null.to_string(), on_one_line))?;
        }
        Ok(())
    })
}
