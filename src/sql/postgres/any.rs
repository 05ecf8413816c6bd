//! `x op ANY (list)`.
//!
//! ```text
//! x = ANY (ARRAY[a, b])    x IN (a, b)
//! x < ANY (list)           NOT x >= ALL (list)
//! ```
//!
//! The batch engine's own ANY says no where NULL in the list leaves it open; its ALL and its IN say NULL.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, UnaryOperator,
};

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
