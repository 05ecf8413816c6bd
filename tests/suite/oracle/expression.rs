//! Random scalar expressions as SQL text.

use super::random::Random;
use super::value::{KINDS, Kind, literal};

/// A column that an expression may name, as it is written there.
#[derive(Debug, Clone)]
pub struct Named {
    pub name: String,
    pub kind: Kind,
}

/// Makes expressions over some columns.
pub struct Expressions<'a> {
    pub random: &'a mut Random,
    pub columns: &'a [Named],
    /// Whether expressions may fail on some rows.
    pub fallible: bool,
}

impl Expressions<'_> {
    /// An expression of any kind.
    pub fn any(&mut self, depth: usize) -> (String, Kind) {
        let kind = match self.columns.is_empty() {
            true => *self.random.pick(&KINDS),
            false => self.random.pick(self.columns).kind,
        };
        (self.of(kind, depth), kind)
    }

    /// A column, where there is one.
    pub fn column(&mut self, kind: Kind) -> Option<String> {
        let fitting: Vec<&Named> = self.columns.iter().filter(|c| c.kind == kind).collect();
        (!fitting.is_empty()).then(|| self.random.pick(&fitting).name.clone())
    }

    /// An expression of one kind.
    pub fn of(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.random.percent(40) {
            return match self.column(kind) {
                Some(column) if self.random.percent(85) => column,
                _ => literal(self.random, kind),
            };
        }
        let depth = depth - 1;
        if self.random.percent(20) {
            return self.choice(kind, depth);
        }
        match kind {
            Kind::Int => self.int(depth),
            Kind::Float => self.float(depth),
            Kind::Decimal => self.decimal(depth),
            Kind::Text => self.text(depth),
            Kind::Bool => self.condition(depth),
            Kind::Date => format!("CAST({} AS DATE)", self.of(Kind::Time, depth)),
            Kind::Time => match self.random.below(4) {
                0 => format!("date_trunc('hour', {})", self.of(Kind::Time, depth)),
                3 => format!("date_bin(INTERVAL '15 minutes', {})", self.of(Kind::Time, 0)),
                1 => format!("CAST({} AS TIMESTAMP)", self.column(Kind::Date).unwrap_or("DATE '2024-03-01'".into())),
                _ => format!(
                    "({} + INTERVAL '90 minutes')",
                    self.column(Kind::Time).unwrap_or("TIMESTAMP '2024-03-01'".into())
                ),
            },
            Kind::Unsigned => format!("({} % CAST(3 AS BIGINT UNSIGNED))", self.of(kind, depth)),
            Kind::Moment => match self.random.below(2) {
                0 => format!("date_trunc('hour', {})", self.of(kind, depth)),
                _ => format!("({} + INTERVAL '90 minutes')", self.of(kind, 0)),
            },
            Kind::List => self.list(depth),
            Kind::Struct => self.choice(kind, depth),
        }
    }

    fn choice(&mut self, kind: Kind, depth: usize) -> String {
        let (a, b) = (self.of(kind, depth), self.of(kind, depth));
        match self.random.below(4) {
            0 => format!("CASE WHEN {} THEN {a} ELSE {b} END", self.condition(depth)),
            1 => format!("CASE WHEN {} THEN {a} END", self.condition(depth)),
            2 => format!("COALESCE({a}, {b})"),
            _ => format!("NULLIF({a}, {b})"),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        if self.fallible && self.random.percent(35) {
            let (a, b) = (self.of(Kind::Int, depth), self.of(Kind::Int, 0));
            return match self.random.below(7) {
                0 => format!("({a} / {b})"),
                1 => format!("({a} % {b})"),
                2 => format!("CAST({} AS BIGINT)", self.of(Kind::Text, depth)),
                3 => format!("CAST({a} AS SMALLINT)"),
                4 => format!("CAST({} AS BIGINT)", self.of(Kind::Float, depth)),
                5 => format!("(- {a})"),
                _ => format!("abs({a})"),
            };
        }
        let (a, b) = (self.of(Kind::Int, depth), self.of(Kind::Int, depth));
        match self.random.below(18) {
            7 => format!("({})[1]", self.of(Kind::List, depth)),
            8 => format!("get_field({}, 'a')", self.of(Kind::Struct, depth)),
            9 => format!("CAST(cardinality({}) AS BIGINT)", self.of(Kind::List, depth)),
            10 => format!("CAST(array_position({}, CAST({b} AS BIGINT)) AS BIGINT)", self.of(Kind::List, depth)),
            11 => format!("TRY_CAST({} AS BIGINT)", self.of(Kind::Text, depth)),
            12 => format!("{}({a}, {b})", self.random.pick(&["greatest", "least"])),
            13 => format!("json_get_int({}, 'a')", self.json(depth)),
            14 => format!("CAST(strpos({}, 'a') AS BIGINT)", self.of(Kind::Text, depth)),
            15 => format!("(MAP {{'a': {a}, 'b': {b}}})['{}']", self.random.pick(&["a", "b", "c"])),
            0 => format!("({} + {})", self.bounded(a), self.bounded(b)),
            1 => format!("({} - {})", self.bounded(a), self.bounded(b)),
            2 => format!("({} * {})", self.bounded(a), self.bounded(b)),
            16 => format!("TRY_CAST({} AS BIGINT)", self.of(Kind::Float, depth)),
            17 => format!("TRY_CAST({} AS BIGINT)", self.of(Kind::Decimal, depth)),
            3 => format!("character_length({})", self.of(Kind::Text, depth)),
            4 => format!("CAST(EXTRACT(DAY FROM {}) AS BIGINT)", self.of(Kind::Date, depth)),
            5 => format!("({a} % 3)"),
            _ => format!("CAST({} AS INT)", self.of(Kind::Bool, depth)),
        }
    }

    /// An integer that arithmetic and sums can take; any, where expressions may fail.
    pub fn bounded(&self, int: String) -> String {
        if self.fallible { int } else { format!("({int} % 1000)") }
    }

    fn list(&mut self, depth: usize) -> String {
        let a = self.of(Kind::List, depth);
        match self.random.below(9) {
            0 => format!("array_reverse({a})"),
            1 => format!("array_append({a}, CAST({} AS BIGINT))", self.of(Kind::Int, 0)),
            2 => format!("array_sort({a})"),
            3 => format!("array_distinct({a})"),
            4 => format!("array_concat({a}, {})", self.of(Kind::List, depth)),
            5 => format!("({a})[1:1]"),
            6 => format!("array_remove({a}, CAST({} AS BIGINT))", self.of(Kind::Int, 0)),
            7 => format!("array_union({a}, {})", self.of(Kind::List, 0)),
            _ => format!("[CAST({} AS BIGINT), {}]", self.of(Kind::Int, 0), literal(self.random, Kind::Int)),
        }
    }

    /// A text that is JSON on most rows.
    fn json(&mut self, depth: usize) -> String {
        match self.random.below(3) {
            0 => self.of(Kind::Text, depth),
            1 => format!("concat('{{\"a\": ', {}, ', \"b\": \"x\"}}')", self.of(Kind::Int, depth)),
            _ => format!("concat('{{\"b\": \"', {}, '\"}}')", self.of(Kind::Text, depth)),
        }
    }

    fn float(&mut self, depth: usize) -> String {
        let (a, b) = (self.of(Kind::Float, depth), self.of(Kind::Float, depth));
        match self.random.below(7) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("({a} * {b})"),
            3 => format!("({a} / {b})"),
            4 => format!("CAST({} AS DOUBLE)", self.of(Kind::Int, depth)),
            5 => format!("round({a})"),
            _ => format!("sqrt(abs({a}))"),
        }
    }

    fn decimal(&mut self, depth: usize) -> String {
        let (a, b) = (self.of(Kind::Decimal, 0), self.of(Kind::Decimal, depth));
        match self.random.below(3) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            _ if self.fallible && self.random.percent(50) => format!("({a} / CAST({b} AS DECIMAL(10,2)))"),
            _ if self.fallible => format!("CAST({} AS DECIMAL(10,2))", self.of(Kind::Int, depth)),
            _ => format!("({a} * 2)"),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let a = self.of(Kind::Text, depth);
        match self.random.below(13) {
            7 => format!("get_field({}, 'b')", self.of(Kind::Struct, depth)),
            8 => format!("regexp_replace({a}, '[a-b]+', '<&>', 'g')"),
            9 => format!("split_part({a}, 'a', 1)"),
            10 => format!("lpad({a}, 4, 'xy')"),
            11 => format!("json_get_str({}, 'b')", self.json(depth)),
            12 => format!("array_to_string({}, '/', '-')", self.of(Kind::List, depth)),
            0 => format!("upper({a})"),
            1 => format!("({a} || {})", self.of(Kind::Text, depth)),
            2 => format!("concat({a}, '-', {})", self.of(Kind::Text, depth)),
            3 => format!("substr({a}, 1, 1)"),
            4 => format!("reverse({a})"),
            5 => format!("replace({a}, 'a', 'ba')"),
            _ => {
                let kind = *self.random.pick(&[Kind::Int, Kind::Decimal, Kind::Bool, Kind::Date, Kind::Float]);
                format!("CAST({} AS TEXT)", self.of(kind, depth))
            }
        }
    }

    /// A condition.
    pub fn condition(&mut self, depth: usize) -> String {
        let kind = match self.columns.is_empty() || self.random.percent(20) {
            true => *self.random.pick(&KINDS),
            false => self.random.pick(self.columns).kind,
        };
        let deeper = depth.saturating_sub(1);
        let a = self.of(kind, deeper);
        // What fails on a row that its guard leaves out does not fail.
        if self.random.percent(6)
            && let Some(x) = self.column(Kind::Int)
        {
            return match self.random.below(2) {
                0 => format!("({x} <> 0 AND 10 / {x} > 3)"),
                _ => format!("({x} = 0 OR 10 / {x} > 3)"),
            };
        }
        let condition = match self.random.below(if depth == 0 { 7 } else { 11 }) {
            0..3 => {
                let operator = *self.random.pick(&["=", "=", "<>", "<", "<=", ">", ">="]);
                format!("{a} {operator} {}", self.of(kind, deeper))
            }
            3 => format!("{a} IS NOT NULL"),
            4 => format!("{a} IS NULL"),
            5 => format!("{a} IS DISTINCT FROM {}", self.of(kind, deeper)),
            6 => format!("{a} IN ({}, {})", literal(self.random, kind), literal(self.random, kind)),
            7 => format!("{} AND {}", self.condition(deeper), self.condition(deeper)),
            8 => format!("{} OR {}", self.condition(deeper), self.condition(deeper)),
            9 => format!("NOT {}", self.condition(deeper)),
            _ => match self.random.below(6) {
                0 => format!("{a} BETWEEN {} AND {}", literal(self.random, kind), literal(self.random, kind)),
                1 => format!("{} ~ '^(a|é)'", self.of(Kind::Text, deeper)),
                2 => format!("{} ILIKE 'A_'", self.of(Kind::Text, deeper)),
                3 => format!("array_has({}, CAST({} AS BIGINT))", self.of(Kind::List, deeper), self.of(Kind::Int, 0)),
                4 => format!("json_contains({}, 'a')", self.json(deeper)),
                _ => format!("{} LIKE '%a%'", self.of(Kind::Text, deeper)),
            },
        };
        format!("({condition})")
    }
}
