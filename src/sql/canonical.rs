//! What SQL leaves open, decided by value.
//!
//! The batch engine may give any of several right answers to `LIMIT` without an order, to ties in a top-k, and to
//! aggregates and window functions that depend on the order of their rows. A view must have one answer, whatever the
//! order in which its rows came, and its batch query the same. This rewrite gives each such node a total order of its
//! input: what the query asks for first, then every column that can be ordered, ascending, NULL last. Rows that tie
//! then are equal, and their order cannot be seen.

mod windows;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment, WindowFunction};
use datafusion::logical_expr::expr_rewriter::normalize_cols;
use datafusion::logical_expr::utils::AggregateOrderSensitivity::Insensitive;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, ExprSchemable, Limit, LogicalPlan, LogicalPlanBuilder,
    Sort, SortExpr, Window, ident, lit,
};

use super::bags::count_rows;
use super::filter_guard::guarded;
use super::functions::{is_order_sensitive, row_number};
use super::grouping_calls::resolve_grouping;
use super::recursive::recursive;
use super::subquery::decorrelate;
use super::total_order::TotalOrder;
use windows::{ByColumns, with_columns};

/// Rewrites a plan as the module's text says. Applied to the plan as it is written, before any optimisation.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn canonical(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(resolve_grouping(decorrelate(count_rows(plan)?)?)?.transform_up_with_subqueries(rewrite)?.data)
}

/// Gives structs and lists one order, and leaves open what SQL leaves open: for queries that nobody keeps, to which a
/// total order under every LIMIT would be a burden.
///
/// # Errors
/// As [`canonical`].
pub fn comparable(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(resolve_grouping(decorrelate(count_rows(plan)?)?)?.transform_up_with_subqueries(compare_by_fields)?.data)
}

/// Gives sorts columns for their expressions, so that these are evaluated as the rows come: a sort evaluates its own
/// over all rows at once. For plans that are run row by row.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn sorted_by_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewrite = |plan| match plan {
        LogicalPlan::Sort(sort) if sort.expr.iter().any(|s| !matches!(s.expr, Expr::Column(_))) => {
            let columns: Vec<Expr> = sort.input.schema().iter().map(|of| Expr::Column(of.into())).collect();
            let name = |at| format!("sort key {at}");
            let keys = sort.expr.iter().enumerate().map(|(at, key)| key.expr.clone().alias(name(at)));
            let order = sort.expr.iter().enumerate().map(|(at, key)| key.with_expr(ident(name(at))));
            let plan =
                LogicalPlanBuilder::from(sort.input.as_ref().clone()).project(columns.iter().cloned().chain(keys))?;
            let plan = plan.sort_with_limit(order, sort.fetch)?.project(columns)?.build()?;
            Ok(Transformed::yes(plan))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(plan.transform_up_with_subqueries(rewrite)?.data)
}

fn compare_by_fields(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(sort) => {
            let expr = by_fields(sort.expr.clone(), sort.input.schema())?;
            let changed = expr != sort.expr;
            Ok(Transformed::new_transformed(LogicalPlan::Sort(Sort { expr, ..sort }), changed))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let schema = aggregate.input.schema().clone();
            rewrite_calls(aggregate, |function| match is_extreme_nested(&function, &schema)? {
                true => Ok(Transformed::yes(extreme_nested(function, &schema)?)),
                false => {
                    let guarded = guarded(function);
                    let AggregateFunction { func, mut params } = guarded.data;
                    let order = by_fields(params.order_by.clone(), &schema)?;
                    let changed = !params.distinct && order != params.order_by;
                    if changed {
                        params.order_by = order;
                    }
                    let changed = changed || guarded.transformed;
                    Ok(Transformed::new_transformed(AggregateFunction { func, params }, changed))
                }
            })
        }
        LogicalPlan::Window(window) => {
            let ByColumns { window, shown } = ByColumns::of(window)?;
            Ok(Transformed::yes(with_columns(window, shown)?))
        }
        LogicalPlan::RecursiveQuery(query) => recursive(query),
        other => Ok(Transformed::no(other)),
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(mut sort) => {
            add_ties(&mut sort.expr, sort.input.schema());
            sort.expr = by_fields(sort.expr, sort.input.schema())?;
            Ok(Transformed::yes(LogicalPlan::Sort(sort)))
        }
        LogicalPlan::Limit(limit) if !has_order(&limit.input) => {
            let order = by_fields(total_order(limit.input.schema()), limit.input.schema())?;
            let sorted = LogicalPlan::Sort(Sort { expr: order, input: limit.input, fetch: None });
            Ok(Transformed::yes(LogicalPlan::Limit(Limit { input: sorted.into(), ..limit })))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => first_of_each(on),
        LogicalPlan::Aggregate(aggregate) => rewrite_aggregate(aggregate),
        LogicalPlan::Window(window) => rewrite_window(window),
        LogicalPlan::RecursiveQuery(query) => recursive(query),
        other => Ok(Transformed::no(other)),
    }
}

