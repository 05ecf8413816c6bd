//! The batch query of a view that leaves out failing rows.
//!
//! The batch engine's own operators fail as a whole. So the plan is run in pieces, from its leaves: what is below an
//! expression that may fail is run by itself, the expression is evaluated over its rows, those on which it fails are left
//! out, and the rest stands in the plan as a table from there on:
//!
//! ```text
//! aggregate sum(a / b) by k          aggregate sum(q) by k
//!   filter a > 0              ->       table a, b, k, q: the rows of the filter on which a / b does not fail
//! ```
//!
//! An aggregate that fails is run for its groups apart, window functions for their partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_arrays};
use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Sort};

use crate::delta::Delta;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::engine::query::Runner;
use crate::error::{Error, Result};
use crate::operators::eval::evaluate;
use crate::operators::project::batch as with_schema;
use crate::sql::expr::physical;
use crate::sql::lower::{may_fail, nullable, scan_of_slot};
use crate::sql::own_node::OwnNode;
use crate::sql::total_order::TotalOrder;

/// Runs a plan without the rows on which its expressions fail.
pub struct Skipping<'a> {
    runner: &'a Runner,
    /// Tables and columns that were made for the plan.
    made: usize,
    /// What failed, on which rows.
    pub failures: BTreeSet<String>,
    /// Whether something failed that is no row of a plan: a pair of rows, a group or a partition.
    pub more_failed: bool,
}

impl<'a> Skipping<'a> {
    /// Nothing has failed yet.
    pub fn new(runner: &'a Runner) -> Self {
        Skipping { runner, made: 0, failures: BTreeSet::new(), more_failed: false }
    }

    /// The rows of a plan that was optimised as for a view.
    ///
    /// # Errors
    /// What fails otherwise than on a row.
    pub fn rows(&mut self, plan: &LogicalPlan) -> Result<RecordBatch> {
        let plan = self.plan(plan)?;
        self.run(&plan)
    }

    fn run(&self, plan: &LogicalPlan) -> Result<RecordBatch> {
        let schema = nullable(plan.schema().as_arrow());
        let named = |b: RecordBatch| with_schema(&schema, b.columns().to_vec(), b.num_rows());
        let batches = self.runner.collect_as_planned(plan)?;
        let batches = batches.into_iter().map(named).collect::<Result<Vec<_>>>()?;
        together(&schema, &batches)
    }

