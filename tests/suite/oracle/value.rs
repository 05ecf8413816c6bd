//! Types and values: few values per type, so that rows repeat and meet, and all the awkward ones among them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;

use super::random::Random;

/// Types that take part in the same expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Float,
    Decimal,
    Text,
    Bool,
    Date,
    Time,
    Unsigned,
    Moment,
    List,
    Struct,
}

pub const KINDS: [Kind; 11] = [
    Kind::Int,
    Kind::Float,
    Kind::Decimal,
    Kind::Text,
    Kind::Bool,
    Kind::Date,
    Kind::Time,
    Kind::Unsigned,
    Kind::Moment,
    Kind::List,
    Kind::Struct,
];

/// A column of a stream or table.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Its type in SQL.
    pub sql_type: &'static str,
    pub required: bool,
}

/// A value as text; `None` is NULL.
pub type Value = Option<&'static str>;

impl Column {
    pub fn random(random: &mut Random, name: String) -> Column {
        let (kind, sql_type) = *random.pick(&[
            (Kind::Int, "BIGINT"),
            (Kind::Int, "BIGINT"),
            (Kind::Int, "INT"),
            (Kind::Int, "SMALLINT"),
            (Kind::Int, "INT UNSIGNED"),
            (Kind::Float, "DOUBLE"),
            (Kind::Float, "DOUBLE"),
            (Kind::Float, "REAL"),
            (Kind::Decimal, "DECIMAL(10,2)"),
            (Kind::Text, "TEXT"),
            (Kind::Text, "TEXT"),
            (Kind::Text, "TEXT"),
            (Kind::Bool, "BOOLEAN"),
            (Kind::Date, "DATE"),
            (Kind::Time, "TIMESTAMP"),
            (Kind::Unsigned, "BIGINT UNSIGNED"),
            (Kind::Moment, "TIMESTAMP WITH TIME ZONE"),
            (Kind::List, "BIGINT[]"),
            (Kind::Struct, "STRUCT<a BIGINT, b TEXT>"),
        ]);
        Column { name, kind, sql_type, required: random.percent(10) }
    }

    pub fn data_type(&self) -> DataType {
        match self.sql_type {
            "BIGINT" => DataType::Int64,
            "INT" => DataType::Int32,
            "SMALLINT" => DataType::Int16,
            "INT UNSIGNED" => DataType::UInt32,
            "DOUBLE" => DataType::Float64,
            "REAL" => DataType::Float32,
            "DECIMAL(10,2)" => DataType::Decimal128(10, 2),
            "TEXT" => DataType::Utf8,
            "BOOLEAN" => DataType::Boolean,
            "DATE" => DataType::Date32,
            "TIMESTAMP" => DataType::Timestamp(TimeUnit::Nanosecond, None),
            "BIGINT UNSIGNED" => DataType::UInt64,
            "TIMESTAMP WITH TIME ZONE" => DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
            "BIGINT[]" => DataType::new_list(DataType::Int64, true),
            "STRUCT<a BIGINT, b TEXT>" => DataType::Struct(Fields::from(vec![
                Field::new("a", DataType::Int64, true),
                Field::new("b", DataType::Utf8, true),
            ])),
            other => panic!("no such type: {other}"),
        }
    }

