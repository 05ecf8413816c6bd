//! DROP: which objects go, and what goes with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::{Catalog, Ddl, Kind};
use super::database::Database;
use super::query::Cancel;
use super::session::Outcome;
use crate::error::{Error, Result};
use crate::sql::statement::{Drop, DropKind};

/// DROP.
pub(super) fn drop(database: &Database, drop: Drop) -> Result<Outcome> {
    let tag = match drop.kind {
        DropKind::Stream => "DROP STREAM",
        DropKind::Table => "DROP TABLE",
        DropKind::View => "DROP VIEW",
        DropKind::MaterializedView => "DROP MATERIALIZED VIEW",
    };
    let define = move |catalog: &Arc<Catalog>| define_drop(catalog, &drop);
    let before = database.catalog();
    database.define(&Cancel::default(), define)?;
    let after = database.catalog();
    for object in before.objects().filter(|o| o.has_source() && after.get(o.id).is_none()) {
        database.inner().sources.forget(object.id);
    }
    Ok(Outcome::done(tag))
}

fn define_drop(catalog: &Catalog, drop: &Drop) -> Result<Vec<Ddl>> {
    let (mut ids, mut named): (Vec<u32>, BTreeSet<u32>) = Default::default();
    for name in &drop.names {
        let object = match (catalog.find(name), drop.if_exists) {
            (Some(object), _) => object,
            (None, true) => continue,
            (None, false) => catalog.expect(name)?,
        };
        let fits = match drop.kind {
            DropKind::Stream => object.kind == Kind::Stream,
            DropKind::Table => object.kind == Kind::Table,
            DropKind::View => matches!(object.kind, Kind::View | Kind::MaterializedView),
            DropKind::MaterializedView => object.kind == Kind::MaterializedView,
        };
        if object.late_of.is_some() {
            return Err(Error::input(format!("`{name}` goes with the stream whose late rows it has")));
        }
        if !fits {
            let kind = object.kind.name();
            return Err(
                Error::input(format!("`{name}` is a {kind}")).with_hint(format!("DROP {} {name}", kind.to_uppercase()))
            );
        }
        for dependent in catalog.dependents(object.id).iter().rev() {
            if !ids.contains(&dependent.id) {
                ids.push(dependent.id);
            }
        }
        let late = object.event_time.as_ref().map(|event_time| event_time.late);
        for dependent in late.iter().flat_map(|late| catalog.dependents(*late).into_iter().rev()) {
            if !ids.contains(&dependent.id) {
                ids.push(dependent.id);
            }
        }
        for id in [Some(object.id), late].into_iter().flatten() {
            ids.retain(|other| *other != id);
            ids.push(id);
            named.insert(id);
        }
    }
    if !drop.cascade {
        let others: Vec<&str> = ids
            .iter()
            .filter(|id| !named.contains(id))
            .filter_map(|id| Some(catalog.get(*id)?.name.as_str()))
            .collect();
        if !others.is_empty() {
            return Err(Error::input(format!(
                "`{}` is read by {}",
                drop.names.join("`, `"),
                crate::error::list(&others)
            ))
            .with_hint("DROP ... CASCADE drops them too"));
        }
    }
    Ok(if ids.is_empty() { Vec::new() } else { vec![Ddl::Drop(ids)] })
}
