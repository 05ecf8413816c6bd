//! Queries over an archive folder alone: no log, no lock, no database.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::TableProvider;
use datafusion::prelude::SessionContext;

use super::clock::now;
use super::query::{Cancel, Rows, Runner};
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
        Ok(futures::executor::block_on(self.0.table(name))?)
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
    let threads = tokio::runtime::Builder::new_multi_thread()
        .thread_name("millstream-query")
        .build()
        .map_err(|e| Error::io("starting threads for", folder, &e))?;
    let partitions = std::thread::available_parallelism().map_or(1, usize::from);
    let session = at_time(&session_state(partitions)?, now());
    let context = SessionContext::new_with_state(session);
    let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(crate::sql::SCHEMA, schema.clone())?;
    context.register_catalog(crate::sql::CATALOG, Arc::new(catalog));
    threads.block_on(register(&context, &archive))?;
    let session = Arc::new(at_time(&context.state(), now()));
    let plan = Binder::new(&session, &ArchiveNames(schema)).query(&query)?;
    Runner::new(session, threads.handle().clone(), cancel.clone()).collect(plan)
}
