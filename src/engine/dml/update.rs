//! UPDATE and DELETE: the rows that they are about, each once, and what becomes of them.
//!
//! ```text
//! target [, other tables] -> WHERE -> rows with their numbers -> SET -> -old +new
//! ```
//!
//! Where other tables take part, a row may match several of theirs. For DELETE that makes no difference. An UPDATE that
//! would give one row different values is refused: PostgreSQL takes any of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::UInt64Type;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};

use super::Effect;
use super::assign::{Assignment, assigned};
use super::fit::the_row;
use super::names::{Context, ROW_NUMBER, target_factor};
use super::scope::{Known, Scope, finish};
use crate::engine::constraint::Constraints;
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::operators::project::batch as with_schema;
use crate::sql::bind::Binder;
use crate::sql::parse::parse_query;

/// An UPDATE, or a DELETE, taken apart.
pub struct Update {
    /// What expressions call the target.
    pub called: String,
    /// The other tables.
    pub from: Vec<ast::TableWithJoins>,
    /// WITH, for the other tables and WHERE.
    pub with: Option<ast::With>,
    /// WHERE.
    pub condition: Option<ast::Expr>,
    /// SET; nothing deletes.
    pub set: Option<Vec<Assignment>>,
}

/// Rows of a target with what they were found beside.
pub struct Matched {
    /// The number of the target's row.
    pub numbers: Vec<u64>,
    /// The columns of the target, then those of the other tables.
    pub scope: Scope,
}

impl Update {
    /// The change that it comes to.
    ///
    /// # Errors
    /// When an expression fails, a constraint is broken, or it is not clear what a row is to become.
    pub fn effect(&self, context: &Context<'_>) -> Result<Effect> {
        let Matched { numbers, scope } = self.matched(context)?;
        let width = context.target.schema.fields().len();
        let old = with_schema(&context.schema(), scope.columns()[..width].to_vec(), scope.len())?;
        let firsts = firsts(&numbers);
        let is_once = firsts.len() == numbers.len();
        let kept = |batch: &RecordBatch| match is_once {
            true => Ok(batch.clone()),
            false => Ok::<_, Error>(crate::delta::Delta::insert(batch.clone()).take(&firsts)?.batch),
        };
        let others = scope.select(width..scope.columns().len())?;
        let others = if is_once { others } else { others.take(&firsts)? };
        let Some(set) = &self.set else {
            let old = kept(&old)?;
            let effect = Effect::new(context, old.clone(), RecordBatch::new_empty(context.schema()), &old)?;
            return Ok(effect.beside(others));
        };
        let row = |at: usize| the_row(&old, at);
        let new = assigned(context, &scope, old.columns(), set, &row)?;
        let new = with_schema(&context.schema(), new, scope.len())?;
        if !is_once {
            one_meaning(context, &numbers, &old, &new)?;
        }
        let (old, new) = (kept(&old)?, kept(&new)?);
        Constraints::new(context.runner.session(), context.target)?.check(&new)?;
        Ok(Effect::new(context, old, new.clone(), &new)?.beside(others))
    }

    /// The rows that WHERE leaves, in the order of their numbers.
    fn matched(&self, context: &Context<'_>) -> Result<Matched> {
        let reads_more = |e: &ast::Expr| e.visit(&mut Queries).is_break();
        if !self.from.is_empty() || self.condition.as_ref().is_some_and(reads_more) {
            return self.joined(context);
        }
        // Without other tables the rows are looked at where they lie.
        let (mut numbers, mut batches, mut first) = (Vec::new(), Vec::new(), 0);
        for batch in context.rows {
            let scope = Scope::of_table(&self.called, batch)?;
            let met: Vec<u32> = match &self.condition {
                Some(condition) => scope.filter(context, "WHERE", condition)?,
                None => (0..batch.num_rows() as u32).collect(),
            };
            numbers.extend(met.iter().map(|row| first + u64::from(*row)));
            first += batch.num_rows() as u64;
            if !met.is_empty() {
                batches.push(scope.take(&met)?);
            }
        }
        let schema = context.schema();
        let batches = batches.iter().map(|scope| with_schema(&schema, scope.columns().to_vec(), scope.len()));
        let all = concat_batches(&schema, &batches.collect::<Result<Vec<_>>>()?)?;
        let scope = Scope::of_table(&self.called, &all)?;
        if all.num_rows() == 0 && context.rows.is_empty() {
            // The condition is looked at even where there is no row.
            self.condition.iter().try_for_each(|c| scope.filter(context, "WHERE", c).map(|_| ()))?;
        }
        Ok(Matched { numbers, scope })
    }