/// DISTINCT ON as the row with number one among those that are equal in the given expressions.
fn first_of_each(on: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    const NUMBER: &str = "number among equals";
    let schema = on.input.schema().clone();
    let order = on.sort_expr.unwrap_or_else(|| on.on_expr.iter().map(|e| e.clone().sort(true, false)).collect());
    let order = once(order);
    let partition = on.on_expr.into_iter().map(|expr| without_sign_of_zero(expr, &schema)).collect();
    let number = row_number().partition_by(partition).order_by(order.clone()).build()?.alias(NUMBER);
    let numbered = rewrite_window(Window::try_new(vec![number], on.input.clone())?)?.data;
    let mut rows_order = order;
    add_ties(&mut rows_order, &schema);
    let select = normalize_cols(on.select_expr, on.input.as_ref())?;
    let named = select
        .into_iter()
        .zip(on.schema.iter())
        .map(|(expr, (qualifier, field))| expr.unalias().alias_qualified(qualifier.cloned(), field.name()));
    let plan = LogicalPlanBuilder::from(numbered)
        .filter(ident(NUMBER).eq(lit(1i64)))?
        .sort(by_fields(rows_order, &schema)?)?
        .project(named)?
        .build()?;
    Ok(Transformed::yes(plan))
}

/// A float with both zeros as one, as GROUP BY takes them.
fn without_sign_of_zero(expr: Expr, schema: &DFSchema) -> Expr {
    match type_of(&expr, schema) {
        Some(DataType::Float64) => expr + lit(0f64),
        Some(DataType::Float32) => expr + lit(0f32),
        _ => expr,
    }
}

/// Whether the rows of a plan come in an order that a limit above it means.
fn has_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => has_order(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_order(&alias.input),
        _ => false,
    }
}

fn rewrite_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = aggregate.input.schema().clone();
    let order = total_order(&schema);
    rewrite_calls(aggregate, |function| {
        let guarded = guarded(function);
        let (function, changed) = (guarded.data, guarded.transformed);
        if is_extreme_nested(&function, &schema)? {
            return Ok(Transformed::yes(extreme_nested(function, &schema)?));
        }
        let AggregateFunction { mut func, mut params } = function;
        if func.name() == "any_value" {
            // The batch engine takes the first that comes.
            func = first_value_udaf();
            (params.distinct, params.null_treatment) = (false, Some(NullTreatment::IgnoreNulls));
        }
        let is_ordered = !params.order_by.is_empty() && func.order_sensitivity() != Insensitive;
        if !is_order_sensitive(func.name()) && !is_ordered {
            return Ok(Transformed::new_transformed(AggregateFunction { func, params }, changed));
        }
        // DISTINCT values can be ordered by nothing but themselves.
        params.order_by = once(params.order_by);
        if params.distinct {
            let own: Vec<Expr> = params.args.iter().take(1).cloned().collect();
            if params.order_by.is_empty() {
                params.order_by = own.into_iter().map(|e| e.sort(true, false)).collect();
            }
        } else {
            add(&mut params.order_by, &order);
            params.order_by = by_fields(params.order_by, &schema)?;
        }
        Ok(Transformed::yes(AggregateFunction { func, params }))
    })
}

/// An aggregate with other calls, under the names that they had: the nodes above know them by these.
fn rewrite_calls(
    aggregate: Aggregate,
    rewrite: impl Fn(AggregateFunction) -> Result<Transformed<AggregateFunction>>,
) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    let aggr_expr = aggregate
        .aggr_expr
        .into_iter()
        .map(|expr| {
            let name = expr.schema_name().to_string();
            let rewritten = expr.transform_up(|e| match e {
                Expr::AggregateFunction(function) => {
                    let rewritten = rewrite(function)?;
                    Ok(Transformed::new_transformed(Expr::AggregateFunction(rewritten.data), rewritten.transformed))
                }
                other => Ok(Transformed::no(other)),
            })?;
            changed |= rewritten.transformed;
            Ok(if rewritten.transformed { rewritten.data.alias(name) } else { rewritten.data })
        })
        .collect::<Result<Vec<_>>>()?;
    let plan = Aggregate::try_new(aggregate.input, aggregate.group_expr, aggr_expr)?;
    Ok(Transformed::new_transformed(LogicalPlan::Aggregate(plan), changed))
}

/// Whether an aggregate is MIN or MAX of lists or structs, which the batch engine compares in part only.
fn is_extreme_nested(function: &AggregateFunction, schema: &DFSchema) -> Result<bool> {
    match (function.func.name(), function.params.args.as_slice()) {
        ("min" | "max", [arg]) => Ok(arg.get_type(schema)?.is_nested()),
        _ => Ok(false),
    }
}