    /// The plan with tables in the place of what may fail.
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.plan(&projection.input)?;
                self.projected(input, &projection.expr, &projection.schema)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.plan(&filter.input)?;
                self.filtered(input, &filter.predicate)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            // An order says nothing about a bag of rows.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.plan(&sort.input),
            LogicalPlan::Sort(sort) => {
                let limit = LogicalPlanBuilder::from(LogicalPlan::Sort(Sort { fetch: None, ..sort.clone() }));
                self.plan(&limit.limit(0, sort.fetch)?.build()?)
            }
            LogicalPlan::Limit(limit) => self.limited(&limit.input, limit),
            // A view that leaves out rows has none in its circuit: what is here was found to decide nothing.
            LogicalPlan::RecursiveQuery(_) => Ok(plan.clone()),
            LogicalPlan::TableScan(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::Unnest(_) => self.over(plan),
            other => match (TotalOrder::of(other), OwnNode::of(other)) {
                (Some(order), _) => self.plan(order.input()),
                (_, Some(_)) => self.over(other),
                _ => Err(Error::Internal(format!("{} leaves out no rows", other.display()))),
            },
        }
    }

    /// The same node over inputs that leave out rows.
    pub(super) fn over(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let inputs = plan.inputs().into_iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?;
        Ok(plan.with_new_exprs(plan.expressions(), inputs)?)
    }

    fn projected(&mut self, input: LogicalPlan, exprs: &[Expr], schema: &DFSchema) -> Result<LogicalPlan> {
        let (input, exprs) = self.with_columns(input, exprs)?;
        let named = exprs
            .into_iter()
            .zip(schema.iter())
            .map(|(expr, (qualifier, field))| expr.unalias().alias_qualified(qualifier.cloned(), field.name()));
        Ok(LogicalPlanBuilder::from(input).project(named)?.build()?)
    }

    fn filtered(&mut self, input: LogicalPlan, predicate: &Expr) -> Result<LogicalPlan> {
        let own = columns_of(input.schema());
        let (input, predicate) = self.with_columns(input, std::slice::from_ref(predicate))?;
        Ok(LogicalPlanBuilder::from(input).filter(predicate[0].clone())?.project(own)?.build()?)
    }

    fn join(&mut self, join: &Join) -> Result<LogicalPlan> {
        let (left, right) = (self.plan(&join.left)?, self.plan(&join.right)?);
        let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
        let (left, left_keys) = self.with_columns(left, &left_keys)?;
        let (right, right_keys) = self.with_columns(right, &right_keys)?;
        // Of an inner join, a pair of rows fails by itself; of others the condition takes every pair.
        let (within, after) = match &join.filter {
            Some(filter) if join.join_type == JoinType::Inner && may_fail(filter) => (None, Some(filter)),
            filter => (filter.clone(), None),
        };
        let on = left_keys.into_iter().zip(right_keys).collect();
        let of = (join.join_type, join.join_constraint, join.null_equality, join.null_aware);
        let joined = Join::try_new(left.into(), right.into(), on, within, of.0, of.1, of.2, of.3)?;
        let mut plan = LogicalPlan::Join(joined);
        if let Some(filter) = after {
            let (input, holds) = self.with_columns_unlisted(plan, std::slice::from_ref(filter))?;
            plan = LogicalPlanBuilder::from(input).filter(holds[0].clone())?.build()?;
        }
        Ok(LogicalPlanBuilder::from(plan).project(columns_of(&join.schema))?.build()?)
    }

    /// The first rows of an order; a projection above it comes after the limit, as in the circuit.
    fn limited(&mut self, plan: &LogicalPlan, limit: &Limit) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                let input = self.plan(&sort.input)?;
                let own = columns_of(input.schema());
                let keys: Vec<Expr> = sort.expr.iter().map(|sort| sort.expr.clone()).collect();
                let (input, keys) = self.with_columns(input, &keys)?;
                let expr = sort.expr.iter().zip(keys).map(|(sort, key)| sort.with_expr(key)).collect();
                let sorted = LogicalPlan::Sort(Sort { expr, input: input.into(), fetch: None });
                let first = LogicalPlan::Limit(Limit { input: sorted.into(), ..limit.clone() });
                Ok(LogicalPlanBuilder::from(first).project(own)?.build()?)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.limited(&alias.input, limit)?;
                Ok(plan.with_new_exprs(Vec::new(), vec![input])?)
            }
            LogicalPlan::Projection(projection) => {
                let input = self.limited(&projection.input, limit)?;
                self.projected(input, &projection.expr, &projection.schema)
            }
            other => Err(Error::Internal(format!("a limit over {} leaves out no rows", other.display()))),
        }
    }

    /// The plan with those of the expressions that may fail as more columns, without the rows on which they do; and the
    /// expressions over that plan.
    pub(super) fn with_columns(&mut self, input: LogicalPlan, exprs: &[Expr]) -> Result<(LogicalPlan, Vec<Expr>)> {
        let mut computed: Vec<Expr> = Vec::new();
        for expr in exprs.iter().map(|expr| expr.clone().unalias()).filter(may_fail) {
            if !computed.contains(&expr) {
                computed.push(expr);
            }
        }
        if computed.is_empty() {
            return Ok((input, exprs.to_vec()));
        }
        let rows = Delta::insert(self.run(&input)?);
        let physical = computed.iter().map(|expr| physical(expr, input.schema())).collect::<Result<Vec<_>>>()?;
        let evaluated = evaluate(&physical, &rows)?;
        let kept = match &evaluated.rows {
            None => rows,
            Some(succeeded) => rows.take(succeeded)?,
        };
        self.failures.extend(evaluated.errors.into_iter().map(|error| error.message));
        let own = columns_of(input.schema());
        let mut wider = LogicalPlanBuilder::from(input).project(own.clone())?;
        let names: Vec<String> = computed.iter().map(|_| self.name()).collect();
        let more = computed.iter().zip(&names).map(|(expr, name)| expr.clone().alias(name));
        wider = LogicalPlanBuilder::from(wider.build()?).project(own.into_iter().chain(more))?;
        let schema = wider.build()?.schema().clone();
        let columns = kept.batch.columns().iter().cloned().chain(evaluated.columns).collect();
        let rows = with_schema(&nullable(schema.as_arrow()), columns, kept.len())?;
        let over = exprs.iter().map(|expr| {
            let place = computed.iter().position(|of| *of == expr.clone().unalias());
            place.map_or_else(|| expr.clone(), |at| datafusion::prelude::ident(&names[at]))
        });
        let over = over.collect();
        Ok((self.table(rows, &schema)?, over))
    }

    /// The same where the operator shows other columns of a row that fails, so that the failures cannot be compared.
    pub(super) fn with_columns_unlisted(
        &mut self,
        input: LogicalPlan,
        exprs: &[Expr],
    ) -> Result<(LogicalPlan, Vec<Expr>)> {
        let known = std::mem::take(&mut self.failures);
        let found = self.with_columns(input, exprs);
        self.more_failed |= !std::mem::replace(&mut self.failures, known).is_empty();
        found
    }

    /// A name that nothing else has.
    pub(super) fn name(&mut self) -> String {
        self.made += 1;
        format!("__made_{}", self.made)
    }

    /// Rows as a plan with the columns of `schema`.
    fn table(&mut self, rows: RecordBatch, schema: &DFSchema) -> Result<LogicalPlan> {
        let (slot, plan) = scan_of_slot(&self.name(), schema)?;
        let rows = with_schema(&slot.row_schema(), rows.columns().to_vec(), rows.num_rows())?;
        slot.fill(vec![Arc::new(rows)]);
        Ok(plan)
    }

    /// The rows of a node over `input`. Where it fails, it is run for each part of the input with equal `keys`, and the
    /// rows of those parts for which it fails are left out.
    pub(super) fn by_parts(
        &mut self,
        input: LogicalPlan,
        keys: &[Expr],
        node: &dyn Fn(LogicalPlan) -> Result<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let schema = input.schema().clone();
        let rows = self.run(&input)?;
        let whole = node(self.table(rows.clone(), &schema)?)?;
        let output = whole.schema().clone();
        let found = match self.run(&whole) {
            // A function that the batch engine cannot evaluate over some frames fails there in the view, too.
            Err(Error::Input(_) | Error::Unsupported(_)) => {
                self.more_failed = true;
                let columns = keys.iter().map(|key| {
                    let key = physical(key, &schema)?;
                    Ok(key.evaluate(&rows)?.into_array(rows.num_rows())?)
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
                let (mut index, mut parts) = (KeyIndex::new(&types, Zeros::Folded)?, Vec::new());
                let count = index.intern(&columns, rows.num_rows(), &mut parts)?.len() as u32;
                let mut found = Vec::new();
                self.part(&Parts { rows, schema: &schema, parts, node }, 0..count, &mut found)?;
                together(&nullable(output.as_arrow()), &found)?
            }
            found => found?,
        };
        self.table(found, &output)
    }

    /// The rows of the node over some parts, halved where they fail. The depth is the logarithm of their number.
    fn part(&mut self, of: &Parts, range: std::ops::Range<u32>, found: &mut Vec<RecordBatch>) -> Result<()> {
        let wanted = (0..of.rows.num_rows() as u32).filter(|row| range.contains(&of.parts[*row as usize]));
        let wanted = UInt32Array::from_iter_values(wanted);
        let columns = take_arrays(of.rows.columns(), &wanted, None)?;
        let rows = with_schema(of.rows.schema_ref(), columns, wanted.len())?;
        let plan = (of.node)(self.table(rows, of.schema)?)?;
        match self.run(&plan) {
            Err(Error::Input(_) | Error::Unsupported(_)) if range.len() <= 1 => Ok(()),
            Err(Error::Input(_) | Error::Unsupported(_)) => {
                let middle = range.start + range.len() as u32 / 2;
                self.part(of, range.start..middle, found)?;
                self.part(of, middle..range.end, found)
            }
            rows => {
                found.push(rows?);
                Ok(())
            }
        }
    }
}

/// The rows below a node, and of which part each is.
struct Parts<'a> {
    rows: RecordBatch,
    schema: &'a DFSchema,
    parts: Vec<u32>,
    node: &'a dyn Fn(LogicalPlan) -> Result<LogicalPlan>,
}

/// All columns of a plan.
pub(super) fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect()
}

fn together(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    Ok(concat_batches(schema, batches)?)
}