    /// A value of the column: mostly an everyday one, sometimes NULL, sometimes one at the edge.
    pub fn value(&self, random: &mut Random) -> Value {
        let (usual, extreme): (&[&str], &[&str]) = match self.sql_type {
            "BIGINT" => (&["0", "1", "2", "3", "-1"], &["-9223372036854775808", "9223372036854775807"]),
            "INT" => (&["0", "1", "2", "3", "-1"], &["-2147483648", "2147483647"]),
            "SMALLINT" => (&["0", "1", "2", "3", "-1"], &["-32768", "32767"]),
            "INT UNSIGNED" => (&["0", "1", "2", "3"], &["4294967295"]),
            "DOUBLE" => (
                &["0", "1", "1.5", "0.1", "-3.25", "0.2", "0.3"],
                &["-0", "NaN", "inf", "-inf", "1e308", "-1e308", "5e-324", "1e16"],
            ),
            "REAL" => (&["0", "1", "1.5", "0.1", "-3.25"], &["-0", "NaN", "inf", "-inf", "3e38", "1e-45", "16777216"]),
            "DECIMAL(10,2)" => (&["0", "1", "1.50", "-0.01", "2"], &["99999999.99", "-99999999.99"]),
            "TEXT" => (&["a", "b", "ab", "1", "2"], &["", "A", "é", "日本", "x y", "it's", "a%", "-0", "NULL"]),
            "BOOLEAN" => (&["true", "false"], &["true"]),
            "BIGINT UNSIGNED" => (&["0", "1", "2"], &["9223372036854775808", "18446744073709551615"]),
            "TIMESTAMP WITH TIME ZONE" => (
                &["2024-01-01T00:00:00Z", "2024-01-01T12:00:00+05:30", "2024-03-10T00:00:00.5-08:00"],
                &["1969-12-31T23:59:59.999999999Z", "2200-01-01T00:00:00Z"],
            ),
            "BIGINT[]" => (&["[1]", "[1,2]", "[2,1]", "[null]"], &["[]", "[9223372036854775807,null]"]),
            "STRUCT<a BIGINT, b TEXT>" => (
                &[r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"x"}"#, r#"{"a":1,"b":null}"#],
                &[r#"{"a":null,"b":null}"#, r#"{"a":-9223372036854775808,"b":""}"#],
            ),
            "DATE" => (&["2024-01-01", "2024-01-02", "2024-02-29"], &["1969-12-31", "1700-01-01"]),
            _ => (
                &["2024-01-01T00:00:00", "2024-01-01T10:30:00", "2024-01-02T00:00:00.000001"],
                &["1969-12-31T23:59:59.999999999", "2200-01-01T00:00:00"],
            ),
        };
        match random.below(100) {
            0..15 if !self.required => None,
            0..2 => None,
            2..80 => Some(*random.pick(usual)),
            _ => Some(*random.pick(extreme)),
        }
    }

    /// A value as it is written in SQL.
    pub fn literal(&self, value: Value) -> String {
        let Some(text) = value else { return "NULL".into() };
        match self.kind {
            Kind::Text => format!("'{}'", text.replace('\'', "''")),
            Kind::Bool => text.into(),
            Kind::Int if text.len() < 3 => text.into(),
            Kind::List => format!("CAST({} AS BIGINT[])", text.replace("null", "NULL")),
            Kind::Struct => {
                let fields: serde_json::Value = serde_json::from_str(text).unwrap();
                let (a, b) = (fields["a"].to_string(), fields["b"].to_string().replace('"', "'"));
                format!("CAST(named_struct('a', {a}, 'b', {b}) AS {})", self.sql_type)
            }
            _ => format!("CAST('{text}' AS {})", self.sql_type),
        }
    }
}

/// A literal of this kind.
pub fn literal(random: &mut Random, kind: Kind) -> String {
    let sql_type = match kind {
        Kind::Int => "BIGINT",
        Kind::Float => "DOUBLE",
        Kind::Decimal => "DECIMAL(10,2)",
        Kind::Text => "TEXT",
        Kind::Bool => "BOOLEAN",
        Kind::Date => "DATE",
        Kind::Time => "TIMESTAMP",
        Kind::Unsigned => "BIGINT UNSIGNED",
        Kind::Moment => "TIMESTAMP WITH TIME ZONE",
        Kind::List => "BIGINT[]",
        Kind::Struct => "STRUCT<a BIGINT, b TEXT>",
    };
    let column = Column { name: String::new(), kind, sql_type, required: true };
    loop {
        let value = column.value(random);
        if value.is_some() {
            return column.literal(value);
        }
    }
}

pub fn schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new(&c.name, c.data_type(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// Rows of values as a batch.
pub fn batch(columns: &[Column], rows: &[Vec<Value>]) -> RecordBatch {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let arrays = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let values = rows.iter().map(|row| row[at]);
            if column.data_type().is_nested() {
                return nested(&column.data_type(), values);
            }
            let text: ArrayRef = Arc::new(values.collect::<StringArray>());
            cast_with_options(&text, &column.data_type(), &options).unwrap()
        })
        .collect();
    RecordBatch::try_new(schema(columns), arrays).unwrap()
}

/// A column of JSON values.
fn nested(data_type: &DataType, values: impl Iterator<Item = Value>) -> ArrayRef {
    let schema = Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true)]));
    let lines: String = values.map(|value| format!("{{\"x\":{}}}\n", value.unwrap_or("null"))).collect();
    let batches = ReaderBuilder::new(schema.clone()).build(lines.as_bytes()).unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap().column(0).clone()
}
