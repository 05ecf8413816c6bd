//! What is right: rows kept as plain batches, and queries run by the batch engine over them.
//!
//! Nothing of the engine takes part but what defines the language: the functions of a session, and the rewrite that
//! fixes what SQL leaves open.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use millstream::sql::bind::Binder;
use millstream::sql::canonical::canonical;
use millstream::sql::context::session_state;
use millstream::sql::expr::{physical, simplify};
use millstream::sql::parse::{parse_expression, parse_query};
use tokio::runtime::Runtime;

use super::bag::{Bag, bag, texts};
use super::case::Relation;
use super::change::Change;
use super::naive::Naive;
use super::stock::Stock;
use super::tables::{Apart, NoNames, Rows, Tables};
use super::value::{batch, schema};

/// Rows of a view past which nobody compares it: joins of joins can have any number of them.
const ROWS_MAX: usize = 100_000;

/// A view: planned once, run often.
struct Planned {
    sql: String,
    optimized: LogicalPlan,
    physical: Arc<dyn ExecutionPlan>,
}

pub struct Reference {
    relations: Vec<Relation>,
    rows: Vec<Arc<Rows>>,
    state: SessionState,
    /// The same, with batches of one row.
    alone: SessionState,
    schema: Arc<MemorySchemaProvider>,
    views: HashMap<String, Planned>,
    stock: Stock,
    runtime: Runtime,
}

