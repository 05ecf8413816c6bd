//! A box around aligned columns: numbers on the right, the number of rows below.
//!
//! On a screen a long result shows its first and last rows and says what it left out, and columns fold to the width
//! of the screen. Anywhere else every row is there, one on each line. A very long text is cut, and says how long it is:
//! a line of a million characters shows nothing.

use std::io::Write;

use arrow::array::RecordBatch;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use millstream::Rows;

use super::cell::{is_number, on_one_line};
use super::{Failure, Style, count, for_each_row};

/// The most rows a screen shows of one result.
const SCREEN_ROWS_MAX: usize = 100;

/// Of those, how many are the result's last.
const SCREEN_ROWS_TAIL: usize = 20;

/// The most characters shown of one value.
const CELL_CHARACTERS_MAX: usize = 4_096;

/// Writes the table.
pub fn write(out: &mut dyn Write, rows: &Rows, style: &Style) -> Result<(), Failure> {
    let total = count(&rows.batches);
    if !rows.schema.fields().is_empty() {
        let cut = style.screen.is_some() && total > SCREEN_ROWS_MAX;
        let head = if cut { SCREEN_ROWS_MAX - SCREEN_ROWS_TAIL } else { total };
        let mut table = empty_table(rows, style);
        add(&mut table, rows, &slice(&rows.batches, 0, head), style.null())?;
        if cut {
            table.add_row(rows.schema.fields().iter().map(|_| Cell::new(dots(style))));
            add(&mut table, rows, &slice(&rows.batches, total - SCREEN_ROWS_TAIL, SCREEN_ROWS_TAIL), style.null())?;
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        if cut {
            writeln!(out, "({total} rows, {SCREEN_ROWS_MAX} shown; `.output FILE` or another `.mode` gives all)")?;
            return Ok(());
        }
    }
    Ok(writeln!(out, "({total} {})", if total == 1 { "row" } else { "rows" })?)
}

fn dots(style: &Style) -> &'static str {
    if style.screen.is_none_or(|s| s.utf8) { "…" } else { "..." }
}

fn empty_table(rows: &Rows, style: &Style) -> Table {
    let mut table = Table::new();
    table.force_no_tty();
    table.load_preset(match style.screen {
        Some(screen) if !screen.utf8 => presets::ASCII_FULL_CONDENSED,
        _ => "││──├─┼┤│    ┬┴┌┐└┘",
    });
    if let Some(screen) = style.screen {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(screen.width);
    }
    table.set_header(rows.schema.fields().iter().map(|f| on_one_line(f.name())));
    for (column, field) in table.column_iter_mut().zip(rows.schema.fields()) {
        if is_number(field.data_type()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `length` rows from `start`.
fn slice(batches: &[RecordBatch], mut start: usize, mut length: usize) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    for batch in batches {
        let taken = length.min(batch.num_rows().saturating_sub(start));
        if taken > 0 {
            parts.push(batch.slice(start, taken));
        }
        start = start.saturating_sub(batch.num_rows());
        length -= taken;
    }
    parts
}

fn add(table: &mut Table, rows: &Rows, batches: &[RecordBatch], null: &str) -> Result<(), Failure> {
    for_each_row(&rows.schema, batches, |cells| {
        table.add_row(cells.iter().map(|c| c.as_deref().map_or_else(|| null.to_string(), shown)));
        Ok(())
    })
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        None => on_one_line(text),
        Some((end, _)) => format!("{}... ({} characters)", on_one_line(&text[..end]), text.chars().count()),
    }
}
