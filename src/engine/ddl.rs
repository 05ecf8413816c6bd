//! CREATE STREAM and CREATE TABLE: statements to catalog entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast;
use datafusion_functions_json::JSON_UNION_DATA_TYPE;

use super::catalog::{Catalog, Check, Ddl, Kind, Object};
use super::constraint::{Constraints, defaults};
use super::database::Database;
use super::event_time::{EventTime, late_object, micros};
use super::known::{Comments, Known};
use super::names::InputNames;
use super::query::Cancel;
use super::session::Outcome;
use super::show;
use crate::delta::added::Added;
use crate::error::{Error, Result, nearest};
use crate::interval::{self, Range};
use crate::sql::bind::Binder;
use crate::sql::parse::normalize;
use crate::sql::statement::{CreateRelation, WatermarkClause};
use crate::sql::types::{characters_max, is_json};

/// The option of a stream that says when its watermark moves with the clock.
const IDLE_TIMEOUT: &str = "idle_timeout";
/// Columns of one stream, table or view.
const COLUMNS_MAX: usize = 4096;

/// CREATE STREAM and CREATE TABLE.
pub(super) fn create_relation(database: &Database, create: &CreateRelation, sql: &str) -> Result<Outcome> {
    let kind = if create.is_stream { Kind::Stream } else { Kind::Table };
    let tag = format!("CREATE {}", kind.name().to_uppercase());
    let (catalog, owner) = (database.catalog(), database.session_of(create.temporary)?);
    if let Some(existing) = catalog.find_beside(owner, &create.name) {
        if create.if_not_exists && existing.kind == kind {
            return Ok(Outcome::done(tag));
        }
        return Err(taken(existing));
    }
    let session = database.inner().view_session.load_full();
    let object = Object { session: owner, ..relation(&session, &catalog, create, kind, sql)? };
    let define = {
        let object = object.clone();
        move |catalog: &Arc<Catalog>| {
            if let Some(existing) = catalog.find_beside(owner, &object.name) {
                return Err(taken(existing));
            }
            let mut object = Object { id: catalog.next_id(owner.is_some()), ..object };
            let late = object.event_time.as_mut().map(|event_time| {
                event_time.late = object.id + 1;
                event_time.clone()
            });
            let late = late.map(|event_time| late_object(&object, &event_time));
            Ok([Some(object), late].into_iter().flatten().map(|object| Ddl::Create(Box::new(object))).collect())
        }
    };
    database.define(&Cancel::default(), define)?;
    if object.has_source() {
        let object = database.catalog().expect(&object.name)?.clone();
        database.inner().sources.start(&object, None, &session, &database.inner().engine)?;
    }
    Ok(Outcome::done(tag))
}

pub(super) fn taken(existing: &Object) -> Error {
    Error::input(format!("there is a {} `{}` already", existing.described(), existing.name))
}

fn relation(
    session: &SessionState,
    catalog: &Catalog,
    create: &CreateRelation,
    kind: Kind,
    sql: &str,
) -> Result<Object> {
    let mut options = absolute_path(&create.options)?;
    let idle = idle_timeout(create, &mut options)?;
    if options.contains_key("connector") {
        if create.temporary {
            return Err(Error::unsupported(format!("temporary {} `{}` from a source", kind.name(), create.name))
                .with_hint("what a source brings is kept in the log: leave TEMPORARY out"));
        }
        crate::source::check(&options)?;
    } else if let Some(option) = options.keys().next() {
        let hint = match nearest(option, ["connector"]) {
            Some(_) => "did you mean `connector`?".to_string(),
            None => "options describe a source, which begins with connector = 'file'".to_string(),
        };
        return Err(Error::input(format!("{} `{}`: option `{option}` without a connector", kind.name(), create.name))
            .with_hint(hint));
    }
    let facts = HashMap::new();
    let names = InputNames::new(session, catalog, &facts);
    let (mut schema, found) = match &create.columns {
        Some(columns) => (Binder::new(session, &names).schema(columns.clone())?, None),
        None if options.contains_key("connector") => {
            let schema = crate::source::infer(&options)?;
            (schema.clone(), Some(schema))
        }
        None => {
            return Err(Error::input(format!("{} `{}` has no columns", kind.name(), create.name))
                .with_hint("list them, or name a file to take them from: WITH (connector = 'file', path = '...')"));
        }
    };
    let mut parts = Parts { key: Vec::new(), defaults: Vec::new(), checks: Vec::new(), table: &create.name, catalog };
    parts.defaults = vec![None; schema.fields().len()];
    for (at, column) in create.columns.iter().flatten().enumerate() {
        parts.column(at, column, &schema)?;
    }
    for constraint in &create.constraints {
        parts.constraint(constraint, &schema)?;
    }
    check_columns(&create.name, &schema)?;
    if kind == Kind::Stream && !parts.key.is_empty() {
        return Err(Error::input(format!(
            "stream `{}` cannot have a primary key: its events are kept as they come",
            create.name
        ))
        .with_hint("CREATE TABLE keeps one row for each key"));
    }
    let event_time = match &create.watermark {
        None => None,
        Some(clause) if kind == Kind::Stream => Some(EventTime::new(session, clause, &schema, idle)?),
        Some(clause) => {
            return Err(Error::unsupported(format!("table `{}` with a watermark", create.name))
                .with_hint("rows of a table change at any time; CREATE STREAM keeps events, whose time goes on")
                .with_place(clause.place));
        }
    };
    if let Some(event_time) = &event_time {
        schema = required(&schema, event_time.column);
    }
    let sql = match found {
        Some(schema) => with_columns(&create.name, kind, &schema, create.watermark.as_ref(), &create.options),
        None => sql.trim().trim_end_matches(';').trim_end().to_string(),
    };
    let Parts { key, defaults: texts, checks, .. } = parts;
    let object = Object {
        id: 0,
        name: create.name.clone(),
        kind,
        schema,
        key,
        defaults: if texts.iter().any(Option::is_some) { texts } else { Vec::new() },
        checks,
        options: options.clone(),
        query: None,
        calls: BTreeSet::new(),
        reads: BTreeSet::new(),
        added: Added::default(),
        known: Known::default(),
        comments: Comments::default(),
        sql,
        session: None,
        event_time,
        late_of: None,
        on_close: false,
        retention: None,
    };
    defaults(session, &object)?;
    Constraints::new(session, &object)?;
    if object.has_source() {
        // Finds out now whether the source can be opened.
        crate::source::open(&options, &crate::sql::lower::nullable(&object.schema), None)?;
    }
    Ok(object)
}

