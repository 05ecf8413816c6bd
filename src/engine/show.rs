//! Listings: SHOW, DESCRIBE, and the circuit of a live view.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::catalog::{Kind, Object};
use super::core::ask;
use super::database::Database;
use super::query::Rows;
use super::request::Request;
use crate::circuit::ExplainLine;
use crate::error::{Error, Result};
use crate::sql::statement::Show;

/// A listing's columns: the name of each and its texts.
pub(super) fn texts(columns: Vec<(&str, Vec<Option<String>>)>) -> Result<Rows> {
    table(columns.into_iter().map(|(name, values)| (name, Arc::new(StringArray::from(values)) as ArrayRef)).collect())
}

/// Rows of a few columns.
pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> Result<Rows> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect())?;
    Ok(Rows { schema, batches: vec![batch] })
}

/// SHOW.
pub(super) fn show(database: &Database, what: &Show) -> Result<Rows> {
    match what {
        Show::Streams => list(database, |kind| kind == Kind::Stream, false),
        Show::Tables => list(database, |kind| kind == Kind::Table, false),
        Show::Views => list(database, |kind| matches!(kind, Kind::View | Kind::MaterializedView), true),
        Show::MaterializedViews => list(database, |kind| kind == Kind::MaterializedView, false),
        Show::Indexes => super::index::list(database),
        Show::Create(name) => {
            let object = database.catalog().expect(name)?.clone();
            texts(vec![("name", vec![Some(object.name.clone())]), ("sql", vec![Some(object.sql.clone())])])
        }
        Show::Functions => super::functions::list_all(database),
        Show::Setting(name) => settings(database, name.as_deref()),
    }
}

fn list(database: &Database, wanted: impl Fn(Kind) -> bool, with_kind: bool) -> Result<Rows> {
    let catalog = database.catalog();
    let mut objects: Vec<&Arc<Object>> = catalog.visible().filter(|o| wanted(o.kind)).collect();
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    let names = objects.iter().map(|o| Some(o.name.clone())).collect();
    let columns = objects.iter().map(|o| Some(column_list(o))).collect();
    let mut listing = vec![("name", names), ("columns", columns)];
    if with_kind {
        listing.insert(1, ("kind", objects.iter().map(|o| Some(o.kind.name().to_string())).collect()));
    }
    if objects.iter().any(|o| o.session.is_some()) {
        let temporary = |o: &&Arc<Object>| o.session.map(|_| "temporary".to_string());
        listing.push(("lives", objects.iter().map(temporary).collect()));
    }
    if objects.iter().any(|o| o.comments.object.is_some()) {
        listing.push(("comment", objects.iter().map(|o| o.comments.object.clone()).collect()));
    }
    texts(listing)
}

fn column_list(object: &Object) -> String {
    object.schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ")
}