impl Reference {
    pub fn new(relations: &[Relation]) -> Reference {
        let tables = Arc::new(MemorySchemaProvider::new());
        let rows: Vec<Arc<Rows>> = relations.iter().map(|r| Arc::new(Rows::none(schema(&r.columns)))).collect();
        let state = session_state(1, Arc::default()).unwrap();
        let stock = Stock::new(state.config().clone());
        for (relation, rows) in relations.iter().zip(&rows) {
            let table = Arc::new(StreamingTable::try_new(rows.schema().clone(), vec![rows.clone()]).unwrap());
            tables.register_table(relation.name.clone(), table.clone()).unwrap();
            stock.add(&relation.name, table);
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(millstream::sql::SCHEMA, tables.clone()).unwrap();
        state.catalog_list().register_catalog(millstream::sql::CATALOG.into(), Arc::new(catalog));
        let mut alone = state.clone();
        *alone.config_mut() = alone.config().clone().with_batch_size(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (relations, views) = (relations.to_vec(), HashMap::new());
        Reference { relations, rows, state, alone, schema: tables, views, stock, runtime }
    }

    /// The rows of a relation.
    pub fn relation(&self, at: usize) -> Bag {
        bag(&[self.rows[at].get()])
    }

    /// The rows of all relations.
    pub fn rows(&self) -> Vec<RecordBatch> {
        self.rows.iter().map(|rows| rows.get()).collect()
    }

    /// Puts back rows that there were.
    pub fn set_rows(&self, rows: Vec<RecordBatch>) {
        for (relation, rows) in self.rows.iter().zip(rows) {
            relation.set(rows);
        }
    }

    /// The relations and views.
    pub fn tables(&self) -> Tables<'_> {
        Tables { tables: &self.schema, runtime: &self.runtime }
    }

    /// Adds a view.
    pub fn create_view(&mut self, name: &str, sql: &str) -> Result<()> {
        let (plan, optimized, physical) = self.planned(sql)?;
        self.views.insert(name.into(), Planned { sql: sql.into(), optimized, physical });
        self.schema.register_table(name.into(), Arc::new(ViewTable::new(plan, Some(sql.into()))))?;
        self.view(name)?;
        self.stock.add_view(&self.runtime, name, sql)
    }

    /// The plans of a view's query: as our planner has it, which knows what Postgres writes and how it compares, or the
    /// batch engine's own where ours cannot be run.
    fn planned(&self, sql: &str) -> Result<(LogicalPlan, LogicalPlan, Arc<dyn ExecutionPlan>)> {
        let ready = |plan: LogicalPlan| {
            let optimized = self.state.optimize(&canonical(plan.clone())?)?;
            let physical = self.physical(&optimized)?;
            Ok((plan, optimized, physical))
        };
        self.bound(sql).and_then(ready).or_else(|error| {
            self.runtime.block_on(self.state.create_logical_plan(sql)).map_err(|_| error).and_then(ready)
        })
    }

    fn bound(&self, sql: &str) -> Result<LogicalPlan> {
        Ok(Binder::new(&self.state, &self.tables()).query(&*parse_query(sql)?)?)
    }

    /// What the batch engine as it comes makes of a query, where there can be no two opinions.
    pub fn stock(&self, sql: &str) -> Option<Bag> {
        self.stock.rows(&self.runtime, sql)
    }

    /// Whether the batch engine can run a query as it is written.
    pub fn runs(&self, sql: &str) -> bool {
        let plan =
            self.runtime.block_on(self.state.create_logical_plan(sql)).and_then(|plan| self.state.optimize(&plan));
        plan.and_then(|plan| self.run(&self.state, &self.physical(&plan)?)).is_ok()
    }

    /// Whether a view could be planned.
    pub fn has_view(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// Forgets a view.
    pub fn drop_view(&mut self, name: &str) {
        self.views.remove(name);
        self.stock.drop_view(name);
        self.schema.deregister_table(name).expect("it is there or not");
    }

    /// The rows of a view: its query over the rows of the relations. One row's failure can fail the rows beside it, so
    /// that what counts is the query run row by row.
    pub fn view(&self, name: &str) -> Result<Bag> {
        let Planned { optimized, physical, .. } = &self.views[name];
        self.run_view(optimized, physical)
    }

    /// The same, planned anew: the batch engine's plans are not all fit to be run twice.
    pub fn view_afresh(&self, name: &str) -> Result<Bag> {
        let Planned { optimized, .. } = &self.views[name];
        self.run_view(optimized, &self.physical(optimized)?)
    }

    /// The same over the rows of the views that it reads, each run by itself. Within one query, what fails may be
    /// looked at on rows that a join or a group of such a view leaves out.
    pub fn view_apart(&self, name: &str) -> Result<Bag> {
        Ok(bag(&self.rows_apart(name)?.1))
    }

    pub fn rows_apart(&self, name: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let plan = Binder::new(&self.state, &Apart(self)).query(&*parse_query(&self.views[name].sql)?)?;
        let plan = self.state.optimize(&canonical(plan)?)?;
        let physical = self.physical(&plan)?;
        let rows = self.run(&self.state, &physical).or_else(|_| self.run_alone(&plan))?;
        Ok((physical.schema(), rows))
    }

    fn run_view(&self, plan: &LogicalPlan, physical: &Arc<dyn ExecutionPlan>) -> Result<Bag> {
        match self.run(&self.state, physical) {
            Ok(batches) => Ok(bag(&batches)),
            Err(error) if is_too_large(&error) => Err(error),
            Err(_) => Ok(bag(&self.run_alone(plan)?)),
        }
    }

    /// Runs a plan row by row. It is planned for that: operators note the size of their batches.
    fn run_alone(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
        let physical = self.runtime.block_on(self.alone.query_planner().create_physical_plan(plan, &self.alone))?;
        self.set_alone(true);
        let result = self.run(&self.alone, &physical);
        self.set_alone(false);
        result
    }

    fn set_alone(&self, alone: bool) {
        self.rows.iter().for_each(|r| r.set_alone(alone));
    }

    fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.runtime.block_on(self.state.query_planner().create_physical_plan(plan, &self.state))
    }

    fn run(&self, state: &SessionState, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        self.runtime.block_on(async {
            let mut stream = execute_stream(reset_plan_states(plan.clone())?, state.task_ctx())?;
            let (mut batches, mut rows) = (Vec::new(), 0);
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                rows += batch.num_rows();
                if rows > ROWS_MAX {
                    return Err(DataFusionError::ResourcesExhausted(format!("more than {ROWS_MAX} rows")));
                }
                batches.push(batch);
            }
            Ok(batches)
        })
    }

    fn query(&self, at: usize, sql: &str) -> Result<RecordBatch> {
        let plan = self.state.optimize(&self.bound(sql)?)?;
        let batches = self.run(&self.state, &self.physical(&plan)?).or_else(|_| self.run_alone(&plan))?;
        let schema = self.rows[at].schema().clone();
        let batches: Vec<RecordBatch> = batches
            .iter()
            .map(|b| RecordBatch::try_new(schema.clone(), b.columns().to_vec()))
            .collect::<Result<_, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }

