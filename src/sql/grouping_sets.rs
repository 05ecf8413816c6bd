//! Grouping by sets of columns at once, written as the sets that it stands for.
//!
//! ```text
//! CUBE ((k, a), b)               GROUPING SETS ((k, a, b), (k, a), (b), ())
//! ROLLUP ((k, a), b)             GROUPING SETS ((k, a, b), (k, a), ())
//! GROUPING SETS (k, ROLLUP (a))  GROUPING SETS ((k), (a), ())
//! GROUP BY ()                    GROUPING SETS (())
//! GROUP BY (k, a), b             k, a, b
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, VisitMut, VisitorMut,
};

use super::postgres::name_of;
use super::refuse::GROUPING_SETS_MAX;
use crate::error::{Error, Result};

/// Writes out the grouping sets of a statement that the batch engine does not read as they are.
///
/// # Errors
/// [`Error::Limit`] past [`GROUPING_SETS_MAX`].
pub fn write_out_sets(statement: &mut impl VisitMut) -> Result<()> {
    match statement.visit(&mut Selects) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

type Sets = Vec<Vec<Expr>>;

struct Selects;

impl VisitorMut for Selects {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return ControlFlow::Continue(()) };
        match written_out(keys) {
            Ok(written) => {
                *keys = written;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn written_out(keys: &[Expr]) -> Result<Vec<Expr>> {
    let mut written = Vec::with_capacity(keys.len());
    for key in keys {
        match key {
            Expr::Tuple(parts) => written.extend(parts.iter().cloned()),
            Expr::Cube(parts) if !are_different_columns(parts) => {
                written.push(Expr::GroupingSets(cube(parts)?));
            }
            Expr::Rollup(parts) if !are_different_columns(parts) => {
                written.push(Expr::GroupingSets(rollup(parts)));
            }
            Expr::GroupingSets(sets) => {
                let mut all = Sets::with_capacity(sets.len());
                for set in sets {
                    all.extend(nested(set)?);
                    within_limit(all.len())?;
                }
                written.push(Expr::GroupingSets(all));
            }
            key => written.push(key.clone()),
        }
    }
    // By nothing is one group, which is there without rows too.
    if written.is_empty() && !keys.is_empty() {
        written.push(Expr::GroupingSets(vec![Vec::new()]));
    }
    Ok(written)
}

/// Whether each part is one column, and another than those before it.
fn are_different_columns(parts: &[Vec<Expr>]) -> bool {
    parts.iter().enumerate().all(|(at, part)| part.len() == 1 && !parts[..at].contains(part))
}

/// The sets that one of GROUPING SETS stands for: itself, or those of a CUBE or ROLLUP, which the parser takes for calls.
fn nested(set: &[Expr]) -> Result<Sets> {
    if let [Expr::Function(function)] = set
        && let Some(name) = name_of(&function.name)
        && let ("cube" | "rollup", Some(parts)) = (name.as_str(), arguments(function))
    {
        return if name == "cube" { cube(&parts) } else { Ok(rollup(&parts)) };
    }
    Ok(vec![set.to_vec()])
}

/// The arguments of a call, each as the columns that it stands for.
fn arguments(function: &Function) -> Option<Sets> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let part = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(parts))) => Some(parts.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(one))) => Some(vec![one.as_ref().clone()]),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(one)) => Some(vec![one.clone()]),
        _ => None,
    };
    list.args.iter().map(part).collect()
}

/// Every choice of parts, the first parts leaving last.
fn cube(parts: &[Vec<Expr>]) -> Result<Sets> {
    within_limit(1_usize.checked_shl(parts.len() as u32).unwrap_or(usize::MAX))?;
    let mut sets = vec![Vec::new()];
    for part in parts {
        sets = sets.iter().flat_map(|set| [together(&[set.as_slice(), part]), set.clone()]).collect();
    }
    Ok(sets)
}

/// All parts, then all but the last, down to none.
fn rollup(parts: &[Vec<Expr>]) -> Sets {
    let first = |count: usize| together(&parts[..count].iter().map(Vec::as_slice).collect::<Vec<_>>());
    (0..=parts.len()).rev().map(first).collect()
}

/// Parts as one set.
fn together(parts: &[&[Expr]]) -> Vec<Expr> {
    let mut set: Vec<Expr> = Vec::new();
    for column in parts.iter().copied().flatten() {
        if !set.contains(column) {
            set.push(column.clone());
        }
    }
    set
}

fn within_limit(sets: usize) -> Result<()> {
    if sets <= GROUPING_SETS_MAX {
        return Ok(());
    }
    Err(Error::Limit(format!("the statement has more grouping sets than the limit of {GROUPING_SETS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse_query;

    fn written(group_by: &str) -> String {
        let query = parse_query(&format!("SELECT 1 FROM t GROUP BY {group_by}"));
        match query.and_then(|mut query| write_out_sets(&mut query).map(|()| query)) {
            Ok(query) => query.to_string().trim_start_matches("SELECT 1 FROM t GROUP BY ").to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn columns_at_once_are_sets() {
        for (group_by, expected) in [
            ("CUBE ((k, a), b)", "GROUPING SETS ((k, a, b), (k, a), (b), ())"),
            ("ROLLUP ((k, a), b)", "GROUPING SETS ((k, a, b), (k, a), ())"),
            ("GROUPING SETS (k, ROLLUP (a))", "GROUPING SETS ((k), (a), ())"),
            ("GROUPING SETS (CUBE (a, (b, c)), (k))", "GROUPING SETS ((a, b, c), (a), (b, c), (), (k))"),
            ("ROLLUP ((k, a), (a, b))", "GROUPING SETS ((k, a, b), (k, a), ())"),
            ("()", "GROUPING SETS (())"),
            ("(), k", "k"),
            ("(k, a), b", "k, a, b"),
            ("ROLLUP (k, k)", "GROUPING SETS ((k), (k), ())"),
            ("CUBE (k, a)", "CUBE (k, a)"),
            ("ROLLUP (k, a), b", "ROLLUP (k, a), b"),
        ] {
            assert_eq!(written(group_by), expected, "{group_by}");
        }
        let wide = vec!["(a, b)"; 13].join(", ");
        assert!(written(&format!("CUBE ({wide})")).contains("more grouping sets than the limit"));
    }
}
