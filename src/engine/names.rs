//! What names mean: inputs for a view's circuit, or rows for a batch query.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::datasource::{TableProvider, ViewTable};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Kind, Object};
use super::event_time::late_name_of;
use super::information_schema::{self, INFORMATION_SCHEMA};
use super::known::Known;
use super::providers::{self, Batching};
use super::query::Rows;
use super::snapshot::Snapshot;
use super::system::{self, ERRORS, SYSTEM_SCHEMA, WATERMARKS};
use crate::circuit::Facts;
use crate::error::{Error, Result};
use crate::sql::bind::{Binder, Names};
use crate::sql::canonical::canonical;
use crate::sql::inline::SqlFunction;
use crate::sql::lower::InputTable;
use crate::sql::parse::parse_query;
use crate::sql::relations::relations;

/// Views that may be expanded within each other.
const VIEW_DEPTH_MAX: usize = 64;

/// Names for a view's plan: streams, tables and materialized views are inputs.
pub struct InputNames<'a> {
    /// The session, for expanding plain views.
    pub session: &'a SessionState,
    /// The objects.
    pub catalog: &'a Catalog,
    /// What is known of materialized views beyond their schemas.
    pub facts: &'a HashMap<u32, Facts>,
    /// What the view whose plan it is knows by other names; nothing for a query that means what it says now.
    pub known: Option<&'a Known>,
    /// How many views the plan is within.
    pub depth: usize,
}

impl<'a> InputNames<'a> {
    /// Names for a query that means what it says.
    pub fn new(session: &'a SessionState, catalog: &'a Catalog, facts: &'a HashMap<u32, Facts>) -> Self {
        InputNames { session, catalog, facts, known: None, depth: 0 }
    }
}

/// What a query knows by other names than today's: nothing.
static NOTHING_KNOWN: Known = Known { names: BTreeMap::new(), columns: BTreeMap::new() };

impl Names for InputNames<'_> {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.catalog.find_known(name, self.known).map(|object| self.object(object)).transpose()
    }

    fn event_time(&self, name: &str) -> Option<String> {
        event_time_of(self.catalog.find_known(name, self.known)?)
    }

    fn lasting_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.catalog.find_known(name, self.known.or(Some(&NOTHING_KNOWN))).map(|object| self.object(object)).transpose()
    }

    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match system::find(name).filter(|_| schema == SYSTEM_SCHEMA) {
            Some(object) if object.id == ERRORS => {
                Err(Error::unsupported("a view cannot read `system.errors`, which changes without a commit of its own")
                    .with_hint("query it, or read the view without on_error = 'skip'"))
            }
            Some(object) if object.id == WATERMARKS => {
                Err(Error::unsupported("a view cannot read `system.watermarks`, which is not in the log")
                    .with_hint("`system.heartbeats` and a stream's late rows are"))
            }
            Some(object) => Ok(Some(self.input(&object, None))),
            None => match late_name_of(schema, name) {
                Some(late) => self.table(&late),
                None => Ok(None),
            },
        }
    }

    fn function(&self, name: &str) -> Option<Arc<SqlFunction>> {
        self.catalog.function(name)
    }

    fn all(&self) -> Vec<String> {
        self.catalog.names()
    }
}

impl InputNames<'_> {
    fn object(&self, object: &Object) -> Result<Arc<dyn TableProvider>> {
        let seen = self.known.and_then(|known| known.columns.get(&object.id));
        if object.kind == Kind::View {
            let inner = InputNames { depth: deeper(self.depth, object)?, known: Some(&object.known), ..*self };
            let table = expand(self.session, &inner, object)?;
            return Ok(providers::seen(table, seen));
        }
        Ok(self.input(object, seen))
    }

    fn input(&self, object: &Object, seen: Option<&Vec<String>>) -> Arc<dyn TableProvider> {
        let facts = self.facts.get(&object.id).cloned().unwrap_or_else(|| object.facts());
        let key = providers::primary_key(object);
        let schema = providers::seen_columns(&object.schema, seen);
        let narrow = schema.fields().len() < object.schema.fields().len();
        Arc::new(InputTable { object: object.id, schema, facts, key, narrow })
    }
}

