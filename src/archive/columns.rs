//! The columns of an archive file: those of the stream or table, then where each row comes from.
//!
//! ```text
//! declared columns ... | _offset Int64 | _time Timestamp(us, UTC) | _weight Int64 (tables only)
//! ```
//!
//! Parquet has no interval of months, days and nanoseconds, so such a column is stored as a struct of the three.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch, StructArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, Schema, SchemaRef,
    TimeUnit,
};

use super::manifest::Kind;
use crate::error::{Error, Result};

/// The offset of the commit that a row comes from.
pub const OFFSET_COLUMN: &str = "_offset";
/// The time of that commit.
pub const TIME_COLUMN: &str = "_time";
/// How often the row was inserted or deleted; tables only.
pub const WEIGHT_COLUMN: &str = "_weight";

/// Whether a stream or table of these columns can be archived.
///
/// # Errors
/// [`Error::Input`] when a column has the name of one of ours; [`Error::Unsupported`] when Parquet has no such type.
pub fn check_schema(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        let name = field.name();
        if [OFFSET_COLUMN, TIME_COLUMN, WEIGHT_COLUMN].iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(Error::input(format!("a column cannot be named `{name}`: the archive has one of that name")));
        }
        if !is_storable(field.data_type(), true) {
            let message = format!("column `{name}` of type {} cannot be archived", field.data_type());
            return Err(Error::unsupported(message));
        }
    }
    Ok(())
}

fn is_storable(data_type: &DataType, top: bool) -> bool {
    match data_type {
        DataType::Interval(IntervalUnit::MonthDayNano) => top,
        DataType::Union(..)
        | DataType::Dictionary(..)
        | DataType::RunEndEncoded(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => false,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => is_storable(item.data_type(), false),
        DataType::Struct(fields) => {
            !fields.is_empty() && fields.iter().all(|field| is_storable(field.data_type(), false))
        }
        _ => true,
    }
}

/// Declared columns with ours after them.
pub(super) fn with_ours(declared: &Schema, kind: Kind) -> SchemaRef {
    let mut fields: Vec<FieldRef> = declared.fields().to_vec();
    fields.push(Arc::new(Field::new(OFFSET_COLUMN, DataType::Int64, false)));
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.push(Arc::new(Field::new(TIME_COLUMN, time, false)));
    if kind == Kind::Table {
        fields.push(Arc::new(Field::new(WEIGHT_COLUMN, DataType::Int64, false)));
    }
    Arc::new(Schema::new(fields))
}

/// The same columns as a file has them.
pub(super) fn stored(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Struct(interval_fields())))
        }
        _ => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn interval_fields() -> Fields {
    Fields::from(vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("nanoseconds", DataType::Int64, false),
    ])
}

/// A column as a file has it.
pub(super) fn to_stored(column: &ArrayRef) -> ArrayRef {
    let Some(intervals) = column.as_primitive_opt::<IntervalMonthDayNanoType>() else {
        return column.clone();
    };
    let months = Int32Array::from_iter_values(intervals.values().iter().map(|i| i.months));
    let days = Int32Array::from_iter_values(intervals.values().iter().map(|i| i.days));
    let nanoseconds = Int64Array::from_iter_values(intervals.values().iter().map(|i| i.nanoseconds));
    let parts: Vec<ArrayRef> = vec![Arc::new(months), Arc::new(days), Arc::new(nanoseconds)];
    Arc::new(StructArray::new(interval_fields(), parts, intervals.nulls().cloned()))
}

/// Rows of a file with the columns of `schema`; `None` where the file has others.
pub(super) fn from_stored(batch: &RecordBatch, schema: &SchemaRef) -> Option<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return None;
    }
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| match field.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => intervals(column),
        _ => Some(column.clone()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Option<_>>()?).ok()
}

/// A column of an interval's parts, as intervals.
pub(super) fn intervals(column: &ArrayRef) -> Option<ArrayRef> {
    let parts = column.as_struct_opt()?;
    let months = parts.column_by_name("months")?.as_primitive_opt::<Int32Type>()?;
    let days = parts.column_by_name("days")?.as_primitive_opt::<Int32Type>()?;
    let nanoseconds = parts.column_by_name("nanoseconds")?.as_primitive_opt::<Int64Type>()?;
    let values = months.values().iter().zip(days.values()).zip(nanoseconds.values());
    let values =
        values.map(|((months, days), nanoseconds)| IntervalMonthDayNanoType::make_value(*months, *days, *nanoseconds));
    Some(Arc::new(IntervalMonthDayNanoArray::new(values.collect(), parts.nulls().cloned())))
}
