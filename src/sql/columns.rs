//! Names for columns that a query leaves without one, and for those of one name.
//!
//! A column without a name is called as it is written, such as `count(*)`; the batch engine would name it by its plan,
//! `count(Int64(1))`. Columns of one name, as in `SELECT x, x`, the batch engine refuses: they are planned under
//! different names and shown under their own.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, VisitMut,
    VisitorMut, WildcardAdditionalOptions, visit_expressions,
};

use super::parse::normalize;

/// An expression longer than this many bytes keeps the batch engine's name.
const NAME_BYTES_MAX: usize = 120;

/// Names the columns of every query in a statement.
pub fn name_columns(statement: &mut Statement) {
    let _ = statement.visit(&mut Queries);
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { with, body, order_by, .. } = query;
        // The columns of a list in parentheses, and those of the further SELECTs of a UNION, are called otherwise.
        for cte in with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let (false, Some(select)) = (cte.alias.columns.is_empty(), first_select(&mut cte.query.body)) {
                tell_unseen_apart(select);
            }
        }
        further_selects(body, tell_unseen_apart);
        if let Some(select) = first_select(body) {
            // `FROM t` alone means all of it.
            if select.projection.is_empty() && select.flavor == SelectFlavor::FromFirstNoSelect {
                select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            }
            select.projection.iter_mut().for_each(name_item);
            if let (Some(Distinct::Distinct), Some(order_by)) = (&select.distinct, order_by)
                && let OrderByKind::Expressions(keys) = &mut order_by.kind
            {
                keys.iter_mut().for_each(|key| refer_to_name(&mut key.expr, &select.projection));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The SELECT that names the columns: of a UNION, the first.
fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        // A query in parentheses is visited by itself.
        _ => None,
    }
}

/// The SELECTs of a UNION but the first.
fn further_selects(body: &mut SetExpr, mut see: impl FnMut(&mut Select)) {
    let mut body = body;
    while let SetExpr::SetOperation { left, right, .. } = body {
        if let Some(select) = first_select(right) {
            see(select);
        }
        body = left;
    }
}

/// Gives columns of one name different ones, where nobody sees their names.
fn tell_unseen_apart(select: &mut Select) {
    let names: Option<Vec<String>> = select.projection.iter().map(name_of).collect();
    let Some(mut names) = names else { return };
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        let text = select.to_string();
        tell_select_apart(select, &text);
    }
}

fn name_item(item: &mut SelectItem) {
    let SelectItem::UnnamedExpr(expr) = item else { return };
    if has_own_name(expr) {
        return;
    }
    let mut name = Short(String::new());
    if write!(name, "{expr}").is_ok() {
        let expr = expr.clone();
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name.0) };
    }
}

/// DISTINCT can be ordered by its columns alone, which now have names.
fn refer_to_name(key: &mut Expr, projection: &[SelectItem]) {
    let alias = projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if expr == key => Some(alias.clone()),
        _ => None,
    });
    if let Some(alias) = alias {
        *key = Expr::Identifier(alias);
    }
}

/// Gives columns of one name different ones. Returns what each of the new ones was called.
pub fn tell_apart(query: &mut Query) -> HashMap<String, String> {
    // A name that is nowhere in the query cannot be meant by it.
    let text = query.to_string();
    first_select(&mut query.body).map_or_else(HashMap::new, |select| tell_select_apart(select, &text))
}

fn tell_select_apart(select: &mut Select, text: &str) -> HashMap<String, String> {
    let (mut shown, mut seen) = (HashMap::new(), HashSet::new());
    let has_wildcard = select.projection.iter().any(|item| name_of(item).is_none());
    for item in &mut select.projection {
        let Some(name) = name_of(item) else { continue };
        if seen.insert(name.clone()) && !has_wildcard {
            continue;
        }
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        let expr = expr.clone();
        let numbered = (2..).map(|n| format!("{name}:{n}"));
        let other = numbered.filter(|other| !text.contains(other)).find(|other| seen.insert(other.clone()));
        let other = other.expect("the numbers do not end");
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', other.clone()) };
        shown.insert(other, name);
    }
    shown
}

/// The name that two columns of a query have.
pub fn repeated(query: &Query) -> Option<String> {
    tell_apart(&mut query.clone()).into_values().min()
}

/// What a column is called; nothing for a wildcard.
pub fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normalize(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(normalize(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(normalize),
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        _ => None,
    }
}

/// Whether an expression has a name, or becomes several columns.
fn has_own_name(expr: &Expr) -> bool {
    if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
        return true;
    }
    let unnests = |expr: &Expr| match expr {
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("unnest") => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(expr, unnests).is_break()
}

/// A text that refuses to become long.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > NAME_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn what_has_no_name_is_named_as_it_is_written() {
        let named = |text: &str| {
            let mut statement = Parser::parse_sql(&GenericDialect, text).unwrap().remove(0);
            name_columns(&mut statement);
            statement.to_string()
        };
        assert_eq!(named("SELECT a, t.b, *, a+1 FROM t"), r#"SELECT a, t.b, *, a + 1 AS "a + 1" FROM t"#);
        assert_eq!(named("SELECT count(*) AS n, max(a) FROM t"), r#"SELECT count(*) AS n, max(a) AS "max(a)" FROM t"#);
        assert_eq!(
            named("SELECT DISTINCT a+1 FROM t ORDER BY a + 1, b"),
            r#"SELECT DISTINCT a + 1 AS "a + 1" FROM t ORDER BY "a + 1", b"#
        );
        assert_eq!(named("SELECT 1 UNION SELECT 2"), r#"SELECT 1 AS "1" UNION SELECT 2"#);
        assert_eq!(
            named("WITH c AS (SELECT -a FROM t) SELECT * FROM (SELECT 'x' FROM c)"),
            r#"WITH c AS (SELECT -a AS "-a" FROM t) SELECT * FROM (SELECT 'x' AS "'x'" FROM c)"#
        );
        assert_eq!(
            named("WITH RECURSIVE c(m, n) AS (SELECT 1, 1 UNION SELECT n, n FROM c) SELECT m, n FROM c"),
            "WITH RECURSIVE c (m, n) AS (SELECT 1 AS \"1\", 1 AS \"1:2\" UNION SELECT n, n AS \"n:2\" FROM c) \
             SELECT m, n FROM c"
        );
        assert_eq!(named("SELECT unnest(a), unnest(b)[1] FROM t"), "SELECT unnest(a), unnest(b)[1] FROM t");
        let mut query = Parser::new(&GenericDialect).try_with_sql("SELECT x, T.X, 1, 1 FROM t").unwrap();
        let mut query = query.parse_query().unwrap();
        let shown = tell_apart(&mut query);
        assert_eq!(query.to_string(), r#"SELECT x, T.X AS "x:2", 1, 1 AS "1:2" FROM t"#);
        assert_eq!(shown, HashMap::from([("x:2".into(), "x".into()), ("1:2".into(), "1".into())]));
        let long = format!("SELECT '{}'", "x".repeat(NAME_BYTES_MAX));
        assert_eq!(named(&long), long);
    }
}
