//! Names for columns that a query leaves without one: the expression as it is written, such as `count(*)`.
//!
//! The batch engine would name them by its plan, `count(Int64(1))`.

use std::fmt::{self, Write};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, Statement, VisitMut, VisitorMut, visit_expressions,
};

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
        if let Some(select) = first_select(&mut query.body) {
            select.projection.iter_mut().for_each(name_item);
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
        assert_eq!(named("SELECT 1 UNION SELECT 2"), r#"SELECT 1 AS "1" UNION SELECT 2"#);
        assert_eq!(
            named("WITH c AS (SELECT -a FROM t) SELECT * FROM (SELECT 'x' FROM c)"),
            r#"WITH c AS (SELECT -a AS "-a" FROM t) SELECT * FROM (SELECT 'x' AS "'x'" FROM c)"#
        );
        assert_eq!(named("SELECT unnest(a), unnest(b)[1] FROM t"), "SELECT unnest(a), unnest(b)[1] FROM t");
        let long = format!("SELECT '{}'", "x".repeat(NAME_BYTES_MAX));
        assert_eq!(named(&long), long);
    }
}
