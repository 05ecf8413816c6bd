//! `(SELECT max(a))` without FROM: an expression of the query around it, whose rows an aggregate in it is over.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Query, Select, SelectItem, SetExpr, visit_expressions,
};

use super::calls::gives_rows;
use super::names_column;

/// The expression that a subquery stands for; nothing where it may give other than one row.
pub fn only_value(query: &Query) -> Option<Expr> {
    let Query { with: None, body, order_by: None, limit_clause: None, fetch: None, .. } = query else { return None };
    let SetExpr::Select(select) = body.as_ref() else { return None };
    if !is_bare(select) {
        return None;
    }
    let value = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] => value,
        _ => return None,
    };
    (names_column(value) && belongs_around(value)).then(|| value.clone())
}

fn is_bare(select: &Select) -> bool {
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let is_more = select.distinct.is_some() || select.top.is_some() || select.selection.is_some();
    let is_more = is_more || select.having.is_some() || select.qualify.is_some() || !select.named_window.is_empty();
    select.from.is_empty() && !is_grouped && !is_more
}

/// Whether each call names a column. `count(*)` counts the one row of the subquery, and a window is over it.
fn belongs_around(value: &Expr) -> bool {
    let found = visit_expressions(value, |expr| match expr {
        Expr::Function(Function { name, over, .. }) if over.is_some() || gives_rows(name) || !names_column(expr) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_continue()
}
