//! CREATE TABLE ... AS: a table, and the commit with the rows with which it begins.
//!
//! ```text
//! query -> rows -> [create t, fill t] [rows of t]      nobody sees the one without the other
//! ```
//!
//! The log has the rows, never the query. The rows are their own commit right behind that of the table; where a crash
//! came in between, the table is dropped when the log is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::catalog::{Catalog, Ddl, Kind, Object};
use super::commit::Group;
use super::core::{Core, PLANNING, ask};
use super::database::Database;
use super::ddl::{check_columns, check_type, taken, with_columns};
use super::known::{Comments, Known};
use super::query::{Cancel, Rows};
use super::request::{Change, Commit, Define, Request, reply};
use super::session::Outcome;
use super::table::TableChange;
use super::temporary::is_temporary;
use crate::delta::added::Added;
use crate::error::{Error, Result, caught};
use crate::operators::project::batch as with_schema;
use crate::sql::statement::CreateTableAs;

/// CREATE TABLE ... AS, with the rows of its query.
pub(super) fn create(database: &Database, create: &CreateTableAs, rows: Rows) -> Result<Outcome> {
    let owner = database.session_of(create.temporary)?;
    if let Some(existing) = database.catalog().find_beside(owner, &create.name)
        && create.if_not_exists
        && existing.kind == Kind::Table
    {
        return Ok(Outcome::done("CREATE TABLE"));
    }
    let rows = columns(create, rows)?;
    check_columns(&create.name, &rows.schema())?;
    for field in rows.schema().fields() {
        check_type(field)?;
    }
    let rows = if create.with_data { rows } else { rows.slice(0, 0) };
    let object = object(create, &rows, owner);
    let define = database.seeing(move |catalog: &Arc<Catalog>| {
        if let Some(existing) = catalog.find_beside(owner, &object.name) {
            return Err(taken(existing));
        }
        Ok(vec![Ddl::Create(Box::new(Object { id: catalog.next_id(owner.is_some()), ..object }))])
    });
    let count = rows.num_rows();
    ask(&database.inner().engine, |reply| Request::CreateFilled { define, rows, reply }).wait()?;
    Ok(Outcome::done(if create.with_data { format!("SELECT {count}") } else { "CREATE TABLE AS".into() }))
}

/// The rows in one batch, with the names that the statement gives and types that a table can have.
fn columns(create: &CreateTableAs, rows: Rows) -> Result<RecordBatch> {
    let all = concat_batches(&rows.schema, &rows.batches)?;
    if create.columns.len() > all.num_columns() {
        return Err(Error::input(format!(
            "table `{}`: {} names for {} columns",
            create.name,
            create.columns.len(),
            all.num_columns()
        )));
    }
    let named = |(at, field): (usize, &FieldRef)| {
        let name = create.columns.get(at).unwrap_or(field.name());
        Field::new(name, known(field.data_type()), true)
    };
    let schema = Arc::new(Schema::new(rows.schema.fields().iter().enumerate().map(named).collect::<Vec<_>>()));
    let values = all.columns().iter().zip(schema.fields()).map(|(values, field)| cast(values, field.data_type()));
    with_schema(&schema, values.collect::<Result<_, _>>()?, all.num_rows())
}

/// A NULL of no type is text, also as the element of a list.
fn known(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::List(element) => {
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(known(element.data_type()))))
        }
        other => other.clone(),
    }
}

/// The table, without its id.
fn object(create: &CreateTableAs, rows: &RecordBatch, session: Option<u64>) -> Object {
    Object {
        id: 0,
        name: create.name.clone(),
        kind: Kind::Table,
        schema: rows.schema(),
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
        sql: with_columns(&create.name, Kind::Table, &rows.schema(), None, &BTreeMap::new()),
        session,
        event_time: None,
        late_of: None,
        on_close: false,
        retention: None,
    }
}

impl Core {
    /// Makes a table and commits its first rows before anything else is done: both or neither.
    pub(super) fn create_filled(&mut self, define: Define, rows: RecordBatch) -> Result<u64> {
        let catalog = self.catalog.clone();
        let mut entries = caught(PLANNING, || define(&catalog))?;
        let Some(Ddl::Create(object)) = entries.first() else { return self.define(entries, &Cancel::default()) };
        let id = object.id;
        if rows.num_rows() == 0 {
            return self.define(entries, &Cancel::default());
        }
        let change = Change::Table { object: id, change: TableChange::Upsert(rows) };
        if !is_temporary(id) {
            entries.push(Ddl::Fill(id));
        }
        self.define(entries, &Cancel::default())?;
        let (reply, pending) = reply();
        let mut group = Group::default();
        self.admit(&mut group, Commit { changes: vec![change], ..Commit::default() }, reply);
        self.flush(&mut group);
        match pending.wait() {
            Ok(committed) => Ok(committed.offset),
            Err(error) => {
                self.define(vec![Ddl::Drop(vec![id])], &Cancel::default())?;
                Err(error)
            }
        }
    }
}
