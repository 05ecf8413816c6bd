//! The start of a JSON file: its layout, the names and the types of its records' members.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::json::reader::infer_json_schema_from_iterator;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::elements::{Cut, Layout};
use super::infer::{SAMPLE_ROWS, narrowest, narrowest_time, schema_of};
use super::input::{CHUNK_BYTES, Input};
use crate::error::{Error, Result};

/// Goes behind the `[` of an array. The window holds the first records then.
pub(super) fn begin(path: &str, input: &mut Input) -> Result<Layout> {
    input.ensure(CHUNK_BYTES)?;
    let layout = Layout::of(input.bytes());
    if layout == Layout::Array {
        let open = input.bytes().iter().position(|b| *b == b'[');
        input.advance(open.ok_or_else(|| Error::Internal(format!("{path}: an array without a bracket")))? + 1);
        input.ensure(CHUNK_BYTES)?;
    }
    Ok(layout)
}

/// The first records of a file, those that are right.
#[derive(Default)]
pub(super) struct Sample {
    /// The names of their members, in the order of appearance.
    pub keys: Vec<String>,
    records: Vec<serde_json::Value>,
    /// The digits of their members that are numbers, by name.
    numbers: HashMap<String, Vec<String>>,
}

/// Cuts the first records from the window, without moving it.
pub(super) fn sample(input: &Input, layout: Layout) -> Sample {
    let (bytes, mut at, mut found) = (input.bytes(), 0, Sample::default());
    while at < bytes.len() && found.records.len() < SAMPLE_ROWS {
        match layout.cut(bytes, at, input.ended()) {
            Cut::Record { start, end, next } => {
                at = next;
                found.add(&bytes[start..end]);
            }
            Cut::Blank { next } | Cut::Fault { end: next, .. } => at = next,
            Cut::More | Cut::Close { .. } => break,
        }
    }
    found
}

impl Sample {
    fn add(&mut self, record: &[u8]) {
        let (members, value) = (serde_json::from_slice::<Members>(record), serde_json::from_slice(record));
        if let (Ok(Members(members)), Ok(value)) = (members, value) {
            self.records.push(value);
            for (key, text) in members {
                if text.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                    self.numbers.entry(key.clone()).or_default().push(text.get().to_owned());
                }
                if !self.keys.contains(&key) {
                    self.keys.push(key);
                }
            }
        }
    }
}

/// The names of an object's members with their texts, in order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Names and types from the first records.
pub(super) fn infer(path: &str) -> Result<SchemaRef> {
    let mut input = Input::open(path)?;
    let layout = begin(path, &mut input)?;
    let sample = sample(&input, layout);
    let inferred = infer_json_schema_from_iterator(sample.records.iter().map(Ok)).map_err(|e| {
        Error::input(format!("the types of {path} cannot be inferred: {e}")).with_hint("declare the columns")
    })?;
    let mut columns = Vec::with_capacity(sample.keys.len());
    for key in sample.keys {
        let data_type = without_null(inferred.field_with_name(&key)?.data_type());
        let narrowed = match data_type {
            DataType::Utf8 => times(&sample.records, &key)?,
            // Its numbers may be whole, and too large for a float.
            DataType::Float64 => {
                let digits = sample.numbers.get(&key).into_iter().flatten();
                let text: ArrayRef = Arc::new(digits.map(Some).collect::<StringArray>());
                narrowest(&text)?
            }
            other => other,
        };
        columns.push((key, narrowed));
    }
    schema_of(path, columns)
}

/// The type of a column of strings: perhaps they are dates or times.
fn times(records: &[serde_json::Value], key: &str) -> Result<DataType> {
    let values = records.iter().map(|record| record.get(key).filter(|value| !value.is_null()));
    if values.clone().flatten().any(|value| !value.is_string()) {
        return Ok(DataType::Utf8);
    }
    let text: ArrayRef = Arc::new(values.map(|v| v.and_then(|v| v.as_str())).collect::<StringArray>());
    narrowest_time(&text)
}

/// Text where only nulls were seen, in lists and structs too.
fn without_null(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(Field::new(field.name(), without_null(field.data_type()), true));
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::List(field) => DataType::List(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
