//! Rows that are compared: value by value, so that NULL in one of them says what it says in Postgres.
//!
//! ```text
//! (a, b) = (c, d)            a = c AND b = d           (a, b) IS NULL             a IS NULL AND b IS NULL
//! (a, b) < (c, d)            a < c OR a = c AND b < d  (a, b) IS DISTINCT FROM ... a IS DISTINCT FROM c OR ...
//! (a, b) IN ((c, d), ...)    (a, b) = (c, d) OR ...    (a, b) BETWEEN x AND y     (a, b) >= x AND (a, b) <= y
//! (a, b) = (SELECT c, d ...) (SELECT (a, b) = ("row 1", "row 2") FROM (SELECT ...) AS made("row 1", "row 2"))
//! (a, b) = ANY (SELECT ...)  (a, b) IN (SELECT ...)
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, UnaryOperator, Value,
};

use super::rows::{of_rows, within};
use super::{binary, name_of};
use crate::error::{Error, Result};

/// The values of a row that is written out, as `(a, b)` or `ROW(a, b)`; nothing for other expressions.
pub fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(values) => Some(values.clone()),
        Expr::Nested(inner) => row(inner),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
            if name_of(name).is_some_and(|name| name == "row") =>
        {
            let values = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            });
            values.collect()
        }
        _ => None,
    }
}

/// A comparison in which a row stands, in words of its values; nothing for other expressions.
///
/// # Errors
/// For rows of different lengths, and operators that compare no rows.
pub fn compared(expr: &Expr) -> Result<Option<Expr>> {
    Ok(match expr {
        Expr::BinaryOp { left, op, right } => return infix(left, op, right),
        Expr::IsNull(value) => row(value).map(|values| each(values, |value| Expr::IsNull(Box::new(value)))),
        Expr::IsNotNull(value) => row(value).map(|values| each(values, |value| Expr::IsNotNull(Box::new(value)))),
        Expr::IsDistinctFrom(left, right) => distinct(left, right)?.map(not),
        Expr::IsNotDistinctFrom(left, right) => distinct(left, right)?,
        Expr::InList { expr, list, negated } => match row(expr) {
            Some(values) => {
                let same = |other: &Expr| same_length(&values, other).map(|other| equal(&values, &other));
                let found = joined(list.iter().map(same).collect::<Result<_>>()?, BinaryOperator::Or);
                Some(if *negated { not(found) } else { found })
            }
            None => None,
        },
        Expr::Between { expr, negated, low, high } => match row(expr) {
            Some(values) => {
                let low = ordered(&values, &BinaryOperator::GtEq, &same_length(&values, low)?);
                let high = ordered(&values, &BinaryOperator::LtEq, &same_length(&values, high)?);
                let within = nested(binary(low, BinaryOperator::And, high));
                Some(if *negated { not(within) } else { within })
            }
            None => None,
        },
        Expr::AnyOp { left, compare_op, right, .. } => among(left, compare_op, right, BinaryOperator::Eq)?,
        Expr::AllOp { left, compare_op, right } => among(left, compare_op, right, BinaryOperator::NotEq)?,
        _ => None,
    })
}

fn infix(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return Ok(None);
    }
    match (row(left), row(right)) {
        (Some(values), Some(_)) => Ok(Some(by(&values, op, &same_length(&values, right)?))),
        (Some(values), None) => with_query(&values, right, |values, others| by(values, op, others)),
        (None, Some(values)) => with_query(&values, left, |values, others| by(others, op, values)),
        (None, None) => Ok(None),
    }
}

/// A row compared with the one row of a query.
fn with_query(values: &[Expr], query: &Expr, compare: impl Fn(&[Expr], &[Expr]) -> Expr) -> Result<Option<Expr>> {
    let query = match query {
        Expr::Subquery(query) => query,
        Expr::Nested(inner) => return with_query(values, inner, compare),
        _ => return Ok(None),
    };
    let value = |columns: &[Expr]| compare(values, columns);
    Ok(Some(Expr::Subquery(of_rows(query, values.len(), value)?)))
}