fn settings(database: &Database, name: Option<&str>) -> Result<Rows> {
    let session = database.inner().session.load();
    let mut entries = session.config_options().entries();
    entries.retain(|e| name.is_none_or(|n| e.key == n || e.key.strip_prefix("datafusion.") == Some(n)));
    if entries.is_empty() {
        return Err(Error::input(format!("no setting `{}`", name.unwrap_or_default()))
            .with_hint("SHOW ALL lists them; SHOW STREAMS, TABLES and VIEWS list what there is"));
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    texts(vec![
        ("name", entries.iter().map(|e| Some(e.key.clone())).collect()),
        ("value", entries.iter().map(|e| e.value.clone()).collect()),
    ])
}

/// DESCRIBE.
pub(super) fn describe(database: &Database, name: &str) -> Result<Rows> {
    let object = database.catalog().expect(name)?.clone();
    let fields = object.schema.fields();
    let key = |at: usize| object.key.iter().position(|k| *k == at).map(|_| "PRIMARY KEY".to_string());
    let nullable = |at: usize| if fields[at].is_nullable() && !object.key.contains(&at) { "YES" } else { "NO" };
    let mut columns = vec![
        ("column", fields.iter().map(|f| Some(f.name().clone())).collect()),
        ("type", fields.iter().map(|f| Some(type_name(f.data_type()))).collect()),
        ("nullable", (0..fields.len()).map(|at| Some(nullable(at).to_string())).collect()),
        ("key", (0..fields.len()).map(key).collect()),
        ("default", (0..fields.len()).map(|at| object.defaults.get(at).cloned().flatten()).collect()),
    ];
    if !object.comments.columns.is_empty() {
        let comment = |at: usize| object.comments.columns.get(&at).cloned();
        columns.push(("comment", (0..fields.len()).map(comment).collect()));
    }
    texts(columns)
}

/// The columns of a data set that was not declared here.
pub(super) fn columns(schema: &Schema) -> Result<Rows> {
    let fields = schema.fields();
    texts(vec![
        ("column", fields.iter().map(|f| Some(f.name().clone())).collect()),
        ("type", fields.iter().map(|f| Some(type_name(f.data_type()))).collect()),
    ])
}

/// A type as SQL writes it.
pub(super) fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA",
        DataType::Date32 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Interval(_) => "INTERVAL",
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            return format!("DECIMAL({precision}, {scale})");
        }
        DataType::Struct(fields) => {
            let field = |f: &Arc<Field>| format!("\"{}\" {}", f.name().replace('"', "\"\""), type_name(f.data_type()));
            return format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "));
        }
        DataType::List(item) => return format!("{}[]", type_name(item.data_type())),
        other => return other.to_string(),
    };
    name.to_string()
}

/// The rows of a batch plan's EXPLAIN, a row for each line.
pub(super) fn lines(plans: &Rows) -> Result<Rows> {
    let (mut kinds, mut lines) = (Vec::new(), Vec::new());
    for batch in &plans.batches {
        let (kind, plan) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        for row in 0..batch.num_rows() {
            for (at, line) in plan.value(row).lines().enumerate() {
                kinds.push(Some(if at == 0 { kind.value(row).to_string() } else { String::new() }));
                lines.push(Some(line.to_string()));
            }
        }
    }
    texts(vec![("plan_type", kinds), ("plan", lines)])
}

/// EXPLAIN of a live view.
pub(super) fn circuit(database: &Database, name: &str) -> Result<Rows> {
    let object = database.catalog().expect(name)?.clone();
    if object.kind != Kind::MaterializedView {
        return Err(Error::input(format!(
            "`{name}` is a {}; EXPLAIN takes a query or a materialized view",
            object.kind.name()
        )));
    }
    circuit_rows(&ask(&database.inner().engine, |reply| Request::Explain(object.id, reply)).wait()?)
}

/// A printed circuit as rows: operator, facts, and what it holds.
pub(super) fn circuit_rows(lines: &[ExplainLine]) -> Result<Rows> {
    let operators: Vec<String> =
        lines.iter().map(|l| format!("{:indent$}{}", "", l.text, indent = l.depth * 2)).collect();
    let facts: Vec<String> = lines
        .iter()
        .map(|l| match (l.shared, l.facts.is_empty()) {
            (false, _) => l.facts.clone(),
            (true, true) => "shared".into(),
            (true, false) => format!("{}, shared", l.facts),
        })
        .collect();
    let rows: Int64Array = lines.iter().map(|l| l.state.map(|s| s.rows as i64)).collect();
    let bytes: Int64Array = lines.iter().map(|l| l.state.map(|s| s.bytes as i64)).collect();
    table(vec![
        ("operator", Arc::new(StringArray::from(operators)) as ArrayRef),
        ("facts", Arc::new(StringArray::from(facts))),
        ("state_rows", Arc::new(rows)),
        ("state_bytes", Arc::new(bytes)),
        ("bounded", Arc::new(StringArray::from_iter(lines.iter().map(|l| l.growth.clone())))),
    ])
}
