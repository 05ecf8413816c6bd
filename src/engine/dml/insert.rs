//! INSERT: the rows that a statement proposes. VALUES are evaluated one by one, so that an error knows its row; a query
//! is run.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit, Visitor};

use super::assign::{column, place};
use super::fit::{fit_column, named, the_row};
use super::names::Context;
use super::scope::{Scope, finish};
use crate::engine::catalog::Object;
use crate::engine::constraint::defaults;
use crate::engine::literals::{check_width, fit};
use crate::engine::providers::Batching;
use crate::error::{Error, Result, WRONG_WIDTH};
use crate::operators::project::batch as with_schema;
use crate::sql::bind::Binder;
use crate::sql::expr::{physical, simplify};

/// Where the rows of an INSERT come from.
pub struct Source {
    /// The column of the target that each value is for.
    columns: Vec<usize>,
    /// Whether no column was named: a query may have fewer.
    unnamed: bool,
    rows: SourceRows,
}

enum SourceRows {
    Values(Vec<Vec<ast::Expr>>),
    Query(Box<ast::Query>),
}

impl Source {
    /// The rows that are written behind the names of some columns, or of none; without a query, one of defaults.
    ///
    /// # Errors
    /// When a column does not exist or is named twice, or a row has too many values or too few.
    pub fn new(target: &Object, columns: &[ast::ObjectName], query: Option<Box<ast::Query>>) -> Result<Self> {
        let Some(query) = query else { return Ok(Source::of_defaults()) };
        let unnamed = columns.is_empty();
        let width = if unnamed { width(&query) } else { None };
        let columns = places(target, columns, width)?;
        let rows = match is_plain_values(&query) {
            true => SourceRows::Values(values(target, &columns, *query)?),
            false => SourceRows::Query(query),
        };
        Ok(Source { columns, unnamed, rows })
    }

    /// One row of values, for the columns named.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn of_row(target: &Object, columns: &[ast::ObjectName], row: Option<Vec<ast::Expr>>) -> Result<Self> {
        let Some(row) = row else { return Ok(Source::of_defaults()) };
        let unnamed = columns.is_empty();
        let columns = places(target, columns, Some(row.len()))?;
        let row = fitting(target, &columns, row, 1)?;
        Ok(Source { columns, unnamed, rows: SourceRows::Values(vec![row]) })
    }

    fn of_defaults() -> Self {
        Source { columns: Vec::new(), unnamed: true, rows: SourceRows::Values(vec![Vec::new()]) }
    }

    /// Whether the rows are known without reading anything.
    pub fn reads_nothing(&self) -> bool {
        match &self.rows {
            SourceRows::Query(_) => false,
            SourceRows::Values(rows) => !rows.iter().flatten().any(has_query),
        }
    }

    /// The rows, each with a value for every column.
    ///
    /// # Errors
    /// When a value fails, or its column cannot hold it.
    pub fn rows(&self, context: &Context<'_>) -> Result<RecordBatch> {
        match &self.rows {
            SourceRows::Values(rows) => {
                let values = (0..self.columns.len()).map(|at| self.column_of_values(context, rows, at));
                complete(context, &self.columns, values.collect::<Result<_>>()?, rows.len())
            }
            SourceRows::Query(query) => {
                let batch = self.run(context, query)?;
                let row = |at| the_row(&batch, at);
                let values = self.columns.iter().zip(batch.columns());
                let values = values.map(|(at, values)| fit_column(context.target, *at, values.clone(), &row));
                complete(context, &self.columns, values.collect::<Result<_>>()?, batch.num_rows())
            }
        }
    }

    /// The one row of values for each row of `scope`.
    ///
    /// # Errors
    /// As [`Source::rows`].
    pub fn rows_over(
        &self,
        context: &Context<'_>,
        scope: &Scope,
        row: &dyn Fn(usize) -> String,
    ) -> Result<RecordBatch> {
        let SourceRows::Values(rows) = &self.rows else {
            return Err(Error::Internal("one row of values is a query".into()));
        };
        let values = scope.evaluate(context, "VALUES", &rows[0])?;
        let values = self.columns.iter().zip(values);
        let values = values.map(|(at, values)| fit_column(context.target, *at, values, row));
        complete(context, &self.columns, values.collect::<Result<_>>()?, scope.len())
    }

    fn column_of_values(&self, context: &Context<'_>, rows: &[Vec<ast::Expr>], at: usize) -> Result<ArrayRef> {
        let target = context.target;
        let data_type = target.schema.field(self.columns[at]).data_type();
        let value = |(number, row): (usize, &Vec<ast::Expr>)| {
            let value = scalar(context, &row[at]).and_then(|value| Ok(value.cast_to(data_type)?));
            value.map_err(|error| {
                let row = format!("in row {}", number + 1);
                named(error.with_place(place(rows[number][at].span())), target, self.columns[at], Some(row))
            })
        };
        let values = rows.iter().enumerate().map(value).collect::<Result<Vec<_>>>()?;
        match values.is_empty() {
            true => Ok(new_empty_array(data_type)),
            false => Ok(ScalarValue::iter_to_array(values)?),
        }
    }

    fn run(&self, context: &Context<'_>, query: &ast::Query) -> Result<RecordBatch> {
        let plan = |batching| {
            let names = context.names(batching);
            finish(Binder::new(context.runner.session(), &names).shown(query)?.0, batching)
        };
        let rows = context.runner.settle(plan)?;
        let (width, wanted) = (rows.schema.fields().len(), self.columns.len());
        if width > wanted || width < wanted && !self.unnamed {
            return Err(Error::input(format!("{WRONG_WIDTH} `{}`", context.target.name)));
        }
        Ok(concat_batches(&rows.schema, &rows.batches)?)
    }
}

