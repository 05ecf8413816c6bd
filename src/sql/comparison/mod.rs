//! When two values are equal, and which comes first, wherever a query compares them.
//!
//! The batch engine compares intervals part by part, takes NULL in a list for the least element, and tells the two zeros
//! apart in some places. In Postgres an interval is as long as its months of thirty days, its days of twenty-four hours
//! and its time; NULL is the greatest element; and there is one zero. A plan is rewritten so that it compares what stands
//! for the values:
//!
//! ```text
//! i > j                interval_length(i) > interval_length(j)         also in IN, BETWEEN, CASE, joins
//! max(i)               interval_of_key(max(interval_key(i)))
//! GROUP BY i           GROUP BY interval_length(i), shown as the least by parts of the equal ones
//! ORDER BY i, f        ORDER BY interval_length(i), one_value(f)       also in windows and within aggregates
//! count(DISTINCT f)    count(DISTINCT one_value(f))                    also CASE f WHEN ...
//! list < list          list_order(list, list) < 0                          GREATEST and LEAST: functions of their own
//! ```
//!
//! `nodes.rs` has the nodes of a plan, `keys.rs` and `extremes.rs` the functions. This file has the expressions.

mod extremes;
mod keys;
mod nodes;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::type_coercion::binary::{comparison_coercion, type_union_resolution};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlanBuilder, Operator, Subquery, cast, lit, when,
};

use extremes::extreme;
use keys::{key, length, list_order, of_key, one_value};
pub use nodes::{compared, stand_in};

/// The expression with its comparisons as the module's text says.
///
/// # Errors
/// Never, short of a bug.
pub fn compared_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| rewrite(expr, schema))
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let types = (value_type(&left, schema), value_type(&right, schema));
            let (Some(l), Some(r)) = types else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            if is_interval(&l) || is_interval(&r) {
                Transformed::yes(binary(length(*left), op, length(*right)))
            } else if is_list(&l) && is_list(&r) && is_order(op) {
                Transformed::yes(lists(*left, op, *right, &l, &r))
            } else {
                Transformed::no(binary(*left, op, *right))
            }
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let types = [&expr, &low, &high].map(|part| value_type(part, schema));
            if types.iter().flatten().any(is_interval) {
                let [expr, low, high] = [expr, low, high].map(|part| Box::new(length(*part)));
                Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
            } else if let [Some(value), Some(from), Some(to)] = &types
                && [value, from, to].into_iter().all(is_list)
            {
                let within = lists(*expr.clone(), Operator::GtEq, *low, value, from).and(lists(
                    *expr,
                    Operator::LtEq,
                    *high,
                    value,
                    to,
                ));
                Transformed::yes(if negated { Expr::Not(Box::new(within)) } else { within })
            } else {
                Transformed::no(Expr::Between(Between { expr, negated, low, high }))
            }
        }
        Expr::InList(InList { expr, list, negated })
            if list.iter().chain([expr.as_ref()]).any(|e| of_interval(e, schema)) =>
        {
            let list = list.into_iter().map(length).collect();
            Transformed::yes(Expr::InList(InList { expr: Box::new(length(*expr)), list, negated }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if of_interval(&expr, schema) => {
            let (expr, subquery) = (Box::new(length(*expr)), lengths_of(subquery)?);
            Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated }))
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) if of_interval(&expr, schema) => {
            let (expr, subquery) = (Box::new(length(*expr)), lengths_of(subquery)?);
            Transformed::yes(Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }))
        }
        Expr::Case(Case { expr: Some(value), when_then_expr, else_expr })
            if when_then_expr.iter().map(|(when, _)| when).chain([&value]).any(|e| of_interval(e, schema)) =>
        {
            let when_then_expr =
                when_then_expr.into_iter().map(|(when, then)| (Box::new(length(*when)), then)).collect();
            Transformed::yes(Expr::Case(Case { expr: Some(Box::new(length(*value))), when_then_expr, else_expr }))
        }
        // The batch engine tells the two zeros apart here.
        Expr::Case(Case { expr: Some(value), when_then_expr, else_expr })
            if when_then_expr.iter().map(|(when, _)| when).chain([&value]).any(|e| of_float(e, schema)) =>
        {
            let one = |expr: Expr| match value_type(&expr, schema) {
                Some(data_type) => Box::new(one_value(expr, &data_type)),
                None => Box::new(expr),
            };
            let when_then_expr = when_then_expr.into_iter().map(|(when, then)| (one(*when), then)).collect();
            Transformed::yes(Expr::Case(Case { expr: Some(one(*value)), when_then_expr, else_expr }))
        }
        Expr::ScalarFunction(function) => match extreme_of_lists(&function, schema) {
            Some(extreme) => Transformed::yes(extreme),
            None => function_of_intervals(function, schema)?,
        },
        other => Transformed::no(other),
    })
}

