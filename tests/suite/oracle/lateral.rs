//! Random queries with table functions beside the tables whose columns they name.

use super::expression::Named;
use super::query::{From, Queries, Query};
use super::value::{Kind, literal};

impl Queries<'_> {
    /// `SELECT list FROM ..., unnest(...) AS s(c0, c1)`, and the like.
    pub fn beside(&mut self, depth: usize) -> Query {
        let mut from = self.one(depth);
        for _ in 0..self.random.between(1, 2) {
            from = self.with_function(from);
        }
        let condition = self.condition(&from.columns, 30);
        if self.random.percent(25) {
            let (key, kind) = self.expressions(&from.columns).any(0);
            let (call, call_kind) = self.call(&from.columns);
            // A literal in GROUP BY would be the place of a column.
            if key.contains('s') {
                let sql = format!("SELECT {key} AS c0, {call} AS c1 FROM {}{condition} GROUP BY {key}", from.sql);
                return Query { sql, kinds: vec![kind, call_kind] };
            }
        }
        let (list, kinds) = self.list(&from.columns, 3);
        Query { sql: format!("SELECT {list} FROM {}{condition}", from.sql), kinds }
    }

    fn with_function(&mut self, from: From) -> From {
        let name = self.name();
        let mut lists = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            lists.push(self.list_of(&from.columns));
        }
        let numbered = self.random.percent(30);
        let (function, mut kinds) = match (lists.as_slice(), self.random.percent(25)) {
            (_, true) => {
                let number = self.expressions(&from.columns).of(Kind::Int, 0);
                let series = match self.random.below(3) {
                    0 => format!("generate_series(1, {number} % 4)"),
                    1 => format!("generate_series({number} % 3, 0, -1)"),
                    _ => format!("range({number} % 3, 3)"),
                };
                (series, vec![Kind::Int])
            }
            (lists, _) => {
                let texts: Vec<&str> = lists.iter().map(|(text, _)| text.as_str()).collect();
                (format!("unnest({})", texts.join(", ")), lists.iter().map(|(_, kind)| *kind).collect())
            }
        };
        if numbered {
            kinds.push(Kind::Int);
        }
        let names: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
        let ordinality = if numbered { " WITH ORDINALITY" } else { "" };
        let function = format!("{function}{ordinality} AS {name}({})", names.join(", "));
        let own =
            names.iter().zip(&kinds).map(|(column, kind)| Named { name: format!("{name}.{column}"), kind: *kind });
        let columns: Vec<Named> = from.columns.iter().cloned().chain(own).collect();
        // A batch join with nothing on one side does not look at the other, where a row may fail.
        let sql = match self.random.below(if self.fallible { 4 } else { 6 }) {
            0 => format!("{}, {function}", from.sql),
            1 => format!("{} CROSS JOIN LATERAL {function}", from.sql),
            2..4 => format!("{} LEFT JOIN LATERAL {function} ON true", from.sql),
            4 => format!("{} LEFT JOIN {function} ON {}", from.sql, self.expressions(&columns).condition(1)),
            _ => format!("{} JOIN {function} ON {}", from.sql, self.expressions(&columns).condition(1)),
        };
        From { sql, columns }
    }

    /// A list, and the kind of its elements.
    fn list_of(&mut self, columns: &[Named]) -> (String, Kind) {
        let numbers = self.expressions(columns).of(Kind::List, 0);
        match self.random.below(4) {
            0 => (numbers, Kind::Int),
            1 => {
                let number = self.expressions(columns).of(Kind::Int, 0);
                (format!("array_append({numbers}, CAST({number} AS BIGINT))"), Kind::Int)
            }
            _ => {
                let (first, kind) = self.expressions(columns).any(0);
                let second = self.expressions(columns).of(kind, 0);
                (format!("[{first}, {second}]"), kind)
            }
        }
    }

    /// VALUES over the columns of an outer row, and their kind.
    pub fn outer_values(&mut self, outer: &From) -> (String, Kind) {
        let (first, kind) = self.expressions(&outer.columns).any(1);
        let second = match self.random.percent(50) {
            true => self.expressions(&outer.columns).of(kind, 0),
            false => literal(self.random, kind),
        };
        (format!("VALUES ({first}), ({second})"), kind)
    }
}
