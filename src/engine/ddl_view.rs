//! CREATE VIEW: a query to a catalog entry, and to those of the views that read the one it replaces.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Ddl, FAIL, Kind, ON_ERROR, Object, SKIP};
use super::core::ask;
use super::database::Database;
use super::ddl::{check_type, taken};
use super::event_time::micros;
use super::index;
use super::known::{Comments, Known};
use super::names::{self, InputNames, canonical_view_plan, view_schema};
use super::query::{Cancel, Rows};
use super::request::Request;
use super::session::Outcome;
use super::show;
use super::temporary::{meant, refuse_to_outlive};
use crate::delta::added::Added;
use crate::error::{Error, Place, Result, is_about_names, two_columns};
use crate::interval::{self, Range};
use crate::sql::bind::Binder;
use crate::sql::columns::repeated;
use crate::sql::context::optimize_for_view;
use crate::sql::expr::refuse_volatile;
use crate::sql::inline::calls;
use crate::sql::parse::parse_query;
use crate::sql::statement::CreateView;

/// The option that says for how long rows are kept that change no more.
const RETENTION: &str = "retention";
/// The option that refuses a view whose state may grow for ever.
pub(super) const BOUNDED: &str = "require_bounded_state";

/// CREATE [OR REPLACE] [MATERIALIZED] VIEW.
pub(super) fn create(database: &Database, create: &CreateView, sql: &str, cancel: &Cancel) -> Result<Outcome> {
    let kind = if create.materialized { Kind::MaterializedView } else { Kind::View };
    let tag = format!("CREATE {}", kind.name().to_uppercase());
    check_options(create)?;
    let session = database.inner().view_session.load_full();
    let (create, sql) = (create.clone(), sql.trim().trim_end_matches(';').trim_end().to_string());
    let owner = database.session_of(create.temporary)?;
    let define = move |catalog: &Arc<Catalog>| define_view(&session, catalog, &create, (kind, owner), sql);
    database.define(cancel, define)?;
    Ok(Outcome::done(tag))
}

/// Options are of materialized views.
fn check_options(create: &CreateView) -> Result<()> {
    let name = &create.name;
    for (option, value) in &create.options {
        if [RETENTION, BOUNDED].contains(&option.as_str()) && create.materialized {
            continue;
        }
        if option != ON_ERROR {
            return Err(Error::input(format!("view `{name}`: no option `{option}`")));
        }
        if !create.materialized {
            return Err(Error::input(format!("view `{name}`: {ON_ERROR} is an option of materialized views"))
                .with_hint("a plain view is a part of the queries that read it, and fails with them"));
        }
        if create.temporary && value == SKIP {
            return Err(Error::unsupported(format!("temporary view `{name}` with {ON_ERROR} = 'skip'"))
                .with_hint("since which commit of the log a row fails could not be told"));
        }
        if ![FAIL, SKIP].contains(&value.as_str()) {
            return Err(Error::input(format!("view `{name}`: {ON_ERROR} is '{FAIL}' or '{SKIP}', not '{value}'")));
        }
    }
    if create.on_close && !create.materialized {
        return Err(Error::input(format!("view `{name}`: EMIT ON WINDOW CLOSE is for materialized views")));
    }
    retention(create)?;
    must_be_bounded(create).map(|_| ())
}

/// For how many microseconds the view keeps rows that change no more, where it does not keep them all.
fn retention(create: &CreateView) -> Result<Option<i64>> {
    let Some(text) = create.options.get(RETENTION) else { return Ok(None) };
    let wrong = |why: String| Error::input(format!("view `{}`: {RETENTION} = '{text}' {why}", create.name));
    let interval = interval::read(text, Range::default()).ok_or_else(|| wrong("is not a length of time".into()))?;
    let micros = micros(interval.months, interval.days, interval.nanoseconds);
    micros.map(Some).map_err(|error| wrong(format!("is not a length of time: {error}")))
}

/// Whether the view is refused where its state may grow for ever.
fn must_be_bounded(create: &CreateView) -> Result<bool> {
    match create.options.get(BOUNDED).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::input(format!("view `{}`: {BOUNDED} is true or false, not '{other}'", create.name))),
    }
}