    fn joined(&self, context: &Context<'_>) -> Result<Matched> {
        let table = |relation| ast::TableWithJoins { relation, joins: Vec::new() };
        let mut from = vec![table(target_factor(&self.called))];
        from.extend(self.from.iter().cloned());
        matched(context, &self.called, from, self.with.as_ref(), self.condition.as_ref())
    }
}

/// The rows that a FROM with the target in it comes to.
///
/// # Errors
/// When it cannot be planned, or fails.
pub fn matched(
    context: &Context<'_>,
    called: &str,
    from: Vec<ast::TableWithJoins>,
    with: Option<&ast::With>,
    condition: Option<&ast::Expr>,
) -> Result<Matched> {
    let mut query = parse_query("SELECT 1 AS one")?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::Internal("a SELECT was parsed as something else".into()));
    };
    (select.from, select.selection) = (from, condition.cloned());
    query.with = with.cloned();
    let mut known: Vec<Known> = Vec::new();
    let plan = |batching| {
        let names = context.names(batching);
        match Binder::new(context.runner.session(), &names).query(&query)? {
            LogicalPlan::Projection(projection) => Ok(projection.input.as_ref().clone()),
            _ => Err(Error::Internal("a SELECT was planned without a projection".into())),
        }
    };
    let input = plan(crate::engine::providers::Batching::Whole)?;
    let own = |name: &str| Column::new(Some(called), name);
    let mut columns = vec![own(ROW_NUMBER)];
    columns.extend(context.target.schema.fields().iter().map(|field| own(field.name())));
    let target_columns = columns.clone();
    columns.extend(input.schema().columns().into_iter().filter(|column| !target_columns.contains(column)));
    for column in &columns[1..] {
        let (table, field) = input.schema().qualified_field_from_column(column)?;
        known.push((table.cloned(), Arc::new(field.as_ref().clone().with_nullable(true))));
    }
    let exprs = || columns.iter().enumerate().map(|(at, c)| Expr::Column(c.clone()).alias(format!("column {at}")));
    let rows = context
        .runner
        .settle(|batching| finish(LogicalPlanBuilder::from(plan(batching)?).project(exprs())?.build()?, batching))?;
    let all = in_order(&concat_batches(&rows.schema, &rows.batches)?)?;
    let rows = all.column(0).as_primitive::<UInt64Type>();
    let numbers = (0..all.num_rows()).map(|row| if rows.is_null(row) { u64::MAX } else { rows.value(row) }).collect();
    Ok(Matched { numbers, scope: Scope::new(known, all.columns()[1..].to_vec(), all.num_rows())? })
}

/// The rows in the order of their columns, from the first on: which rows come together must not show.
fn in_order(batch: &RecordBatch) -> Result<RecordBatch> {
    let sortable = |column: &&ArrayRef| {
        RowConverter::supports_fields(&[SortField::new(column.data_type().clone())])
            && !matches!(column.data_type(), arrow::datatypes::DataType::Map(..))
    };
    let columns: Vec<ArrayRef> = batch.columns().iter().filter(sortable).cloned().collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    Ok(crate::delta::Delta::insert(batch.clone()).take(&order)?.batch)
}

/// The place of the first of each number; equal ones stand together.
fn firsts(numbers: &[u64]) -> Vec<u32> {
    (0..numbers.len()).filter(|at| *at == 0 || numbers[*at] != numbers[*at - 1]).map(|at| at as u32).collect()
}

/// Refuses a row that would become different ones.
fn one_meaning(context: &Context<'_>, numbers: &[u64], old: &RecordBatch, new: &RecordBatch) -> Result<()> {
    for at in 1..numbers.len() {
        if numbers[at] == numbers[at - 1] && new.slice(at, 1) != new.slice(at - 1, 1) {
            let row = show_row(old, at);
            return Err(Error::input(format!(
                "UPDATE: the row {row} of table `{}` matches more than once and would become different rows",
                context.target.name
            ))
            .with_hint("let WHERE leave one match, or aggregate the other table first"));
        }
    }
    Ok(())
}

struct Queries;

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Break(())
    }
}
