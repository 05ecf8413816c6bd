//! CREATE INDEX and DROP INDEX: statements to catalog entries. What an index does is in [`super::find`].

use std::sync::Arc;

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Ddl, Kind, Object};
use super::database::Database;
use super::query::{Cancel, Rows};
use super::session::Outcome;
use super::show::texts;
use crate::error::{Error, Result, nearest};
use crate::sql::statement::CreateIndex;

/// A promise that rows of a table or materialized view are found by some columns without looking at the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name, normalised.
    pub name: String,
    /// Whose rows.
    pub object: u32,
    /// The columns, by place.
    pub columns: Vec<usize>,
}

impl Catalog {
    /// The indexes in the order of their names.
    pub fn indexes(&self) -> impl Iterator<Item = &Index> {
        self.indexes.values()
    }

    /// An index by name.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.get(name)
    }
}

/// CREATE INDEX.
pub(super) fn create(database: &Database, create: CreateIndex) -> Result<Outcome> {
    define(database, move |catalog| define_create(catalog, &create))?;
    Ok(Outcome::done("CREATE INDEX"))
}

/// DROP INDEX.
pub(super) fn drop(database: &Database, names: Vec<String>, if_exists: bool) -> Result<Outcome> {
    define(database, move |catalog| define_drop(catalog, &names, if_exists))?;
    Ok(Outcome::done("DROP INDEX"))
}

fn define(database: &Database, define: impl FnOnce(&Arc<Catalog>) -> Result<Vec<Ddl>> + Send + 'static) -> Result<u64> {
    database.define(&Cancel::default(), define)
}

fn define_create(catalog: &Catalog, create: &CreateIndex) -> Result<Vec<Ddl>> {
    let object = catalog.expect(&create.relation)?;
    match object.kind {
        _ if object.session.is_some() => {
            return Err(Error::unsupported(format!("an index of the {} `{}`", object.described(), object.name))
                .with_hint("its primary key is indexed"));
        }
        Kind::Table | Kind::MaterializedView => {}
        Kind::Stream => {
            return Err(Error::unsupported(format!(
                "`{}` is a stream, whose events are not kept in memory",
                object.name
            ))
            .with_hint("make a materialized view of them and index that"));
        }
        Kind::View => {
            return Err(Error::unsupported(format!("`{}` is a view, which holds no rows", object.name))
                .with_hint("index what it reads, or make it a MATERIALIZED VIEW"));
        }
    }
    let columns = create.columns.iter().map(|name| column(object, name)).collect::<Result<Vec<usize>>>()?;
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].contains(column) {
            return Err(Error::input(format!("the index names column `{}` twice", create.columns[at])));
        }
    }
    let name = match &create.name {
        Some(name) => name.clone(),
        None => free_name(catalog, &format!("{}_{}_idx", object.name, create.columns.join("_"))),
    };
    match catalog.index(&name) {
        Some(_) if create.if_not_exists => return Ok(Vec::new()),
        Some(_) => return Err(Error::input(format!("there is an index `{name}` already"))),
        None => {}
    }
    if let Some(taken) = catalog.find(&name) {
        return Err(super::ddl::taken(taken));
    }
    Ok(vec![Ddl::CreateIndex(Index { name, object: object.id, columns })])
}

fn column(object: &Object, name: &str) -> Result<usize> {
    let fields = object.schema.fields();
    let Some(at) = fields.iter().position(|f| f.name() == name) else {
        let error = Error::input(format!("`{}` has no column `{name}`", object.name));
        return Err(match nearest(name, fields.iter().map(|f| f.name().as_str())) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    if !can_be_key(fields[at].data_type()) {
        return Err(Error::unsupported(format!(
            "an index on column `{name}` of type {} is not supported",
            super::show::type_name(fields[at].data_type())
        )));
    }
    Ok(at)
}

/// Whether rows can be looked up by values of this type: those whose equality is that of their bits, but for `-0.0`.
pub(super) fn can_be_key(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Interval(_) | DataType::Null)
}

fn free_name(catalog: &Catalog, name: &str) -> String {
    let numbered = (1..).map(|number| format!("{name}{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    let free = |name: &String| catalog.index(name).is_none() && catalog.find(name).is_none();
    names.find(free).expect("the numbers do not end")
}

fn define_drop(catalog: &Catalog, names: &[String], if_exists: bool) -> Result<Vec<Ddl>> {
    let mut found = Vec::new();
    for name in names {
        match catalog.index(name) {
            Some(_) => found.push(name.clone()),
            None if if_exists => {}
            None => {
                let error = Error::input(format!("no index `{name}`"));
                return Err(match nearest(name, catalog.indexes().map(|index| index.name.as_str())) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
    }
    Ok(if found.is_empty() { Vec::new() } else { vec![Ddl::DropIndex(found)] })
}

/// The indexes of an object that is replaced, for the one in its place: those whose columns it has, by their names.
pub(super) fn inherited(catalog: &Catalog, before: &Object, after: &Object) -> Vec<Ddl> {
    let heir = |index: &Index| {
        let columns = index.columns.iter().map(|column| {
            let name = before.schema.field(*column).name();
            let at = after.schema.index_of(name).ok()?;
            can_be_key(after.schema.field(at).data_type()).then_some(at)
        });
        let columns = columns.collect::<Option<Vec<usize>>>()?;
        Some(Ddl::CreateIndex(Index { name: index.name.clone(), object: after.id, columns }))
    };
    catalog.indexes().filter(|index| index.object == before.id).filter_map(heir).collect()
}

/// SHOW INDEXES.
pub(super) fn list(database: &Database) -> Result<Rows> {
    let catalog = database.catalog();
    let (mut names, mut relations, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for index in catalog.indexes() {
        let Some(object) = catalog.get(index.object) else { continue };
        names.push(Some(index.name.clone()));
        relations.push(Some(object.name.clone()));
        let of: Vec<&str> = index.columns.iter().map(|c| object.schema.field(*c).name().as_str()).collect();
        columns.push(Some(of.join(", ")));
    }
    texts(vec![("name", names), ("relation", relations), ("columns", columns)])
}
