//! The start of a CSV file: the names in its header, and the types of its first records.

use arrow::array::StringBuilder;
use arrow::datatypes::SchemaRef;

use super::Position;
use super::convert::text_column;
use super::fields::{Cut, Dialect, Field};
use super::infer::{SAMPLE_ROWS, narrowest, no_column, position_of, refuse_misspelt, schema_of};
use super::input::{CHUNK_BYTES, Input};
use super::options::{Format, Options};
use crate::error::{Error, Result};

/// The dialect of a format, with what the options change.
pub(super) fn dialect(format: Format, options: &Options) -> Dialect {
    let default = if format == Format::Tsv { b'\t' } else { b',' };
    Dialect { delimiter: options.delimiter.unwrap_or(default), quote: options.quote }
}

/// Reads the header: the names of the fields, or `None` where the file holds no line.
pub(super) fn header(
    path: &str,
    input: &mut Input,
    dialect: Dialect,
    position: &mut Position,
) -> Result<Option<Vec<String>>> {
    input.ensure(CHUNK_BYTES)?;
    let mut at = 0;
    loop {
        let (bytes, mut fields) = (input.bytes(), Vec::new());
        if at == bytes.len() {
            return Ok(None);
        }
        match dialect.cut(bytes, at, input.ended(), &mut fields) {
            Cut::Blank { end } => {
                position.lines += 1;
                at = end;
            }
            Cut::Record { end, lines } => {
                let name = |field: &Field| {
                    let name = String::from_utf8_lossy(&bytes[field.start as usize..field.end as usize]);
                    dialect.undouble(&name, *field).trim().to_owned()
                };
                let names = fields.iter().map(name).collect();
                input.advance(end);
                position.lines += lines;
                position.bytes = input.position();
                return Ok(Some(names));
            }
            Cut::Fault { reason, .. } => {
                return Err(Error::input(format!("the header of {path} cannot be read: {reason}")));
            }
            Cut::More => return Err(Error::input(format!("the header of {path} is longer than {CHUNK_BYTES} bytes"))),
        }
    }
}

/// For each declared column its field, by the names of the header.
pub(super) fn by_name(path: &str, schema: &SchemaRef, names: &[String]) -> Result<Vec<Option<usize>>> {
    let columns: Vec<_> = schema.fields().iter().map(|field| position_of(field.name(), names)).collect();
    if columns.iter().all(Option::is_none) {
        let error = no_column(path, schema, names);
        return Err(error);
    }
    refuse_misspelt(path, schema, names, &columns)?;
    Ok(columns)
}

/// Names and types from the header and the first records.
pub(super) fn infer(path: &str, format: Format, options: &Options) -> Result<SchemaRef> {
    let (mut input, dialect) = (Input::open(path)?, dialect(format, options));
    let mut names = if options.header { header(path, &mut input, dialect, &mut Position::default())? } else { None };
    input.ensure(CHUNK_BYTES)?;
    let (bytes, ended, mut at, mut builders) = (input.bytes(), input.ended(), 0, Vec::new());
    for _ in 0..SAMPLE_ROWS {
        let mut fields = Vec::new();
        let Some(_) = bytes.get(at) else { break };
        match dialect.cut(bytes, at, ended, &mut fields) {
            Cut::Record { end, .. } => {
                let names = names.get_or_insert_with(|| (1..=fields.len()).map(|n| format!("column_{n}")).collect());
                builders.resize_with(names.len(), StringBuilder::new);
                if fields.len() == names.len() {
                    for (builder, field) in builders.iter_mut().zip(&fields) {
                        let value = String::from_utf8_lossy(&bytes[field.start as usize..field.end as usize]);
                        let value = value.trim();
                        builder.append_option((value != options.null).then_some(value));
                    }
                }
                at = end;
            }
            Cut::Blank { end } | Cut::Fault { end, .. } => at = end,
            Cut::More => break,
        }
    }
    let names = names.unwrap_or_default();
    builders.resize_with(names.len(), StringBuilder::new);
    let column = |(n, (name, mut builder)): (usize, (String, StringBuilder))| {
        let text = text_column(builder.finish());
        let name = if name.is_empty() { format!("column_{}", n + 1) } else { name };
        Ok((name, narrowest(&text)?))
    };
    schema_of(path, names.into_iter().zip(builders).enumerate().map(column).collect::<Result<_>>()?)
}
