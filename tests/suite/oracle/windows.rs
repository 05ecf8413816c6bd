//! Random queries with window functions, the best rows of groups, DISTINCT ON, and rows from lists and constants.

use super::expression::Named;
use super::query::{From, Queries, Query, named};
use super::value::{KINDS, Kind, literal};

/// Kinds whose values MIN and MAX take as window functions.
const FLAT: [Kind; 9] = [
    Kind::Int,
    Kind::Float,
    Kind::Decimal,
    Kind::Text,
    Kind::Bool,
    Kind::Date,
    Kind::Time,
    Kind::Unsigned,
    Kind::Moment,
];

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

    /// Partition, order and frame, by columns: the batch engine evaluates expressions here over all rows at once, where a
    /// view takes them row by row, and then one may fail for a row that the condition beside it leaves out.
    fn over(&mut self, columns: &[Named]) -> String {
        let mut parts = Vec::new();
        if self.random.percent(65) {
            let (partition, _) = self.expressions(columns).any(0);
            parts.push(format!("PARTITION BY {partition}"));
        }
        let by_number = self.random.percent(20);
        let has_order = by_number || self.random.percent(75);
        if has_order {
            let order = match by_number {
                true => self.expressions(columns).of(Kind::Int, 0),
                false => self.expressions(columns).any(0).0,
            };
            let direction = *self.random.pick(&["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            let then = match self.random.percent(20) && !by_number {
                true => format!(", {}", self.random.pick(columns).name),
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
        let (argument, kind) = self.expressions(columns).any(0);
        let number = *self.random.pick(&[Kind::Int, Kind::Int, Kind::Float, Kind::Decimal]);
        let numeric = self.expressions(columns).of(number, 0);
        let flat = *self.random.pick(&FLAT);
        let flat_argument = self.expressions(columns).of(flat, 0);
        let nulls = *self.random.pick(&["", "", " IGNORE NULLS", " RESPECT NULLS"]);
        let offset = self.random.below(3);
        let fallback = literal(self.random, kind);
        let (call, kind, is_aggregate) = match self.random.below(23) {
            0 => ("row_number()".into(), Kind::Int, false),
            1 => ("rank()".into(), Kind::Int, false),
            2 => ("dense_rank()".into(), Kind::Int, false),
            3 => ("percent_rank()".into(), Kind::Float, false),
            4 => ("cume_dist()".into(), Kind::Float, false),
            5 => (format!("ntile({})", offset + 1), Kind::Int, false),
            6 => (format!("lag({argument}){nulls}"), kind, false),
            7 => (format!("lead({argument}, {offset}){nulls}"), kind, false),
            8 => (format!("lag({argument}, {offset}, {fallback})"), kind, false),
            9 | 10 => (format!("first_value({argument}){nulls}"), kind, false),
            11 | 12 => (format!("last_value({argument}){nulls}"), kind, false),
            13 => (format!("nth_value({argument}, {})", offset + 1), kind, false),
            14 => ("count(*)".into(), Kind::Int, true),
            15 => (format!("count({argument})"), Kind::Int, true),
            16 | 17 => (format!("sum({numeric})"), number, true),
            18 => (format!("avg({numeric})"), if number == Kind::Int { Kind::Float } else { number }, true),
            19 => (format!("min({flat_argument})"), flat, true),
            20 => (format!("max({flat_argument})"), flat, true),
            21 => (format!("bool_or({flat_argument} IS NULL)"), Kind::Bool, true),
            _ => {
                let text = self.expressions(columns).of(Kind::Text, 0);
                (format!("string_agg({text}, ',')"), Kind::Text, true)
            }
        };
        let filter = match is_aggregate && self.random.percent(20) {
            true => format!(" FILTER (WHERE {flat_argument} IS NOT NULL)"),
            false => String::new(),
        };
        (format!("{call}{filter} OVER {over}"), kind)
    }

    /// The rows of each group whose number is small, by a subquery or by QUALIFY.
    pub fn best_of_groups(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let number = *self.random.pick(&["row_number()", "row_number()", "rank()", "dense_rank()"]);
        let partition = match self.random.percent(75) {
            true => format!("PARTITION BY {} ", self.expressions(&from.columns).any(0).0),
            false => String::new(),
        };
        let order = self.expressions(&from.columns).any(0).0;
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
