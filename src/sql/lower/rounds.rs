//! The step of a recursion, for all rounds at once: its plan with the number of the round as one more column.
//!
//! ```text
//! Projection b                       Projection b, round
//!   Join a = b                         Join a = b
//!     work table (a, ...)      ->        rows (a, ..., round)
//!     Scan edges                         input 1
//! ```
//!
//! Every row of the step comes from one row of the work table, and keeps its number. A node that mixes rows does so
//! within a round: the number is one more key of a group or partition. What does not read the work table is the same
//! in every round and becomes an input. Where rows come from something else than rows of the round (an aggregate over
//! none, the unmatched rows of the other side of an outer join) there is no such plan.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
    TableScan, Unnest, Window,
};

use super::recompute::has_subquery;
use super::{InputTable, nullable};
use crate::circuit::{Facts, OWN_ROWS};
use crate::operators::recursion::{ROUND, with_round};
use crate::sql::total_order::TotalOrder;

/// A plan over rows with the number of their round, and where that column is.
type Numbered = (LogicalPlan, Column);

/// How often a plan reads the work table of the recursion `name`.
pub(super) fn work_tables(plan: &LogicalPlan, name: &str) -> Result<usize> {
    let mut found = 0;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found += usize::from(is_work_table(scan, name)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn is_work_table(scan: &TableScan, name: &str) -> Result<bool> {
    let provider = source_as_provider(&scan.source)?;
    Ok(provider.downcast_ref::<CteWorkTable>().is_some_and(|table| table.name() == name))
}

/// The step of a recursion with its rounds numbered.
pub(super) struct Rounds<'a> {
    /// The recursion.
    name: &'a str,
    /// What the step reads beside its own rows. The base is input 0 of the recursion, so these count from 1.
    pub inputs: Vec<LogicalPlan>,
}

impl<'a> Rounds<'a> {
    pub fn new(name: &'a str) -> Self {
        Rounds { name, inputs: Vec::new() }
    }

    /// The plan of a step that reads the work table once, its columns followed by the number of the round; `None` where
    /// there is no such plan.
    pub fn number(&mut self, step: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let Some((plan, round)) = self.plan(step)? else { return Ok(None) };
        let columns = step.schema().iter().map(|of| Expr::Column(of.into())).chain([Expr::Column(round)]);
        LogicalPlanBuilder::from(plan).project(columns)?.build().map(Some)
    }

    /// A plan that reads the work table.
    fn plan(&mut self, plan: &LogicalPlan) -> Result<Option<Numbered>> {
        let has_own = plan.schema().fields().iter().any(|field| field.name() == ROUND);
        if has_own || plan.expressions().iter().any(has_subquery) {
            return Ok(None);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => {
                let Some((input, _)) = self.plan(&alias.input)? else { return Ok(None) };
                let round = Column::new(Some(alias.alias.clone()), ROUND);
                let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
                Ok(Some((LogicalPlan::SubqueryAlias(alias), round)))
            }
            LogicalPlan::Projection(projection) => {
                let Some((input, round)) = self.plan(&projection.input)? else { return Ok(None) };
                let exprs = projection.expr.iter().cloned().chain([Expr::Column(round.clone())]).collect();
                let projection = Projection::try_new(exprs, Arc::new(input))?;
                Ok(Some((LogicalPlan::Projection(projection), round)))
            }
            LogicalPlan::Filter(filter) => {
                let Some((input, round)) = self.plan(&filter.input)? else { return Ok(None) };
                let filter = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
                Ok(Some((LogicalPlan::Filter(filter), round)))
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some((input, round)) = self.plan(input)? else { return Ok(None) };
                Ok(Some((LogicalPlan::Distinct(Distinct::All(Arc::new(input))), round)))
            }
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            // An order says nothing about a bag of rows.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.plan(&sort.input),
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            other => match TotalOrder::of(other) {
                Some(order) => {
                    let Some((input, round)) = self.plan(order.input())? else { return Ok(None) };
                    Ok(Some((order.over(input), round)))
                }
                None => Ok(None),
            },
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Option<Numbered>> {
        if !is_work_table(scan, self.name)? || !scan.filters.is_empty() || scan.fetch.is_some() {
            return Ok(None);
        }
        let schema = with_round(&nullable(&scan.source.schema()));
        let round = schema.fields().len() - 1;
        let projection = scan.projection.as_ref().map(|columns| columns.iter().copied().chain([round]).collect());
        let table = InputTable { object: OWN_ROWS, schema, facts: Facts::default(), key: None, narrow: false };
        let source = provider_as_source(Arc::new(table));
        let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, projection)?.build()?;
        Ok(Some((plan, Column::new(Some(scan.table_name.clone()), ROUND))))
    }

    /// Rows of the side that reads the work table, each with what it matches on the other side or whether it does.
    fn join(&mut self, join: &Join) -> Result<Option<Numbered>> {
        let left = work_tables(&join.left, self.name)? > 0;
        let keeps = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => !left,
            JoinType::Full => false,
        };
        if !keeps {
            return Ok(None);
        }
        let numbered = self.plan(if left { &join.left } else { &join.right })?;
        let Some((rows, round)) = numbered else { return Ok(None) };
        let other = self.input(if left { &join.right } else { &join.left })?;
        let (left, right) = if left { (rows, other) } else { (other, rows) };
        let join = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            join.on.clone(),
            join.filter.clone(),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        Ok(Some((LogicalPlan::Join(join), round)))
    }

    /// Without keys an aggregate has a row over no rows too, in rounds that do not exist.
    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Option<Numbered>> {
        if aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let Some((input, round)) = self.plan(&aggregate.input)? else { return Ok(None) };
        let groups = aggregate.group_expr.iter().cloned().chain([Expr::Column(round.clone())]).collect();
        let aggregate = Aggregate::try_new(Arc::new(input), groups, aggregate.aggr_expr.clone())?;
        Ok(Some((LogicalPlan::Aggregate(aggregate), round)))
    }

    fn window(&mut self, window: &Window) -> Result<Option<Numbered>> {
        let Some((input, round)) = self.plan(&window.input)? else { return Ok(None) };
        let mut exprs = Vec::new();
        for expr in &window.window_expr {
            let name = expr.schema_name().to_string();
            let Expr::WindowFunction(mut function) = expr.clone().unalias() else { return Ok(None) };
            function.params.partition_by.push(Expr::Column(round.clone()));
            exprs.push(Expr::WindowFunction(function).alias(name));
        }
        Ok(Some((LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?), round)))
    }

    fn unnest(&mut self, unnest: &Unnest) -> Result<Option<Numbered>> {
        let Some((input, round)) = self.plan(&unnest.input)? else { return Ok(None) };
        let input = LogicalPlanBuilder::from(input);
        let plan = input.unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?.build()?;
        Ok(Some((plan, round)))
    }

    /// A scan of a plan that is the same in every round, under the names that the plan has.
    fn input(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        self.inputs.push(plan.clone());
        let number = self.inputs.len();
        let name = TableReference::bare(format!("input{number}"));
        let schema = Arc::new(input_schema(plan));
        let columns: Vec<Expr> = plan
            .schema()
            .iter()
            .zip(schema.fields())
            .map(|((qualifier, field), own)| {
                let column = Expr::Column(Column::new(Some(name.clone()), own.name()));
                column.alias_qualified(qualifier.cloned(), field.name())
            })
            .collect();
        let table = InputTable { object: number as u32, schema, facts: Facts::default(), key: None, narrow: false };
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.project(columns)?.build()
    }
}

/// The columns of a plan as those of a table, which has no two of one name.
pub(super) fn input_schema(plan: &LogicalPlan) -> Schema {
    let schema = nullable(plan.schema().as_arrow());
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    if names.windows(2).all(|pair| pair[0] != pair[1]) {
        return schema.as_ref().clone();
    }
    let numbered = |(at, field): (usize, &Arc<Field>)| Field::new(format!("c{at}"), field.data_type().clone(), true);
    Schema::new(schema.fields().iter().enumerate().map(numbered).collect::<Vec<_>>())
}
