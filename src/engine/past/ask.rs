//! What a statement asks of the past, and the rows that it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::TableProvider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast;

use super::{Origin, apart, changes, snapshot};
use crate::archive::Moment;
use crate::engine::catalog::{Catalog, Object};
use crate::engine::clock::now;
use crate::engine::constraint::NoNames;
use crate::engine::core::ask;
use crate::engine::database::Database;
use crate::engine::event_time::late_name_of;
use crate::engine::names::{RowNames, sources};
use crate::engine::providers::rows_of;
use crate::engine::query::{Cancel, Rows, Runner};
use crate::engine::request::Request;
use crate::engine::snapshot::Snapshot;
use crate::engine::system::{self, ERRORS, SYSTEM_SCHEMA, WATERMARKS};
use crate::error::{Error, Result};
use crate::sql::SCHEMA;
use crate::sql::bind::{Binder, Names};
use crate::sql::expr::simplify;
use crate::sql::past::{Asked, What};

/// Relations as they were, and changes of relations, by the two parts of the name that they have in a statement.
#[derive(Debug, Clone, Default)]
pub struct Versions(BTreeMap<(String, String), Version>);

#[derive(Debug, Clone)]
enum Version {
    /// A relation of another state, by the parts of its name there.
    State(Arc<Snapshot>, Vec<String>),
    /// Rows.
    Changes(Rows),
}

impl Versions {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The relation of a name, for a statement that is planned with `names`.
    ///
    /// # Errors
    /// When it could not be read at its moment.
    pub fn table(&self, names: &RowNames<'_>, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.0.get(&(schema.to_string(), name.to_string())) {
            None => Ok(None),
            Some(Version::Changes(rows)) => {
                Ok(Some(rows_of(&rows.schema, rows.batches.iter().cloned(), names.batching)))
            }
            Some(Version::State(snapshot, relation)) => {
                let names = RowNames { batching: names.batching, ..RowNames::new(names.session, snapshot) };
                match relation.as_slice() {
                    [name] => names.table(name),
                    [.., schema, name] if schema == SCHEMA => names.lasting_table(name),
                    [.., schema, name] => names.system_table(schema, name),
                    [] => Ok(None),
                }
            }
        }
    }
}

/// The relation of which something is asked.
fn find(catalog: &Catalog, asked: &Asked) -> Result<Arc<Object>> {
    let found = match asked.relation.as_slice() {
        [name] => catalog.expect(name).cloned(),
        [.., schema, name] if schema == SCHEMA => match catalog.find_lasting(name) {
            Some(object) => Ok(object.clone()),
            None => catalog.expect(name).cloned(),
        },
        [.., schema, name] if schema == SYSTEM_SCHEMA => system::find(name)
            .map(Arc::new)
            .ok_or_else(|| Error::input(format!("no relation `{SYSTEM_SCHEMA}.{name}`"))),
        [.., schema, name] => match late_name_of(schema, name).and_then(|late| catalog.find(&late).cloned()) {
            Some(late) => Ok(late),
            None => Err(Error::input(format!("no stream, table or view `{schema}.{name}`"))),
        },
        [] => Err(Error::input("a name cannot be empty")),
    };
    found.map_err(|error| error.with_place(asked.place))
}

/// What is asked of one moment.
#[derive(Default)]
struct AtOnce {
    objects: BTreeSet<u32>,
    relations: Vec<Asked>,
}

