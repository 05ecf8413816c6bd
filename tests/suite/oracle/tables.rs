//! What the reference's planner is given under the names of a query.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use millstream::sql::bind::Names;
use tokio::runtime::Runtime;

use super::reference::Reference;

/// Rows that can be replaced, read when a plan is run.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    rows: Mutex<RecordBatch>,
    /// One row per batch.
    alone: AtomicBool,
}

impl Rows {
    pub fn none(schema: SchemaRef) -> Rows {
        let rows = Mutex::new(RecordBatch::new_empty(schema.clone()));
        Rows { schema, rows, alone: AtomicBool::new(false) }
    }

    pub fn set(&self, rows: RecordBatch) {
        *self.rows.lock().unwrap() = rows;
    }

    pub fn set_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
    }

    pub fn get(&self) -> RecordBatch {
        self.rows.lock().unwrap().clone()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.get();
        let batches: Vec<Result<RecordBatch>> = match self.alone.load(Ordering::Relaxed) {
            true => (0..rows.num_rows()).map(|row| Ok(rows.slice(row, 1))).collect(),
            false => vec![Ok(rows)],
        };
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}

/// The relations and views, as our planner asks for them.
pub struct Tables<'a> {
    pub tables: &'a MemorySchemaProvider,
    pub runtime: &'a Runtime,
}

impl Names for Tables<'_> {
    fn table(&self, name: &str) -> millstream::Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.runtime.block_on(self.tables.table(name))?)
    }

    fn all(&self) -> Vec<String> {
        self.tables.table_names()
    }
}

/// No relations at all.
pub struct NoNames;

impl Names for NoNames {
    fn table(&self, _: &str) -> millstream::Result<Option<Arc<dyn TableProvider>>> {
        Ok(None)
    }

    fn all(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The relations, and views as the rows of each by itself.
pub struct Apart<'a>(pub &'a Reference);

impl Names for Apart<'_> {
    fn table(&self, name: &str) -> millstream::Result<Option<Arc<dyn TableProvider>>> {
        let Apart(reference) = self;
        if !reference.has_view(name) {
            return reference.tables().table(name);
        }
        let (schema, rows) = reference.rows_apart(name)?;
        Ok(Some(Arc::new(MemTable::try_new(schema, vec![rows])?)))
    }

    fn all(&self) -> Vec<String> {
        self.0.tables().all()
    }
}
