//! What a reader sees: rows of tables and views at one offset, and how to read streams up to it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::catalog::{Catalog, Object};
use super::closing::Closings;
use super::history::History;
use super::past::Versions;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;

/// An immutable state of the database. Holds the rows of the objects that were asked for.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last commit that is seen.
    pub offset: u64,
    /// The logged time of that commit, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// The objects at that offset.
    pub catalog: Arc<Catalog>,
    /// Rows of tables and materialized views, by object.
    pub rows: HashMap<u32, Rows>,
    /// The events of streams.
    pub history: History,
    /// The views whose rows depend on watermarks.
    pub closings: Closings,
    /// What the statement that reads asks of the past.
    pub versions: Arc<Versions>,
}

/// The rows of a table or view.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Its columns.
    pub schema: SchemaRef,
    /// The rows; one of weight n is listed n times.
    pub chunks: Vec<Arc<RecordBatch>>,
    /// Why the view cannot be read: an expression of it fails on a row that is present, or it is out of service.
    pub failure: Option<Error>,
}

impl Snapshot {
    /// The same, with what a statement asks of the past.
    pub fn with_versions(self: Arc<Self>, versions: Arc<Versions>) -> Arc<Self> {
        if versions.is_empty() { self } else { Arc::new(Snapshot { versions, ..self.as_ref().clone() }) }
    }
}

impl Rows {
    /// The rows under the names that the columns have now.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn named(mut self, object: Option<&Arc<Object>>) -> Result<Rows> {
        let Some(object) = object.filter(|object| object.schema != self.schema) else { return Ok(self) };
        self.schema = object.schema.clone();
        for chunk in &mut self.chunks {
            *chunk = Arc::new(with_schema(&self.schema, chunk.columns().to_vec(), chunk.num_rows())?);
        }
        Ok(self)
    }

    /// Whether the rows can be read; `what` names whose they are.
    ///
    /// # Errors
    /// What fails in the view, or the limit that it is past.
    pub fn check(&self, what: &str) -> Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(limit @ Error::Limit(_)) => Err(limit.clone()),
            Some(failure) => Err(Error::input(format!("{what} cannot be read: {failure}"))),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|c| c.num_rows()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
