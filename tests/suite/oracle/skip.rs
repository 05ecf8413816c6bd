//! Views that leave out failing rows: each stands beside one that fails, with the same query.
//!
//! While the query fails on no row both hold the same; while it does, VERIFY runs the query without the failing rows. At
//! the end a view that is created last must list the same failures, each since the same commit.

use millstream::{Database, Error, Outcome};

use super::bag::{Bag, bag, difference};
use crate::embed_support::text;

/// How a view is called that leaves out the failing rows of another one's query.
pub fn beside(name: &str) -> String {
    format!("{name}_skipping")
}

fn create_as(database: &Database, name: &str, sql: &str) -> Result<bool, String> {
    let sql = format!("CREATE MATERIALIZED VIEW {name} WITH (on_error = 'skip') AS {sql}");
    match database.execute(&sql) {
        Ok(_) => Ok(true),
        Err(Error::Unsupported(error)) if error.message.contains("on_error = 'skip'") => Ok(false),
        Err(error) => Err(format!("{name} was refused: {error}\n  {sql}")),
    }
}

/// Makes the view beside another, unless its query is one of those that cannot leave out rows.
pub fn create(database: &Database, name: &str, sql: &str) -> Result<Option<String>, String> {
    let name = beside(name);
    Ok(create_as(database, &name, sql)?.then_some(name))
}

/// Takes the view beside another away.
pub fn drop(database: &Database, name: &str) -> Result<(), String> {
    let sql = format!("DROP MATERIALIZED VIEW IF EXISTS {}", beside(name));
    database.execute(&sql).map(drop_outcome).map_err(|e| format!("{sql}: {e}"))
}

fn drop_outcome(_: Outcome) {}

/// Compares the view with what the other one holds or, where that one fails, with its query without failing rows.
pub fn compare(database: &Database, name: &str, good: Option<&Bag>) -> Result<(), String> {
    let Some(good) = good else { return verify(database, name) };
    let rows = match database.snapshot(name) {
        Ok((_, rows)) => bag(&rows.batches),
        Err(error) => return Err(format!("{name} fails: {error}")),
    };
    match rows == *good {
        true => Ok(()),
        false => Err(format!("{name} differs\n{}", difference(good, &rows))),
    }
}

fn verify(database: &Database, name: &str) -> Result<(), String> {
    match database.execute(&format!("VERIFY {name}")) {
        Ok(Outcome::Verified { ok: true, .. }) => Ok(()),
        Ok(Outcome::Verified { rows, .. }) => Err(format!("{name} differs: {:?}", text(&rows.batches))),
        other => Err(format!("VERIFY of {name} gives {other:?}")),
    }
}

fn listed(database: &Database, name: &str) -> Result<Vec<String>, String> {
    let sql = format!("SELECT \"offset\", reason, count FROM system.errors WHERE view = '{name}'");
    let rows = database.query(&sql).map_err(|e| format!("{sql}: {e}"))?;
    let mut rows = text(&rows.batches);
    rows.sort();
    Ok(rows)
}

/// Compares what the view lists with what a view lists that is created last. Returns how much that is.
pub fn compare_with_last(database: &Database, name: &str, sql: &str) -> Result<usize, String> {
    let last = format!("{name}_last");
    if !create_as(database, &last, sql)? {
        return Err(format!("{last} was refused, and {name} was not"));
    }
    let (first, again) = (listed(database, name)?, listed(database, &last)?);
    database.execute(&format!("DROP MATERIALIZED VIEW {last}")).map_err(|e| e.to_string())?;
    match first == again {
        true => Ok(first.len()),
        false => Err(format!("{name} differs in what it lists: {first:?}, created last {again:?}")),
    }
}
