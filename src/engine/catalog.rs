//! The catalog: every stream, table and view, and the DDL entries of the log that make it.
//!
//! An entry says everything about the object it makes; nothing is read from outside when the log is replayed. (The
//! columns of a stream that were found in its file, for one, are written down.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::event_time::EventTime;
use super::index::Index;
use super::known::{Comments, Known};
use super::temporary::{FIRST_TEMPORARY_ID, is_temporary};
use crate::circuit::Facts;
use crate::circuit::time::{Bound, Closing};
use crate::delta::added::Added;
use crate::error::{Error, Result, list, nearest};
use crate::sql::depth::{DEPTH_MAX, depth};
use crate::sql::inline::{INLINED_DEPTH_MAX, SqlFunction};

/// Ids below this are kept for objects that Millstream makes itself.
const FIRST_USER_ID: u32 = 16;
/// The option of a materialized view that says what a row does on which an expression fails.
pub const ON_ERROR: &str = "on_error";
/// Its value for views that fail then, as is usual.
pub const FAIL: &str = "fail";
/// Its value for views that leave such rows out.
pub const SKIP: &str = "skip";
/// Objects of one database.
const OBJECTS_MAX: usize = 100_000;

/// What kind of thing an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Append-only events.
    Stream,
    /// Rows that can be changed.
    Table,
    /// A query that is expanded where it is used.
    View,
    /// A query that is kept up to date.
    MaterializedView,
}

impl Kind {
    /// The kind in words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Table => "table",
            Kind::View => "view",
            Kind::MaterializedView => "materialized view",
        }
    }
}

/// A stream, table or view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Never used again, even after the object is dropped.
    pub id: u32,
    /// Its name, normalised.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns of the primary key of a table, by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<usize>,
    /// The text of each column's DEFAULT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<Option<String>>,
    /// CHECK constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// `WITH (...)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The query of a view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The functions defined in SQL that a view's query calls.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<String>,
    /// The objects that a view's query reads.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reads: BTreeSet<u32>,
    /// What rows from before a column was added have there.
    #[serde(default, skip_serializing_if = "Added::is_empty")]
    pub added: Added,
    /// What a view's query calls objects and columns that have been renamed since, or have got more columns.
    #[serde(default, skip_serializing_if = "Known::is_empty")]
    pub known: Known,
    /// `COMMENT ON`, for the object and for its columns by place.
    #[serde(default, skip_serializing_if = "Comments::is_empty")]
    pub comments: Comments,
    /// The statement that made it.
    pub sql: String,
    /// The session that it lives in, if it is temporary: it is then never written.
    #[serde(skip)]
    pub session: Option<u64>,
    /// The event time of a stream that has a watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
    /// Whether a view shows rows only once they can change no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_close: bool,
    /// For so many microseconds after they can change no more a view keeps rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<i64>,
    /// The stream whose late rows it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_of: Option<u32>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, given or made.
    pub name: String,
    /// The text of its expression.
    pub text: String,
}

impl Object {
    /// What is known of the rows before any is seen.
    pub fn facts(&self) -> Facts {
        Facts {
            append_only: self.kind == Kind::Stream,
            key: (self.kind == Kind::Table && !self.key.is_empty()).then(|| self.key.clone()),
            closing: self.event_time.iter().map(|time| closing(self.id, time)).collect(),
        }
    }

    /// Whether it is a view that leaves out the rows on which an expression of it fails, and lists them.
    pub fn skips(&self) -> bool {
        self.kind == Kind::MaterializedView && self.options.get(ON_ERROR).is_some_and(|value| value == SKIP)
    }

    /// Whether a source feeds the object.
    pub fn has_source(&self) -> bool {
        self.options.contains_key("connector")
    }
}

/// Rows of a stream that come later have event times that are not before its watermark.
fn closing(stream: u32, event_time: &EventTime) -> Closing {
    Closing { column: event_time.column, bound: Bound::Watermark(stream) }
}

/// A change of the catalog, as it is written to the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ddl {
    /// Makes an object; one of the same id is replaced.
    Create(Box<Object>),
    /// Removes objects.
    Drop(Vec<u32>),
    /// Says that the rows with which a table begins are the next commit: without it, there is no such table.
    Fill(u32),
    /// Puts an object in the place of itself: with another name, other names of columns, more columns, or comments.
    Alter(Box<Object>),
    /// Makes an index of an object.
    CreateIndex(Index),
    /// Removes indexes, by name.
    DropIndex(Vec<String>),
    /// Makes a function, in the place of one of its name.
    CreateFunction(Box<SqlFunction>),
    /// Removes a function.
    DropFunction(String),
}

impl Ddl {
    /// The text in the log of entries that take effect together.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn encode(entries: &[Ddl]) -> Result<String> {
        serde_json::to_string(entries).map_err(|e| Error::Internal(format!("a DDL entry cannot be written: {e}")))
    }

    /// Reads a text of the log.
    ///
    /// # Errors
    /// When a later version wrote something that this one does not know.
    pub fn decode(text: &str) -> Result<Vec<Ddl>> {
        serde_json::from_str(text)
            .map_err(|e| Error::unsupported(format!("a DDL entry of the log is not understood: {e}")))
    }
}

