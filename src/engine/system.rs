//! The relations that Millstream writes itself: schema `system`.
//!
//! | relation | rows |
//! |---|---|
//! | `rejects` | those of sources that could not be accepted; a stream |
//! | `heartbeats` | watermarks that moved without a row of their stream; a stream |
//! | `watermarks` | how far streams have come, and how many of their rows were late; computed when read |
//! | `errors` | failures on rows that views with `on_error = 'skip'` leave out, as they stand; computed when read |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::catalog::{Kind, Object};
use super::known::{Comments, Known};
use crate::delta::added::Added;

/// The schema of these relations.
pub const SYSTEM_SCHEMA: &str = "system";
/// The stream of rows that could not be accepted.
pub const REJECTS: u32 = 1;
/// The failures that views with `on_error = 'skip'` list.
pub const ERRORS: u32 = 2;

/// The stream of watermarks that moved without a row of their stream.
pub const HEARTBEATS: u32 = 3;
/// How far streams have come.
pub const WATERMARKS: u32 = 4;

/// The streams among these relations.
pub fn streams() -> [Object; 2] {
    [rejects_object(), heartbeats_object()]
}

/// A stream among these relations.
pub fn stream(id: u32) -> Option<Object> {
    streams().into_iter().find(|stream| stream.id == id)
}

/// A relation by its name in the schema.
pub fn find(name: &str) -> Option<Object> {
    match name {
        "rejects" => Some(rejects_object()),
        "errors" => Some(errors_object()),
        "heartbeats" => Some(heartbeats_object()),
        "watermarks" => Some(watermarks_object()),
        _ => None,
    }
}

/// The columns of the stream of rejected rows.
pub fn rejects_schema() -> SchemaRef {
    columns([
        ("object", DataType::Utf8),
        ("file", DataType::Utf8),
        ("position", DataType::Int64),
        ("reason", DataType::Utf8),
        ("text", DataType::Utf8),
    ])
}

/// The columns of the failures: the view, the commit since which the failure stands, what fails and on which row, and how
/// often.
pub fn errors_schema() -> SchemaRef {
    columns([
        ("view", DataType::Utf8),
        ("offset", DataType::Int64),
        ("reason", DataType::Utf8),
        ("count", DataType::Int64),
    ])
}

/// The columns of the heartbeats: the stream's name and id, and its watermark.
pub fn heartbeats_schema() -> SchemaRef {
    columns([("stream", DataType::Utf8), ("id", DataType::Int64), ("watermark", MOMENT)])
}

/// The columns of the watermarks: the stream, its watermark, and how many of its rows were late.
pub fn watermarks_schema() -> SchemaRef {
    columns([("stream", DataType::Utf8), ("watermark", MOMENT), ("late_rows", DataType::Int64)])
}

const MOMENT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn columns<const N: usize>(columns: [(&str, DataType); N]) -> SchemaRef {
    Arc::new(Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

/// The stream of rejected rows as an object.
pub fn rejects_object() -> Object {
    object(REJECTS, "rejects", Kind::Stream, rejects_schema())
}

/// The stream of heartbeats as an object.
pub fn heartbeats_object() -> Object {
    object(HEARTBEATS, "heartbeats", Kind::Stream, heartbeats_schema())
}

/// The watermarks as an object.
pub fn watermarks_object() -> Object {
    object(WATERMARKS, "watermarks", Kind::Table, watermarks_schema())
}

/// The failures as an object.
pub fn errors_object() -> Object {
    object(ERRORS, "errors", Kind::Table, errors_schema())
}

fn object(id: u32, name: &str, kind: Kind, schema: SchemaRef) -> Object {
    Object {
        id,
        name: name.into(),
        kind,
        schema,
        key: Vec::new(),
        defaults: Vec::new(),
        checks: Vec::new(),
        options: BTreeMap::new(),
        query: None,
        calls: BTreeSet::new(),
        reads: BTreeSet::new(),
        added: Added::default(),
        known: Known::default(),
        comments: Comments::default(),
        sql: String::new(),
        session: None,
        event_time: None,
        late_of: None,
        on_close: false,
        retention: None,
    }
}
