//! One value as text.
//!
//! Plain values read as `psql` prints them: `2024-01-31 09:30:00`, `1.5`, `true`. Nested values (lists, structs,
//! maps) are JSON in every format, so that a text inside one cannot be mistaken for its brackets.

use std::sync::LazyLock;

use arrow::array::Array;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef};
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream::Result;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";
const TIMESTAMP_ZONED: &str = "%Y-%m-%d %H:%M:%S%.f%:z";

static JSON: LazyLock<EncoderOptions> = LazyLock::new(|| {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_datetime_format(TIMESTAMP.into())
        .with_timestamp_format(TIMESTAMP.into())
        .with_timestamp_tz_format(TIMESTAMP_ZONED.into())
});

/// Writes the values of one column as text.
pub struct Cells<'a> {
    /// Not the array's own: a column of the type NULL has no such buffer.
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Plain(ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

impl<'a> Cells<'a> {
    /// Reads a column.
    ///
    /// # Errors
    /// When Arrow has no text for the type.
    pub fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self> {
        let nulls = array.logical_nulls();
        // A map whose keys are not text has no JSON form; it has Arrow's.
        if array.data_type().is_nested()
            && let Ok(encoder) = make_encoder(field, array, &JSON)
        {
            return Ok(Cells { nulls, values: Values::Nested(encoder) });
        }
        let options = FormatOptions::new()
            .with_display_error(true)
            .with_datetime_format(Some(TIMESTAMP))
            .with_timestamp_format(Some(TIMESTAMP))
            .with_timestamp_tz_format(Some(TIMESTAMP_ZONED));
        Ok(Cells { nulls, values: Values::Plain(ArrayFormatter::try_new(array, &options)?) })
    }

    /// The text of one row, or `None` for NULL.
    pub fn text(&mut self, row: usize) -> Option<String> {
        if self.nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            return None;
        }
        Some(match &mut self.values {
            Values::Plain(formatter) => formatter.value(row).to_string(),
            Values::Nested(encoder) => {
                let mut text = Vec::new();
                encoder.encode(row, &mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        })
    }
}

/// A JSON encoder of one column.
///
/// # Errors
/// When the type has no JSON form.
pub fn json<'a>(field: &'a FieldRef, array: &'a dyn Array) -> Result<NullableEncoder<'a>> {
    Ok(make_encoder(field, array, &JSON)?)
}

/// Whether values of the type stand on the right of their column.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// The text on one line and without effect on a terminal: control characters are written as escapes.
pub fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}
