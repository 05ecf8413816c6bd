//! What names mean within a statement that changes rows, and how its parts are taken from the parser's tree.
//!
//! Where the statement is turned into a query, its target goes by a name of its own, so that a subquery that reads the
//! same table is told apart from it; its rows then carry their numbers.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::datasource::TableProvider;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};

use crate::engine::catalog::{Catalog, Object};
use crate::engine::hidden::refuse_hidden_target;
use crate::engine::names::RowNames;
use crate::engine::providers::{self, Batching};
use crate::engine::query::Runner;
use crate::engine::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::bind::{Binder, Names};
use crate::sql::inline::SqlFunction;
use crate::sql::lower::nullable;
use crate::sql::parse::{normalize, object_name};

/// The target's name within a query; no statement can write it by accident.
pub const TARGET: &str = "\u{1}target";
/// The name of the column with the number of a target's row.
pub const ROW_NUMBER: &str = "\u{1}row";

/// What a statement is evaluated with.
pub struct Context<'a> {
    /// Runs plans.
    pub runner: &'a Runner,
    /// The state.
    pub snapshot: &'a Arc<Snapshot>,
    /// What is changed.
    pub target: &'a Arc<Object>,
    /// The rows of the target that may be changed.
    pub rows: &'a [Arc<RecordBatch>],
}

impl Context<'_> {
    /// An expression over some columns; its subqueries read the state.
    ///
    /// # Errors
    /// As [`Binder::expression`].
    pub fn bind(&self, batching: Batching, expr: &ast::Expr, schema: &DFSchema) -> Result<Expr> {
        let names = self.names(batching);
        Binder::new(self.runner.session(), &names).expression(expr.clone(), schema)
    }

    /// What names mean.
    pub fn names(&self, batching: Batching) -> StatementNames<'_> {
        let rows = RowNames { batching, ..RowNames::new(self.runner.session(), self.snapshot) };
        StatementNames { rows, target: self.target, target_rows: self.rows }
    }

    /// The schema of the target's rows.
    pub fn schema(&self) -> SchemaRef {
        nullable(&self.target.schema)
    }
}

/// Names, with the target under its own.
pub struct StatementNames<'a> {
    rows: RowNames<'a>,
    target: &'a Object,
    target_rows: &'a [Arc<RecordBatch>],
}

impl Names for StatementNames<'_> {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name != TARGET {
            return self.rows.table(name);
        }
        let mut fields: Vec<Field> =
            nullable(&self.target.schema).fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.push(Field::new(ROW_NUMBER, DataType::UInt64, true));
        let schema = Arc::new(Schema::new(fields));
        let mut first = 0;
        let batches = self.target_rows.iter().map(|rows| {
            let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + rows.num_rows() as u64));
            first += rows.num_rows() as u64;
            with_schema(&schema, [rows.columns(), &[numbers]].concat(), rows.num_rows())
        });
        let batches = batches.collect::<Result<Vec<_>>>()?;
        Ok(Some(providers::rows_of(&schema, batches, self.rows.batching)))
    }

    fn event_time(&self, name: &str) -> Option<String> {
        self.rows.event_time(name)
    }

    fn lasting_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.rows.lasting_table(name)
    }

    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.rows.system_table(schema, name)
    }

    fn function(&self, name: &str) -> Option<Arc<SqlFunction>> {
        self.rows.function(name)
    }

    fn all(&self) -> Vec<String> {
        self.rows.all()
    }
}

/// A target as it is written: its name, and what the statement's expressions call it.
///
/// # Errors
/// When it is no table, or has something behind its name that has no meaning here.
pub fn relation(catalog: &Catalog, factor: &ast::TableFactor, verb: &str) -> Result<(String, String)> {
    let ast::TableFactor::Table { name, alias, args: None, .. } = factor else {
        return Err(Error::unsupported(format!("{verb} takes the name of a table")));
    };
    refuse_hidden_target(catalog, name)?;
    let name = object_name(name)?;
    match alias {
        Some(alias) if !alias.columns.is_empty() => {
            Err(Error::unsupported(format!("{verb} takes no names for the columns of its table")))
        }
        Some(alias) => Ok((name, normalize(&alias.name))),
        None => Ok((name.clone(), name)),
    }
}

/// The target as a table of the query that finds its rows.
pub fn target_factor(called: &str) -> ast::TableFactor {
    let quoted = |name: &str| ast::Ident::with_quote('"', name);
    let alias = ast::TableAlias { explicit: true, name: quoted(called), columns: Vec::new(), at: None };
    ast::TableFactor::Table {
        name: ast::ObjectName::from(vec![quoted(TARGET)]),
        alias: Some(alias),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// Puts WITH before every subquery of an expression: they are planned one by one.
pub fn put_with(with: Option<&ast::With>, part: &mut impl VisitMut) {
    if let Some(with) = with {
        let _ = part.visit(&mut Subqueries { with, depth: 0 });
    }
}

struct Subqueries<'a> {
    with: &'a ast::With,
    depth: usize,
}

impl VisitorMut for Subqueries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        if self.depth == 0 {
            add_with(query, self.with);
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Puts WITH before a query; a name that it gives itself stays its own.
pub fn add_with(query: &mut ast::Query, with: &ast::With) {
    let mut with = with.clone();
    if let Some(own) = query.with.take() {
        let name = |cte: &ast::Cte| normalize(&cte.alias.name);
        with.cte_tables.retain(|outer| own.cte_tables.iter().all(|cte| name(cte) != name(outer)));
        with.recursive |= own.recursive;
        with.cte_tables.extend(own.cte_tables);
    }
    query.with = Some(with);
}
