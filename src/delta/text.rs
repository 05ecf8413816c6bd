//! Deltas as text, for tests: `+1 a 3` is one insertion of the row `(a, 3)`.
//!
//! ```text
//! +1 a 3            weight, then a value per column
//! -2 "two words" null
//! +1 !message       a failed row: see Delta::errors
//! ```
//!
//! Printing consolidates: equal rows are one line with the sum of their weights, rows that cancel out are none, and
//! the lines are in the order of their text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Delta, RowError};
use crate::error::{Error, Result};

/// Reads a delta of this schema.
///
/// # Errors
/// When a line has no weight, too few or too many values, or a value that its column does not take.
pub fn parse(schema: &SchemaRef, text: &str) -> Result<Delta> {
    let width = schema.fields().len();
    let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); width];
    let mut weights = Vec::new();
    let mut errors = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (weight, rest) = line.split_once(' ').unwrap_or((line, ""));
        let weight: i64 = weight.parse().map_err(|_| Error::input(format!("`{line}` starts with no weight")))?;
        if let Some(message) = rest.trim().strip_prefix('!') {
            errors.push(RowError { message: message.to_owned(), weight });
            continue;
        }
        let values = split(rest);
        if values.len() != width {
            return Err(Error::input(format!("`{line}` has {} values for {width} columns", values.len())));
        }
        for (cell, value) in cells.iter_mut().zip(values) {
            cell.push(value);
        }
        weights.push(weight);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = schema
        .fields()
        .iter()
        .zip(cells)
        .map(|(field, cells)| {
            let text: ArrayRef = Arc::new(StringArray::from(cells));
            Ok(cast_with_options(&text, field.data_type(), &options)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(weights.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?;
    Ok(Delta { errors, ..Delta::new(batch, weights) })
}

/// Prints a delta, one line a row, each ended by a line feed.
///
/// # Errors
/// When a value cannot be printed.
pub fn print(delta: &Delta) -> Result<String> {
    let mut lines: BTreeMap<String, i64> = BTreeMap::new();
    let options = FormatOptions::default().with_null("null");
    let columns = delta
        .batch
        .columns()
        .iter()
        .map(|column| Ok((column.logical_nulls(), ArrayFormatter::try_new(column.as_ref(), &options)?)))
        .collect::<Result<Vec<_>>>()?;
    for row in 0..delta.len() {
        let mut line = String::new();
        for (nulls, formatter) in &columns {
            let value = formatter.value(row).try_to_string()?;
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            line.push(' ');
            line.push_str(&if null { value } else { quoted(value) });
        }
        *lines.entry(line).or_default() += delta.weights.get(row);
    }
    for error in &delta.errors {
        *lines.entry(format!(" !{}", error.message)).or_default() += error.weight;
    }
    let mut text = String::new();
    for (line, weight) in lines.into_iter().filter(|(_, weight)| *weight != 0) {
        writeln!(text, "{weight:+}{line}").expect("writing to a string");
    }
    Ok(text)
}

/// One row for a message: `(a, null, 3)`.
///
/// # Errors
/// When a value cannot be printed.
pub fn describe(columns: &[ArrayRef], row: usize) -> Result<String> {
    let options = FormatOptions::default().with_null("null");
    let values = columns
        .iter()
        .map(|column| Ok(ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).try_to_string()?))
        .collect::<Result<Vec<_>>>()?;
    Ok(format!("({})", values.join(", ")))
}

fn quoted(value: String) -> String {
    let plain = !value.is_empty() && value != "null" && !value.starts_with(['"', '!']) && !value.contains(' ');
    if plain { value } else { format!("\"{}\"", value.replace('"', "\"\"")) }
}

/// Values between spaces; a value that starts with a quote runs to the next single quote of that kind.
fn split(line: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(body) = rest.strip_prefix('"') {
            let mut value = String::new();
            let mut end = body.len();
            let mut characters = body.char_indices().peekable();
            while let Some((at, character)) = characters.next() {
                if character == '"' && characters.next_if(|(_, next)| *next == '"').is_none() {
                    end = at + 1;
                    break;
                }
                value.push(character);
            }
            values.push(Some(value));
            rest = body[end..].trim_start();
        } else {
            let (value, after) = rest.split_once(' ').unwrap_or((rest, ""));
            values.push((value != "null").then(|| value.to_owned()));
            rest = after.trim_start();
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn printing_consolidates_and_reads_back() {
        let fields = vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Float64, true)];
        let schema = Arc::new(Schema::new(fields));
        let text =
            "+1 a 3\n-1 \"two \"\"words\" null\n+2 a 3\n+1 gone -0\n-1 gone -0\n+1 null NaN\n+1 \"\" 1\n+1 !bad row";
        let delta = parse(&schema, text).unwrap();
        let printed = print(&delta).unwrap();
        assert_eq!(printed, "+1 !bad row\n+1 \"\" 1.0\n-1 \"two \"\"words\" null\n+3 a 3.0\n+1 null NaN\n");
        assert_eq!(print(&parse(&schema, &printed).unwrap()).unwrap(), printed);
        assert!(parse(&schema, "a 3").is_err());
        assert!(parse(&schema, "+1 a").is_err());
        assert!(parse(&schema, "+1 a b").is_err());
    }
}
