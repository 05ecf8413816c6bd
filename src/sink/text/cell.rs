//! One value as text.
//!
//! Plain values read as `psql` prints them: `2024-01-31 09:30:00`, `1.5`, `true`. Nested values (lists, structs,
//! maps) are JSON in every format, so that a text inside one cannot be mistaken for its brackets.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, IntervalMonthDayNanoArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{FieldRef, Float32Type, Float64Type, IntervalMonthDayNanoType};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;
use crate::interval::shown;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";
const TIMESTAMP_ZONED: &str = "%Y-%m-%d %H:%M:%S%.f%:z";

static JSON: LazyLock<EncoderOptions> = LazyLock::new(|| PLAIN_JSON.clone().with_encoder_factory(Arc::new(Ours)));

/// The same without intervals, and without the floats that are no numbers to JSON.
static PLAIN_JSON: LazyLock<EncoderOptions> = LazyLock::new(|| {
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
    Intervals(&'a IntervalMonthDayNanoArray),
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
        if let Some(intervals) = array.as_primitive_opt::<IntervalMonthDayNanoType>() {
            return Ok(Cells { nulls, values: Values::Intervals(intervals) });
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
            Values::Intervals(intervals) => shown(intervals.value(row)),
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
pub(super) fn json<'a>(field: &'a FieldRef, array: &'a dyn Array) -> Result<NullableEncoder<'a>> {
    Ok(make_encoder(field, array, &JSON)?)
}

/// Encodes floats as Arrow does, but for those that are no numbers to JSON, which are texts; and intervals as they are
/// shown.
#[derive(Debug)]
struct Ours;

impl EncoderFactory for Ours {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if let Some(intervals) = array.as_primitive_opt::<IntervalMonthDayNanoType>() {
            return Ok(Some(NullableEncoder::new(Box::new(IntervalEncoder(intervals)), array.logical_nulls())));
        }
        let value: Box<dyn Fn(usize) -> f64 + 'a> = if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
            Box::new(|row| floats.value(row))
        } else if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
            Box::new(|row| f64::from(floats.value(row)))
        } else {
            return Ok(None);
        };
        let encoder = FloatEncoder { value, finite: make_encoder(field, array, &PLAIN_JSON)? };
        Ok(Some(NullableEncoder::new(Box::new(encoder), array.logical_nulls())))
    }
}

struct IntervalEncoder<'a>(&'a IntervalMonthDayNanoArray);

impl Encoder for IntervalEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(shown(self.0.value(row)).as_bytes());
        out.push(b'"');
    }
}

struct FloatEncoder<'a> {
    value: Box<dyn Fn(usize) -> f64 + 'a>,
    finite: NullableEncoder<'a>,
}

impl Encoder for FloatEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match (self.value)(row) {
            value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
            f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
            f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
            _ => self.finite.encode(row, out),
        }
    }
}
