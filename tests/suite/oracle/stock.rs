//! The batch engine as it comes, without our functions, rules and rewrites: what they change must be what SQL leaves
//! open, and nothing else.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;
use tokio::runtime::Runtime;

use super::bag::{Bag, bag};

/// What SQL leaves open, or what rounds: queries with these are not compared.
const OPEN: [&str; 32] = [
    "LIMIT",
    "OFFSET",
    "DISTINCT ON",
    "OVER",
    "_agg(",
    "_value(",
    "avg(",
    "std",
    "var(",
    "var_",
    "quantile",
    "corr",
    "covar",
    "regr",
    "median",
    "percentile",
    "approx",
    "FETCH",
    // What the batch engine as it comes gets wrong: how often a row is there, NULLs among the values of IN, and columns that
    // joins merge.
    "INTERSECT ALL",
    "EXCEPT ALL",
    "IN (SELECT",
    "LATERAL",
    "USING",
    "NATURAL",
    // Removes the first one only.
    "array_remove(",
    // Takes a value of a group as often as it is there.
    "bit_xor(DISTINCT",
    // What it does not know.
    " unnest(",
    "ARRAY(",
    // Cuts off what is to be rounded.
    "TRY_CAST(",
    "/ CAST(",
    "DECIMAL(10,2)) AS BIGINT)",
    "DECIMAL(10,2)) AS INT)",
];

/// What rounds floats or cuts them off, or takes NaN and the two zeros in another order than ours.
const OPEN_FOR_FLOATS: [&str; 6] = ["sum(", "min(", "max(", "RECURSIVE", "AS BIGINT)", "AS INT)"];

/// What takes NULL in a list for the least element, or leaves the elements of a list that it makes NULL.
const OPEN_FOR_LISTS: [&str; 7] = ["<", ">", "BETWEEN", "min(", "max(", "est(", "NULLIF("];

/// What makes floats of other numbers.
pub const FLOATS: [&str; 3] = ["AS DOUBLE", "AS REAL", "sqrt("];

pub struct Stock {
    state: SessionState,
    schema: Arc<MemorySchemaProvider>,
}

impl Stock {
    pub fn new(config: SessionConfig) -> Stock {
        let schema = Arc::new(MemorySchemaProvider::new());
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(millstream::sql::SCHEMA, schema.clone()).unwrap();
        let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        state.catalog_list().register_catalog(millstream::sql::CATALOG.into(), Arc::new(catalog));
        Stock { state, schema }
    }

    pub fn add(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.schema.register_table(name.into(), table).unwrap();
    }

    pub fn add_view(&self, runtime: &Runtime, name: &str, sql: &str) -> Result<()> {
        let plan = runtime.block_on(self.state.create_logical_plan(sql))?;
        self.drop_view(name);
        self.add(name, Arc::new(ViewTable::new(plan, Some(sql.into()))));
        Ok(())
    }

    pub fn drop_view(&self, name: &str) {
        self.schema.deregister_table(name).expect("it is there or not");
    }

    /// The rows of a query, where there can be no two opinions of them.
    pub fn rows(&self, runtime: &Runtime, sql: &str) -> Option<Bag> {
        let rows = async {
            let plan = self.state.create_logical_plan(sql).await?;
            let physical = self.state.create_physical_plan(&plan).await?;
            collect(physical, self.state.task_ctx()).await
        };
        // A row that fails may fail rows beside it here.
        let rows: Result<_> = runtime.block_on(rows);
        rows.ok().map(|batches| bag(&batches))
    }
}

/// Whether SQL says everything about a query's rows; `floats`: where there are floats; `lists`: where there are lists.
pub fn is_closed(sql: &str, floats: bool, lists: bool) -> bool {
    let open = OPEN.iter().chain(if floats { OPEN_FOR_FLOATS.iter() } else { [].iter() });
    let open = open.chain(if lists { OPEN_FOR_LISTS.iter() } else { [].iter() });
    !open.into_iter().any(|word| sql.contains(word))
}
