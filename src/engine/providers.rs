//! Streams, tables and views as tables of the batch engine.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Constraint, Constraints};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::catalog::{Kind, Object};
use super::history::History;
use super::snapshot::Snapshot;
use crate::delta::Delta;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::lower::nullable;

/// How rows are handed to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// As they lie.
    Whole,
    /// One at a time, so that an expression that fails does so on its own row.
    RowByRow,
}

/// The rows of a stream, table or materialized view in a snapshot.
///
/// # Errors
/// When the view cannot be read because an expression of it fails on a row, or because it is out of service.
pub fn object_rows(snapshot: &Snapshot, object: &Object, batching: Batching) -> Result<Arc<dyn TableProvider>> {
    if object.kind == Kind::Stream {
        // What is never NULL is not told: see `sql::nullable_inputs`.
        let schema = nullable(&object.schema);
        let (history, logged) = (snapshot.history.clone(), object.schema.clone());
        let partition = Events { history, object: object.id, logged, schema: schema.clone(), batching };
        return Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(partition)])?));
    }
    let rows = snapshot
        .rows
        .get(&object.id)
        .ok_or_else(|| Error::Internal(format!("the rows of `{}` were not asked for", object.name)))?;
    rows.check(&format!("view `{}`", object.name))?;
    let batches = rows.chunks.iter().flat_map(|c| cut(c.as_ref().clone(), batching)).collect();
    Ok(Arc::new(Chunks { schema: rows.schema.clone(), batches, key: primary_key(object) }))
}

/// Rows that a statement has at hand.
pub fn rows_of(
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
    batching: Batching,
) -> Arc<dyn TableProvider> {
    let batches = batches.into_iter().flat_map(|batch| cut(batch, batching)).collect();
    Arc::new(Chunks { schema: schema.clone(), batches, key: None })
}

/// The primary key, for the planner: batch plans and views must be given the same.
pub fn primary_key(object: &Object) -> Option<Constraints> {
    (!object.key.is_empty()).then(|| Constraints::new_unverified(vec![Constraint::PrimaryKey(object.key.clone())]))
}

/// The columns that a view sees of an object: all, or the first ones under the names that they had.
pub fn seen_columns(schema: &SchemaRef, seen: Option<&Vec<String>>) -> SchemaRef {
    let Some(names) = seen else { return schema.clone() };
    let fields = schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A table with the columns that a view sees of it.
pub fn seen(table: Arc<dyn TableProvider>, seen: Option<&Vec<String>>) -> Arc<dyn TableProvider> {
    let schema = seen_columns(&table.schema(), seen);
    if seen.is_none() || schema == table.schema() { table } else { Arc::new(Seen { table, schema }) }
}

/// The first columns of a table, under other names.
#[derive(Debug)]
struct Seen {
    table: Arc<dyn TableProvider>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Seen {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.table.constraints()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let plan = self.table.scan(session, Some(&columns), &[], limit).await?;
        let named = |(at, column): (usize, &usize)| {
            let expr: Arc<dyn PhysicalExpr> = Arc::new(Column::new(plan.schema().field(at).name(), at));
            (expr, self.schema.field(*column).name().clone())
        };
        let exprs: Vec<_> = columns.iter().enumerate().map(named).collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
    }
}

fn cut(batch: RecordBatch, batching: Batching) -> Vec<RecordBatch> {
    match batching {
        Batching::Whole => vec![batch],
        Batching::RowByRow => (0..batch.num_rows()).map(|row| batch.slice(row, 1)).collect(),
    }
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
    /// Its columns, as they are in the log.
    logged: SchemaRef,
    schema: SchemaRef,
    batching: Batching,
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
        let rows = self.history.scan(self.object, &self.logged);
        let (schema, batching) = (self.schema.clone(), self.batching);
        let batches = rows.flat_map(move |delta| {
            let batch =
                delta.and_then(|Delta { batch: b, .. }| with_schema(&schema, b.columns().to_vec(), b.num_rows()));
            match batch {
                Ok(batch) => cut(batch, batching).into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error.into())],
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}