/// How long a stream is without rows before its watermark moves with the clock, in microseconds; taken out of the options.
fn idle_timeout(create: &CreateRelation, options: &mut BTreeMap<String, String>) -> Result<Option<i64>> {
    let Some(text) = options.remove(IDLE_TIMEOUT) else { return Ok(None) };
    let wrong = |why: &str| Error::input(format!("`{}`: {IDLE_TIMEOUT} = '{text}' {why}", create.name));
    if create.watermark.is_none() {
        return Err(wrong("without a watermark").with_hint("WATERMARK FOR ts AS ts - INTERVAL '5' SECOND declares one"));
    }
    let interval = interval::read(&text, Range::default()).ok_or_else(|| wrong("is not a length of time"))?;
    match micros(interval.months, interval.days, interval.nanoseconds) {
        Ok(micros) if micros > 0 => Ok(Some(micros)),
        Ok(_) => Err(wrong("is not a length of time")),
        Err(error) => Err(wrong(&format!("is not a length of time: {error}"))),
    }
}

/// The columns, of which one must not be NULL.
fn required(schema: &SchemaRef, column: usize) -> SchemaRef {
    let field = |(at, field): (usize, &Arc<Field>)| match at == column {
        true => Arc::new(field.as_ref().clone().with_nullable(false)),
        false => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// The statement with the columns that were found in the source, or given by a query.
pub(super) fn with_columns(
    name: &str,
    kind: Kind,
    schema: &Schema,
    watermark: Option<&WatermarkClause>,
    options: &BTreeMap<String, String>,
) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut columns: Vec<String> =
        schema.fields().iter().map(|f| format!("{} {}", quoted(f.name()), show::type_name(f.data_type()))).collect();
    columns.extend(watermark.map(|clause| {
        let column = quoted(&clause.column);
        let delay = clause.delay.as_ref().map_or(String::new(), |delay| format!(" - {delay}"));
        format!("WATERMARK FOR {column} AS {column}{delay}")
    }));
    let options: Vec<String> = options.iter().map(|(k, v)| format!("'{k}' = '{}'", v.replace('\'', "''"))).collect();
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    format!("CREATE {} {} ({}){with}", kind.name().to_uppercase(), quoted(name), columns.join(", "))
}

/// A source's path is meant from where the program stands when the statement is run, and still when it is resumed.
fn absolute_path(options: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut options = options.clone();
    if let Some(path) = options.get_mut("path") {
        let absolute = std::path::absolute(&*path).map_err(|e| Error::io("finding", Path::new(&*path), &e))?;
        *path = absolute.to_string_lossy().into_owned();
    }
    Ok(options)
}

pub(super) fn check_columns(name: &str, schema: &Schema) -> Result<()> {
    if schema.fields().len() > COLUMNS_MAX {
        return Err(Error::Limit(format!(
            "`{name}` has {} columns and the limit is {COLUMNS_MAX}",
            schema.fields().len()
        )));
    }
    if schema.fields().is_empty() {
        return Err(Error::input(format!("`{name}` has no columns")));
    }
    let mut seen = BTreeSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return Err(Error::input(format!("`{name}` has two columns `{}`", field.name())));
        }
    }
    crate::archive::check_schema(schema)
}

pub(super) fn check_type(field: &Field) -> Result<()> {
    match field.data_type() {
        union if *union == *JSON_UNION_DATA_TYPE => {
            Err(Error::unsupported(format!("column `{}` is of different types from row to row", field.name()))
                .with_hint("take the value as text with ->>, or as one type with json_get_int, json_get_str and so on"))
        }
        DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..) | DataType::Dictionary(..) => {
            Err(Error::unsupported(format!("column `{}` of type {}", field.name(), field.data_type())))
        }
        _ => Ok(()),
    }
}