    /// Carries out a change, or says why it is refused.
    pub fn change(&mut self, change: &Change) -> Result<()> {
        let at = change.relation();
        let relation = &self.relations[at];
        let name = &relation.name;
        let present = || self.rows[at].get();
        let naive = Naive { state: &self.state, relation, schema: self.rows[at].schema().clone() };
        let rows = match change {
            Change::Truncate { .. } => RecordBatch::new_empty(naive.schema),
            Change::Upsert { rows, set, .. } => {
                let new = batch(&relation.columns, rows);
                self.accept(relation, &new)?;
                naive.upsert(&present(), &new, set.as_ref())?
            }
            Change::Joined { other, set, condition, .. } => {
                naive.joined(&present(), &self.rows[*other].get(), set.as_ref(), condition)?
            }
            Change::Merge { other, on, clauses, .. } => {
                naive.merge(&present(), &self.rows[*other].get(), on, clauses)?
            }
            Change::Insert { rows, .. } => self.inserted(at, batch(&relation.columns, rows))?,
            Change::InsertSelect { .. } => self.inserted(at, self.rows[at].get())?,
            Change::Delete { condition, .. } => {
                self.query(at, &format!("SELECT * FROM {name} WHERE ({condition}) IS NOT TRUE"))?
            }
            Change::Update { column, value, condition, .. } => {
                let others = self.query(at, &format!("SELECT * FROM {name} WHERE ({condition}) IS NOT TRUE"))?;
                let list: Vec<String> = relation
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(at, c)| match at == *column {
                        true => format!("CAST({value} AS {}) AS {}", c.sql_type, c.name),
                        false => c.name.clone(),
                    })
                    .collect();
                let list = list.join(", ");
                let changed = self.query(at, &format!("SELECT {list} FROM {name} WHERE {condition}"))?;
                let rows = concat_batches(&others.schema(), [&others, &changed])?;
                if !relation.key.is_empty() {
                    let keys = keys(relation, &rows);
                    if keys.iter().collect::<HashSet<_>>().len() < keys.len() {
                        return Err(DataFusionError::Execution("a key would be there twice".into()));
                    }
                }
                rows
            }
        };
        self.accept(relation, &rows)?;
        self.rows[at].set(rows);
        Ok(())
    }

    /// The rows after an insert: of rows with one key the last one stays.
    fn inserted(&self, at: usize, new: RecordBatch) -> Result<RecordBatch> {
        let rows = concat_batches(&new.schema(), [&self.rows[at].get(), &new])?;
        if self.relations[at].key.is_empty() {
            return Ok(rows);
        }
        self.accept(&self.relations[at], &new)?;
        let mut last = BTreeMap::new();
        for (row, key) in keys(&self.relations[at], &rows).into_iter().enumerate() {
            last.insert(key, row as u32);
        }
        let last = arrow::array::UInt32Array::from_iter_values(last.into_values());
        Ok(take_record_batch(&rows, &last)?)
    }

    fn accept(&self, relation: &Relation, rows: &RecordBatch) -> Result<()> {
        for (at, column) in relation.columns.iter().enumerate() {
            if (column.required || relation.key.contains(&at)) && rows.column(at).null_count() > 0 {
                return Err(DataFusionError::Execution(format!("{} is NULL", column.name)));
            }
        }
        let Some(check) = &relation.check else { return Ok(()) };
        let schema = DFSchema::try_from(rows.schema())?;
        let check = expression(&self.state, check, &schema)?;
        for row in 0..rows.num_rows() {
            let met = check.evaluate(&rows.slice(row, 1))?.into_array(1)?;
            if met.as_boolean().iter().any(|met| met == Some(false)) {
                return Err(DataFusionError::Execution("a check is not met".into()));
            }
        }
        Ok(())
    }
}

/// Whether a query fails for its many rows alone.
pub fn is_too_large(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// What evaluates an expression, as our planner has it.
pub fn expression(state: &SessionState, expr: &str, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let expr = Binder::new(state, &NoNames).expression(parse_expression(expr)?, schema)?;
    Ok(physical(&simplify(state, expr, schema)?, schema)?)
}

/// The primary key of each row, as text.
pub fn keys(relation: &Relation, rows: &RecordBatch) -> Vec<String> {
    // The two zeros are one key.
    let key = rows.project(&relation.key).unwrap();
    texts(&key).into_iter().map(|text| text.replace("-0.0\u{1f}", "0.0\u{1f}")).collect()
}
