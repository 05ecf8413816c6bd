//! Queries over an archive folder alone: no log, no lock, no database.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::TableProvider;
use datafusion::prelude::SessionContext;
use futures::FutureExt;

use super::clock::now;
use super::query::{Cancel, Rows, Runner};
use super::threads::Threads;
use crate::archive::{Archive, register};
use crate::error::{Error, Result};
use crate::sql::bind::{Binder, Names};
use crate::sql::context::{at_time, session_state};
use crate::sql::parse::parse;
use crate::sql::statement::Statement;

/// The data sets of an archive.
struct ArchiveNames(Arc<dyn SchemaProvider>);

impl Names for ArchiveNames {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let found = self.0.table(name).now_or_never();
        Ok(found.ok_or_else(|| Error::Internal("a name in memory is looked up at once".into()))??)
    }

    fn all(&self) -> Vec<String> {
        self.0.table_names()
    }
}

/// Runs one query over an archive: the `archive` folder of a database, a copy of it, or the database's folder. Each
/// stream and table is a table, with `_offset`, `_time` and, for tables, `_weight` beside the declared columns. Every
/// file is compared with its checksum first.
///
/// # Errors
/// When there is no archive, a file of it is damaged, or the query is wrong.
pub fn query_archive(folder: &Path, sql: &str, cancel: &Cancel) -> Result<Rows> {
    let Statement::Query(query) = parse(sql)? else {
        return Err(Error::input("an archive can only be queried"));
    };
    let archive = Archive::find(folder)?;
    let partitions = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = Threads::start(partitions)?;
    let session = at_time(&session_state(partitions)?, now());
    let context = SessionContext::new_with_state(session);
    let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(crate::sql::SCHEMA, schema.clone())?;
    context.register_catalog(crate::sql::CATALOG, Arc::new(catalog));
    let runner = |session| Runner::new(session, threads.handle().clone(), cancel.clone());
    let filled = context.clone();
    runner(Arc::new(context.state())).run(async move { register(&filled, &archive).await })?;
    let session = Arc::new(at_time(&context.state(), now()));
    let plan = Binder::new(&session, &ArchiveNames(schema)).query(&query)?;
    runner(session).collect(plan)
}