/// MIN or MAX as the first value in the order of ORDER BY, in which NULL comes last.
fn extreme_nested(function: AggregateFunction, schema: &DFSchema) -> Result<AggregateFunction> {
    let AggregateFunction { func, mut params } = function;
    let order = params.args.iter().cloned().map(|arg| arg.sort(func.name() == "min", false)).collect();
    params.order_by = by_fields(order, schema)?;
    params.distinct = false;
    Ok(AggregateFunction { func: first_value_udaf(), params })
}

/// Puts the input in the order of partition, order and then everything else. The window asks for less and takes it.
fn rewrite_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let ties = total_order(window.input.schema());
    let ByColumns { window, shown } = ByColumns::of(window)?;
    let mut order: Vec<SortExpr> = Vec::new();
    // Windows of other partitions or orders sit in nodes of their own: the planner groups equal ones.
    if let Some(Expr::WindowFunction(function)) = window.window_expr.first().map(|e| e.clone().unalias()) {
        let WindowFunction { params, .. } = *function;
        let partition: Vec<SortExpr> = params.partition_by.into_iter().map(|e| e.sort(true, false)).collect();
        add(&mut order, &partition);
        add(&mut order, &params.order_by);
    }
    add(&mut order, &ties);
    let order = by_fields(order, window.input.schema())?;
    let input = match order.is_empty() {
        true => window.input,
        false => TotalOrder::plan(window.input.as_ref().clone(), order).into(),
    };
    let window = Window::try_new(window.window_expr, input)?;
    Ok(Transformed::yes(with_columns(window, shown)?))
}

fn add_ties(order: &mut Vec<SortExpr>, schema: &DFSchema) {
    add(order, &total_order(schema));
}

/// The order with each struct replaced by its fields: the batch engine puts structs with NULL fields now in one order
/// and now in another.
fn by_fields(order: Vec<SortExpr>, schema: &DFSchema) -> Result<Vec<SortExpr>> {
    let mut keys = Vec::with_capacity(order.len());
    for sort in order {
        match type_of(&sort.expr, schema) {
            Some(data_type) => push_fields(sort, &data_type, &mut keys),
            None => keys.push(sort),
        }
    }
    Ok(once(keys))
}

/// The type of an expression. A column without a qualifier is the one that has none, if there is one.
fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    if let Expr::Column(column) = expr {
        let at = schema.index_of_column_by_name(column.relation.as_ref(), &column.name)?;
        return Some(schema.field(at).data_type().clone());
    }
    expr.get_type(schema).ok()
}

fn push_fields(sort: SortExpr, data_type: &DataType, keys: &mut Vec<SortExpr>) {
    let fields = match data_type {
        DataType::Struct(fields) => fields,
        // Within lists, the batch engine takes NULL for the greatest value in some places, and in others puts it where
        // the lists that are NULL go: these places are one then.
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) if sort.asc == sort.nulls_first => {
            keys.push(sort.expr.clone().is_null().sort(!sort.nulls_first, false));
            let nulls_first = !sort.asc;
            return keys.push(SortExpr { nulls_first, ..sort });
        }
        _ => return keys.push(sort),
    };
    let is_null = sort.expr.clone().is_null();
    keys.push(is_null.sort(!sort.nulls_first, false));
    for field in fields {
        let member = get_field(sort.expr.clone(), field.name().as_str());
        push_fields(member.sort(sort.asc, sort.nulls_first), field.data_type(), keys);
    }
}

fn add(order: &mut Vec<SortExpr>, more: &[SortExpr]) {
    for sort in more {
        if !order.iter().any(|s| s.expr == sort.expr) {
            order.push(sort.clone());
        }
    }
}

/// The order without expressions that it has already: the batch engine panics over them.
fn once(order: Vec<SortExpr>) -> Vec<SortExpr> {
    let mut distinct = Vec::with_capacity(order.len());
    add(&mut distinct, &order);
    distinct
}

/// Every column that can be ordered, ascending, NULL last.
fn total_order(schema: &DFSchema) -> Vec<SortExpr> {
    schema
        .iter()
        .filter(|(_, field)| is_orderable(field.data_type()))
        .map(|(qualifier, field)| Expr::Column((qualifier, field).into()).sort(true, false))
        .collect()
}

fn is_orderable(data_type: &arrow::datatypes::DataType) -> bool {
    arrow::row::RowConverter::supports_fields(&[arrow::row::SortField::new(data_type.clone())])
        && !matches!(data_type, arrow::datatypes::DataType::Map(..) | arrow::datatypes::DataType::Null)
}
