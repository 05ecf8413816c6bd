//! A correlated subquery as a plan of its own: for all outer values at once.
//!
//! The *domain* is the set of combinations that the outer columns named in the subquery take. It is joined to the
//! subquery's leaves and carried up through its nodes, each of which does for every combination what it did for one:
//!
//! ```text
//! scan          domain x scan
//! aggregate     grouped by the domain too; without groups, a row for each combination, also over no rows
//! limit         by row_number() within each combination
//! window        partitioned by the domain too
//! distinct, union, set operations, joins     with the domain among the columns
//! ```
//!
//! After T. Neumann and A. Kemper, "Unnesting Arbitrary Queries", BTW 2015.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result, TableReference, not_impl_err};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, FetchType, Limit, LogicalPlan, LogicalPlanBuilder,
    Operator, SkipType, SortExpr, Window, binary_expr, cast, lit, when,
};

use super::names::Names;
use super::outer::{bind, names_any};
use super::spread::{as_union, is_one_row};
use crate::sql::functions::row_number;
use crate::sql::own_node::{Own, OwnNode};

/// The combinations of values that a subquery's outer columns take.
pub struct Domain<'a> {
    /// The outer columns.
    pub outer: Vec<Column>,
    /// The combinations, each once, as columns in that order.
    pub rows: LogicalPlan,
    /// Gives names that nothing else has.
    pub names: &'a Names,
}

/// A plan for all combinations: its columns, and where among them those of the domain are.
pub struct Carried {
    /// The plan. All columns of the plan that it stands for are there under their names.
    pub plan: LogicalPlan,
    /// The domain's columns.
    pub keys: Vec<Column>,
}

/// A plan for all combinations, with a row of NULLs for each that has none.
pub(super) struct Padded {
    pub(super) plan: LogicalPlan,
    /// The domain's columns, which have values in every row.
    pub(super) keys: Vec<Column>,
    /// The domain's columns as the plan's own rows have them.
    pub(super) inner: Vec<Column>,
    /// Whether a row is one of the plan's own.
    pub(super) is_present: Expr,
}

/// What tells the rows of an aggregate's input from none.
const PRESENT: &str = "present";

