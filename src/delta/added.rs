//! Columns that were added to a stream or table after rows of it had been written.
//!
//! ```text
//! written     a b          read     a b | c = NULL, d = 7
//! ```
//!
//! Rows in the log and in archive files stay as they were written. When they are read, what they lack is filled in: the
//! value that the column was added with, or NULL.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The values of older rows in columns that were added, by place; NULL where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Added(BTreeMap<usize, String>);

impl Added {
    /// Whether every older row has NULL in every added column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same for columns that stand so many places further on.
    #[must_use]
    pub fn shifted(&self, places: usize) -> Added {
        Added(self.0.iter().map(|(column, text)| (column + places, text.clone())).collect())
    }

    /// Notes the value of older rows in the column at a place: an array of one.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn set(&mut self, column: usize, value: ArrayRef) -> Result<()> {
        let schema = Arc::new(Schema::new(vec![Field::new("", value.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![value])?;
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
        writer.write(&batch)?;
        writer.finish()?;
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(column, text);
        Ok(())
    }

    /// What older rows have in the column at a place.
    ///
    /// # Errors
    /// As [`Added::widen`].
    pub fn value(&self, column: usize, data_type: &DataType) -> Result<ScalarValue> {
        match self.0.get(&column) {
            None => Ok(ScalarValue::try_from(data_type)?),
            Some(text) => Ok(ScalarValue::try_from_array(&stored(text)?, 0)?),
        }
    }

    /// The columns of `schema` for rows that were written with the first of them only.
    ///
    /// # Errors
    /// When a value that was noted cannot be read.
    pub fn widen(&self, mut columns: Vec<ArrayRef>, rows: usize, schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
        for at in columns.len()..schema.fields().len() {
            columns.push(match self.0.get(&at) {
                None => new_null_array(schema.field(at).data_type(), rows),
                Some(text) => {
                    let value = stored(text)?;
                    take(value.as_ref(), &UInt32Array::from(vec![0; rows]), None)?
                }
            });
        }
        Ok(columns)
    }
}

fn stored(text: &str) -> Result<ArrayRef> {
    read(text).ok_or_else(|| Error::Internal("the value of an added column cannot be read".into()))
}

fn read(text: &str) -> Option<ArrayRef> {
    let digits = (0..text.len()).step_by(2);
    let bytes: Option<Vec<u8>> =
        digits.map(|at| text.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok())).collect();
    let mut reader = StreamReader::try_new(Cursor::new(bytes?), None).ok()?;
    let batch = reader.next()?.ok()?;
    (batch.num_rows() == 1).then(|| batch.column(0).clone())
}

/// How many of the first columns of `schema` have this many arrays in them, nested ones counted.
pub fn columns_of(schema: &Schema, arrays: usize) -> Option<usize> {
    let mut found = 0;
    for (at, field) in schema.fields().iter().enumerate() {
        if found >= arrays {
            return (found == arrays).then_some(at);
        }
        found += arrays_of(field.data_type());
    }
    (found == arrays).then_some(schema.fields().len())
}

fn arrays_of(data_type: &DataType) -> usize {
    1 + match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => arrays_of(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| arrays_of(field.data_type())).sum(),
        DataType::RunEndEncoded(ends, values) => arrays_of(ends.data_type()) + arrays_of(values.data_type()),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| arrays_of(field.data_type())).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Fields;

    use super::*;

    #[test]
    fn older_rows_have_the_value_or_null() {
        let fields = vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
            Field::new("c", DataType::Int64, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let mut added = Added::default();
        added.set(1, Arc::new(StringArray::from(vec!["x"]))).unwrap();
        let text = serde_json::to_string(&added).unwrap();
        let added: Added = serde_json::from_str(&text).unwrap();
        let columns = added.widen(vec![Arc::new(Int64Array::from(vec![1, 2]))], 2, &schema).unwrap();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        assert_eq!(batch.column(1).as_ref(), &StringArray::from(vec!["x", "x"]));
        assert_eq!(batch.column(2).null_count(), 2);
    }

    #[test]
    fn columns_are_counted_with_what_is_in_them() {
        let pair = Fields::from(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)]);
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("s", DataType::Struct(pair), true),
            Field::new("l", DataType::new_list(DataType::Int64, true), true),
        ]);
        let found = [0, 1, 2, 3, 4, 5, 6, 7].map(|arrays| columns_of(&schema, arrays));
        assert_eq!(found, [Some(0), Some(1), None, None, Some(2), None, Some(3), None]);
    }
}