/// How many values the first row of VALUES has.
fn width(query: &ast::Query) -> Option<usize> {
    match query.body.as_ref() {
        ast::SetExpr::Values(values) if is_plain_values(query) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

/// The columns that values are for; where none is named, the first ones, of which rows of `width` values have so many.
fn places(target: &Object, names: &[ast::ObjectName], width: Option<usize>) -> Result<Vec<usize>> {
    if names.is_empty() {
        let all = target.schema.fields().len();
        return Ok((0..width.unwrap_or(all).min(all)).collect());
    }
    let mut places = Vec::new();
    for name in names {
        let ident = match name.0.as_slice() {
            [part] => part.as_ident(),
            _ => None,
        };
        let ident = ident.ok_or_else(|| Error::input(format!("`{name}` is not the name of a column")))?;
        let at = column(target, ident)?;
        if places.contains(&at) {
            let message = format!("column `{}` is named twice", target.schema.field(at).name());
            return Err(Error::input(message).with_place(place(ident.span)));
        }
        places.push(at);
    }
    Ok(places)
}

/// Whether a query is VALUES and nothing else.
fn is_plain_values(query: &ast::Query) -> bool {
    matches!(query.body.as_ref(), ast::SetExpr::Values(_))
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.pipe_operators.is_empty()
}

fn values(target: &Object, columns: &[usize], query: ast::Query) -> Result<Vec<Vec<ast::Expr>>> {
    let ast::SetExpr::Values(values) = *query.body else { return Ok(Vec::new()) };
    let rows = values.rows.into_iter().enumerate();
    let mut rows: Vec<_> =
        rows.map(|(number, row)| fitting(target, columns, row.content, number + 1)).collect::<Result<_>>()?;
    for expr in rows.iter_mut().flatten() {
        super::names::put_with(query.with.as_ref(), expr);
    }
    Ok(rows)
}

fn fitting(target: &Object, columns: &[usize], mut row: Vec<ast::Expr>, number: usize) -> Result<Vec<ast::Expr>> {
    check_width(row.len(), columns.len(), number, target)?;
    for (expr, column) in row.iter_mut().zip(columns) {
        fit(expr, target, Some(*column))?;
    }
    Ok(row)
}

/// One value of VALUES.
fn scalar(context: &Context<'_>, expr: &ast::Expr) -> Result<ScalarValue> {
    let none = DFSchema::empty();
    if has_query(expr) {
        let row = Scope::new(Vec::new(), Vec::new(), 1)?;
        let value = row.evaluate(context, "VALUES", std::slice::from_ref(expr))?;
        return Ok(ScalarValue::try_from_array(&value[0], 0)?);
    }
    let mut bound = context.bind(Batching::Whole, expr, &none)?;
    if !matches!(bound, Expr::Literal(..)) {
        bound = simplify(context.runner.session(), bound, &none)?;
    }
    if let Expr::Literal(value, _) = bound {
        return Ok(value);
    }
    let value = physical(&bound, &none)?.evaluate(&rows_without_columns(1)?)?.into_array(1)?;
    Ok(ScalarValue::try_from_array(&value, 0)?)
}

fn has_query(expr: &ast::Expr) -> bool {
    expr.visit(&mut Queries).is_break()
}

struct Queries;

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Break(())
    }
}

fn rows_without_columns(rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?)
}

/// The rows with the defaults of the columns that are given no value.
fn complete(context: &Context<'_>, given: &[usize], values: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let schema = context.schema();
    let mut columns: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
    given.iter().zip(values).for_each(|(at, values)| columns[*at] = Some(values));
    if columns.iter().any(Option::is_none) {
        for (name, default) in defaults(context.runner.session(), context.target)? {
            let at = schema.index_of(&name)?;
            if columns[at].is_none() {
                let made = physical(&default, &DFSchema::empty())?.evaluate(&rows_without_columns(rows)?)?;
                columns[at] = Some(made.into_array(rows)?);
            }
        }
    }
    let null = |at: usize| arrow::array::new_null_array(schema.field(at).data_type(), rows);
    let columns = columns.into_iter().enumerate().map(|(at, values)| values.unwrap_or_else(|| null(at)));
    with_schema(&schema, columns.collect(), rows)
}
