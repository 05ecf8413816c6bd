//! Random queries with window functions, the best rows of groups, DISTINCT ON, and rows from lists and constants.

use super::expression::Named;
use super::query::{From, Queries, Query, named};
use super::value::{KINDS, Kind, literal};

impl Queries<'_> {
    /// `SELECT list, f(..) OVER (..), ... FROM ...`
    pub fn window(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (list, mut kinds) = self.list(&from.columns, 2);
        let mut items = vec![list];
        let shared = self.over(&from.columns);
        let mut uses_shared = false;
        for _ in 0..self.random.between(1, 3) {
            let over = match self.random.percent(50) {
                true => {
                    uses_shared = true;
                    "w".to_string()
                }
                false => format!("({})", self.over(&from.columns)),
            };
            let (call, kind) = self.window_call(&from.columns, &over);
            items.push(format!("{call} AS c{}", kinds.len()));
            kinds.push(kind);
        }
        let condition = self.condition(&from.columns, 20);
        let named = if uses_shared { format!(" WINDOW w AS ({shared})") } else { String::new() };
        Query { sql: format!("SELECT {} FROM {}{condition}{named}", items.join(", "), from.sql), kinds }
    }

    /// Partition, order and frame.
    fn over(&mut self, columns: &[Named]) -> String {
        let mut parts = Vec::new();
        if self.random.percent(65) {
            let depth = self.random.below(3);
            let (partition, _) = self.expressions(columns).any(depth);
            parts.push(format!("PARTITION BY {partition}"));
        }
        let by_number = self.random.percent(20);
        let has_order = by_number || self.random.percent(75);
        if has_order {
            let depth = self.random.below(3);
            let order = match by_number {
                true => self.expressions(columns).of(Kind::Int, depth),
                false => self.expressions(columns).any(depth).0,
            };
            let direction = *self.random.pick(&["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            let then = match self.random.percent(20) && !by_number {
                true => format!(", {}", self.expressions(columns).any(1).0),
                false => String::new(),
            };
            parts.push(format!("ORDER BY {order}{direction}{then}"));
        }
        if self.random.percent(45) {
            let units = match (has_order, by_number) {
                (true, true) => *self.random.pick(&["ROWS", "RANGE", "GROUPS"]),
                (true, false) => *self.random.pick(&["ROWS", "ROWS", "GROUPS"]),
                _ => "ROWS",
            };
            parts.push(self.frame(units));
        }
        parts.join(" ")
    }

    fn frame(&mut self, units: &str) -> String {
        let (a, b) = (self.random.below(3), self.random.below(3));
        let bounds = match self.random.below(8) {
            0 => "UNBOUNDED PRECEDING AND CURRENT ROW".into(),
            1 => "CURRENT ROW AND UNBOUNDED FOLLOWING".into(),
            2 => format!("UNBOUNDED PRECEDING AND {b} FOLLOWING"),
            3 => format!("{} PRECEDING AND {a} PRECEDING", a + b),
            4 => format!("{a} FOLLOWING AND {} FOLLOWING", a + b),
            5 => format!("{a} PRECEDING AND CURRENT ROW"),
            6 => "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".into(),
            _ => format!("{a} PRECEDING AND {b} FOLLOWING"),
        };
        format!("{units} BETWEEN {bounds}")
    }

    fn window_call(&mut self, columns: &[Named], over: &str) -> (String, Kind) {
        let depth = self.random.below(3);
        let (argument, kind) = self.expressions(columns).any(depth);
        let nulls = *self.random.pick(&["", "", " IGNORE NULLS", " RESPECT NULLS"]);
        let offset = self.random.below(3);
        let fallback = literal(self.random, kind);
        let (call, kind) = match self.random.below(28) {
            0 => ("row_number()".into(), Kind::Int),
            1 => ("rank()".into(), Kind::Int),
            2 => ("dense_rank()".into(), Kind::Int),
            3 => ("percent_rank()".into(), Kind::Float),
            4 => ("cume_dist()".into(), Kind::Float),
            5 => (format!("ntile({})", offset + 1), Kind::Int),
            6 => (format!("lag({argument}){nulls}"), kind),
            7 => (format!("lead({argument}, {offset}){nulls}"), kind),
            8 => (format!("lag({argument}, {offset}, {fallback})"), kind),
            9 | 10 => (format!("first_value({argument}){nulls}"), kind),
            11 | 12 => (format!("last_value({argument}){nulls}"), kind),
            13 => (format!("nth_value({argument}, {})", offset + 1), kind),
            _ => return self.window_aggregate(columns, over),
        };
        (format!("{call} OVER {over}"), kind)
    }

    /// An aggregate over a frame.
    fn window_aggregate(&mut self, columns: &[Named], over: &str) -> (String, Kind) {
        let (call, kind) = match self.random.below(10) {
            0..5 => self.plain_call(columns),
            5 | 6 => self.logical_call(columns),
            7 => self.statistic(columns),
            8 => self.quantile(columns),
            _ => {
                let distinct = *self.random.pick(&["", "", "DISTINCT "]);
                let int = self.expressions(columns).of(Kind::Int, 1);
                let text = self.expressions(columns).of(Kind::Text, 1);
                match self.random.percent(50) {
                    true => (format!("array_agg({distinct}CAST({int} AS BIGINT))"), Kind::List),
                    false => (format!("string_agg({distinct}{text}, ',')"), Kind::Text),
                }
            }
        };
        // What is made of a call is none, and a call with an order of its own has no frame.
        let (call, kind) = match call.starts_with("CAST(") || call.contains("WITHIN GROUP") {
            true => ("count(*)".into(), Kind::Int),
            false => (call, kind),
        };
        let filter = match self.random.percent(20) {
            true => format!(" FILTER (WHERE {})", self.expressions(columns).condition(2)),
            false => String::new(),
        };
        (format!("{call}{filter} OVER {over}"), kind)
    }

    /// The rows of each group whose number is small, by a subquery or by QUALIFY.
    pub fn best_of_groups(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let number = *self.random.pick(&["row_number()", "row_number()", "rank()", "dense_rank()"]);
        let partition = match self.random.percent(75) {
            true => format!("PARTITION BY {} ", self.expressions(&from.columns).any(1).0),
            false => String::new(),
        };
        let order = self.expressions(&from.columns).any(2).0;
        let direction = *self.random.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
        let call = format!("{number} OVER ({partition}ORDER BY {order}{direction})");
        let most = self.random.below(4);
        let compare = |what: &str, way: usize| match way {
            0 | 1 => format!("{what} <= {most}"),
            2 => format!("{what} < {most}"),
            3 => format!("{what} = {most}"),
            4 => format!("{} >= {what}", most + 1),
            _ => format!("{what} BETWEEN 2 AND {}", most + 1),
        };
        let way = self.random.below(6);
        if self.random.percent(40) {
            let count = self.random.between(1, 3);
            let (list, kinds) = self.list(&from.columns, count);
            let condition = self.condition(&from.columns, 30);
            let qualify = compare(&call, way);
            return Query { sql: format!("SELECT {list} FROM {}{condition} QUALIFY {qualify}", from.sql), kinds };
        }
        let (list, kinds) = self.list(&from.columns, 3);
        let name = self.name();
        let mut columns = named(&name, &kinds);
        if self.random.percent(50) {
            columns.push(Named { name: format!("{name}.n"), kind: Kind::Int });
        }
        let mut condition = compare(&format!("{name}.n"), way);
        if self.random.percent(30) {
            condition = format!("{condition} AND {}", self.expressions(&columns).condition(1));
        }
        let count = self.random.between(1, 4);
        let (outer, kinds) = self.list(&columns, count);
        let inner = format!("SELECT {list}, {call} AS n FROM {}", from.sql);
        Query { sql: format!("SELECT {outer} FROM ({inner}) AS {name} WHERE {condition}"), kinds }
    }

    pub fn distinct_on(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let count = self.random.between(1, 3);
        let (list, kinds) = self.list(&from.columns, count);
        let mut keys = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            let key = self.random.pick(&from.columns).name.clone();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let keys = keys.join(", ");
        let order = match self.random.percent(60) {
            true => {
                let direction = *self.random.pick(&["", " DESC", " NULLS FIRST"]);
                format!(" ORDER BY {keys}, {}{direction}", self.random.pick(&from.columns).name)
            }
            false => String::new(),
        };
        let limit = if self.random.percent(10) { format!(" {}", self.limit()) } else { String::new() };
        let condition = self.condition(&from.columns, 30);
        Query { sql: format!("SELECT DISTINCT ON ({keys}) {list} FROM {}{condition}{order}{limit}", from.sql), kinds }
    }

    /// Elements of lists as rows.
    pub fn unnest(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (list, mut kinds) = self.list(&from.columns, 1);
        let (first, kind) = self.expressions(&from.columns).any(0);
        let second = self.expressions(&from.columns).of(kind, 0);
        let pair = format!("[{first}, {second}]");
        let number = self.expressions(&from.columns).of(Kind::Int, 0);
        let numbers = self.expressions(&from.columns).of(Kind::List, 0);
        let mut items = vec![list];
        for _ in 0..self.random.between(1, 2) {
            let (nested, kind) = match self.random.below(4) {
                0 => (numbers.clone(), Kind::Int),
                1 => (format!("generate_series(1, {number} % 4)"), Kind::Int),
                2 => (format!("array_append({numbers}, CAST({number} AS BIGINT))"), Kind::Int),
                _ => (pair.clone(), kind),
            };
            items.push(format!("unnest({nested}) AS c{}", kinds.len()));
            kinds.push(kind);
        }
        let condition = self.condition(&from.columns, 20);
        Query { sql: format!("SELECT {} FROM {}{condition}", items.join(", "), from.sql), kinds }
    }

    /// A relation of constants, under a new name.
    pub fn constants(&mut self) -> From {
        let name = self.name();
        if self.random.percent(30) {
            let (first, last) = (self.random.below(3), self.random.below(5));
            let columns = vec![Named { name: format!("{name}.c0"), kind: Kind::Int }];
            return From { sql: format!("generate_series({first}, {last}) AS {name}(c0)"), columns };
        }
        let kinds: Vec<Kind> = (0..self.random.between(1, 3)).map(|_| *self.random.pick(&KINDS)).collect();
        let rows: Vec<String> = (0..self.random.between(1, 4))
            .map(|_| {
                let values: Vec<String> = kinds.iter().map(|kind| literal(self.random, *kind)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let names: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
        let sql = format!("(VALUES {}) AS {name}({})", rows.join(", "), names.join(", "));
        From { sql, columns: named(&name, &kinds) }
    }
}
