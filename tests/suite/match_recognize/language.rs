//! Random MATCH_RECOGNIZE, and how SQL writes it.

use crate::oracle::random::Random;

/// The variables of patterns; the last one has no condition, and the subset `u` is of the first two.
pub const SYMBOLS: [&str; 4] = ["a", "b", "c", "d"];
/// The place of the subset among the variables.
pub const SUBSET: usize = 4;
/// A row: its place in the order in seconds, its key, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub at: i64,
    pub id: i64,
    pub x: Option<i64>,
}

#[derive(Debug, Clone)]
pub enum Pattern {
    Symbol(usize),
    Start,
    End,
    Sequence(Vec<Pattern>),
    Choice(Vec<Pattern>),
    Repeat(Box<Pattern>, u32, Option<u32>, bool),
}

/// A number, or none.
#[derive(Debug, Clone)]
pub enum Value {
    Number(i64),
    /// Of the current row, or one so many rows away in the partition.
    X(i64),
    /// `FIRST(v.x, n)` or `LAST(v.x, n)`, and so many rows away from there.
    Of {
        symbol: Option<usize>,
        first: bool,
        skip: usize,
        shift: i64,
    },
    Sum(Option<usize>),
    Count(Option<usize>),
    Greatest(Option<usize>),
}

#[derive(Debug, Clone)]
pub enum Condition {
    Less(Value, Value),
    Equal(Value, Value),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skip {
    PastLast,
    ToNext,
    ToFirst(usize),
    ToLast(usize),
}

/// A whole MATCH_RECOGNIZE.
#[derive(Debug, Clone)]
pub struct Query {
    pub pattern: Pattern,
    pub conditions: Vec<Option<Condition>>,
    pub measures: Vec<Value>,
    pub skip: Skip,
    pub within: Option<i64>,
    pub all_rows: bool,
    pub numbered: bool,
    pub descending: bool,
}

fn name(symbol: &Option<usize>, column: &str) -> String {
    match symbol {
        None => column.into(),
        Some(SUBSET) => format!("u.{column}"),
        Some(symbol) => format!("{}.{column}", SYMBOLS[*symbol]),
    }
}

impl Pattern {
    fn random(random: &mut Random, depth: usize) -> Pattern {
        match random.below(if depth == 0 { 5 } else { 12 }) {
            0..=4 => Pattern::Symbol(random.below(SYMBOLS.len())),
            5 if random.percent(40) => {
                if random.percent(50) {
                    Pattern::Start
                } else {
                    Pattern::End
                }
            }
            5..=7 => Pattern::Sequence((0..random.between(2, 3)).map(|_| Pattern::random(random, depth - 1)).collect()),
            8 => Pattern::Choice((0..random.between(2, 3)).map(|_| Pattern::random(random, depth - 1)).collect()),
            _ => {
                let (least, most) = *random.pick(&[
                    (0, None),
                    (1, None),
                    (0, Some(1)),
                    (2, Some(2)),
                    (2, None),
                    (1, Some(3)),
                    (0, Some(2)),
                ]);
                Pattern::Repeat(Box::new(Pattern::random(random, depth - 1)), least, most, random.percent(30))
            }
        }
    }

    fn sql(&self) -> String {
        let all = |parts: &[Pattern], between| parts.iter().map(Pattern::sql).collect::<Vec<_>>().join(between);
        match self {
            Pattern::Symbol(symbol) => SYMBOLS[*symbol].into(),
            Pattern::Start => "^".into(),
            Pattern::End => "$".into(),
            Pattern::Sequence(parts) => format!("({})", all(parts, " ")),
            Pattern::Choice(parts) => format!("({})", all(parts, "|")),
            Pattern::Repeat(of, least, most, reluctant) => {
                let quantifier = match (least, most) {
                    (0, None) => "*".into(),
                    (1, None) => "+".into(),
                    (0, Some(1)) => "?".into(),
                    (0, Some(most)) => format!("{{,{most}}}"),
                    (least, None) => format!("{{{least},}}"),
                    (least, Some(most)) if least == most => format!("{{{least}}}"),
                    (least, Some(most)) => format!("{{{least},{most}}}"),
                };
                format!("({}){quantifier}{}", of.sql(), if *reluctant { "?" } else { "" })
            }
        }
    }
}

impl Value {
    fn random(random: &mut Random) -> Value {
        let symbol = |random: &mut Random| random.percent(70).then(|| random.below(SUBSET + 1));
        match random.below(8) {
            0 | 1 => Value::X(0),
            2 => Value::X(random.between(0, 4) as i64 - 2),
            3 | 4 => {
                let shift = if random.percent(30) { random.between(0, 4) as i64 - 2 } else { 0 };
                let skip = if random.percent(30) { random.below(3) } else { 0 };
                Value::Of { symbol: symbol(random), first: random.percent(50), skip, shift }
            }
            5 => Value::Sum(symbol(random)),
            6 => Value::Count(symbol(random)),
            _ => Value::Greatest(symbol(random)),
        }
    }