/// GREATEST and LEAST of lists; nothing for other functions, and for what has no common type.
fn extreme_of_lists(function: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let greatest = match function.func.name() {
        "greatest" => true,
        "least" => false,
        _ => return None,
    };
    let types: Vec<DataType> = function.args.iter().map(|arg| arg.get_type(schema).ok()).collect::<Option<_>>()?;
    let first = types.iter().find(|data_type| is_list(data_type))?.clone();
    let one =
        |common: DataType, of: &DataType| if common == *of { Some(common) } else { comparison_coercion(&common, of) };
    let common = types.iter().try_fold(first, one)?;
    let typed = |(arg, of): (&Expr, &DataType)| {
        if *of == common { arg.clone() } else { cast(arg.clone(), common.clone()) }
    };
    Some(extreme(greatest, function.args.iter().zip(&types).map(typed).collect()))
}

/// NULLIF, GREATEST and LEAST compare their arguments.
fn function_of_intervals(function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let name = function.func.name();
    if !matches!(name, "nullif" | "greatest" | "least") || !function.args.iter().any(|arg| of_interval(arg, schema)) {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    }
    let ScalarFunction { func, args } = function;
    Ok(Transformed::yes(match args.as_slice() {
        [left, right] if func.name() == "nullif" => {
            let equal = length(left.clone()).eq(length(right.clone()));
            when(equal, lit(ScalarValue::IntervalMonthDayNano(None))).otherwise(left.clone())?
        }
        _ => of_key(func.call(args.into_iter().map(key).collect())),
    }))
}

/// The subquery with the length of its one column, which is an interval or can be cast to one.
fn lengths_of(subquery: Subquery) -> Result<Subquery> {
    let plan = subquery.subquery.as_ref();
    let columns = plan.schema().iter().map(|of| length(Expr::Column(of.into()))).collect::<Vec<_>>();
    let plan = LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..subquery })
}

/// Two lists that are ordered, as one number that is compared with zero.
fn lists(left: Expr, op: Operator, right: Expr, left_type: &DataType, right_type: &DataType) -> Expr {
    let common = if left_type == right_type { None } else { comparison_coercion(left_type, right_type) };
    let (left, right) = match common {
        Some(common) => (cast(left, common.clone()), cast(right, common)),
        None => (left, right),
    };
    binary(list_order(left, right), op, lit(0i8))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

fn is_comparison(op: Operator) -> bool {
    is_order(op)
        || matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn is_order(op: Operator) -> bool {
    matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn of_interval(expr: &Expr, schema: &DFSchema) -> bool {
    value_type(expr, schema).is_some_and(|data_type| is_interval(&data_type))
}

fn of_float(expr: &Expr, schema: &DFSchema) -> bool {
    value_type(expr, schema).is_some_and(|data_type| data_type.is_floating())
}

/// The type that an expression will have: CASE has that of its first branch until its branches are of one.
fn value_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    let Expr::Case(Case { when_then_expr, else_expr, .. }) = expr else { return expr.get_type(schema).ok() };
    let branches = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
    let types = branches.map(|branch| value_type(branch, schema)).collect::<Option<Vec<_>>>()?;
    type_union_resolution(&types).or_else(|| expr.get_type(schema).ok())
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_))
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}
