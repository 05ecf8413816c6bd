//! Random joins of every kind, subqueries and set operations.

use super::expression::Named;
use super::query::{From, Queries, Query, named};
use super::value::Kind;

impl Queries<'_> {
    /// A query that brings two relations together.
    pub fn relational_query(&mut self, depth: usize) -> Query {
        if self.fallible {
            return self.failing_pairs();
        }
        match self.random.below(13) {
            0..3 => self.outer_join(depth),
            3 => self.using(),
            4..6 => self.membership(depth),
            6 => self.existence(depth),
            7 => self.comparison_with_all(depth),
            8..10 => self.scalar_subquery(depth),
            10 => self.lateral(depth),
            _ => self.set_operation(depth),
        }
    }

    fn outer_join(&mut self, depth: usize) -> Query {
        let mut from = self.one(depth);
        for _ in 0..self.random.between(1, 2) {
            let right = self.one(depth.saturating_sub(1));
            let join = *self.random.pick(&[
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "LEFT SEMI JOIN",
                "LEFT ANTI JOIN",
                "RIGHT SEMI JOIN",
                "RIGHT ANTI JOIN",
                "JOIN",
            ]);
            let (left_columns, right_columns) = (from.columns.clone(), right.columns.clone());
            let joined = match self.random.percent(25) {
                true => self.joined_by_comparison(join, from, right),
                false => self.joined(join, from, right),
            };
            let sides = [&left_columns, &right_columns];
            let joined = match ["LEFT JOIN", "RIGHT JOIN", "FULL JOIN"].contains(&join) && self.random.percent(20) {
                true => self.joined_where_asked(joined, sides),
                false => joined,
            };
            let one_side = if join.starts_with("LEFT") { left_columns } else { right_columns };
            let is_one_sided = join.contains("SEMI") || join.contains("ANTI");
            from = From { sql: joined.sql, columns: if is_one_sided { one_side } else { joined.columns } };
        }
        let (list, kinds) = self.list(&from.columns, 3);
        let condition = self.condition(&from.columns, 30);
        Query { sql: format!("SELECT {list} FROM {}{condition}", from.sql), kinds }
    }

    /// A join on anything but equality.
    fn joined_by_comparison(&mut self, join: &str, left: From, right: From) -> From {
        let kind = self.random.pick(&left.columns).kind;
        let columns = left.columns.iter().chain(&right.columns).cloned().collect();
        let l = self.expressions(&left.columns).of(kind, 0);
        let r = self.expressions(&right.columns).of(kind, 0);
        let operator = *self.random.pick(&["<", "<=", ">", "<>", "IS DISTINCT FROM"]);
        From { sql: format!("{} {join} {} ON {l} {operator} {r}", left.sql, right.sql), columns }
    }

    /// A join whose condition also asks a subquery about a row of one side.
    fn joined_where_asked(&mut self, joined: From, sides: [&Vec<Named>; 2]) -> From {
        let side = From { sql: String::new(), columns: (*self.random.pick(&sides)).clone() };
        let inner = self.one(0);
        let correlation = self.correlation(&side, &inner);
        let not = *self.random.pick(&["", "NOT "]);
        let condition = match self.random.percent(50) {
            true => format!("{not}EXISTS (SELECT 1 FROM {} WHERE {correlation})", inner.sql),
            false => {
                let (value, kind) = self.expressions(&side.columns).any(0);
                let found = self.expressions(&inner.columns).of(kind, 0);
                format!("{value} {not}IN (SELECT {found} FROM {})", inner.sql)
            }
        };
        From { sql: format!("{} AND {condition}", joined.sql), columns: joined.columns }
    }

    /// USING and NATURAL, over subqueries whose columns have the same names.
    fn using(&mut self) -> Query {
        let first = self.select(0);
        let second = self.select_of(0, &first.kinds);
        let (a, b) = (self.name(), self.name());
        let kind = *self.random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let from = match self.random.percent(50) {
            true => format!("({}) AS {a} NATURAL {kind} ({second}) AS {b}", first.sql),
            false => format!("({}) AS {a} {kind} ({second}) AS {b} USING (c0)", first.sql),
        };
        let kind = first.kinds[0];
        let (sql, kinds) = match self.random.below(5) {
            0 => (format!("SELECT c0, {b}.c0 AS c1 FROM {from} WHERE c0 IS NOT NULL"), vec![kind, kind]),
            1 => (format!("SELECT c0, count(*) AS c1 FROM {from} GROUP BY c0"), vec![kind, Kind::Int]),
            2 => {
                (format!("SELECT c0, {a}.c0 AS c1 FROM {from} WHERE {a}.c0 IS NOT DISTINCT FROM c0"), vec![kind, kind])
            }
            _ => (format!("SELECT c0 FROM {from}"), vec![kind]),
        };
        Query { sql, kinds }
    }

    /// Somewhere a condition can stand, with the condition there.
    fn with_condition(&mut self, outer: From, condition: &str) -> Query {
        let (list, mut kinds) = self.list(&outer.columns, 2);
        let other = self.expressions(&outer.columns).condition(1);
        let end = match self.random.below(6) {
            0 => format!("WHERE {condition} OR {other}"),
            1 => format!("WHERE NOT ({condition})"),
            2 => format!("WHERE CASE WHEN {condition} THEN {other} ELSE false END"),
            3 => {
                kinds.push(Kind::Bool);
                return Query { sql: format!("SELECT {list}, {condition} AS c2 FROM {}", outer.sql), kinds };
            }
            _ => format!("WHERE {condition} AND {other}"),
        };
        Query { sql: format!("SELECT {list} FROM {} {end}", outer.sql), kinds }
    }

    fn membership(&mut self, depth: usize) -> Query {
        let outer = self.one(depth);
        let (value, kind) = self.expressions(&outer.columns).any(0);
        let not = *self.random.pick(&["", "NOT "]);
        let inner = match self.random.percent(50) {
            true => self.select_of(depth.saturating_sub(1), &[kind]),
            false => {
                let inner = self.one(0);
                let correlation = self.correlation(&outer, &inner);
                let value = self.expressions(&inner.columns).of(kind, 0);
                format!("SELECT {value} AS c0 FROM {} WHERE {correlation}", inner.sql)
            }
        };
        if self.random.percent(15) {
            let inner = self.one(0);
            let (second, second_kind) = self.expressions(&outer.columns).any(0);
            let found = self.expressions(&inner.columns).of(kind, 0);
            let second_found = self.expressions(&inner.columns).of(second_kind, 0);
            let condition = format!("({value}, {second}) {not}IN (SELECT {found}, {second_found} FROM {})", inner.sql);
            return self.with_condition(outer, &condition);
        }
        let condition = format!("{value} {not}IN ({inner})");
        self.with_condition(outer, &condition)
    }

    /// A condition that brings an outer and an inner row together.
    fn correlation(&mut self, outer: &From, inner: &From) -> String {
        let kind = self.random.pick(&outer.columns).kind;
        let left = self.expressions(&outer.columns).of(kind, 0);
        let right = self.expressions(&inner.columns).of(kind, 0);
        let operator = *self.random.pick(&["=", "=", "=", "<", "<>", "IS NOT DISTINCT FROM"]);
        let more = match self.random.percent(25) {
            true => format!(" AND {}", self.expressions(&inner.columns).condition(1)),
            false => String::new(),
        };
        format!("{left} {operator} {right}{more}")
    }

    fn existence(&mut self, depth: usize) -> Query {
        let (outer, inner) = (self.one(depth), self.one(0));
        let not = *self.random.pick(&["", "NOT "]);
        let correlation = self.correlation(&outer, &inner);
        let condition = format!("{not}EXISTS (SELECT 1 FROM {} WHERE {correlation})", inner.sql);
        self.with_condition(outer, &condition)
    }

    fn comparison_with_all(&mut self, depth: usize) -> Query {
        let outer = self.one(depth);
        let (value, kind) = self.expressions(&outer.columns).any(0);
        let inner = self.select_of(0, &[kind]);
        let operator = *self.random.pick(&["=", "<>", "<", "<=", ">", ">="]);
        let which = *self.random.pick(&["ANY", "ALL"]);
        self.with_condition(outer, &format!("{value} {operator} {which} ({inner})"))
    }

    fn scalar_subquery(&mut self, depth: usize) -> Query {
        let (outer, inner) = (self.one(depth), self.one(0));
        let correlation = match self.random.percent(60) {
            true => format!(" WHERE {}", self.correlation(&outer, &inner)),
            false => String::new(),
        };
        let (subquery, kind) = match self.random.percent(60) {
            true => {
                let (call, kind) = self.call(&inner.columns);
                (format!("(SELECT {call} FROM {}{correlation})", inner.sql), kind)
            }
            false => {
                let (value, kind) = self.expressions(&inner.columns).any(1);
                // Without the limit it may have more than one row, and then fails.
                let limit =
                    *self.random.pick(&[" ORDER BY c0 LIMIT 1", " LIMIT 1", " ORDER BY c0 DESC LIMIT 1 OFFSET 1"]);
                (format!("(SELECT {value} AS c0 FROM {}{correlation}{limit})", inner.sql), kind)
            }
        };
        let (list, mut kinds) = self.list(&outer.columns, 2);
        if self.random.percent(20) {
            let value = self.expressions(&inner.columns).of(Kind::Int, 0);
            let order = *self.random.pick(&["", " ORDER BY c0", " ORDER BY c0 DESC LIMIT 2"]);
            let list_of = format!("ARRAY(SELECT CAST({value} AS BIGINT) AS c0 FROM {}{correlation}{order})", inner.sql);
            kinds.push(Kind::List);
            return Query { sql: format!("SELECT {list}, {list_of} AS c2 FROM {}", outer.sql), kinds };
        }
        if self.random.percent(50) {
            let value = self.expressions(&outer.columns).of(kind, 0);
            return Query { sql: format!("SELECT {list} FROM {} WHERE {value} <> {subquery}", outer.sql), kinds };
        }
        kinds.push(kind);
        Query { sql: format!("SELECT {list}, {subquery} AS c2 FROM {}", outer.sql), kinds }
    }

    fn lateral(&mut self, depth: usize) -> Query {
        let (outer, inner) = (self.one(depth), self.one(0));
        let correlation = self.correlation(&outer, &inner);
        let (value, kind) = self.expressions(&inner.columns).any(0);
        let name = self.name();
        let (call, call_kind) = self.call(&inner.columns);
        let (body, kind) = match self.random.below(4) {
            3 => self.outer_values(&outer),
            0 => (format!("SELECT {value} AS c0 FROM {} WHERE {correlation} ORDER BY c0 LIMIT 2", inner.sql), kind),
            1 => (format!("SELECT {call} AS c0 FROM {} WHERE {correlation}", inner.sql), call_kind),
            _ => (format!("SELECT DISTINCT {value} AS c0 FROM {} WHERE {correlation}", inner.sql), kind),
        };
        let join = match self.random.percent(50) {
            true => format!("LEFT JOIN LATERAL ({body}) AS {name}(c0) ON true"),
            false => format!("CROSS JOIN LATERAL ({body}) AS {name}(c0)"),
        };
        let columns = outer.columns.iter().cloned().chain(named(&name, &[kind])).collect::<Vec<_>>();
        let (list, kinds) = self.list(&columns, 3);
        Query { sql: format!("SELECT {list} FROM {} {join}", outer.sql), kinds }
    }

    fn set_operation(&mut self, depth: usize) -> Query {
        let first = self.select(depth);
        let operator = *self.random.pick(&["UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
        let second = self.select_of(depth, &first.kinds);
        Query { sql: format!("{} {operator} {second}", first.sql), kinds: first.kinds }
    }

    /// A join whose condition fails on some pairs. It names both sides, so that it is looked at for pairs alone: a batch
    /// join with nothing on one side does not look at the other.
    fn failing_pairs(&mut self) -> Query {
        let (left, right) = (self.one(0), self.one(0));
        let (l, r) = (self.integer(&left), self.integer(&right));
        let (Some(l), Some(r)) = (l, r) else { return self.select(0) };
        let join =
            *self.random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
        let condition = match self.random.below(3) {
            0 => format!("{l} / {r} > 0"),
            1 => format!("{l} % ({r} - 1) = {l}"),
            _ => format!("CAST({l} AS BIGINT) + 10 / (CAST({l} AS BIGINT) % 3 - CAST({r} AS BIGINT) % 3) > 0"),
        };
        let equal = if self.random.percent(50) { format!("{l} = {r} AND ") } else { String::new() };
        let columns = match join.contains("LEFT SEMI") || join.contains("LEFT ANTI") {
            true => left.columns.clone(),
            false => left.columns.iter().chain(&right.columns).cloned().collect(),
        };
        let list: Vec<String> =
            columns.iter().take(3).enumerate().map(|(at, c)| format!("{} AS c{at}", c.name)).collect();
        let kinds = columns.iter().take(3).map(|c| c.kind).collect();
        let sql = format!("SELECT {} FROM {} {join} {} ON {equal}{condition}", list.join(", "), left.sql, right.sql);
        Query { sql, kinds }
    }

    fn integer(&mut self, from: &From) -> Option<String> {
        self.expressions(&from.columns).column(Kind::Int)
    }
}
