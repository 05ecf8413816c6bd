//! A slot: the place in a batch plan where [`super::recompute`] puts an input's rows.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

/// A table whose rows are replaced before each run.
#[derive(Debug)]
pub struct Slot {
    schema: SchemaRef,
    rows: Mutex<Vec<Arc<RecordBatch>>>,
}

impl Slot {
    /// An empty slot for rows of `schema`. Its own columns are numbered, since a plan's columns may share a name.
    pub fn new(schema: &Schema) -> Self {
        let fields: Vec<Field> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| Field::new(format!("c{at}"), field.data_type().clone(), true))
            .collect();
        Slot { schema: Arc::new(Schema::new(fields)), rows: Mutex::new(Vec::new()) }
    }

    /// The numbered columns.
    pub fn row_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Replaces the rows.
    pub fn fill(&self, rows: Vec<Arc<RecordBatch>>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

#[async_trait]
impl TableProvider for Slot {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let batches: Vec<RecordBatch> = rows.iter().map(|b| b.as_ref().clone()).collect();
        Ok(MemorySourceConfig::try_new_exec(&[batches], self.schema(), projection.cloned())?)
    }
}
