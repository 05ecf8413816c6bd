//! `information_schema`: what there is, in the tables of the SQL standard.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::{MemTable, TableProvider};

use super::catalog::{Catalog, Kind, Object};
use super::show::{table, type_name};
use super::system::{SYSTEM_SCHEMA, errors_object, streams, watermarks_object};
use crate::error::Result;
use crate::sql::{CATALOG, SCHEMA};

/// The name of the schema.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// The schema in which it lists what is temporary.
const TEMPORARY_SCHEMA: &str = "pg_temp";

/// A relation as the tables list it.
pub struct Listed {
    schema: String,
    name: String,
    kind: &'static str,
    columns: SchemaRef,
    key: Vec<usize>,
    defaults: Vec<Option<String>>,
    query: Option<String>,
}

impl Listed {
    /// A data set of which nothing but the columns is known.
    pub fn bare(schema: &str, name: &str, columns: SchemaRef) -> Listed {
        let (schema, name) = (schema.to_string(), name.to_string());
        Listed { schema, name, kind: "BASE TABLE", columns, key: Vec::new(), defaults: Vec::new(), query: None }
    }

    fn object(schema: &str, object: &Object) -> Listed {
        Listed {
            kind: match object.kind {
                Kind::Stream => "STREAM",
                Kind::Table if object.session.is_some() => "LOCAL TEMPORARY",
                Kind::Table => "BASE TABLE",
                Kind::View => "VIEW",
                Kind::MaterializedView => "MATERIALIZED VIEW",
            },
            key: object.key.clone(),
            defaults: object.defaults.clone(),
            query: object.query.clone(),
            ..Listed::bare(schema, &object.name, object.schema.clone())
        }
    }
}

/// Everything in a catalog.
pub fn listed(catalog: &Catalog) -> Vec<Listed> {
    let schema = |object: &Object| if object.session.is_some() { TEMPORARY_SCHEMA } else { SCHEMA };
    let listed = |object: &Arc<Object>| Listed::object(schema(object), object);
    let mut all: Vec<Listed> = catalog.seen().map(listed).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.push(Listed { kind: "SYSTEM VIEW", ..Listed::object(SYSTEM_SCHEMA, &errors_object()) });
    all.extend(streams().iter().map(|stream| Listed::object(SYSTEM_SCHEMA, stream)));
    all.push(Listed::object(SYSTEM_SCHEMA, &watermarks_object()));
    all
}

/// A table of the schema, if it has one of that name.
///
/// # Errors
/// Never, short of a bug.
pub fn find(relations: &[Listed], name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let rows = match name {
        "schemata" => schemata(relations),
        "tables" => relation_table(relations, |_| true, "table_type", |r| Some(r.kind.to_string())),
        "views" => relation_table(relations, |r| r.query.is_some(), "view_definition", |r| r.query.clone()),
        "columns" => columns(relations),
        "key_column_usage" => keys(relations),
        _ => return Ok(None),
    };
    let rows = table(rows)?;
    Ok(Some(Arc::new(MemTable::try_new(rows.schema, vec![rows.batches])?)))
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn schemata(relations: &[Listed]) -> Columns {
    let mut names: Vec<&str> = relations.iter().map(|r| r.schema.as_str()).collect();
    names.extend([SCHEMA, INFORMATION_SCHEMA]);
    names.sort_unstable();
    names.dedup();
    vec![
        ("catalog_name", texts(names.iter().map(|_| Some(CATALOG.into())))),
        ("schema_name", texts(names.iter().map(|name| Some((*name).into())))),
    ]
}

fn relation_table(
    relations: &[Listed],
    wanted: impl Fn(&Listed) -> bool,
    fact: &'static str,
    value: impl Fn(&Listed) -> Option<String>,
) -> Columns {
    let wanted: Vec<&Listed> = relations.iter().filter(|r| wanted(r)).collect();
    let mut columns = named(wanted.iter().copied());
    columns.push((fact, texts(wanted.iter().map(|r| value(r)))));
    columns
}

/// The three columns that every table about relations begins with.
fn named<'a>(relations: impl Iterator<Item = &'a Listed> + Clone) -> Columns {
    vec![
        ("table_catalog", texts(relations.clone().map(|_| Some(CATALOG.into())))),
        ("table_schema", texts(relations.clone().map(|r| Some(r.schema.clone())))),
        ("table_name", texts(relations.map(|r| Some(r.name.clone())))),
    ]
}

fn columns(relations: &[Listed]) -> Columns {
    let all: Vec<(&Listed, usize)> =
        relations.iter().flat_map(|r| (0..r.columns.fields().len()).map(move |at| (r, at))).collect();
    let field = |(r, at): &(&Listed, usize)| r.columns.fields()[*at].clone();
    let nullable = |(r, at): &(&Listed, usize)| r.columns.field(*at).is_nullable() && !r.key.contains(at);
    let decimal = |place: &(&Listed, usize)| match field(place).data_type() {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    };
    let numbers = |value: &dyn Fn(&(&Listed, usize)) -> Option<i32>| -> ArrayRef {
        Arc::new(all.iter().map(value).collect::<Int32Array>())
    };
    let mut columns = named(all.iter().map(|(r, _)| *r));
    columns.extend([
        ("column_name", texts(all.iter().map(|c| Some(field(c).name().clone())))),
        ("ordinal_position", numbers(&|(_, at)| Some(*at as i32 + 1))),
        ("column_default", texts(all.iter().map(|(r, at)| r.defaults.get(*at).cloned().flatten()))),
        ("is_nullable", texts(all.iter().map(|c| Some(if nullable(c) { "YES" } else { "NO" }.into())))),
        ("data_type", texts(all.iter().map(|c| Some(type_name(field(c).data_type()))))),
        ("numeric_precision", numbers(&|c| decimal(c).map(|(precision, _)| i32::from(precision)))),
        ("numeric_scale", numbers(&|c| decimal(c).map(|(_, scale)| i32::from(scale)))),
    ]);
    columns
}

/// The columns of primary keys.
fn keys(relations: &[Listed]) -> Columns {
    let all: Vec<(&Listed, usize)> = relations.iter().flat_map(|r| (0..r.key.len()).map(move |at| (r, at))).collect();
    let name = |(r, at): &(&Listed, usize)| r.columns.field(r.key[*at]).name().clone();
    let mut columns = vec![("constraint_name", texts(all.iter().map(|(r, _)| Some(format!("{}_pkey", r.name)))))];
    columns.extend(named(all.iter().map(|(r, _)| *r)));
    columns.push(("column_name", texts(all.iter().map(|c| Some(name(c))))));
    let places = all.iter().map(|(_, at)| Some(*at as i32 + 1)).collect::<Int32Array>();
    columns.push(("ordinal_position", Arc::new(places)));
    columns
}