/// What a CREATE says beside the types of columns.
pub(super) struct Parts<'a> {
    pub(super) table: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) key: Vec<usize>,
    pub(super) defaults: Vec<Option<String>>,
    pub(super) checks: Vec<Check>,
}

impl Parts<'_> {
    pub(super) fn column(&mut self, at: usize, column: &ast::ColumnDef, schema: &SchemaRef) -> Result<()> {
        // The batch engine's text has no length of its own, and no JSON.
        let quoted = schema.field(at).name().replace('"', "\"\"");
        let text = match characters_max(&column.data_type) {
            Some(length) => Some(format!("char_length(\"{quoted}\") <= {length}")),
            None => is_json(&column.data_type).then(|| format!("json_valid(\"{quoted}\")")),
        };
        if let Some(text) = text {
            let name = format!("{} is {}", schema.field(at).name(), column.data_type);
            self.checks.push(Check { name, text });
        }
        let has = |wanted| column.options.iter().any(|option| option.option == wanted);
        if has(ast::ColumnOption::Null) && has(ast::ColumnOption::NotNull) {
            return Err(Error::input(format!("column `{}` is NULL and NOT NULL at once", schema.field(at).name())));
        }
        for option in &column.options {
            match &option.option {
                ast::ColumnOption::Null | ast::ColumnOption::NotNull | ast::ColumnOption::Comment(_) => {}
                ast::ColumnOption::Default(expr) => self.defaults[at] = Some(self.catalog.without_calls(expr)?),
                ast::ColumnOption::PrimaryKey(_) => self.set_key(vec![at])?,
                ast::ColumnOption::Check(check) => self.check(option.name.as_ref(), &check.expr)?,
                ast::ColumnOption::ForeignKey(key) if not_enforced(key.characteristics.as_ref()) => {}
                ast::ColumnOption::Unique(key) if not_enforced(key.characteristics.as_ref()) => {}
                ast::ColumnOption::ForeignKey(_) | ast::ColumnOption::Unique(_) => {
                    return Err(unenforced(format!("column `{}`: {}", schema.field(at).name(), option.option)));
                }
                other => {
                    let column = schema.field(at).name();
                    let error = Error::unsupported(format!("column `{column}`: {other} is not supported"));
                    return Err(match other {
                        ast::ColumnOption::Generated { generation_expr: Some(_), .. } => {
                            error.with_hint("a view over the table has it as an expression")
                        }
                        ast::ColumnOption::Generated { .. } | ast::ColumnOption::Identity(_) => {
                            error.with_hint("insert its values, which are part of the event")
                        }
                        _ => error,
                    });
                }
            }
        }
        Ok(())
    }

    fn constraint(&mut self, constraint: &ast::TableConstraint, schema: &SchemaRef) -> Result<()> {
        match constraint {
            ast::TableConstraint::PrimaryKey(key) => {
                let columns = key.columns.iter().map(|column| match &column.column.expr {
                    ast::Expr::Identifier(ident) => {
                        let name = normalize(ident);
                        schema.index_of(&name).map_err(|_| {
                            let names = schema.fields().iter().map(|f| f.name().as_str());
                            let error =
                                Error::input(format!("`{}`: the primary key names no column `{name}`", self.table));
                            match nearest(&name, names) {
                                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                                None => error,
                            }
                        })
                    }
                    other => Err(Error::unsupported(format!("a primary key of the expression {other}"))),
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                self.set_key(columns)
            }
            ast::TableConstraint::Check(check) => self.check(check.name.as_ref(), &check.expr),
            ast::TableConstraint::ForeignKey(key) if not_enforced(key.characteristics.as_ref()) => Ok(()),
            ast::TableConstraint::Unique(key) if not_enforced(key.characteristics.as_ref()) => Ok(()),
            other => Err(unenforced(format!("`{}`: {other}", self.table))),
        }
    }

    fn set_key(&mut self, columns: Vec<usize>) -> Result<()> {
        if !self.key.is_empty() {
            return Err(Error::input(format!("`{}` has two primary keys", self.table)));
        }
        self.key = columns;
        Ok(())
    }

    fn check(&mut self, name: Option<&ast::Ident>, expr: &ast::Expr) -> Result<()> {
        let name = name.map_or_else(|| expr.to_string(), normalize);
        self.checks.push(Check { name, text: self.catalog.without_calls(expr)? });
        Ok(())
    }
}

/// Whether a constraint says that nothing checks it: it is a remark then.
fn not_enforced(characteristics: Option<&ast::ConstraintCharacteristics>) -> bool {
    characteristics.is_some_and(|said| said.enforced == Some(false))
}

fn unenforced(constraint: String) -> Error {
    Error::unsupported(format!("{constraint} is not enforced"))
        .with_hint("NOT ENFORCED after it keeps it as a remark; a view that must stay empty can check it")
}
