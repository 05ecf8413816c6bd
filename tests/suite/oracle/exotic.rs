//! Random queries of what has no incremental operator yet.

use super::query::{Queries, Query};
use super::value::Kind;

impl Queries<'_> {
    /// A query with at least one construct that is recomputed.
    pub fn exotic_query(&mut self, depth: usize) -> Query {
        match self.random.below(8) {
            0..2 => self.outer_join(depth),
            2 => self.membership(depth),
            3 => self.existence(depth),
            4 => self.set_operation(depth),
            5 => self.scalar_subquery(depth),
            6 => self.collecting(depth),
            _ => self.grouping_sets(depth),
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

    fn collecting(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (key, kind) = self.expressions(&from.columns).any(0);
        let (argument, argument_kind) = self.expressions(&from.columns).any(0);
        let text = self.expressions(&from.columns).of(Kind::Text, 0);
        let int = self.expressions(&from.columns).of(Kind::Int, 0);
        let (call, call_kind) = match self.random.below(8) {
            0 => (format!("CAST(array_agg({argument}) AS TEXT)"), Kind::Text),
            1 => (format!("string_agg({text}, ',')"), Kind::Text),
            2 => (format!("first_value({argument})"), argument_kind),
            3 => (format!("last_value({argument} ORDER BY {int})"), argument_kind),
            4 => (format!("median({int})"), Kind::Int),
            5 => (format!("stddev(CAST({int} AS SMALLINT) % 3)"), Kind::Float),
            6 => (format!("bool_or({int} > 1)"), Kind::Bool),
            _ => (format!("string_agg(DISTINCT {text}, '' ORDER BY {text})"), Kind::Text),
        };
        if !key.starts_with('s') {
            return Query { sql: format!("SELECT {call} AS c0 FROM {}", from.sql), kinds: vec![call_kind] };
        }
        Query {
            sql: format!("SELECT {key} AS c0, {call} AS c1 FROM {} GROUP BY {key}", from.sql),
            kinds: vec![kind, call_kind],
        }
    }

    fn grouping_sets(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (a, b) = (self.random.pick(&from.columns).clone(), self.random.pick(&from.columns).clone());
        let (call, kind) = self.call(&from.columns);
        let sets = match self.random.below(3) {
            0 => format!("ROLLUP ({}, {})", a.name, b.name),
            1 => format!("CUBE ({}, {})", a.name, b.name),
            _ => format!("GROUPING SETS (({}), ({}, {}), ())", a.name, a.name, b.name),
        };
        let sql = format!("SELECT {} AS c0, {} AS c1, {call} AS c2 FROM {} GROUP BY {sets}", a.name, b.name, from.sql);
        Query { sql, kinds: vec![a.kind, b.kind, kind] }
    }
}
