//! Streams, tables and views as tables of the batch engine.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, Session,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Constraint, Constraints};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{TableProvider, TableType, provider_as_source, source_as_provider};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::catalog::{Catalog, Kind, Object};
use super::history::History;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};

/// The rows of a stream, table or materialized view in a snapshot.
///
/// # Errors
/// When the view cannot be read because an expression of it fails on a row.
pub fn object_rows(snapshot: &Snapshot, object: &Object) -> Result<Arc<dyn TableProvider>> {
    if object.kind == Kind::Stream {
        let (history, schema) = (snapshot.history.clone(), object.schema.clone());
        return Ok(Arc::new(EventTable(Events { history, object: object.id, schema, row_by_row: false })));
    }
    let rows = snapshot
        .rows
        .get(&object.id)
        .ok_or_else(|| Error::Internal(format!("the rows of `{}` were not asked for", object.name)))?;
    if let Some(failure) = &rows.failure {
        return Err(Error::input(format!("view `{}` cannot be read: {failure}", object.name)));
    }
    let batches = rows.chunks.iter().map(|c| c.as_ref().clone()).collect();
    let key =
        (!object.key.is_empty()).then(|| Constraints::new_unverified(vec![Constraint::PrimaryKey(object.key.clone())]));
    Ok(Arc::new(Chunks { schema: rows.schema.clone(), batches, key }))
}

/// Rows that lie in memory.
struct Chunks {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    key: Option<Constraints>,
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunks of {} rows", self.batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    }
}

#[async_trait]
impl TableProvider for Chunks {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.key.as_ref()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let partitions = [self.batches.clone()];
        Ok(MemorySourceConfig::try_new_exec(&partitions, self.schema(), projection.cloned())?)
    }
}

/// A stream as a table.
#[derive(Debug)]
struct EventTable(Events);

#[async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let table = StreamingTable::try_new(self.schema(), vec![Arc::new(self.0.clone())])?;
        table.scan(session, projection, filters, limit).await
    }
}

/// The events of a stream, read as they are asked for.
#[derive(Clone)]
struct Events {
    history: History,
    object: u32,
    schema: SchemaRef,
    /// One row per batch.
    row_by_row: bool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events of {}", self.object)
    }
}

impl PartitionStream for Events {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.history.scan(self.object, &self.schema);
        let batches = rows.map(|delta| Ok(delta?.batch));
        let batches: Box<dyn Iterator<Item = _> + Send> = match self.row_by_row {
            true => Box::new(batches.flat_map(|batch| match batch {
                Ok(batch) => (0..batch.num_rows()).map(|row| Ok(batch.slice(row, 1))).collect(),
                error => vec![error],
            })),
            false => Box::new(batches),
        };
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}

/// A name with its columns, to be described or inserted into.
#[derive(Debug)]
struct Description {
    object: Arc<Object>,
    defaults: Vec<(String, Expr)>,
    rows: Option<Arc<dyn TableProvider>>,
}

#[async_trait]
impl TableProvider for Description {
    fn schema(&self) -> SchemaRef {
        self.object.schema.clone()
    }

    fn table_type(&self) -> TableType {
        match self.object.kind {
            Kind::Stream | Kind::Table => TableType::Base,
            Kind::View | Kind::MaterializedView => TableType::View,
        }
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.object.sql)
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.iter().find(|(name, _)| name == column).map(|(_, expr)| expr)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        match &self.rows {
            Some(rows) => rows.scan(session, projection, filters, limit).await,
            None => Err(Error::Internal(format!("`{}` was run without its rows", self.object.name)).into()),
        }
    }
}

/// A target of INSERT: its columns and what they hold when nothing is given; its rows, where the query reads them.
pub fn target(
    object: Arc<Object>,
    defaults: Vec<(String, Expr)>,
    rows: Option<Arc<dyn TableProvider>>,
) -> Arc<dyn TableProvider> {
    Arc::new(Description { object, defaults, rows })
}

/// A table of `information_schema`.
///
/// # Errors
/// When the batch engine cannot make it.
pub fn information_schema(catalog: &Catalog, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let schema = MemorySchemaProvider::new();
    for object in catalog.objects() {
        schema.register_table(object.name.clone(), target(object.clone(), Vec::new(), None))?;
    }
    let database = MemoryCatalogProvider::new();
    database.register_schema(crate::sql::SCHEMA, Arc::new(schema))?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(crate::sql::CATALOG.into(), Arc::new(database));
    let provider = InformationSchemaProvider::new(Arc::new(list));
    Ok(futures::executor::block_on(provider.table(name))?)
}

/// The plan with every table and stream cut into batches of one row.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn row_by_row(plan: LogicalPlan) -> Result<LogicalPlan> {
    let cut = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let rows: Arc<dyn TableProvider> = if let Some(chunks) = provider.downcast_ref::<Chunks>() {
            Arc::new(Chunks {
                schema: chunks.schema.clone(),
                batches: chunks.batches.iter().flat_map(|b| (0..b.num_rows()).map(|row| b.slice(row, 1))).collect(),
                key: None,
            })
        } else if let Some(EventTable(events)) = provider.downcast_ref::<EventTable>() {
            Arc::new(EventTable(Events { row_by_row: true, ..events.clone() }))
        } else {
            provider
        };
        scan.source = provider_as_source(rows);
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(cut.data)
}