/// Every object there is.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(super) indexes: BTreeMap<String, Index>,
    pub(super) objects: BTreeMap<u32, Arc<Object>>,
    pub(super) by_name: BTreeMap<String, u32>,
    /// Those defined in SQL, by name.
    pub(super) functions: BTreeMap<String, Arc<SqlFunction>>,
    /// Those that sessions see alone, by session and name.
    pub(super) temporary: BTreeMap<u64, BTreeMap<String, u32>>,
    /// Whose temporary objects names can mean.
    pub(super) viewer: Option<u64>,
    next_id: u32,
    /// As `next_id`, for temporary objects.
    next_temporary_id: u32,
    /// How deep a query can get by the views that are expanded in it.
    expanded_depth: usize,
    /// Counts the changes.
    pub version: u64,
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            objects: BTreeMap::new(),
            by_name: BTreeMap::new(),
            indexes: BTreeMap::new(),
            functions: BTreeMap::new(),
            temporary: BTreeMap::new(),
            viewer: None,
            next_id: FIRST_USER_ID,
            next_temporary_id: FIRST_TEMPORARY_ID,
            expanded_depth: 0,
            version: 0,
        }
    }
}

/// How deep a view is that is planned anew wherever it is named.
fn expanded(object: &Object) -> usize {
    match (object.kind, &object.query) {
        (Kind::View, Some(query)) => depth(query).unwrap_or(DEPTH_MAX),
        _ => 0,
    }
}

impl Catalog {
    /// The id that the next object gets; `temporary` says whether that is a temporary one.
    pub fn next_id(&self, temporary: bool) -> u32 {
        if temporary { self.next_temporary_id } else { self.next_id }
    }

    /// How deep the tree of a query can get beyond its own text: each plain view may be within the
    /// others, and calls stand for the bodies of functions.
    pub fn expanded_depth(&self) -> usize {
        // What a call comes to is known when it is replaced, and is bounded there.
        let functions = if self.functions.is_empty() { 0 } else { INLINED_DEPTH_MAX };
        self.expanded_depth + functions
    }

    /// Carries out an entry.
    ///
    /// # Errors
    /// When there are too many objects.
    pub fn apply(&mut self, ddl: &Ddl) -> Result<()> {
        self.version += 1;
        match ddl {
            Ddl::Create(object) => {
                if self.objects.len() >= OBJECTS_MAX {
                    return Err(Error::Limit(format!("the database has {OBJECTS_MAX} objects, which is the limit")));
                }
                match is_temporary(object.id) {
                    true => self.next_temporary_id = self.next_temporary_id.max(object.id + 1),
                    false => self.next_id = self.next_id.max(object.id + 1),
                }
                self.name(object);
                self.expanded_depth += expanded(object);
                let replaced = self.objects.insert(object.id, Arc::new(object.as_ref().clone()));
                self.expanded_depth -= replaced.map_or(0, |object| expanded(&object));
            }
            Ddl::Fill(_) => {}
            Ddl::Alter(object) => self.alter(object),
            Ddl::CreateFunction(function) => {
                self.functions.insert(function.name.clone(), Arc::new(function.as_ref().clone()));
            }
            Ddl::DropFunction(name) => {
                self.functions.remove(name);
            }
            Ddl::Drop(ids) => {
                for id in ids {
                    if let Some(object) = self.objects.remove(id) {
                        self.unname(&object);
                        self.expanded_depth -= expanded(&object);
                    }
                }
                self.indexes.retain(|_, index| !ids.contains(&index.object));
            }
            Ddl::CreateIndex(index) => {
                if self.indexes.len() >= OBJECTS_MAX {
                    return Err(Error::Limit(format!("the database has {OBJECTS_MAX} indexes, which is the limit")));
                }
                self.indexes.insert(index.name.clone(), index.clone());
            }
            Ddl::DropIndex(names) => self.indexes.retain(|name, _| !names.contains(name)),
        }
        Ok(())
    }

    /// An object by id.
    pub fn get(&self, id: u32) -> Option<&Arc<Object>> {
        self.objects.get(&id)
    }

    /// An object by name, or the error that it is not there.
    ///
    /// # Errors
    /// When there is none of that name; says which is nearest.
    pub fn expect(&self, name: &str) -> Result<&Arc<Object>> {
        self.find(name).ok_or_else(|| {
            let names = self.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let error = Error::input(format!("no stream, table or view `{name}`"));
            match nearest(name, names.iter().copied()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None if names.is_empty() => error,
                None => error.with_hint(format!("there are {}", list(&names))),
            }
        })
    }

    /// The objects in the order of their ids.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// The views that read an object, directly or through others, each after those it reads.
    pub fn dependents(&self, id: u32) -> Vec<Arc<Object>> {
        let mut found = BTreeSet::from([id]);
        loop {
            let more: Vec<u32> = self
                .objects
                .values()
                .filter(|o| !found.contains(&o.id) && o.reads.iter().any(|r| found.contains(r)))
                .map(|o| o.id)
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        self.in_order().into_iter().filter(|o| o.id != id && found.contains(&o.id)).collect()
    }

    /// Every object, each after those it reads. (A replaced view may read objects that are younger than itself.)
    pub fn in_order(&self) -> Vec<Arc<Object>> {
        let mut done: BTreeSet<u32> = BTreeSet::new();
        let mut order = Vec::with_capacity(self.objects.len());
        while order.len() < self.objects.len() {
            let before = order.len();
            for object in self.objects.values() {
                let ready = object.reads.iter().all(|r| done.contains(r) || !self.objects.contains_key(r));
                if ready && done.insert(object.id) {
                    order.push(object.clone());
                }
            }
            if order.len() == before {
                // Views that read each other cannot be made; were they there, their order would be of no use.
                break;
            }
        }
        order
    }
}

#[cfg(test)]
mod tests;
