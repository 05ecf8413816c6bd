//! Random queries of what has no incremental operator yet.

use super::query::{Queries, Query};

impl Queries<'_> {
    /// A query with at least one construct that is recomputed.
    pub fn exotic_query(&mut self, depth: usize) -> Query {
        match self.random.below(6) {
            0..2 => self.outer_join(depth),
            2 => self.membership(depth),
            3 => self.existence(depth),
            4 => self.set_operation(depth),
            _ => self.scalar_subquery(depth),
        }
    }

    fn outer_join(&mut self, depth: usize) -> Query {
        let (left, right) = (self.one(depth), self.one(depth));
        let join = *self.random.pick(&["LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
        let left_columns = left.columns.clone();
        let from = self.joined(join, left, right);
        let columns = if join.starts_with("LEFT ") && join != "LEFT JOIN" { left_columns } else { from.columns };
        let (list, kinds) = self.list(&columns, 3);
        let condition = self.condition(&columns, 30);
        Query { sql: format!("SELECT {list} FROM {}{condition}", from.sql), kinds }
    }

    fn membership(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (value, kind) = self.expressions(&from.columns).any(0);
        let inner = self.select_of(depth.saturating_sub(1), &[kind]);
        let not = *self.random.pick(&["", "NOT "]);
        let (list, kinds) = self.list(&from.columns, 2);
        Query { sql: format!("SELECT {list} FROM {} WHERE {value} {not}IN ({inner})", from.sql), kinds }
    }

    fn existence(&mut self, depth: usize) -> Query {
        let (outer, inner) = (self.one(depth), self.one(0));
        let kind = self.random.pick(&outer.columns).kind;
        let left = self.expressions(&outer.columns).of(kind, 0);
        let right = self.expressions(&inner.columns).of(kind, 0);
        let not = *self.random.pick(&["", "NOT "]);
        let (list, kinds) = self.list(&outer.columns, 2);
        let exists = format!("{not}EXISTS (SELECT 1 FROM {} WHERE {left} = {right})", inner.sql);
        Query { sql: format!("SELECT {list} FROM {} WHERE {exists}", outer.sql), kinds }
    }

    fn set_operation(&mut self, depth: usize) -> Query {
        let first = self.select(depth);
        let operator = *self.random.pick(&["UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
        let second = self.select_of(depth, &first.kinds);
        Query { sql: format!("{} {operator} {second}", first.sql), kinds: first.kinds }
    }

    fn scalar_subquery(&mut self, depth: usize) -> Query {
        let (outer, inner) = (self.one(depth), self.one(0));
        let (call, kind) = self.call(&inner.columns);
        let condition = match self.random.percent(50) {
            true => {
                let kind = self.random.pick(&outer.columns).kind;
                let left = self.expressions(&outer.columns).of(kind, 0);
                let right = self.expressions(&inner.columns).of(kind, 0);
                format!(" WHERE {left} = {right}")
            }
            false => String::new(),
        };
        let subquery = format!("(SELECT {call} FROM {}{condition})", inner.sql);
        let (list, mut kinds) = self.list(&outer.columns, 2);
        if self.random.percent(50) {
            let value = self.expressions(&outer.columns).of(kind, 0);
            return Query { sql: format!("SELECT {list} FROM {} WHERE {value} <> {subquery}", outer.sql), kinds };
        }
        kinds.push(kind);
        Query { sql: format!("SELECT {list}, {subquery} AS c2 FROM {}", outer.sql), kinds }
    }
}
