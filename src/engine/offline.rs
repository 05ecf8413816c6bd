//! Queries over an archive folder alone: no log, no lock, no database.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::datasource::TableProvider;
use datafusion::logical_expr::{ExplainOption, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use futures::FutureExt;

use super::budget::{Budget, User, default_limit};
use super::clock::now;
use super::information_schema::{self, INFORMATION_SCHEMA, Listed};
use super::query::{Cancel, Rows, Runner};
use super::show;
use super::system::{HEARTBEATS, REJECTS, SYSTEM_SCHEMA};
use super::threads::Threads;
use crate::archive::{Archive, register};
use crate::error::{Error, Result};
use crate::sql::bind::{Binder, Names, unknown};
use crate::sql::context::{at_time, session_state};
use crate::sql::depth::with_stack;
use crate::sql::locate::locate;
use crate::sql::parse::parse;
use crate::sql::statement::{Explain, Show, Statement};

/// What Millstream writes itself, and where it is found.
const SYSTEM: (&str, &[u32]) = (SYSTEM_SCHEMA, &[REJECTS, HEARTBEATS]);

/// The data sets of an archive.
struct ArchiveNames {
    catalog: Arc<dyn CatalogProvider>,
}

impl Names for ArchiveNames {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.system_table(crate::sql::SCHEMA, name)
    }

    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if schema == INFORMATION_SCHEMA {
            return information_schema::find(&self.listed()?, name);
        }
        match self.catalog.schema(schema) {
            Some(schema) => at_once(schema.table(name)),
            None => Ok(None),
        }
    }

    fn all(&self) -> Vec<String> {
        let schema = self.catalog.schema(crate::sql::SCHEMA);
        let mut names = schema.map_or_else(Vec::new, |schema| schema.table_names());
        names.sort_unstable();
        names
    }
}

impl ArchiveNames {
    fn listed(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for name in self.catalog.schema_names() {
            let Some(schema) = self.catalog.schema(&name) else { continue };
            let mut tables = schema.table_names();
            tables.sort_unstable();
            for table in tables {
                let found = at_once(schema.table(&table))?;
                listed.extend(found.map(|found| Listed::bare(&name, &table, found.schema())));
            }
        }
        Ok(listed)
    }
}

/// What a lookup in memory finds.
fn at_once(
    lookup: impl Future<Output = datafusion::error::Result<Option<Arc<dyn TableProvider>>>>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let found = lookup.now_or_never();
    Ok(found.ok_or_else(|| Error::Internal("a name in memory is looked up at once".into()))??)
}

/// Runs one query over an archive: the `archive` folder of a database, a copy of it, or the database's folder. Each
/// stream and table is a table, with `_offset`, `_time` and, for tables, `_weight` beside the declared columns. What
/// was dropped is in the schema `dropped`, and `system.rejects` has the rows that were refused. Every file is compared
/// with its checksum first. `SHOW TABLES` and `DESCRIBE` list what there is. The query may take `memory_limit` bytes of
/// memory; where it is not given, most of the machine's.
///
/// # Errors
/// When there is no archive, a file of it is damaged, the query is wrong, or it needs more memory than it may take.
pub fn query_archive(folder: &Path, sql: &str, memory_limit: Option<usize>, cancel: &Cancel) -> Result<Rows> {
    let budget = Budget::new(memory_limit.unwrap_or_else(default_limit));
    with_stack(sql, 0, || run(folder, sql, &budget, cancel)).map_err(|error| locate(error, sql))
}

fn run(folder: &Path, sql: &str, budget: &Arc<Budget>, cancel: &Cancel) -> Result<Rows> {
    let statement = parse(sql)?;
    let archive = Archive::find(folder)?;
    let partitions = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = Threads::start(partitions)?;
    let context = SessionContext::new_with_state(session_state(partitions, budget.runtime(User::Query)?)?);
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(crate::sql::SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
    context.register_catalog(crate::sql::CATALOG, catalog.clone());
    let runner = |session| Runner::new(session, threads.handle().clone(), cancel.clone());
    let filled = context.clone();

    runner(Arc::new(context.state())).run(async move { register(&filled, &archive, SYSTEM).await })?;
    let session = Arc::new(at_time(&context.state(), now()));
    let names = ArchiveNames { catalog };
    match statement {
        Statement::Query(query) => {
            let (plan, shown) = Binder::new(&session, &names).shown(&query)?;
            runner(session).settle(|_| Ok(plan.clone()))?.renamed(&shown)
        }
        Statement::Explain(Explain::Query { query, analyze, verbose }) => {
            let (plan, _) = Binder::new(&session, &names).shown(&query)?;
            let option = ExplainOption { verbose, analyze, ..ExplainOption::default() };
            let plan = LogicalPlanBuilder::from(plan).explain_option_format(option)?.build()?;
            show::lines(&runner(session).collect(plan)?)
        }
        Statement::Show(Show::Tables | Show::Streams) => {
            show::texts(vec![("name", names.all().into_iter().map(Some).collect())])
        }
        Statement::Describe(name) => {
            let table = names.table(&name)?.ok_or_else(|| unknown(&names, &name))?;
            show::columns(&table.schema())
        }
        _ => Err(Error::unsupported("an archive can only be queried").with_hint(
            "SELECT, EXPLAIN, SHOW TABLES and DESCRIBE need no database; open the database for anything else",
        )),
    }
}
