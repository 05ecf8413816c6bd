//! `x op ANY (list)`.
//!
//! ```text
//! x = ANY (ARRAY[a, b])    x IN (a, b)
//! x < ANY (list)           NOT x >= ALL (list)
//! x < ANY ('{1,2}')        x < '1' OR x < '2'         each text is one of the type of x
//! ```
//!
//! The batch engine's own ANY says no where NULL in the list leaves it open; its ALL and its IN say NULL.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, UnaryOperator, Value,
};

use super::operators::joined;
use super::{binary, literals};
use crate::error::{Error, Result};

/// Elements of a list that is written as a text, where each becomes a comparison of its own.
const COMPARED_MAX: usize = 500;

/// ANY as IN or ALL; nothing for what is no comparison with a list.
pub(super) fn any(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let opposite = match op {
        _ if matches!(right, Expr::Subquery(_)) => return None,
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    };
    let left = Box::new(left.clone());
    let any = match elements(right).filter(|list| *op == BinaryOperator::Eq && !list.is_empty()) {
        Some(list) => Expr::InList { expr: left, list, negated: false },
        None => {
            let all = Expr::AllOp { left, compare_op: opposite, right: Box::new(right.clone()) };
            Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(all))) }
        }
    };
    Some(Expr::Nested(Box::new(any)))
}

/// A comparison with each element of a list that is written as a text, and so has no type of its own; nothing for
/// other lists. A list without elements has none for ANY, and none to the contrary for ALL.
///
/// # Errors
/// When the text is not a list.
pub(super) fn of_text(left: &Expr, op: &BinaryOperator, list: &Expr, all: bool) -> Result<Option<Expr>> {
    if let Expr::Nested(inner) = list {
        return of_text(left, op, inner, all);
    }
    if literals::text(list).is_none() {
        return Ok(None);
    }
    let text_array = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None));
    let Some(Expr::Array(Array { elem, .. })) = literals::typed(list, &text_array)? else {
        return Err(Error::input(format!("{list} is not an array")).with_hint("write '{1,2}' or ARRAY[1, 2]"));
    };
    let expr = Box::new(Expr::Nested(Box::new(left.clone())));
    let one = match (op, all) {
        _ if elem.is_empty() => Expr::Value(Value::Boolean(all).into()),
        (BinaryOperator::Eq, false) => Expr::InList { expr, list: elem, negated: false },
        (BinaryOperator::NotEq, true) => Expr::InList { expr, list: elem, negated: true },
        _ if elem.len() > COMPARED_MAX => {
            return Err(Error::Limit(format!(
                "`{op}` is compared with {} elements of a list and the limit is {COMPARED_MAX}",
                elem.len()
            )));
        }
        _ => {
            let each = elem.into_iter().map(|element| binary(expr.as_ref().clone(), op.clone(), element));
            joined(each.collect(), if all { BinaryOperator::And } else { BinaryOperator::Or })
        }
    };
    Ok(Some(Expr::Nested(Box::new(one))))
}

/// The elements of a list that is written out, also of one that is cast.
fn elements(list: &Expr) -> Option<Vec<Expr>> {
    match list {
        Expr::Array(Array { elem, .. }) => Some(elem.clone()),
        Expr::Nested(inner) => elements(inner),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            let DataType::Array(ArrayElemTypeDef::SquareBracket(of, None)) = data_type else { return None };
            let cast = |element| Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(element),
                data_type: of.as_ref().clone(),
                array: false,
                format: None,
            };
            elements(expr).map(|list| list.into_iter().map(cast).collect())
        }
        _ => None,
    }
}
