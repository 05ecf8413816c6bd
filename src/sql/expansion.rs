//! How many relations a statement names once its CTEs stand where they are named.
//!
//! The planner copies a CTE's plan to each place, so that a short text can stand for a plan without end:
//!
//! ```text
//! WITH b AS (SELECT * FROM a x, a y), c AS (SELECT * FROM b x, b y), ...     2, 4, 8, ...
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Visit, Visitor};

use super::parse::normalize;
use crate::error::{Error, Result};

/// Relations that a statement names, each as often as it is met.
pub const RELATIONS_MAX: usize = 1_000;

/// Refuses a statement whose CTEs stand for too much.
///
/// # Errors
/// [`Error::Limit`] past [`RELATIONS_MAX`].
pub fn refuse_expansion(statement: &impl Visit) -> Result<()> {
    match statement.visit(&mut Expansion::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Limit(format!(
            "with its CTEs where they are named, the statement reads more relations than the limit of {RELATIONS_MAX}"
        ))),
    }
}

#[derive(Default)]
struct Expansion {
    /// The queries that the walk is in, the innermost last.
    open: Vec<Open>,
    /// The CTEs that are in scope, the innermost last, with what each stands for.
    known: Vec<(String, usize)>,
}

struct Open {
    /// How many relations were met in it.
    relations: usize,
    /// How many CTEs were in scope around it.
    known: usize,
    /// Its own CTEs that the walk has not come to: where each is, and its name.
    awaited: Vec<(*const Query, String)>,
}

impl Visitor for Expansion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let awaited = ctes.map(|cte| (std::ptr::from_ref(cte.query.as_ref()), normalize(&cte.alias.name))).collect();
        self.open.push(Open { relations: 0, known: self.known.len(), awaited });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(closed) = self.open.pop() else { return ControlFlow::Continue(()) };
        self.known.truncate(closed.known);
        let Some(around) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        match around.awaited.iter().position(|(place, _)| std::ptr::eq(*place, query)) {
            Some(at) => self.known.push((around.awaited.swap_remove(at).1, closed.relations)),
            None => around.relations = around.relations.saturating_add(closed.relations),
        }
        if closed.relations > RELATIONS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(normalize),
            _ => None,
        };
        let known = self.known.iter().rev().find(|(cte, _)| Some(cte) == name.as_ref());
        let stands_for = known.map_or(1, |(_, relations)| (*relations).max(1));
        let Some(open) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        open.relations = open.relations.saturating_add(stands_for);
        if open.relations > RELATIONS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    #[test]
    fn ctes_that_double_are_refused_and_those_that_do_not_are_not() {
        let chain = |count: usize, step: fn(usize) -> String| {
            let steps: String = (0..count).map(|i| format!(", c{} AS ({})", i + 1, step(i))).collect();
            format!("WITH c0 AS (SELECT a FROM s){steps} SELECT a FROM c{count}")
        };
        let doubled = |i: usize| format!("SELECT a FROM c{i} UNION ALL SELECT a FROM c{i}");
        assert!(parse(&chain(9, doubled)).is_ok());
        assert!(matches!(parse(&chain(10, doubled)), Err(Error::Limit(_))));
        assert!(parse(&chain(400, |i| format!("SELECT a + 1 AS a FROM c{i}"))).is_ok());
        // A name means the CTE only where that is in scope.
        let beside: String =
            (0..20).map(|_| ", (WITH x AS (SELECT 1 FROM t, t u) SELECT * FROM x, x y) AS z").collect();
        assert!(parse(&format!("SELECT 1 FROM x{beside}")).is_ok());
    }
}
