//! Random queries as SQL text: what has incremental operators. The rest is in [`super::exotic`].

use super::expression::{Expressions, Named};
use super::random::Random;
use super::value::Kind;

/// Something that can stand in FROM.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub columns: Vec<Named>,
}

/// A query and its columns, which are named `c0`, `c1` and so on.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub kinds: Vec<Kind>,
}

/// Makes queries over some sources.
pub struct Queries<'a> {
    pub random: &'a mut Random,
    pub sources: &'a [Source],
    /// Whether expressions may fail on some rows.
    pub fallible: bool,
    /// Whether what has no incremental operator may occur.
    pub exotic: bool,
    /// How many names were given.
    pub names: usize,
}

/// A FROM clause and the columns that can be named above it.
pub struct From {
    pub sql: String,
    pub columns: Vec<Named>,
}

impl Queries<'_> {
    /// A query with at most so many levels of subqueries.
    pub fn query(&mut self, depth: usize) -> Query {
        if self.exotic && !self.fallible && self.random.percent(60) {
            return self.exotic_query(depth);
        }
        match self.random.below(23) {
            19.. => self.relational_query(depth),
            13..15 => self.window(depth),
            15 if !self.fallible => self.best_of_groups(depth),
            16 if !self.fallible => self.distinct_on(depth),
            17 if self.random.percent(70) => self.beside(depth),
            17 => self.unnest(depth),
            18 => self.grouping_sets(depth),
            0..2 => self.select(depth),
            2..6 => self.aggregate(depth),
            6 => self.global_aggregate(depth),
            7 => self.distinct(depth),
            8 => self.union_all(depth),
            9 => self.top(depth),
            10 => self.with(depth),
            11 => self.recursive(depth),
            _ if self.fallible => self.aggregate(depth),
            _ => self.join_of_aggregates(depth),
        }
    }

    pub fn expressions<'b>(&'b mut self, columns: &'b [Named]) -> Expressions<'b> {
        Expressions { random: self.random, columns, fallible: self.fallible }
    }

    pub fn name(&mut self) -> String {
        self.names += 1;
        format!("s{}", self.names)
    }

    /// `SELECT list FROM ... WHERE ...`
    pub fn select(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let count = self.random.between(1, 4);
        let (list, kinds) = self.list(&from.columns, count);
        let condition = self.condition(&from.columns, 60);
        Query { sql: format!("SELECT {list} FROM {}{condition}", from.sql), kinds }
    }

    fn distinct(&mut self, depth: usize) -> Query {
        let mut query = self.select(depth);
        query.sql = query.sql.replacen("SELECT", "SELECT DISTINCT", 1);
        query
    }

    /// Expressions with their names.
    pub fn list(&mut self, columns: &[Named], count: usize) -> (String, Vec<Kind>) {
        let (mut list, mut kinds) = (Vec::new(), Vec::new());
        for at in 0..count {
            let (expression, kind) = self.expressions(columns).any(2);
            list.push(format!("{expression} AS c{at}"));
            kinds.push(kind);
        }
        (list.join(", "), kinds)
    }

    /// WHERE, in so many of a hundred cases.
    pub fn condition(&mut self, columns: &[Named], percent: usize) -> String {
        match self.random.percent(percent) {
            true => format!(" WHERE {}", self.expressions(columns).condition(2)),
            false => String::new(),
        }
    }

    /// One or more sources, joined.
    pub fn from(&mut self, depth: usize) -> From {
        let mut from = self.one(depth);
        let joins = match self.random.below(10) {
            // A batch join with nothing on one side does not look at the other, where a row may fail.
            _ if self.fallible => 0,
            0..6 => 0,
            6..9 => 1,
            _ => 2,
        };
        for _ in 0..joins {
            let right = self.one(depth.saturating_sub(1));
            from = self.joined("JOIN", from, right);
        }
        from
    }

    /// A join of two on columns of one kind, perhaps with a residual condition.
    pub fn joined(&mut self, join: &str, left: From, right: From) -> From {
        let mut on = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            let kind = self.random.pick(&left.columns).kind;
            let (Some(l), Some(r)) =
                (self.expressions(&left.columns).column(kind), self.expressions(&right.columns).column(kind))
            else {
                continue;
            };
            on.push(match self.random.below(10) {
                0 if kind == Kind::Int => format!("{l} % 100 + 1 = {r}"),
                1 => format!("({l} IS NOT DISTINCT FROM {r})"),
                _ => format!("{l} = {r}"),
            });
        }
        let columns: Vec<Named> = left.columns.iter().chain(&right.columns).cloned().collect();
        if on.is_empty() || self.random.percent(25) {
            let condition = self.expressions(&columns).condition(1);
            on.push(condition);
        }
        From { sql: format!("{} {join} {} ON {}", left.sql, right.sql, on.join(" AND ")), columns }
    }

    /// One relation or subquery under a new name.
    pub fn one(&mut self, depth: usize) -> From {
        let name = self.name();
        if depth > 0 && self.random.percent(30) {
            let query = self.query(depth - 1);
            return From { sql: format!("({}) AS {name}", query.sql), columns: named(&name, &query.kinds) };
        }
        if self.random.percent(5) {
            return self.constants();
        }
        let source = self.random.pick(self.sources).clone();
        let columns =
            source.columns.iter().map(|c| Named { name: format!("{name}.{}", c.name), kind: c.kind }).collect();
        From { sql: format!("{} AS {name}", source.name), columns }
    }

    pub fn aggregate(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (mut keys, mut list, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..self.random.between(1, 2) {
            let depth = self.random.below(2);
            let (key, kind) = self.expressions(&from.columns).any(depth);
            // A literal in GROUP BY would be the place of a column.
            if !key.contains("s") || keys.contains(&key) {
                continue;
            }
            list.push(format!("{key} AS c{at}"));
            kinds.push(kind);
            keys.push(key);
        }
        if keys.is_empty() {
            return self.global_aggregate(depth);
        }
        for _ in 0..self.random.below(4) {
            let (call, kind) = self.call(&from.columns);
            list.push(format!("{call} AS c{}", kinds.len()));
            kinds.push(kind);
        }
        if self.random.percent(10) && !matches!(kinds[0], Kind::List | Kind::Struct) {
            // Says nothing more about a group.
            keys.push(format!("CAST({} AS TEXT)", keys[0]));
            if self.random.percent(50) {
                list.push(format!("CAST({} AS TEXT) AS c0", keys[0]));
                kinds.push(Kind::Text);
            }
        }
        for (at, item) in list.iter_mut().enumerate() {
            let text = item.rsplit_once(" AS ").expect("each has a name").0;
            *item = format!("{text} AS c{at}");
        }
        let condition = self.condition(&from.columns, 40);
        let having = match self.random.below(5) {
            0 => " HAVING count(*) > 1".into(),
            1 => {
                let (call, kind) = self.call(&from.columns);
                let bound = super::value::literal(self.random, kind);
                format!(" HAVING {call} <> {bound}")
            }
            _ => String::new(),
        };
        let sql =
            format!("SELECT {} FROM {}{condition} GROUP BY {}{having}", list.join(", "), from.sql, keys.join(", "));
        Query { sql, kinds }
    }

    fn global_aggregate(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (mut list, mut kinds) = (Vec::new(), Vec::new());
        for at in 0..self.random.between(1, 4) {
            let (call, kind) = self.call(&from.columns);
            list.push(format!("{call} AS c{at}"));
            kinds.push(kind);
        }
        let condition = self.condition(&from.columns, 40);
        Query { sql: format!("SELECT {} FROM {}{condition}", list.join(", "), from.sql), kinds }
    }

    fn union_all(&mut self, depth: usize) -> Query {
        let first = self.select(depth);
        let mut sql = first.sql;
        for _ in 0..self.random.between(1, 2) {
            sql = format!("{sql} UNION ALL {}", self.select_of(depth, &first.kinds));
        }
        Query { sql, kinds: first.kinds }
    }

    /// A query with columns of these kinds.
    pub fn select_of(&mut self, depth: usize, kinds: &[Kind]) -> String {
        let from = self.from(depth);
        let list: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| format!("{} AS c{at}", self.expressions(&from.columns).of(*kind, 1)))
            .collect();
        let condition = self.condition(&from.columns, 50);
        format!("SELECT {} FROM {}{condition}", list.join(", "), from.sql)
    }

    fn top(&mut self, depth: usize) -> Query {
        let query = match self.random.percent(50) {
            true => self.select(depth),
            false => self.aggregate(depth),
        };
        if self.random.percent(20) {
            let limit = self.limit();
            return Query { sql: format!("{} {limit}", query.sql), kinds: query.kinds };
        }
        let order = self.order(&query.kinds);
        let limit = self.limit();
        Query { sql: format!("{} ORDER BY {order} {limit}", query.sql), kinds: query.kinds }
    }

    pub fn limit(&mut self) -> String {
        match self.random.below(6) {
            0 => format!("LIMIT {} OFFSET {}", self.random.between(1, 4), self.random.below(4)),
            1 => format!("OFFSET {}", self.random.below(5)),
            2 => "LIMIT 0".into(),
            _ => format!("LIMIT {}", self.random.between(1, 6)),
        }
    }

    /// An order by some of the columns `c0`, `c1`, ...
    pub fn order(&mut self, kinds: &[Kind]) -> String {
        let mut order = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            let direction = *self.random.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            order.push(format!("c{}{direction}", self.random.below(kinds.len())));
        }
        order.join(", ")
    }

    fn with(&mut self, depth: usize) -> Query {
        let inner = self.query(depth.saturating_sub(1));
        let (with, a, b) = (self.name(), self.name(), self.name());
        let left = From { sql: format!("{with} AS {a}"), columns: named(&a, &inner.kinds) };
        let right = From { sql: format!("{with} AS {b}"), columns: named(&b, &inner.kinds) };
        let from = match !self.fallible && self.random.percent(60) {
            true => self.joined("JOIN", left, right),
            false => left,
        };
        let count = self.random.between(1, 3);
        let (list, kinds) = self.list(&from.columns, count);
        Query { sql: format!("WITH {with} AS ({}) SELECT {list} FROM {}", inner.sql, from.sql), kinds }
    }

    fn join_of_aggregates(&mut self, depth: usize) -> Query {
        let (a, b) = (self.name(), self.name());
        let (left, right) = (self.aggregate(depth.saturating_sub(1)), self.aggregate(depth.saturating_sub(1)));
        let left = From { sql: format!("({}) AS {a}", left.sql), columns: named(&a, &left.kinds) };
        let right = From { sql: format!("({}) AS {b}", right.sql), columns: named(&b, &right.kinds) };
        let from = self.joined("JOIN", left, right);
        let (list, kinds) = self.list(&from.columns, 3);
        Query { sql: format!("SELECT {list} FROM {}", from.sql), kinds }
    }
}

/// The columns of a subquery.
pub fn named(name: &str, kinds: &[Kind]) -> Vec<Named> {
    kinds.iter().enumerate().map(|(at, kind)| Named { name: format!("{name}.c{at}"), kind: *kind }).collect()
}
