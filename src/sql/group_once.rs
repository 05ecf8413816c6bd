//! Casts in GROUP BY.
//!
//! The batch engine calls a cast by what it casts: it refuses two group expressions of one name, and takes the cast of a
//! key for the key, which tells one row. A cast beside its argument says nothing more about a group, and is left out;
//! others get a name of their own:
//!
//! ```text
//! GROUP BY x, CAST(x AS INT)     GROUP BY x
//! GROUP BY x::TEXT, x::INT       GROUP BY coalesce(x::TEXT), coalesce(coalesce(x::INT))    also where they are shown
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use super::grouping::{is_sets, named_at, place};
use super::postgres::call;

/// Leaves one group expression of each name, in every query of a statement.
pub fn group_once(statement: &mut impl VisitMut) {
    let _ = statement.visit(&mut Queries);
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { body, order_by, .. } = query;
        if let SetExpr::Select(select) = body.as_mut() {
            for (key, name) in once(select) {
                let mut rename = Rename { key, name };
                let _ = select.visit(&mut rename);
                let _ = order_by.visit(&mut rename);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Those of a UNION, whose ORDER BY names columns of the result alone.
        for (key, name) in once(select) {
            let _ = select.visit(&mut Rename { key, name });
        }
        ControlFlow::Continue(())
    }
}

/// Puts an expression of another name in the place of one.
struct Rename {
    key: Expr,
    name: Expr,
}

impl VisitorMut for Rename {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_same_cast(expr, &self.key) {
            *expr = self.name.clone();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // A column that is a cast is called as what is cast.
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && is_same_cast(expr, &self.key)
                && let Some(alias) = column(base(expr)).cloned()
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }
}

/// Leaves out casts beside their argument. Returns the casts that need other names, with these.
fn once(select: &mut Select) -> Vec<(Expr, Expr)> {
    let Select { group_by: GroupByExpr::Expressions(keys, _), projection, .. } = select else { return Vec::new() };
    if keys.iter().any(is_sets) {
        return Vec::new();
    }
    let meant: Vec<Expr> = keys.iter().map(|key| meant(key, projection)).collect();
    let is_beside = |key: &Expr| is_cast(key) && meant.iter().any(|other| !is_cast(other) && is_same(other, base(key)));
    let mut at = 0;
    keys.retain(|_| {
        at += 1;
        !is_beside(&meant[at - 1])
    });
    let casts: Vec<&Expr> = meant.iter().filter(|key| is_cast(key) && !is_beside(key)).collect();
    let mut renamed: Vec<(Expr, Expr)> = Vec::new();
    for (at, cast) in casts.iter().enumerate() {
        let before = &casts[..at];
        if before.iter().any(|other| is_same_cast(other, cast)) {
            continue;
        }
        let mut name = (*cast).clone();
        let same = before.iter().filter(|other| is_same(base(other), base(cast))).count();
        for _ in 0..same + usize::from(column(base(cast)).is_some()) {
            name = call("coalesce", vec![name]);
        }
        if name != **cast {
            renamed.push(((*cast).clone(), name));
        }
    }
    renamed
}

/// What a group expression stands for: a number or an alias for a column of the list.
fn meant(key: &Expr, list: &[SelectItem]) -> Expr {
    let listed = match (place(key), key) {
        (Some(place), _) => named_at(list, place),
        (None, Expr::Identifier(name)) => list.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias == name => Some(expr.clone()),
            _ => None,
        }),
        _ => None,
    };
    let mut meant = listed.unwrap_or_else(|| key.clone());
    while let Expr::Nested(inner) = meant {
        meant = *inner;
    }
    meant
}

fn is_cast(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast { .. })
}

/// Whether two expressions are one cast, however it is spelled.
fn is_same_cast(left: &Expr, right: &Expr) -> bool {
    let tries = |kind: &CastKind| matches!(kind, CastKind::TryCast | CastKind::SafeCast);
    match (left, right) {
        (Expr::Cast { expr: l, data_type: to, kind: by, .. }, Expr::Cast { expr: r, data_type, kind, .. }) => {
            to == data_type && tries(by) == tries(kind) && (is_same(l, r) || is_same_cast(l, r))
        }
        (left, right) => is_cast(left) && left == right,
    }
}

/// The name of a column.
fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(path) => path.last(),
        _ => None,
    }
}

/// What is cast, through all casts.
fn base(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => base(expr),
        other => other,
    }
}

/// Whether two expressions are the same; a column is, with its table and without.
fn is_same(left: &Expr, right: &Expr) -> bool {
    let bare = |path: &[Ident], name: &Ident| path.last() == Some(name);
    match (left, right) {
        (Expr::Identifier(name), Expr::CompoundIdentifier(path))
        | (Expr::CompoundIdentifier(path), Expr::Identifier(name)) => bare(path, name),
        (left, right) => left == right,
    }
}
