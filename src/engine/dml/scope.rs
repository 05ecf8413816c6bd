//! Rows that expressions of a statement are evaluated over, each column known by its table and name.
//!
//! An expression without a subquery is evaluated at once. One with a subquery is planned: rows of a plan may come in any
//! order, so they carry their number.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, UInt64Type};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident};
use datafusion::sql::sqlparser::ast;

use super::names::{Context, ROW_NUMBER};
use crate::delta::Delta;
use crate::engine::providers::{self, Batching};
use crate::engine::query::Rows;
use crate::error::{Error, Result};
use crate::operators::eval;
use crate::operators::project::batch as with_schema;
use crate::sql::canonical::{canonical, sorted_by_columns};
use crate::sql::expr::{physical, simplify};

/// A column as expressions know it: its table, if it has one, and the rest.
pub type Known = (Option<TableReference>, FieldRef);

/// Rows by which expressions are evaluated.
#[derive(Clone)]
pub struct Scope {
    schema: Arc<DFSchema>,
    batch: RecordBatch,
}

impl Scope {
    /// Rows of these columns; `rows` counts them where there is no column.
    ///
    /// # Errors
    /// When two columns of one table have one name.
    pub fn new(known: Vec<Known>, columns: Vec<ArrayRef>, rows: usize) -> Result<Self> {
        let fields = known.iter().map(|(_, field)| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
        let batch = with_schema(&Arc::new(Schema::new(fields)), columns, rows)?;
        let schema = Arc::new(DFSchema::new_with_metadata(known, HashMap::new())?);
        Ok(Scope { schema, batch })
    }

    /// The rows of one table under a name.
    ///
    /// # Errors
    /// As [`Scope::new`].
    pub fn of_table(name: &str, batch: &RecordBatch) -> Result<Self> {
        Scope::new(known(name, batch), batch.columns().to_vec(), batch.num_rows())
    }

    /// The columns.
    pub fn known(&self) -> Vec<Known> {
        self.schema.iter().map(|(table, field)| (table.cloned(), field.clone())).collect()
    }

    /// The values.
    pub fn columns(&self) -> &[ArrayRef] {
        self.batch.columns()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Some columns, in this order.
    ///
    /// # Errors
    /// As [`Scope::new`].
    pub fn select(&self, columns: impl IntoIterator<Item = usize>) -> Result<Scope> {
        let known = self.known();
        let (known, arrays) = columns.into_iter().map(|at| (known[at].clone(), self.columns()[at].clone())).unzip();
        Scope::new(known, arrays, self.len())
    }

    /// Some rows, in this order.
    ///
    /// # Errors
    /// When Arrow cannot build the columns.
    pub fn take(&self, rows: &[u32]) -> Result<Scope> {
        let batch = Delta::insert(self.batch.clone()).take(rows)?.batch;
        Ok(Scope { schema: self.schema.clone(), batch })
    }

    /// The values of each expression; `what` names the clause that they are in.
    ///
    /// # Errors
    /// When an expression does not fit the columns, or fails on a row.
    pub fn evaluate(&self, context: &Context<'_>, what: &str, exprs: &[ast::Expr]) -> Result<Vec<ArrayRef>> {
        if exprs.is_empty() {
            return Ok(Vec::new());
        }
        let bound = self.bind(context, Batching::Whole, what, exprs)?;
        if !bound.iter().any(has_subquery) {
            return self.evaluate_here(context, bound);
        }
        let rows = context.runner.settle(|batching| {
            let exprs = self.bind(context, batching, what, exprs)?;
            let exprs = exprs.into_iter().enumerate().map(|(at, expr)| expr.alias(format!("value {at}")));
            let columns = [ident(ROW_NUMBER)].into_iter().chain(exprs);
            finish(self.plan(batching)?.project(columns)?.build()?, batching)
        })?;
        let all = concat_batches(&rows.schema, &rows.batches)?;
        let numbers = all.column(0).as_primitive::<UInt64Type>();
        if numbers.len() != self.len() {
            return Err(Error::Internal("a row was lost where a subquery was evaluated".into()));
        }
        let mut places = vec![0; numbers.len()];
        numbers.values().iter().enumerate().for_each(|(at, number)| places[*number as usize] = at as u32);
        let places = UInt32Array::from(places);
        Ok(all.columns()[1..].iter().map(|column| take(column, &places, None)).collect::<Result<_, _>>()?)
    }

    /// The rows for which a condition is true, in order; `what` names its clause.
    ///
    /// # Errors
    /// As [`Scope::evaluate`], and when it is not a condition.
    pub fn filter(&self, context: &Context<'_>, what: &str, condition: &ast::Expr) -> Result<Vec<u32>> {
        let condition = std::slice::from_ref(condition);
        let bound = self.bind(context, Batching::Whole, what, condition)?;
        if !bound.iter().any(has_subquery) {
            let values = self.evaluate_here(context, bound)?;
            return match values[0].data_type() {
                DataType::Boolean => Ok(true_rows(values[0].as_boolean())),
                DataType::Null => Ok(Vec::new()),
                _ => Err(Error::input(format!("what follows {what} is not a condition"))),
            };
        }
        let rows: Rows = context.runner.settle(|batching| {
            let mut bound = self.bind(context, batching, what, condition)?;
            let plan = self.plan(batching)?.filter(bound.swap_remove(0))?.project([ident(ROW_NUMBER)])?;
            finish(plan.build()?, batching)
        })?;
        let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec();
        let mut rows: Vec<u32> = rows.batches.iter().flat_map(numbers).map(|row| row as u32).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    fn evaluate_here(&self, context: &Context<'_>, bound: Vec<Expr>) -> Result<Vec<ArrayRef>> {
        let made = bound.into_iter().map(|expr| {
            let expr = simplify(context.runner.session(), expr, &self.schema)?;
            physical(&expr, &self.schema)
        });
        let evaluated = eval::evaluate(&made.collect::<Result<Vec<_>>>()?, &Delta::insert(self.batch.clone()))?;
        match evaluated.errors.first() {
            None => Ok(evaluated.columns),
            Some(error) => Err(Error::input(&error.message)),
        }
    }

    fn bind(&self, context: &Context<'_>, batching: Batching, what: &str, exprs: &[ast::Expr]) -> Result<Vec<Expr>> {
        let bound = exprs.iter().map(|expr| context.bind(batching, expr, &self.schema));
        let bound: Vec<Expr> = bound.collect::<Result<_>>()?;
        let over_many = |e: &Expr| matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_));
        for expr in &bound {
            if expr.exists(|e| Ok(over_many(e)))? {
                let message = format!("what follows {what} is about one row, not about several");
                return Err(Error::input(message).with_hint("put an aggregate into a subquery: (SELECT sum(...) ...)"));
            }
        }
        Ok(bound)
    }

    /// The rows and their numbers.
    fn plan(&self, batching: Batching) -> Result<LogicalPlanBuilder> {
        let name = |at: usize| format!("column {at}");
        let mut fields: Vec<Field> = self
            .batch
            .schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(at, f)| f.as_ref().clone().with_name(name(at)))
            .collect();
        fields.push(Field::new(ROW_NUMBER, DataType::UInt64, false));
        let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..self.len() as u64));
        let mut columns = self.columns().to_vec();
        columns.push(numbers);
        let schema = Arc::new(Schema::new(fields));
        let provider = providers::rows_of(&schema, [with_schema(&schema, columns, self.len())?], batching);
        let known = self.schema.iter().enumerate();
        let columns = known.map(|(at, (table, f))| ident(name(at)).alias_qualified(table.cloned(), f.name()));
        let columns = columns.chain([ident(ROW_NUMBER)]);
        Ok(LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)?.project(columns)?)
    }
}

/// The columns of a table's rows.
pub fn known(name: &str, batch: &RecordBatch) -> Vec<Known> {
    let table = TableReference::bare(name);
    batch.schema().fields().iter().map(|field| (Some(table.clone()), field.clone())).collect()
}

/// A plan of a statement, in which what SQL leaves open is decided by value.
///
/// # Errors
/// As [`canonical`].
pub fn finish(plan: LogicalPlan, batching: Batching) -> Result<LogicalPlan> {
    let plan = canonical(plan)?;
    Ok(if batching == Batching::RowByRow { sorted_by_columns(plan)? } else { plan })
}

fn has_subquery(expr: &Expr) -> bool {
    let is = |e: &Expr| {
        matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
    };
    expr.exists(|e| Ok(is(e))).expect("the closure does not fail")
}

fn true_rows(values: &BooleanArray) -> Vec<u32> {
    values.iter().enumerate().filter(|(_, value)| *value == Some(true)).map(|(row, _)| row as u32).collect()
}