impl Domain<'_> {
    /// The plan for all combinations.
    ///
    /// # Errors
    /// When the plan names outer columns in a node that cannot carry them.
    pub fn carry(&self, plan: LogicalPlan) -> Result<Carried> {
        if !names_any(&plan, &self.outer)? {
            let (rows, keys) = self.named()?;
            let plan = match is_one_row(&plan) {
                true => rows,
                false => LogicalPlanBuilder::from(rows).cross_join(plan)?.build()?,
            };
            return Ok(Carried { plan, keys });
        }
        match plan {
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Values(values) => self.carry(as_union(values)?),
            LogicalPlan::Filter(filter) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(filter.input))?;
                let predicate = bind(filter.predicate, &self.outer, &keys)?;
                Ok(Carried { plan: LogicalPlanBuilder::from(plan).filter(predicate)?.build()?, keys })
            }
            LogicalPlan::Projection(projection) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(projection.input))?;
                self.project(plan, keys, projection.expr)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let columns = alias.input.schema().columns();
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(alias.input))?;
                let renamed = columns.into_iter().map(|column| {
                    let name = column.name.clone();
                    Expr::Column(column).alias_qualified(Some(alias.alias.clone()), name)
                });
                self.project(plan, keys, renamed.collect())
            }
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => self.total(aggregate),
            LogicalPlan::Aggregate(aggregate) if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) => {
                self.grouped_by_sets(aggregate)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(aggregate.input))?;
                let groups = columns(&keys).chain(self.bound(aggregate.group_expr, &keys)?).collect();
                let calls = self.bound(aggregate.aggr_expr, &keys)?;
                let plan = LogicalPlan::Aggregate(Aggregate::try_new(plan.into(), groups, calls)?);
                Ok(Carried { plan, keys })
            }
            LogicalPlan::Window(window) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(window.input))?;
                let calls = self.bound(window.window_expr, &keys)?;
                let calls = calls.into_iter().map(|call| partitioned(call, &keys)).collect::<Result<_>>()?;
                Ok(Carried { plan: LogicalPlan::Window(Window::try_new(calls, plan.into())?), keys })
            }
            // The order of a bag of rows means nothing; LIMIT takes it along.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.carry(Arc::unwrap_or_clone(sort.input)),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(input))?;
                Ok(Carried { plan: LogicalPlanBuilder::from(plan).distinct()?.build()?, keys })
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(on.input))?;
                let first = columns(&keys).chain(self.bound(on.on_expr, &keys)?).collect();
                let select = columns(&keys).chain(self.bound(on.select_expr, &keys)?).collect();
                let order = on.sort_expr.map(|order| {
                    let own = order.into_iter().map(|s| Ok(s.with_expr(bind(s.expr.clone(), &self.outer, &keys)?)));
                    columns(&keys).map(|k| Ok(k.sort(true, false))).chain(own).collect::<Result<Vec<SortExpr>>>()
                });
                let on = DistinctOn::try_new(first, select, order.transpose()?, plan.into())?;
                Ok(Carried { plan: LogicalPlan::Distinct(Distinct::On(on)), keys })
            }
            LogicalPlan::Union(union) => {
                let schema = union.schema.clone();
                let mut parts = Vec::new();
                for input in union.inputs {
                    parts.push(self.in_order(Arc::unwrap_or_clone(input))?.plan);
                }
                let mut parts = parts.into_iter();
                let first = LogicalPlanBuilder::from(parts.next().expect("a union has inputs"));
                let plan = parts.try_fold(first, LogicalPlanBuilder::union)?.build()?;
                let own = schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone()));
                self.rename(plan, own.collect())
            }
            LogicalPlan::Join(join) => self.join(join),
            other => match OwnNode::of(&other) {
                Some((Own::Single { keys }, [input])) => {
                    let Carried { plan, keys: domain } = self.in_order(input.clone())?;
                    let own = Own::Single { keys: domain.len() + keys };
                    self.rename(OwnNode::plan(own, vec![plan]), qualified(&other))
                }
                Some((own @ Own::Bag { .. }, inputs)) => {
                    let parts = inputs.iter().map(|input| Ok(self.in_order(input.clone())?.plan));
                    self.rename(OwnNode::plan(own, parts.collect::<Result<_>>()?), qualified(&other))
                }
                _ => not_impl_err!("a subquery that names columns of the outer query in `{}`", other.display()),
            },
        }
    }

    /// The combinations under names of their own.
    fn named(&self) -> Result<(LogicalPlan, Vec<Column>)> {
        let alias = self.names.next("outer");
        let plan = LogicalPlanBuilder::from(self.rows.clone()).alias(alias.as_str())?.build()?;
        let keys = plan.schema().columns();
        Ok((plan, keys))
    }

    pub(super) fn bound(&self, exprs: Vec<Expr>, keys: &[Column]) -> Result<Vec<Expr>> {
        let bound = |expr: Expr| {
            let name = expr.schema_name().to_string();
            let bound = bind(expr, &self.outer, keys)?;
            Ok(if bound.schema_name().to_string() == name { bound } else { bound.alias(name) })
        };
        exprs.into_iter().map(bound).collect()
    }

    fn project(&self, plan: LogicalPlan, keys: Vec<Column>, exprs: Vec<Expr>) -> Result<Carried> {
        let exprs: Vec<Expr> = columns(&keys).chain(self.bound(exprs, &keys)?).collect();
        Ok(Carried { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, keys })
    }

    /// The plan for all combinations with the domain's columns first, then its own, under no qualifier.
    fn in_order(&self, plan: LogicalPlan) -> Result<Carried> {
        let own = plan.schema().columns();
        let Carried { plan, keys } = self.carry(plan)?;
        let numbered = columns(&keys).chain(own.into_iter().map(Expr::Column)).enumerate();
        let numbered = numbered.map(|(at, expr)| expr.alias(format!("column {at}")));
        let plan = LogicalPlanBuilder::from(plan).project(numbered)?.build()?;
        let keys = plan.schema().columns().into_iter().take(keys.len()).collect();
        Ok(Carried { plan, keys })
    }

    /// A plan with the domain's columns first, under new names for these and the given ones for the others.
    fn rename(&self, plan: LogicalPlan, own: Vec<(Option<TableReference>, String)>) -> Result<Carried> {
        let alias = self.names.next("outer");
        let of_domain = self.rows.schema().fields().iter().map(|f| (Some(alias.as_str().into()), f.name().clone()));
        let names: Vec<(Option<TableReference>, String)> = of_domain.chain(own).collect();
        let renamed = plan.schema().columns().into_iter().zip(names);
        let renamed = renamed.map(|(column, (qualifier, name))| Expr::Column(column).alias_qualified(qualifier, name));
        let plan = LogicalPlanBuilder::from(plan.clone()).project(renamed)?.build()?;
        let keys = plan.schema().columns().into_iter().take(self.outer.len()).collect();
        Ok(Carried { plan, keys })
    }

    /// An aggregate without groups: it gives a row for each combination, also where there is nothing to add up.
    fn total(&self, aggregate: Aggregate) -> Result<Carried> {
        let Padded { plan, keys, inner, is_present } = self.padded(Arc::unwrap_or_clone(aggregate.input))?;
        let calls = self.bound(aggregate.aggr_expr, &inner)?.into_iter().map(|call| filtered(call, &is_present));
        let calls = calls.collect::<Result<_>>()?;
        let plan = Aggregate::try_new(plan.into(), columns(&keys).collect(), calls)?;
        Ok(Carried { plan: LogicalPlan::Aggregate(plan), keys })
    }

    /// The plan for all combinations with a row also for those that have none.
    pub(super) fn padded(&self, plan: LogicalPlan) -> Result<Padded> {
        let Carried { plan, keys: inner } = self.carry(plan)?;
        let present = self.names.next(PRESENT);
        let own: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let marked = own.into_iter().chain([lit(true).alias(&present)]);
        let marked = LogicalPlanBuilder::from(plan).project(marked)?.build()?;
        let (rows, keys) = self.named()?;
        let plan = LogicalPlanBuilder::from(rows)
            .join_on(marked, JoinType::Left, equal(&rows_types(&self.rows), &keys, &inner))?
            .build()?;
        let is_present = Expr::Column(Column::from_name(present)).is_not_null();
        Ok(Padded { plan, keys, inner, is_present })
    }

    fn limit(&self, limit: Limit) -> Result<Carried> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return not_impl_err!("LIMIT by an expression in a subquery that names columns of the outer query");
        };
        match Arc::unwrap_or_clone(limit.input) {
            // What is done row by row may as well be done after the limit.
            LogicalPlan::Projection(projection) if is_ordered(&projection.input) => {
                let below = LogicalPlan::Limit(Limit { input: projection.input, ..limit });
                let Carried { plan, keys } = self.carry(below)?;
                self.project(plan, keys, projection.expr)
            }
            LogicalPlan::Sort(sort) => {
                let order = sort.expr;
                let Carried { plan, keys } = self.carry(Arc::unwrap_or_clone(sort.input))?;
                let bound = |s: SortExpr| Ok(s.with_expr(bind(s.expr.clone(), &self.outer, &keys)?));
                let order = order.into_iter().map(bound).collect::<Result<_>>()?;
                self.numbered(plan, keys, order, skip, fetch)
            }
            other => {
                let order = other.schema().columns().into_iter().map(|c| Expr::Column(c).sort(true, false)).collect();
                let Carried { plan, keys } = self.carry(other)?;
                self.numbered(plan, keys, order, skip, fetch)
            }
        }
    }

    /// The rows of each combination after the first `skip`, and no more than `fetch`, in this order.
    fn numbered(
        &self,
        plan: LogicalPlan,
        keys: Vec<Column>,
        order: Vec<SortExpr>,
        skip: usize,
        fetch: Option<usize>,
    ) -> Result<Carried> {
        let own: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let name = self.names.next("number");
        let number = row_number().partition_by(columns(&keys).collect()).order_by(order).build()?.alias(&name);
        let place = Expr::Column(Column::from_name(name));
        let (skip, fetch) = (signed(skip), fetch.map(signed));
        let after = (skip > 0).then(|| place.clone().gt(lit(skip)));
        let until = fetch.map(|fetch| place.lt_eq(lit(skip.saturating_add(fetch))));
        let mut plan = LogicalPlanBuilder::from(plan).window([number])?;
        if let Some(condition) = conjunction(after.into_iter().chain(until)) {
            plan = plan.filter(condition)?;
        }
        Ok(Carried { plan: plan.project(own)?.build()?, keys })
    }
}