/// `= ANY` is IN, and `<> ALL` is NOT IN.
fn among(left: &Expr, op: &BinaryOperator, right: &Expr, known: BinaryOperator) -> Result<Option<Expr>> {
    let (Some(values), Some(subquery)) = (row(left), query(right)) else { return Ok(None) };
    let negated = known == BinaryOperator::NotEq;
    if *op != known {
        let what = if negated { "ALL" } else { "ANY" };
        return Err(Error::unsupported(format!("`{op}` of a row with {what}"))
            .with_hint("= ANY and <> ALL compare rows with those of a query"));
    }
    let asked = Expr::InSubquery { expr: Box::new(Expr::Tuple(values)), subquery: Box::new(subquery.clone()), negated };
    within(asked, false).map(Some)
}

fn query(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => query(inner),
        _ => None,
    }
}

/// The values of a row that has as many as another.
fn same_length(values: &[Expr], other: &Expr) -> Result<Vec<Expr>> {
    let others = row(other).ok_or_else(|| Error::input(format!("a row is compared with `{other}`, which is none")))?;
    match others.len() == values.len() {
        true => Ok(others),
        false => {
            Err(Error::input(format!("a row of {} values is compared with one of {}", values.len(), others.len()))
                .with_hint("rows that are compared have as many values as each other"))
        }
    }
}

fn by(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Expr {
    match op {
        BinaryOperator::Eq => equal(left, right),
        BinaryOperator::NotEq => pairs(left, right, BinaryOperator::NotEq, BinaryOperator::Or),
        _ => ordered(left, op, right),
    }
}

/// Whether all values are equal.
pub fn equal(left: &[Expr], right: &[Expr]) -> Expr {
    pairs(left, right, BinaryOperator::Eq, BinaryOperator::And)
}

fn pairs(left: &[Expr], right: &[Expr], op: BinaryOperator, join: BinaryOperator) -> Expr {
    let each = left.iter().zip(right).map(|(l, r)| binary(nested(l.clone()), op.clone(), nested(r.clone())));
    joined(each.collect(), join)
}

/// The first values that differ decide.
fn ordered(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Expr {
    let strict = match op {
        BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::Gt,
        other => other.clone(),
    };
    let mut pairs = left.iter().zip(right).map(|(l, r)| (nested(l.clone()), nested(r.clone()))).rev();
    let last = pairs.next().map(|(l, r)| binary(l, op.clone(), r));
    let last = last.unwrap_or_else(|| constant(matches!(op, BinaryOperator::LtEq | BinaryOperator::GtEq)));
    nested(pairs.fold(last, |rest, (l, r)| {
        let before = binary(l.clone(), strict.clone(), r.clone());
        let tied = binary(binary(l, BinaryOperator::Eq, r), BinaryOperator::And, nested(rest));
        binary(before, BinaryOperator::Or, nested(tied))
    }))
}

/// Whether no value of one row is distinct from that of another.
fn distinct(left: &Expr, right: &Expr) -> Result<Option<Expr>> {
    let (Some(left), Some(_)) = (row(left), row(right)) else { return Ok(None) };
    let right = same_length(&left, right)?;
    let each = left.into_iter().zip(right);
    let each = each.map(|(l, r)| nested(Expr::IsNotDistinctFrom(Box::new(nested(l)), Box::new(nested(r)))));
    Ok(Some(joined(each.collect(), BinaryOperator::And)))
}

fn each(values: Vec<Expr>, one: impl Fn(Expr) -> Expr) -> Expr {
    joined(values.into_iter().map(|value| one(nested(value))).collect(), BinaryOperator::And)
}

/// Conditions joined as a tree that is as deep as the logarithm of their number.
fn joined(mut conditions: Vec<Expr>, op: BinaryOperator) -> Expr {
    while conditions.len() > 1 {
        let mut taken = conditions.into_iter();
        let mut pairs = Vec::with_capacity(taken.len().div_ceil(2));
        while let Some(first) = taken.next() {
            pairs.push(match taken.next() {
                Some(second) => nested(binary(first, op.clone(), second)),
                None => first,
            });
        }
        conditions = pairs;
    }
    nested(conditions.pop().unwrap_or_else(|| constant(op == BinaryOperator::And)))
}

fn nested(expr: Expr) -> Expr {
    match expr {
        simple @ (Expr::Nested(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) => simple,
        other => Expr::Nested(Box::new(other)),
    }
}

fn not(expr: Expr) -> Expr {
    nested(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) })
}

fn constant(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).into())
}