/// Names for a batch query over a snapshot.
pub struct RowNames<'a> {
    /// The session, for expanding views.
    pub session: &'a SessionState,
    /// The rows.
    pub snapshot: &'a Arc<Snapshot>,
    /// Whether a materialized view is run rather than read: that is how it is verified.
    pub expand_materialized: bool,
    /// How rows are handed over.
    pub batching: Batching,
    /// Materialized views whose rows are at hand.
    pub given: &'a Given,
    /// What the view whose plan it is knows by other names; nothing for a query that means what it says now.
    pub known: Option<&'a Known>,
    /// How many views the plan is within.
    pub depth: usize,
}

/// Rows of materialized views, by object.
pub type Given = BTreeMap<u32, Rows>;

/// No rows.
static NOTHING_GIVEN: Given = Given::new();

impl<'a> RowNames<'a> {
    /// Names for what a user asks.
    pub fn new(session: &'a SessionState, snapshot: &'a Arc<Snapshot>) -> Self {
        RowNames {
            session,
            snapshot,
            expand_materialized: false,
            batching: Batching::Whole,
            given: &NOTHING_GIVEN,
            known: None,
            depth: 0,
        }
    }
}

impl Names for RowNames<'_> {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.snapshot.catalog.find_known(name, self.known).map(|object| self.object(object)).transpose()
    }

    fn event_time(&self, name: &str) -> Option<String> {
        event_time_of(self.snapshot.catalog.find_known(name, self.known)?)
    }

    fn lasting_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let known = self.known.or(Some(&NOTHING_KNOWN));
        self.snapshot.catalog.find_known(name, known).map(|object| self.object(object)).transpose()
    }

    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match (schema, name) {
            (SYSTEM_SCHEMA, _) => {
                let object = system::find(name);
                object.map(|object| providers::object_rows(self.snapshot, &object, self.batching)).transpose()
            }
            (INFORMATION_SCHEMA, _) => {
                information_schema::find(&information_schema::listed(&self.snapshot.catalog), name)
            }
            _ => match late_name_of(schema, name) {
                Some(late) => self.table(&late),
                None => self.snapshot.versions.table(self, schema, name),
            },
        }
    }

    fn function(&self, name: &str) -> Option<Arc<SqlFunction>> {
        self.snapshot.catalog.function(name)
    }

    fn held(&self, view: u32, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.snapshot.closings.of(view, plan)
    }

    fn all(&self) -> Vec<String> {
        self.snapshot.catalog.names()
    }
}

impl RowNames<'_> {
    fn object(&self, object: &Object) -> Result<Arc<dyn TableProvider>> {
        let seen = self.known.and_then(|known| known.columns.get(&object.id));
        if let Some(rows) = self.given.get(&object.id) {
            let table = providers::rows_of(&object.schema, rows.batches.iter().cloned(), self.batching);
            return Ok(providers::seen(table, seen));
        }
        let expanded = match object.kind {
            Kind::View => true,
            Kind::MaterializedView => self.expand_materialized,
            Kind::Stream | Kind::Table => false,
        };
        if expanded {
            let inner = RowNames { depth: deeper(self.depth, object)?, known: Some(&object.known), ..*self };
            let table = expand(self.session, &inner, object)?;
            return Ok(providers::seen(table, seen));
        }
        let rows = providers::object_rows(self.snapshot, object, self.batching)?;
        Ok(providers::seen(rows, seen))
    }
}

fn deeper(depth: usize, object: &Object) -> Result<usize> {
    if depth >= VIEW_DEPTH_MAX {
        return Err(Error::Limit(format!(
            "view `{}` is within {VIEW_DEPTH_MAX} others, which is the limit",
            object.name
        )));
    }
    Ok(depth + 1)
}