fn signed(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// That the columns hold the same values. Floats are compared as text: `-0.0` and `0.0` are one value for DISTINCT and for
/// the keys of a join, but two for a condition beside the keys, which this may become.
pub fn equal(types: &[DataType], left: &[Column], right: &[Column]) -> Vec<Expr> {
    let pairs = left.iter().zip(right).zip(types);
    pairs
        .map(|((l, r), data_type)| {
            let (l, r) = (Expr::Column(l.clone()), Expr::Column(r.clone()));
            match data_type.is_floating() {
                true => {
                    let text = |e| {
                        let text = cast(e, DataType::Utf8);
                        let mut zero = when(text.clone().eq(lit("-0.0")), lit("0.0"));
                        zero.otherwise(text).expect("both are texts")
                    };
                    same(text(l), text(r))
                }
                false => same(l, r),
            }
        })
        .collect()
}

/// The types of a plan's columns.
pub fn rows_types(plan: &LogicalPlan) -> Vec<DataType> {
    plan.schema().fields().iter().map(|f| f.data_type().clone()).collect()
}

pub(super) fn same(left: Expr, right: Expr) -> Expr {
    binary_expr(left, Operator::IsNotDistinctFrom, right)
}

pub(super) fn columns(columns: &[Column]) -> impl Iterator<Item = Expr> {
    columns.iter().cloned().map(Expr::Column)
}

fn qualified(plan: &LogicalPlan) -> Vec<(Option<TableReference>, String)> {
    plan.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone())).collect()
}

/// Whether a plan is in an order, or does row by row what is.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        _ => false,
    }
}

/// A call of an aggregate over those rows only for which a condition holds, under its name.
pub(super) fn filtered(call: Expr, condition: &Expr) -> Result<Expr> {
    let name = call.schema_name().to_string();
    let call = call.transform_up(|e| match e {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if func.name() != "grouping" => {
            let both = match params.filter.take() {
                Some(own) => condition.clone().and(*own),
                None => condition.clone(),
            };
            params.filter = Some(Box::new(both));
            Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(call.data.unalias_nested().data.alias(name))
}

/// A window function within each combination, under its name.
fn partitioned(call: Expr, keys: &[Column]) -> Result<Expr> {
    let name = call.schema_name().to_string();
    let call = call.transform_up(|e| match e {
        Expr::WindowFunction(function) => {
            let WindowFunction { fun, mut params } = *function;
            params.partition_by = columns(keys).chain(params.partition_by).collect();
            let function = Expr::WindowFunction(Box::new(WindowFunction { fun, params }));
            Ok(Transformed::yes(function))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(call.data.unalias_nested().data.alias(name))
}
