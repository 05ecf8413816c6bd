//! Expressions whose parts are compared, put together, or results of one CASE.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{
    Between, Case, InList, InSubquery, ScalarFunction, SetComparison, WindowFunction,
};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Operator, Subquery, WindowFrameBound, WindowFrameUnits, cast,
};

use super::{Kind, common, kind, own_type, read, refused, strangers};
use crate::error::{Error, Result, sql_types};

/// Functions whose arguments are of one kind, which is that of the result; and what they are called.
const OF_ONE_KIND: [(&str, &str); 6] = [
    ("coalesce", "`coalesce`"),
    ("greatest", "`greatest`"),
    ("ifnull", "`ifnull`"),
    ("least", "`least`"),
    ("make_array", "an array"),
    ("nvl", "`nvl`"),
];

/// The expression with literals of the types that stand beside them.
///
/// # Errors
/// When values of two kinds meet.
pub(super) fn matched(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => binary(*left, op, *right, schema),
        Expr::Between(Between { expr, negated, low, high }) => {
            let op = if negated { "`NOT BETWEEN`" } else { "`BETWEEN`" };
            for bound in [&low, &high] {
                compared(op, &expr, bound, schema)?;
            }
            Ok(Transformed::no(Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::InList(InList { expr, list, negated }) => {
            for value in &list {
                compared("`IN`", &expr, value, schema)?;
            }
            Ok(Transformed::no(Expr::InList(InList { expr, list, negated })))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            with_rows("`IN`", &expr, &subquery, schema)?;
            Ok(Transformed::no(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        Expr::SetComparison(comparison) => {
            let SetComparison { expr, subquery, op, .. } = &comparison;
            with_rows(&format!("`{op}`"), expr, subquery, schema)?;
            Ok(Transformed::no(Expr::SetComparison(comparison)))
        }
        Expr::Case(case) => results(case, schema),
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let of_one_kind = OF_ONE_KIND.iter().find(|(name, _)| *name == func.name());
            let place = match of_one_kind {
                Some((_, place)) => *place,
                None if func.name() == "nullif" => "`nullif`",
                None => return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
            };
            let args = united(place, args, schema)?;
            Ok(args.update_data(|args| Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        Expr::WindowFunction(call) => {
            refuse_range(&call, schema)?;
            Ok(Transformed::no(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// `RANGE 1 PRECEDING`: the values that a window is ordered by are such that there is a distance between them.
fn refuse_range(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let frame = &call.params.window_frame;
    let is_offset = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => !offset.is_null(),
        WindowFrameBound::CurrentRow => false,
    };
    if frame.units != WindowFrameUnits::Range || !(is_offset(&frame.start_bound) || is_offset(&frame.end_bound)) {
        return Ok(());
    }
    let Some(key) = call.params.order_by.first() else { return Ok(()) };
    match key.expr.get_type(schema) {
        Ok(of) if !matches!(kind(&of), None | Some(Kind::Number | Kind::Moment | Kind::Time | Kind::Interval)) => {
            let place = named("ORDER BY", &[&key.expr]);
            Err(Error::input(format!("{place}, which is {}, has no distances for `RANGE`", sql_types(&of.to_string())))
                .with_hint("ROWS counts rows, GROUPS values"))
        }
        _ => Ok(()),
    }
}

/// Operands of an operator.
fn binary(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_arithmetic =
        matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo);
    let put = |left: Expr, right: Expr| Expr::BinaryExpr(BinaryExpr::new(left.into(), op, right.into()));
    if !is_arithmetic && !is_comparison(op) {
        return Ok(Transformed::no(put(left, right)));
    }
    let types = [own_type(&left, schema), own_type(&right, schema)];
    if is_arithmetic {
        // Moments and intervals have operators of their own with others, but none with texts.
        let is_text = |of: &Option<DataType>| of.as_ref().and_then(kind) == Some(Kind::Text);
        if types.iter().any(is_text)
            && let Some(types) = strangers(&types)
        {
            return Err(refused(&named(&format!("`{op}`"), &[&left, &right]), &types));
        }
    } else if let Some(types) = strangers(&types) {
        return Err(refused(&named(&format!("`{op}`"), &[&left, &right]), &types));
    }
    let wider = |expr: Expr, other: &Option<DataType>| match other {
        Some(other) if other.is_integer() || other.is_decimal() => Some(cast(expr, DataType::Float64)),
        _ => None,
    };
    Ok(match &types {
        [Some(DataType::Float32), other] => match wider(left.clone(), other) {
            Some(left) => Transformed::yes(put(left, right)),
            None => Transformed::no(put(left, right)),
        },
        [other, Some(DataType::Float32)] => match wider(right.clone(), other) {
            Some(right) => Transformed::yes(put(left, right)),
            None => Transformed::no(put(left, right)),
        },
        _ => Transformed::no(put(left, right)),
    })
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Two values that are compared.
fn compared(place: &str, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    match strangers(&[own_type(left, schema), own_type(right, schema)]) {
        Some(types) => Err(refused(&named(place, &[left, right]), &types)),
        None => Ok(()),
    }
}

/// A value that is compared with the rows of a subquery.
fn with_rows(place: &str, value: &Expr, subquery: &Subquery, schema: &DFSchema) -> Result<()> {
    let [column] = subquery.subquery.schema().fields().iter().as_slice() else { return Ok(()) };
    match strangers(&[own_type(value, schema), Some(column.data_type().clone())]) {
        Some(types) => Err(refused(&named(place, &[value]), &types)),
        None => Ok(()),
    }
}

/// The results of a CASE, and what is compared in it.
fn results(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Case { expr, when_then_expr, else_expr } = case;
    if let Some(value) = &expr {
        for (when, _) in &when_then_expr {
            compared("`CASE`", value, when, schema)?;
        }
    }
    let (whens, mut results): (Vec<_>, Vec<Expr>) =
        when_then_expr.into_iter().map(|(when, then)| (when, *then)).unzip();
    let has_else = else_expr.is_some();
    results.extend(else_expr.map(|result| *result));
    Ok(united("`CASE`", results, schema)?.update_data(|mut results| {
        let else_expr = if has_else { results.pop().map(Box::new) } else { None };
        let when_then_expr = whens.into_iter().zip(results).map(|(when, then)| (when, Box::new(then))).collect();
        Expr::Case(Case { expr, when_then_expr, else_expr })
    }))
}

/// Values that become one.
fn united(place: &str, values: Vec<Expr>, schema: &DFSchema) -> Result<Transformed<Vec<Expr>>> {
    let types: Vec<Option<DataType>> = values.iter().map(|value| own_type(value, schema)).collect();
    if let Some(types) = strangers(&types) {
        return Err(refused(&named(place, &values.iter().collect::<Vec<_>>()), &types));
    }
    let Some(common) = common(&types) else { return Ok(Transformed::no(values)) };
    let mut changed = false;
    let read = |value: Expr| {
        let value = read(value, &common)?;
        changed |= value.transformed;
        Ok(value.data)
    };
    let values = values.into_iter().map(read).collect::<Result<Vec<Expr>>>()?;
    Ok(Transformed::new_transformed(values, changed))
}

/// The place with the columns that are in it, which tell where in the statement it is.
fn named(place: &str, exprs: &[&Expr]) -> String {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for expr in exprs {
        let columns: Vec<&Column> = match expr {
            Expr::OuterReferenceColumn(_, column) => vec![column],
            expr => expr.column_refs().into_iter().collect(),
        };
        names.extend(columns.into_iter().map(|column| column.name.as_str()));
    }
    match names.len() {
        0 => place.to_string(),
        _ => {
            let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
            format!("{place} of {}", names.join(" and "))
        }
    }
}