/// Reads what a statement asks of the past. What names mean, they mean now and to the session of `database`.
///
/// # Errors
/// When there is no such relation or moment, or no memory for the state.
pub fn resolve(database: &Database, asked: Vec<Asked>, runner: &Runner, cancel: &Cancel) -> Result<Arc<Versions>> {
    let mut versions = Versions::default();
    if asked.is_empty() {
        return Ok(Arc::new(versions));
    }
    let origin = Origin::of(database)?;
    let held = runner.reservation();
    let mut moments: BTreeMap<u64, AtOnce> = BTreeMap::new();
    for asked in asked {
        let object = find(&origin.catalog, &asked)?;
        let at = |error: Error| error.with_place(asked.place);
        let offset = match &asked.what {
            What::Offset(offset) => checked(&origin, number(runner.session(), offset).map_err(at)?).map_err(at)?,
            What::Time(time) => {
                origin.history().last_commit(Moment::Time(moment(runner.session(), time).map_err(at)?))?.0
            }
            What::Changes(range) => {
                let [from, to] = range.as_ref();
                let number = |offset: &Option<ast::Expr>, or| {
                    offset.as_ref().map_or(Ok(or), |offset| number(runner.session(), offset))
                };
                let (from, to) = (number(from, 1).map_err(at)?, number(to, origin.offset).map_err(at)?);
                let range = (from.max(1), checked(&origin, to).map_err(at)?);
                if [ERRORS, WATERMARKS].contains(&object.id) {
                    return Err(at(Error::unsupported(format!("the changes of `{SYSTEM_SCHEMA}.{}`", object.name))));
                }
                let rows = apart(database.inner().threads.handle(), || {
                    changes::rows(origin.changes(&object, range, &held, cancel)?, &object.schema, &held)
                });
                versions.0.insert((asked.schema, asked.name), Version::Changes(rows?));
                continue;
            }
        };
        let moment = moments.entry(offset).or_default();
        moment.objects.insert(object.id);
        moment.relations.push(asked);
    }
    for (offset, AtOnce { objects, relations }) in moments {
        let read: BTreeSet<u32> = sources(&origin.catalog, &objects, false).into_iter().collect();
        let state = apart(database.inner().threads.handle(), || {
            snapshot(origin.at(&objects, Moment::Offset(offset), &held, cancel)?, &read)
        })?;
        for asked in relations {
            versions.0.insert((asked.schema, asked.name), Version::State(state.clone(), asked.relation));
        }
    }
    Ok(Arc::new(versions))
}

impl Origin {
    /// The log as it is now, with names as the session of a handle sees them.
    ///
    /// # Errors
    /// When the database is closed.
    pub fn of(database: &Database) -> Result<Origin> {
        let mut origin = ask(&database.inner().engine, Request::Past).wait()?;
        if let Some(viewer) = database.viewer() {
            origin.catalog = viewer.see(&origin.catalog);
        }
        Ok(origin)
    }
}

/// An offset that the log has come to.
fn checked(origin: &Origin, offset: u64) -> Result<u64> {
    if offset > origin.offset {
        return Err(Error::input(format!("offset {offset} is still to come: the last commit is {}", origin.offset)));
    }
    Ok(offset)
}

/// The value of an expression without columns.
fn value(session: &SessionState, expr: &ast::Expr, data_type: DataType) -> Result<ScalarValue> {
    let empty = DFSchema::empty();
    let bound = Binder::new(session, &NoNames).expression(expr.clone(), &empty)?;
    match simplify(session, cast(bound, data_type), &empty)? {
        Expr::Literal(value, _) if !value.is_null() => Ok(value),
        _ => Err(Error::input(format!("`{expr}` is not one value"))),
    }
}

fn number(session: &SessionState, expr: &ast::Expr) -> Result<u64> {
    match value(session, expr, DataType::Int64)? {
        ScalarValue::Int64(Some(offset)) if offset >= 0 => Ok(offset as u64),
        other => Err(Error::input(format!("an offset is a number of commits, and {other} is none"))),
    }
}

/// Microseconds since 1970-01-01 UTC.
fn moment(session: &SessionState, expr: &ast::Expr) -> Result<i64> {
    match value(session, expr, DataType::Timestamp(TimeUnit::Microsecond, None))? {
        ScalarValue::TimestampMicrosecond(Some(time), _) if time <= now() => Ok(time),
        ScalarValue::TimestampMicrosecond(..) => Err(Error::input(format!("AS OF {expr}: it is still to come"))),
        other => Err(Error::input(format!("AS OF {expr}: {other} is no moment"))),
    }
}
