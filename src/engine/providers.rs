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
use futures::FutureExt;

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
        let partition = Events { history: snapshot.history.clone(), object: object.id, schema: object.schema.clone() };
        return Ok(Arc::new(StreamingTable::try_new(object.schema.clone(), vec![Arc::new(partition)])?));
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

/// The events of a stream, read as they are asked for.
struct Events {
    history: History,
    object: u32,
    schema: SchemaRef,
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
    let found = provider.table(name).now_or_never();
    Ok(found.ok_or_else(|| Error::Internal("a table in memory is found at once".into()))??)
}

/// The plan with every table in memory cut into batches of one row.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn row_by_row(plan: LogicalPlan) -> Result<LogicalPlan> {
    let cut = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let rows: Arc<dyn TableProvider> = match provider.downcast_ref::<Chunks>() {
            Some(chunks) => Arc::new(Chunks {
                schema: chunks.schema.clone(),
                batches: chunks.batches.iter().flat_map(|b| (0..b.num_rows()).map(|row| b.slice(row, 1))).collect(),
                key: None,
            }),
            None => provider,
        };
        scan.source = provider_as_source(rows);
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(cut.data)
}
