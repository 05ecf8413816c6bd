//! The relations that a statement names, but for its own CTEs.
//!
//! The walk is one: a CTE within a CTE within a CTE is met once, as any other query. Names mean CTEs as in Postgres:
//!
//! ```text
//! WITH t AS (SELECT * FROM t) SELECT * FROM t              the first t after FROM is a relation, the second the CTE
//! WITH RECURSIVE t AS (SELECT * FROM t) SELECT * FROM t    both are the CTE
//! ```

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Visit, Visitor};

use super::parse::normalize;
use crate::error::Result;

/// The relations that a statement names.
///
/// # Errors
/// When a name has too many parts.
pub fn relations(statement: &impl Visit) -> Result<BTreeSet<TableReference>> {
    let mut named = Named::default();
    match statement.visit(&mut named) {
        ControlFlow::Continue(()) => Ok(named.relations),
        ControlFlow::Break(error) => Err(error.into()),
    }
}

#[derive(Default)]
struct Named {
    relations: BTreeSet<TableReference>,
    /// The queries that the walk is in, the innermost last.
    open: Vec<Open>,
    /// The CTEs that are in scope, the innermost last.
    known: Vec<String>,
}

struct Open {
    /// How many CTEs were in scope around it.
    known: usize,
    /// Its own CTEs that are not in scope yet: where each is, and its name.
    awaited: Vec<(*const Query, String)>,
}

impl Visitor for Named {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<DataFusionError> {
        let mut open = Open { known: self.known.len(), awaited: Vec::new() };
        if let Some(with) = &query.with {
            let ctes = with.cte_tables.iter();
            match with.recursive {
                true => self.known.extend(ctes.map(|cte| normalize(&cte.alias.name))),
                false => open
                    .awaited
                    .extend(ctes.map(|cte| (std::ptr::from_ref(cte.query.as_ref()), normalize(&cte.alias.name)))),
            }
        }
        self.open.push(open);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<DataFusionError> {
        let Some(closed) = self.open.pop() else { return ControlFlow::Continue(()) };
        self.known.truncate(closed.known);
        if let Some(around) = self.open.last_mut()
            && let Some(at) = around.awaited.iter().position(|(place, _)| std::ptr::eq(*place, query))
        {
            self.known.push(around.awaited.remove(at).1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<DataFusionError> {
        if let [part] = relation.0.as_slice()
            && let Some(name) = part.as_ident().map(normalize)
            && self.known.contains(&name)
        {
            return ControlFlow::Continue(());
        }
        match object_name_to_table_reference(relation.clone(), true) {
            Ok(reference) => {
                self.relations.insert(reference);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn named(text: &str) -> String {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).unwrap();
        let names: Vec<String> = relations(&statements[0]).unwrap().iter().map(|name| name.to_string()).collect();
        names.join(" ")
    }

    #[test]
    fn ctes_are_no_relations_where_they_are_in_scope() {
        assert_eq!(named("WITH t AS (SELECT * FROM t) SELECT * FROM t"), "t");
        assert_eq!(named("WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t, u) SELECT * FROM t"), "u");
        assert_eq!(named("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a, b, \"B\""), "B b");
        assert_eq!(named("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, x, s.x"), "x s.x");
        assert_eq!(
            named("INSERT INTO t WITH u AS (SELECT * FROM v) SELECT * FROM u WHERE a IN (SELECT a FROM w)"),
            "t v w"
        );
        let nested =
            (0..40).fold("SELECT * FROM t".to_string(), |text, _| format!("WITH c AS ({text}) SELECT * FROM c"));
        assert_eq!(named(&nested), "t");
    }
}