fn expand(session: &SessionState, names: &dyn Names, object: &Object) -> Result<Arc<dyn TableProvider>> {
    let plan = view_plan(session, names, object)?;
    Ok(Arc::new(ViewTable::new(plan, Some(object.sql.clone()))))
}

/// The plan of a view's query under the names of its columns, as it is written.
///
/// # Errors
/// When the query does not fit the names.
pub fn view_plan(session: &SessionState, names: &dyn Names, object: &Object) -> Result<LogicalPlan> {
    let text = object.query.as_deref().ok_or_else(|| Error::Internal(format!("`{}` has no query", object.name)))?;
    let query = parse_query(text)?;
    let plan = Binder::new(session, names).query(&query)?;
    let plan = rename(plan, object.schema.fields().iter().map(|f| f.name().as_str()))?;
    names.held(object.id, plan)
}

/// The plan with its columns under other names, one for each.
///
/// # Errors
/// When there are not as many names as columns.
pub fn rename<'a>(plan: LogicalPlan, names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    if names.len() != schema.fields().len() {
        return Err(Error::input(format!("{} names for {} columns", names.len(), schema.fields().len())));
    }
    if schema.fields().iter().map(|f| f.name().as_str()).eq(names.clone()) {
        return Ok(plan);
    }
    let columns = schema.iter().zip(names).map(|((qualifier, field), name)| {
        let column = Expr::Column((qualifier, field).into());
        if field.name() == name { column } else { column.alias(name) }
    });
    Ok(LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()?)
}

/// The columns of a plan's result as those of a view: without qualifiers, each nullable, no name twice.
///
/// # Errors
/// When two columns have one name.
pub fn view_schema(schema: &DFSchema) -> Result<SchemaRef> {
    let mut seen = BTreeSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return Err(Error::input(format!("the query has two columns `{}`", field.name()))
                .with_hint("give one of them another name with AS"));
        }
    }
    Ok(crate::sql::lower::nullable(schema.as_arrow()))
}

/// The plan that both the circuit and the batch engine are given for a view.
///
/// # Errors
/// As [`view_plan`].
pub fn canonical_view_plan(session: &SessionState, names: &dyn Names, object: &Object) -> Result<LogicalPlan> {
    Ok(canonical(view_plan(session, names, object)?)?)
}

/// The column of an object's event times.
fn event_time_of(object: &Object) -> Option<String> {
    object.event_time.as_ref().map(|event_time| object.schema.field(event_time.column).name().clone())
}

/// The objects that a statement names, as far as they exist.
///
/// # Errors
/// When a name has too many parts.
pub fn reads(catalog: &Catalog, statement: ast::Statement) -> Result<BTreeSet<u32>> {
    Ok(relations(&statement)?
        .iter()
        .filter_map(|table| match table.schema() {
            Some(SYSTEM_SCHEMA) => system::find(table.table()).map(|object| object.id),
            Some(crate::sql::SCHEMA) => catalog.find_lasting(table.table()).map(|o| o.id),
            Some(schema) => catalog.find(&late_name_of(schema, table.table())?).map(|o| o.id),
            None => catalog.find(table.table()).map(|o| o.id),
        })
        .collect())
}

/// The objects whose rows are needed to run a query over `reads`: plain views, and with `through_materialized`
/// all views, are replaced by what they read.
pub fn sources(catalog: &Catalog, reads: &BTreeSet<u32>, through_materialized: bool) -> Vec<u32> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<u32> = reads.iter().copied().collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        match catalog.get(id) {
            Some(o) if o.kind == Kind::View || (through_materialized && o.kind == Kind::MaterializedView) => {
                todo.extend(&o.reads);
            }
            _ => {
                found.insert(id);
            }
        }
    }
    found.into_iter().collect()
}
