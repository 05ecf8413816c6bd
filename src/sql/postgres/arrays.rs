//! `ARRAY(SELECT ...)`: the values of a query as a list.
//!
//! ```text
//! ARRAY(SELECT e FROM t ORDER BY k DESC)
//!     coalesce((SELECT array_agg(value ORDER BY key_1 DESC) FROM (SELECT e, k FROM t) AS made(value, key_1)), make_array())
//! ```
//!
//! A LIMIT leaves the order in the subquery too.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableAliasColumnDef, TableFactor, Value,
};

use super::call;
use crate::error::{Error, Result};
use crate::sql::parse::parse_query;

/// The list of the values of a query with one column.
pub fn of_query(mut query: Query) -> Result<Expr> {
    let mut order = Vec::new();
    let mut names = vec![Ident::new("value")];
    if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = &query.order_by {
        let keys = keys.clone();
        for mut key in keys {
            let name = match column(&mut query.body, &key.expr)? {
                None => Ident::new("value"),
                Some(select) => {
                    let name = Ident::new(format!("key_{}", names.len()));
                    let expr = std::mem::replace(&mut key.expr, Expr::Identifier(name.clone()));
                    select.projection.push(SelectItem::ExprWithAlias { expr, alias: name.clone() });
                    names.push(name.clone());
                    name
                }
            };
            key.expr = Expr::Identifier(name);
            order.push(key);
        }
    }
    if query.limit_clause.is_none() {
        query.order_by = None;
    }
    let order = match order.is_empty() {
        true => String::new(),
        false => format!(" ORDER BY {}", order.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut list = parse_query(&format!("SELECT array_agg(value{order}) FROM (SELECT 1) AS made"))?;
    let made = match list.body.as_mut() {
        SetExpr::Select(select) => select.from.first_mut().map(|item| &mut item.relation),
        _ => None,
    };
    let Some(TableFactor::Derived { subquery, alias: Some(alias), .. }) = made else {
        return Err(Error::Internal("a text of our own is another query".into()));
    };
    **subquery = query;
    alias.columns = names.into_iter().map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    Ok(call("coalesce", vec![Expr::Subquery(list), call("make_array", Vec::new())]))
}

/// The SELECT that is to have a further column for a key of the order; nothing where the key is its one column.
fn column<'a>(body: &'a mut SetExpr, key: &Expr) -> Result<Option<&'a mut Select>> {
    let place = matches!(key, Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n == "1"));
    let SetExpr::Select(select) = body else {
        return match (place, key) {
            (true, _) | (_, Expr::Identifier(_)) => Ok(None),
            _ => Err(Error::unsupported("ARRAY of a set operation that is ordered by other than its column")),
        };
    };
    let is_column = match select.projection.first() {
        Some(SelectItem::UnnamedExpr(expr)) => expr == key || is_same_column(expr, key),
        Some(SelectItem::ExprWithAlias { expr, alias }) => {
            expr == key || matches!(key, Expr::Identifier(name) if name.value == alias.value)
        }
        _ => false,
    };
    match (place || is_column, select.distinct.is_some()) {
        (true, _) => Ok(None),
        (false, true) => Err(Error::unsupported("ARRAY of SELECT DISTINCT that is ordered by other than its column")),
        (false, false) => Ok(Some(select)),
    }
}

/// Whether one of two expressions is a column with its table and the other the same without.
fn is_same_column(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Identifier(name), Expr::CompoundIdentifier(path))
        | (Expr::CompoundIdentifier(path), Expr::Identifier(name)) => path.last() == Some(name),
        _ => false,
    }
}
