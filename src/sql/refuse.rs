//! Clauses that the batch engine reads past without a word, refused: an answer must not leave out what was asked.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Query, Select, SetExpr, TableFactor, Visit, Visitor};

use super::depth::JOINS_MAX;
use super::expansion::refuse_expansion;
use super::slips::refuse_slips;
use crate::error::{Error, Result};

/// Refuses a query with a clause that would be passed over.
///
/// # Errors
/// [`Error::Unsupported`] that names the clause; [`Error::Limit`] past [`SUBQUERY_DEPTH_MAX`] and the others here.
pub fn refuse_ignored(statement: &impl Visit) -> Result<()> {
    refuse_deep_subqueries(statement)?;
    refuse_wide_selects(statement)?;
    refuse_expansion(statement)?;
    refuse_slips(statement)?;
    match statement.visit(&mut Ignored) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(clause) => {
            let error = Error::unsupported(format!("`{clause}` is not supported"));
            Err(match clause {
                "INTO" => error.with_hint("CREATE TABLE, then INSERT INTO ... SELECT"),
                _ => error,
            })
        }
    }
}

struct Ignored;

impl Visitor for Ignored {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        match query {
            Query { locks, .. } if !locks.is_empty() => ControlFlow::Break("FOR"),
            Query { for_clause: Some(_), .. } => ControlFlow::Break("FOR"),
            Query { settings: Some(_), .. } => ControlFlow::Break("SETTINGS"),
            Query { format_clause: Some(_), .. } => ControlFlow::Break("FORMAT"),
            Query { body, .. } => match body.as_ref() {
                SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("INTO"),
                SetExpr::Select(select) if has_modifiers(&select.group_by) => ControlFlow::Break("GROUPING SETS"),
                _ => ControlFlow::Continue(()),
            },
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                ControlFlow::Break("TABLESAMPLE")
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Subqueries within each other's expressions: each level doubles the batch engine's time to plan them.
pub const SUBQUERY_DEPTH_MAX: usize = 12;

/// Subqueries in the expressions of a statement: each becomes a join, and planning time grows with their square.
pub const SUBQUERIES_MAX: usize = JOINS_MAX;

/// Refuses subqueries that are within too many others, and too many of them.
///
/// # Errors
/// [`Error::Limit`] past [`SUBQUERY_DEPTH_MAX`] and [`SUBQUERIES_MAX`].
fn refuse_deep_subqueries(statement: &impl Visit) -> Result<()> {
    match statement.visit(&mut Nested { depth: 0, count: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break((place, limit)) => {
            Err(Error::Limit(format!("the statement has more subqueries {place} than the limit of {limit}")))
        }
    }
}

struct Nested {
    depth: usize,
    count: usize,
}

impl Visitor for Nested {
    /// Where there are too many, and how many there may be.
    type Break = (&'static str, usize);

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        let more = usize::from(is_subquery(expr));
        (self.depth, self.count) = (self.depth + more, self.count + more);
        match (self.depth > SUBQUERY_DEPTH_MAX, self.count > SUBQUERIES_MAX) {
            (true, _) => ControlFlow::Break(("within each other's expressions", SUBQUERY_DEPTH_MAX)),
            (_, true) => ControlFlow::Break(("in expressions", SUBQUERIES_MAX)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        self.depth -= usize::from(is_subquery(expr));
        ControlFlow::Continue(())
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. })
}

/// Ways of grouping of one GROUP BY: CUBE doubles them with each column.
pub const GROUPING_SETS_MAX: usize = 4_096;

/// Columns of the grouping sets of one GROUP BY: the batch engine numbers sets by a bit for each.
pub const GROUPING_COLUMNS_MAX: usize = 64;

/// Refuses more relations beside each other in FROM than there may be joins (a comma is a join too), and more grouping
/// sets than there may be.
///
/// # Errors
/// [`Error::Limit`] past [`JOINS_MAX`], [`GROUPING_SETS_MAX`] and [`GROUPING_COLUMNS_MAX`].
fn refuse_wide_selects(statement: &impl Visit) -> Result<()> {
    let ControlFlow::Break(what) = statement.visit(&mut Wide { joins: 0 }) else { return Ok(()) };
    let limit = match what {
        "joins" => JOINS_MAX,
        "grouping sets" => GROUPING_SETS_MAX,
        _ => GROUPING_COLUMNS_MAX,
    };
    Err(Error::Limit(format!("the statement has more {what} than the limit of {limit}")))
}

struct Wide {
    joins: usize,
}

impl Visitor for Wide {
    type Break = &'static str;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<&'static str> {
        self.joins += select.from.len().saturating_sub(1);
        let (sets, columns) = (grouping_sets(&select.group_by), columns_of_sets(&select.group_by));
        match (self.joins > JOINS_MAX, sets > GROUPING_SETS_MAX, columns > GROUPING_COLUMNS_MAX) {
            (true, ..) => ControlFlow::Break("joins"),
            (_, true, _) => ControlFlow::Break("grouping sets"),
            (.., true) => ControlFlow::Break("columns in grouping sets"),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// How many ways of grouping a GROUP BY stands for: what its parts stand for, multiplied.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    let GroupByExpr::Expressions(parts, _) = group_by else { return 1 };
    let sets = parts.iter().map(|part| match part {
        Expr::Cube(columns) => 1_usize.checked_shl(columns.len() as u32).unwrap_or(usize::MAX),
        Expr::Rollup(columns) => columns.len() + 1,
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    });
    sets.fold(1, usize::saturating_mul)
}

/// How many different columns the sets of a GROUP BY have, if it has sets.
fn columns_of_sets(group_by: &GroupByExpr) -> usize {
    let GroupByExpr::Expressions(parts, _) = group_by else { return 0 };
    let sets = parts.iter().filter_map(|part| match part {
        Expr::Cube(sets) | Expr::Rollup(sets) | Expr::GroupingSets(sets) => Some(sets),
        _ => None,
    });
    sets.flatten().flatten().collect::<HashSet<_>>().len()
}

/// Whether a query is VALUES with a subquery among them, which the batch engine plans and then cannot run.
pub fn is_values_with_subquery(query: &Query) -> bool {
    let SetExpr::Values(values) = query.body.as_ref() else { return false };
    values.visit(&mut Subqueries).is_break()
}

struct Subqueries;

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// `GROUP BY ALL GROUPING SETS (...)`.
fn has_modifiers(group_by: &GroupByExpr) -> bool {
    matches!(group_by, GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for (text, clause) in [
            ("SELECT * FROM t TABLESAMPLE (10)", "`TABLESAMPLE`"),
            ("SELECT 1 FROM (SELECT * FROM t FOR UPDATE)", "`FOR`"),
            ("CREATE VIEW v AS SELECT * FROM t TABLESAMPLE (10)", "`TABLESAMPLE`"),
            ("SELECT a FROM t GROUP BY ALL GROUPING SETS ((a))", "`GROUPING SETS`"),
            ("SELECT a INTO u FROM t", "`INTO`"),
            ("INSERT INTO t SELECT * FROM u FOR SHARE", "`FOR`"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains(clause), "{text}: {error}");
        }
        assert!(parse("SELECT * FROM t").is_ok());
        let nested = |depth| format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(SUBQUERY_DEPTH_MAX)).is_ok());
        assert!(matches!(parse(&nested(SUBQUERY_DEPTH_MAX + 1)), Err(Error::Limit(_))));
        let beside = |count: usize| format!("SELECT 1 WHERE {}", vec!["EXISTS (SELECT 1)"; count].join(" OR "));
        assert!(parse(&beside(SUBQUERIES_MAX)).is_ok());
        assert!(matches!(parse(&beside(SUBQUERIES_MAX + 1)), Err(Error::Limit(_))));
        let beside = |count: usize| format!("SELECT 1 FROM {}", vec!["t"; count].join(", "));
        assert!(parse(&beside(JOINS_MAX + 1)).is_ok());
        assert!(matches!(parse(&beside(JOINS_MAX + 2)), Err(Error::Limit(_))));
        let cube =
            |count: usize| format!("SELECT 1 FROM t GROUP BY CUBE ({}), ROLLUP (c)", vec!["a"; count].join(", "));
        assert!(parse(&cube(11)).is_ok());
        assert!(matches!(parse(&cube(12)), Err(Error::Limit(_))));
        let sets = |count: usize| {
            let columns: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
            format!("SELECT 1 FROM t GROUP BY ROLLUP ({}, c0)", columns.join(", "))
        };
        assert!(parse(&sets(64)).is_ok());
        assert!(matches!(parse(&sets(65)), Err(Error::Limit(_))));
    }
}
