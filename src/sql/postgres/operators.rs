//! Operators of Postgres in words of the batch engine.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, Expr, Function, Interval, ObjectName, UnaryOperator, Value,
};

use super::{binary, call, number};
use crate::error::{Error, Result};

/// Collations that order texts by their bytes, as texts are ordered here.
const COLLATIONS: [&str; 4] = ["c", "default", "posix", "ucs_basic"];

/// `left op right` as another expression; nothing for an operator that the batch engine has.
///
/// # Errors
/// For operands that the operator does not take.
pub(super) fn infix(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>> {
    Ok(match op {
        BinaryOperator::PGStartsWith => Some(call("starts_with", vec![left.clone(), right.clone()])),
        BinaryOperator::PGOverlap => Some(call("array_has_any", vec![left.clone(), right.clone()])),
        BinaryOperator::QuestionPipe | BinaryOperator::QuestionAnd => {
            let all = *op == BinaryOperator::QuestionAnd;
            let keys = elements(right)
                .ok_or_else(|| Error::unsupported(format!("`{op}` without a list of keys: ARRAY['a', 'b']")))?;
            let each = keys.iter().map(|key| binary(left.clone(), BinaryOperator::Question, key.clone()));
            Some(joined(each.collect(), if all { BinaryOperator::And } else { BinaryOperator::Or }))
        }
        BinaryOperator::Overlaps => Some(overlaps(left, right)?),
        _ => None,
    })
}

/// `~ a` is `-1 - a`.
pub(super) fn prefix(op: UnaryOperator, operand: &Expr) -> Option<Expr> {
    let minus_one = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number(1)) };
    let operand = Expr::Nested(Box::new(operand.clone()));
    (op == UnaryOperator::BitwiseNot).then(|| Expr::Nested(Box::new(binary(minus_one, BinaryOperator::Minus, operand))))
}

/// `a LIKE ANY (ARRAY['x', 'y'])` as several conditions; nothing where there is no list.
pub(super) fn like_any(pattern: &Expr, one: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let each = elements(pattern)?.into_iter().map(one).collect();
    Some(joined(each, BinaryOperator::Or))
}

/// What is compared by the collation, where that is the one there is.
///
/// # Errors
/// For any other.
pub(super) fn collated(expr: &Expr, collation: &ObjectName) -> Result<Expr> {
    let name = collation.0.last().and_then(|part| part.as_ident()).map_or("", |ident| ident.value.as_str());
    if COLLATIONS.contains(&name.to_lowercase().as_str()) {
        return Ok(Expr::Nested(Box::new(expr.clone())));
    }
    Err(Error::unsupported(format!("COLLATE {collation}")).with_hint("texts are ordered by their bytes: COLLATE \"C\""))
}

/// The elements of a list that is written out.
fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(Array { elem, .. }) => Some(elem.clone()),
        Expr::Tuple(elements) => Some(elements.clone()),
        Expr::Nested(inner) => elements(inner),
        _ => None,
    }
}

pub(super) fn joined(conditions: Vec<Expr>, op: BinaryOperator) -> Expr {
    let nothing = Expr::Value(Value::Boolean(op == BinaryOperator::And).into());
    let all = conditions.into_iter().reduce(|all, condition| binary(all, op.clone(), condition));
    Expr::Nested(Box::new(all.unwrap_or(nothing)))
}

/// `(a, b) OVERLAPS (c, d)`: two times that begin together, or each before the other ends. Its bounds may be in any
/// order; where one is NULL nothing is known.
fn overlaps(left: &Expr, right: &Expr) -> Result<Expr> {
    let [a, b] = bounds(left)?;
    let [c, d] = bounds(right)?;
    let of = |name: &str, bounds: &[Expr; 2]| call(name, bounds.to_vec());
    let (left, right) = ([a, b], [c, d]);
    let together = binary(of("least", &left), BinaryOperator::Eq, of("least", &right));
    let before = |x: &[Expr; 2], y: &[Expr; 2]| binary(of("least", x), BinaryOperator::Lt, of("greatest", y));
    let crossed = binary(before(&left, &right), BinaryOperator::And, before(&right, &left));
    let overlap = Expr::Nested(Box::new(binary(together, BinaryOperator::Or, crossed)));
    let known = left.iter().chain(&right).map(|bound| Expr::IsNotNull(Box::new(bound.clone()))).collect();
    Ok(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: joined(known, BinaryOperator::And), result: overlap }],
        else_result: None,
    })
}

/// The two bounds of a time; the second may be how long it is.
fn bounds(time: &Expr) -> Result<[Expr; 2]> {
    let Expr::Tuple(parts) = time else { return Err(no_bounds(time)) };
    let [begin, end] = parts.as_slice() else { return Err(no_bounds(time)) };
    let is_long = match end {
        Expr::Interval(Interval { .. }) => true,
        Expr::Function(Function { name, .. }) => super::name_of(name).is_some_and(|name| name == "make_interval"),
        _ => false,
    };
    let end = match is_long {
        true => binary(begin.clone(), BinaryOperator::Plus, end.clone()),
        false => end.clone(),
    };
    Ok([begin.clone(), Expr::Nested(Box::new(end))])
}

fn no_bounds(time: &Expr) -> Error {
    Error::input(format!("OVERLAPS compares (begin, end) with (begin, end), and `{time}` is not that"))
}