    fn sql(&self) -> String {
        match self {
            Value::Number(number) => number.to_string(),
            Value::X(0) => "x".into(),
            Value::X(by @ ..0) => format!("PREV(x, {})", -by),
            Value::X(by) => format!("NEXT(x, {by})"),
            Value::Of { symbol, first, skip, shift } => {
                let call = if *first { "FIRST" } else { "LAST" };
                let inner = match skip {
                    0 => format!("{call}({})", name(symbol, "x")),
                    skip => format!("{call}({}, {skip})", name(symbol, "x")),
                };
                match shift {
                    0 => inner,
                    ..0 => format!("PREV({inner}, {})", -shift),
                    _ => format!("NEXT({inner}, {shift})"),
                }
            }
            Value::Sum(symbol) => format!("sum({})", name(symbol, "x")),
            Value::Count(None) => "count(*)".into(),
            Value::Count(symbol) => format!("count({})", name(symbol, "*")),
            Value::Greatest(symbol) => format!("max({})", name(symbol, "x")),
        }
    }
}

impl Condition {
    fn random(random: &mut Random, depth: usize) -> Condition {
        match random.below(if depth == 0 { 4 } else { 6 }) {
            0 => Condition::Equal(Value::random(random), Value::Number(random.below(5) as i64)),
            1 => Condition::Less(Value::Number(random.below(4) as i64), Value::random(random)),
            2 | 3 => Condition::Less(Value::random(random), Value::random(random)),
            n => {
                let parts = [0, 1].map(|_| Box::new(Condition::random(random, depth - 1)));
                let [left, right] = parts;
                if n == 4 { Condition::And(left, right) } else { Condition::Or(left, right) }
            }
        }
    }

    fn sql(&self) -> String {
        match self {
            Condition::Less(left, right) => format!("{} < {}", left.sql(), right.sql()),
            Condition::Equal(left, right) => format!("{} = {}", left.sql(), right.sql()),
            Condition::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Condition::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
        }
    }
}

impl Query {
    pub fn random(random: &mut Random) -> Query {
        let pattern = Pattern::random(random, 3);
        let condition = |random: &mut Random| random.percent(80).then(|| Condition::random(random, 1));
        let mut conditions: Vec<_> = (0..SYMBOLS.len() - 1).map(|_| condition(random)).collect();
        conditions.push(None);
        let skip = match random.below(10) {
            0..=5 => Skip::PastLast,
            6 | 7 => Skip::ToNext,
            8 => Skip::ToFirst(random.below(SUBSET + 1)),
            _ => Skip::ToLast(random.below(SUBSET + 1)),
        };
        let descending = random.percent(15);
        Query {
            pattern,
            conditions,
            measures: (0..random.between(1, 3)).map(|_| Value::random(random)).collect(),
            skip,
            within: (!descending && random.percent(40)).then(|| random.between(1, 12) as i64),
            all_rows: random.percent(30),
            numbered: random.percent(40),
            descending,
        }
    }

    /// Over a table with the columns `id`, `g`, `ts`, `x`.
    pub fn sql(&self, table: &str) -> String {
        let mut measures = vec!["FIRST(id) AS first_id".to_string(), "LAST(id) AS last_id".into()];
        measures.push("CLASSIFIER() AS c".into());
        measures.extend(self.measures.iter().enumerate().map(|(at, value)| format!("{} AS m{at}", value.sql())));
        if self.numbered {
            measures.push("MATCH_NUMBER() AS n".into());
        }
        let used = self.pattern.sql();
        let is_used = |symbol: usize| used.contains(SYMBOLS[symbol]);
        // Names that the pattern does not have would be unknown.
        let all = (0..SYMBOLS.len()).filter(|symbol| !is_used(*symbol)).map(|symbol| SYMBOLS[symbol]);
        let rest: Vec<&str> = all.collect();
        let pattern = match rest.is_empty() {
            true => used,
            false => format!("({used} | ({} ^ {}))", SYMBOLS[3], rest.join(" ")),
        };
        let defined = self.conditions.iter().enumerate().filter_map(|(symbol, condition)| {
            condition.as_ref().map(|condition| format!("{} AS {}", SYMBOLS[symbol], condition.sql()))
        });
        let mut defined: Vec<String> = defined.collect();
        if defined.is_empty() {
            defined.push("d AS true".into());
        }
        let variable = |symbol: usize| if symbol == SUBSET { "u" } else { SYMBOLS[symbol] };
        let skip = match self.skip {
            Skip::PastLast => "PAST LAST ROW".to_string(),
            Skip::ToNext => "TO NEXT ROW".to_string(),
            Skip::ToFirst(symbol) => format!("TO FIRST {}", variable(symbol)),
            Skip::ToLast(symbol) => format!("TO {}", variable(symbol)),
        };
        format!(
            "SELECT {} FROM {table} MATCH_RECOGNIZE (PARTITION BY g ORDER BY ts{}, id MEASURES {} {} AFTER MATCH SKIP {skip} \
             PATTERN ({pattern}) {} SUBSET u = (a, b) DEFINE {})",
            "*",
            if self.descending { " DESC" } else { "" },
            measures.join(", "),
            if self.all_rows { "ALL ROWS PER MATCH" } else { "ONE ROW PER MATCH" },
            self.within.map_or(String::new(), |within| format!("WITHIN INTERVAL '{within} seconds'")),
            defined.join(", "),
        )
    }
}
