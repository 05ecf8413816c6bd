//! Keys beside grouping sets.
//!
//! Where the input has a key and GROUP BY names it, the batch engine adds every column that depends on it, to each
//! grouping set too: with the key `a`, `GROUP BY a, ROLLUP (b)` loses the rows in which `b` is rolled up. It does not look
//! for keys within grouping sets, so each single expression beside others becomes a set of its own, which is what SQL
//! says that it means: `GROUP BY GROUPING SETS ((a)), ROLLUP (b)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Select, SelectItem, Value, VisitMut, VisitorMut};

/// Makes sets of the single expressions beside grouping sets, in every SELECT of a statement.
pub fn group_by_sets(statement: &mut impl VisitMut) {
    let _ = statement.visit(&mut Selects);
}

struct Selects;

impl VisitorMut for Selects {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return ControlFlow::Continue(()) };
        if keys.iter().any(is_sets) {
            for key in keys.iter_mut().filter(|key| !is_sets(key)) {
                // Within a set a number would be a constant, not the place of a column.
                let single = match place(key) {
                    Some(place) => named_at(&select.projection, place),
                    None => Some(key.clone()),
                };
                if let Some(single) = single {
                    *key = Expr::GroupingSets(vec![vec![single]]);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn is_sets(key: &Expr) -> bool {
    matches!(key, Expr::GroupingSets(_) | Expr::Rollup(_) | Expr::Cube(_))
}

/// The place among the columns that a number in GROUP BY stands for, from one.
pub(super) fn place(key: &Expr) -> Option<usize> {
    match key {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The expression at a place of the list; none where the list cannot tell.
pub(super) fn named_at(list: &[SelectItem], place: usize) -> Option<Expr> {
    let is_one = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let before = list.get(..place)?;
    match (before.iter().all(is_one), before.last()?) {
        (true, SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => Some(expr.clone()),
        _ => None,
    }
}
