//! Types and values: few values per type, so that rows repeat and meet, and all the awkward ones among them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

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
}

pub const KINDS: [Kind; 7] = [Kind::Int, Kind::Float, Kind::Decimal, Kind::Text, Kind::Bool, Kind::Date, Kind::Time];

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
            let text: ArrayRef = Arc::new(rows.iter().map(|row| row[at]).collect::<StringArray>());
            cast_with_options(&text, &column.data_type(), &options).unwrap()
        })
        .collect();
    RecordBatch::try_new(schema(columns), arrays).unwrap()
}