fn define_view(
    session: &SessionState,
    catalog: &Catalog,
    create: &CreateView,
    (kind, owner): (Kind, Option<u64>),
    sql: String,
) -> Result<Vec<Ddl>> {
    let existing = catalog.find_beside(owner, &create.name).cloned();
    let mut entries = Vec::new();
    let mut dependents = Vec::new();
    if let Some(existing) = &existing {
        let replaceable = matches!(existing.kind, Kind::View | Kind::MaterializedView);
        if create.if_not_exists && replaceable {
            return Ok(Vec::new());
        }
        if !create.or_replace || !replaceable {
            return Err(taken(existing));
        }
        dependents = catalog.dependents(existing.id);
        entries.push(Ddl::Drop(dependents.iter().rev().map(|o| o.id).chain([existing.id]).collect()));
    }
    let mut object = view(session, catalog, create, (kind, owner), sql)?;
    let cyclic = |id: &u32| existing.as_ref().is_some_and(|e| e.id == *id) || dependents.iter().any(|d| d.id == *id);
    if object.reads.iter().any(cyclic) {
        return Err(Error::input(format!("view `{}` would read itself", create.name)));
    }
    object.id = catalog.next_id(owner.is_some());
    let mut after = catalog.clone();
    entries.iter().try_for_each(|e| after.apply(e))?;
    let mut replaced = vec![(existing.as_ref().map(|e| e.id), object.id)];
    let mut indexes = match &existing {
        Some(existing) => index::inherited(catalog, existing, &object),
        None => Vec::new(),
    };
    let create_new = Ddl::Create(Box::new(object));
    after.apply(&create_new)?;
    entries.push(create_new);
    for dependent in &dependents {
        let mut remade = dependent.as_ref().clone();
        remade.reads = remade
            .reads
            .iter()
            .map(|read| replaced.iter().find(|(old, _)| *old == Some(*read)).map_or(*read, |(_, new)| *new))
            .collect();
        for (old, new) in replaced.iter().filter_map(|(old, new)| Some(((*old)?, *new))) {
            remade.known.names.values_mut().filter(|id| **id == old).for_each(|id| *id = new);
            remade.known.columns.remove(&old);
        }
        let plan = check_view(session, &after, &remade).map_err(|e| {
            Error::input(format!("`{}` reads `{}` and would no longer work: {e}", remade.name, create.name))
                .with_hint(format!("DROP VIEW {} first", remade.name))
        })?;
        remade.schema = plan;
        indexes.extend(index::inherited(catalog, dependent, &remade));
        replaced.push((Some(dependent.id), remade.id));
        let entry = Ddl::Create(Box::new(remade));
        after.apply(&entry)?;
        entries.push(entry);
    }
    entries.extend(indexes);
    Ok(entries)
}

/// A view's object, without its id, once its query has been found right.
fn view(
    session: &SessionState,
    catalog: &Catalog,
    create: &CreateView,
    (kind, owner): (Kind, Option<u64>),
    sql: String,
) -> Result<Object> {
    let at = create.query_place;
    let moved = |error: Error| move_place(error, at);
    let query = parse_query(&create.query).map_err(moved)?;
    let facts = HashMap::new();
    let names = InputNames::new(session, catalog, &facts);
    let plan = Binder::new(session, &names).query(&query).map_err(|error| match repeated(&query) {
        Some(name) if is_about_names(&error) => two_columns(&name),
        _ => moved(error),
    })?;
    let plan = if create.columns.is_empty() {
        plan
    } else {
        names::rename(plan, create.columns.iter().map(String::as_str))
            .map_err(|e| Error::input(format!("view `{}`: {e}", create.name)))?
    };
    refuse_volatile(&plan)?;
    let analyzed = optimize_for_view(session, crate::sql::canonical::canonical(plan)?).map_err(moved)?;
    let schema = view_schema(analyzed.schema())?;
    for field in schema.fields() {
        check_type(field)?;
    }
    let mut object = Object {
        id: 0,
        name: create.name.clone(),
        kind,
        schema,
        key: Vec::new(),
        defaults: Vec::new(),
        checks: Vec::new(),
        options: create.options.clone(),
        query: Some(create.query.clone()),
        calls: calls(&query, &|name| catalog.function(name).is_some()),
        reads: names::reads(catalog, ast::Statement::Query(query))?,
        added: Added::default(),
        known: Known::default(),
        comments: Comments::default(),
        sql,
        session: owner,
        event_time: None,
        late_of: None,
        on_close: create.on_close,
        retention: retention(create)?,
    };
    refuse_to_outlive(catalog, &object)?;
    if owner.is_some() {
        object.known.names = meant(catalog, object.reads.iter().copied())?;
    }
    Ok(object)
}

fn check_view(session: &SessionState, catalog: &Catalog, object: &Object) -> Result<SchemaRef> {
    let facts = HashMap::new();
    let names = InputNames { known: Some(&object.known), ..InputNames::new(session, catalog, &facts) };
    let plan = optimize_for_view(session, canonical_view_plan(session, &names, object)?)?;
    view_schema(plan.schema())
}

/// A place within the query as a place within the statement.
fn move_place(mut error: Error, start: Place) -> Error {
    if let Error::Input(e) | Error::Unsupported(e) = &mut error
        && let Some(place) = &mut e.place
    {
        if place.line == 1 {
            place.column += start.column - 1;
        }
        place.line += start.line - 1;
    }
    error
}

/// EXPLAIN CREATE MATERIALIZED VIEW.
pub(super) fn explain(database: &Database, create: &CreateView) -> Result<Rows> {
    let session = database.inner().view_session.load_full();
    let (catalog, owner) = (database.catalog(), database.session_of(create.temporary)?);
    check_options(create)?;
    let object = view(&session, &catalog, create, (Kind::MaterializedView, owner), String::new())?;
    let lines = ask(&database.inner().engine, |reply| Request::ExplainNew(Box::new(object), reply)).wait()?;
    show::circuit_rows(&lines)
}
