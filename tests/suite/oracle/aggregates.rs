//! Random aggregates: calls of every function, and grouping sets.

use super::expression::Named;
use super::query::{Queries, Query};
use super::value::Kind;

impl Queries<'_> {
    /// A call of an aggregate.
    pub fn call(&mut self, columns: &[Named]) -> (String, Kind) {
        let (call, kind) = match self.random.below(10) {
            0..5 => self.plain_call(columns),
            5 => self.logical_call(columns),
            6 => self.statistic(columns),
            7 => self.quantile(columns),
            _ => self.ordered_call(columns),
        };
        match self.random.percent(15) {
            // What is made of a call cannot have a filter.
            true if !call.starts_with("CAST(") => {
                (format!("{call} FILTER (WHERE {})", self.expressions(columns).condition(1)), kind)
            }
            _ => (call, kind),
        }
    }

    /// A call of a function that everybody knows.
    pub fn plain_call(&mut self, columns: &[Named]) -> (String, Kind) {
        let depth = self.random.below(2);
        let (argument, kind) = self.expressions(columns).any(depth);
        let number = *self.random.pick(&[Kind::Int, Kind::Int, Kind::Float, Kind::Decimal]);
        let depth = self.random.below(2);
        let numeric = self.expressions(columns).of(number, depth);
        let addend =
            if number == Kind::Int { self.expressions(columns).bounded(numeric.clone()) } else { numeric.clone() };
        match self.random.below(11) {
            0..2 => ("count(*)".into(), Kind::Int),
            2 => (format!("count({argument})"), Kind::Int),
            3 => (format!("count(DISTINCT {argument})"), Kind::Int),
            4..6 => (format!("sum({addend})"), number),
            6 => (format!("avg({numeric})"), if number == Kind::Int { Kind::Float } else { number }),
            7 | 8 => (format!("min({argument})"), kind),
            9 => (format!("max({argument})"), kind),
            _ => (format!("sum(DISTINCT {addend})"), number),
        }
    }

    /// A call of a function of bits.
    pub fn logical_call(&mut self, columns: &[Named]) -> (String, Kind) {
        let distinct = *self.random.pick(&["", "", "DISTINCT "]);
        let depth = self.random.below(2);
        let int = self.expressions(columns).of(Kind::Int, depth);
        let condition = self.expressions(columns).condition(1);
        match self.random.below(5) {
            0 => (format!("bool_and({condition})"), Kind::Bool),
            1 => (format!("bool_or({condition})"), Kind::Bool),
            2 => (format!("bit_and({int})"), Kind::Int),
            3 => (format!("bit_or({int})"), Kind::Int),
            _ => (format!("bit_xor({distinct}{int})"), Kind::Int),
        }
    }

    /// Variance and what is like it.
    pub fn statistic(&mut self, columns: &[Named]) -> (String, Kind) {
        let distinct = *self.random.pick(&["", "", "DISTINCT "]);
        let mut number = || {
            let kind = *self.random.pick(&[Kind::Int, Kind::Float, Kind::Decimal]);
            self.expressions(columns).of(kind, 0)
        };
        let (y, x) = (number(), number());
        let of_one = ["var", "var_pop", "stddev", "stddev_pop"];
        let of_two = [
            "covar_samp",
            "covar_pop",
            "corr",
            "regr_slope",
            "regr_intercept",
            "regr_r2",
            "regr_avgx",
            "regr_avgy",
            "regr_sxx",
            "regr_syy",
            "regr_sxy",
        ];
        match self.random.below(8) {
            0 => (format!("CAST(regr_count({y}, {x}) AS BIGINT)"), Kind::Int),
            1..4 => (format!("{}({distinct}{x})", self.random.pick(&of_one)), Kind::Float),
            _ => (format!("{}({y}, {x})", self.random.pick(&of_two)), Kind::Float),
        }
    }

    /// A value with so many others below it.
    pub fn quantile(&mut self, columns: &[Named]) -> (String, Kind) {
        let distinct = *self.random.pick(&["", "", "DISTINCT "]);
        let kind = *self.random.pick(&[Kind::Int, Kind::Float, Kind::Decimal]);
        let number = self.expressions(columns).of(kind, 0);
        let float = self.expressions(columns).of(Kind::Float, 0);
        let int = self.expressions(columns).of(Kind::Int, 0);
        let text = self.expressions(columns).of(Kind::Text, 0);
        let direction = *self.random.pick(&["", " DESC"]);
        match self.random.below(8) {
            0 | 1 => (format!("median({distinct}{number})"), if kind == Kind::Int { Kind::Float } else { kind }),
            2 => (format!("percentile_cont(0.3) WITHIN GROUP (ORDER BY {float}{direction})"), Kind::Float),
            3 => (format!("quantile_cont({float}, 0.75)"), Kind::Float),
            4 => (format!("approx_median({float})"), Kind::Float),
            5 => (format!("approx_percentile_cont({float}, 0.6)"), Kind::Float),
            6 => (format!("approx_percentile_cont_with_weight({float}, abs({int} % 5) + 1, 0.5)"), Kind::Float),
            _ => {
                let argument = if self.random.percent(50) { text } else { int };
                (format!("CAST(approx_distinct({argument}) AS BIGINT)"), Kind::Int)
            }
        }
    }

    fn ordered_call(&mut self, columns: &[Named]) -> (String, Kind) {
        let depth = self.random.below(2);
        let (argument, kind) = self.expressions(columns).any(depth);
        let text = self.expressions(columns).of(Kind::Text, 0);
        let int = self.expressions(columns).of(Kind::Int, 0);
        let order = match self.random.below(3) {
            0 => String::new(),
            _ => {
                let (key, _) = self.expressions(columns).any(0);
                let direction = *self.random.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                // A constant orders nothing, and may be the place of a column.
                if key.starts_with('s') { format!(" ORDER BY {key}{direction}") } else { String::new() }
            }
        };
        let nulls = *self.random.pick(&["", "", " IGNORE NULLS"]);
        match self.random.below(9) {
            // No text is made of structs.
            0 if kind != Kind::Struct => (format!("CAST(array_agg({argument}{order}) AS TEXT)"), Kind::Text),
            1 => (format!("array_agg(CAST({int} AS BIGINT){order})"), Kind::List),
            2 => (format!("array_agg(DISTINCT CAST({int} AS BIGINT))"), Kind::List),
            3 => (format!("string_agg({text}, ','{order})"), Kind::Text),
            4 => (format!("string_agg(DISTINCT {text}, '' ORDER BY {text})"), Kind::Text),
            5 => (format!("any_value({argument})"), kind),
            6 => (format!("first_value({argument}{order}){nulls}"), kind),
            7 => (format!("last_value({argument}{order}){nulls}"), kind),
            _ => {
                let n = *self.random.pick(&["1", "2", "-1", "-3"]);
                (format!("nth_value({argument}, {n}{order})"), kind)
            }
        }
    }

    /// Groups by several sets of keys at once.
    pub fn grouping_sets(&mut self, depth: usize) -> Query {
        let from = self.from(depth);
        let (a, b) = (self.random.pick(&from.columns).clone(), self.random.pick(&from.columns).clone());
        let (x, y) = (&a.name, &b.name);
        let sets = match self.random.below(6) {
            0 => format!("ROLLUP ({x}, {y})"),
            1 => format!("CUBE ({x}, {y})"),
            2 => format!("GROUPING SETS (({x}), ({x}, {y}), ({x}), ())"),
            3 => format!("{x}, ROLLUP ({y})"),
            4 => "GROUPING SETS ((), ())".into(),
            _ => format!("GROUPING SETS (({x}), ({x}, {y}), ())"),
        };
        let (mut list, mut kinds) = (Vec::new(), Vec::new());
        if sets.contains(x.as_str()) {
            list.extend([x.clone(), y.clone()]);
            kinds.extend([a.kind, b.kind]);
            if self.random.percent(40) {
                list.push(format!("CAST(grouping({x}, {y}) AS BIGINT)"));
                kinds.push(Kind::Int);
            }
        }
        for _ in 0..self.random.between(1, 3) {
            let (call, kind) = self.call(&from.columns);
            list.push(call);
            kinds.push(kind);
        }
        let list: Vec<String> = list.iter().enumerate().map(|(at, item)| format!("{item} AS c{at}")).collect();
        let condition = self.condition(&from.columns, 30);
        let having = if self.random.percent(20) { " HAVING count(*) > 1" } else { "" };
        let sql = format!("SELECT {} FROM {}{condition} GROUP BY {sets}{having}", list.join(", "), from.sql);
        Query { sql, kinds }
    }
}
