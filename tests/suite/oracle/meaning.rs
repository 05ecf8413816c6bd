//! What comparisons mean, worked out value by value: the oracle's reference shares the planner with the engine, so that it
//! cannot find a comparison that both get wrong.
//!
//! ```text
//! floats       in the order of numbers, with one zero; NaN is the greatest and equal to itself
//! intervals    by their months of thirty days, their days of twenty-four hours and their time
//! lists        element by element, NULL being the greatest element; of two that begin alike the shorter one is less
//! ```

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use millstream::Database;

use super::bag::{Bag, bag, difference};
use super::random::Random;

/// Histories of each type.
const HISTORIES: u64 = 6;
const CHANGES: usize = 6;

/// A value as it is compared.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Float(f64),
    Interval { months: i64, days: i64, seconds: i64 },
    List(Vec<Option<i64>>),
}

impl Value {
    fn random(random: &mut Random, sql_type: &str) -> Option<Value> {
        if random.percent(12) {
            return None;
        }
        Some(match sql_type {
            "INTERVAL" => {
                let (months, days) = (*random.pick(&[0, 0, 0, 1, -1, 12]), *random.pick(&[0, 1, -1, 29, 30, 360]));
                Value::Interval { months, days, seconds: *random.pick(&[0, 0, 86_400, -86_400, 3600, 2_592_000]) }
            }
            "BIGINT[]" => {
                let element = |random: &mut Random| *random.pick(&[None, Some(1), Some(2), Some(i64::MIN)]);
                Value::List((0..random.below(3)).map(|_| element(random)).collect())
            }
            _ => Value::Float(*random.pick(&[0.0, -0.0, 1.5, -1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        })
    }

    fn sql(value: &Option<Value>, sql_type: &str) -> String {
        match value {
            None => "NULL".into(),
            Some(Value::Float(float)) => format!("CAST('{float}' AS {sql_type})"),
            Some(Value::Interval { months, days, seconds }) => {
                format!("INTERVAL '{months} months {days} days {seconds} seconds'")
            }
            Some(Value::List(elements)) => {
                let text = |e: &Option<i64>| e.map_or("NULL".into(), |element| format!("CAST('{element}' AS BIGINT)"));
                let elements: Vec<String> = elements.iter().map(text).collect();
                format!("CAST([{}] AS BIGINT[])", elements.join(", "))
            }
        }
    }

    fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
            (Value::List(a), Value::List(b)) => {
                let key = |list: &[Option<i64>]| list.iter().map(|e| (e.is_none(), *e)).collect::<Vec<_>>();
                key(a).cmp(&key(b))
            }
            (a, b) => a.seconds().cmp(&b.seconds()),
        }
    }

    fn seconds(&self) -> i64 {
        match self {
            Value::Interval { months, days, seconds } => (months * 30 + days) * 86_400 + seconds,
            other => panic!("{other:?} has no length"),
        }
    }
}

/// A row: its key, its group and its value.
type Row = (i64, i64, Option<Value>);

/// Rows of one kind, in classes of equal values, in their order; NULL is the last.
fn classes(rows: &[&Row]) -> Vec<Vec<Row>> {
    let mut rows: Vec<Row> = rows.iter().map(|row| (*row).clone()).collect();
    rows.sort_by(|a, b| order(&a.2, &b.2).then(a.0.cmp(&b.0)));
    let mut classes: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        match classes.last_mut() {
            Some(class) if order(&class[0].2, &row.2).is_eq() => class.push(row),
            _ => classes.push(vec![row]),
        }
    }
    classes
}

fn order(a: &Option<Value>, b: &Option<Value>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.order(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// The rows of a view, each as the texts of its columns.
type Rows = Vec<Vec<String>>;

/// What a view's rows are, given those of `m` and `o`.
type Meaning = fn(&[Row], &[Row]) -> Rows;

const COMPARED: &str = "SELECT m.id AS a, o.id AS b, m.v = o.v AS eq, m.v <> o.v AS ne, m.v < o.v AS lt, m.v <= o.v AS le, \
    m.v > o.v AS gt, m.v >= o.v AS ge, m.v IS DISTINCT FROM o.v AS d, m.v IN (o.v, o.v) AS i, \
    m.v BETWEEN o.v AND o.v AS w, CASE m.v WHEN o.v THEN true ELSE false END AS c, greatest(m.v, o.v) = m.v AS g, \
    least(m.v, o.v) = m.v AS l FROM m CROSS JOIN o";

/// Queries, and what they mean.
const VIEWS: [(&str, Meaning); 11] = [
    (COMPARED, compared),
    ("SELECT m.id AS a, o.id AS b FROM m JOIN o ON m.v = o.v", |m, o| {
        let equal = |(m, o): &(&Row, &Row)| m.2.is_some() && o.2.is_some() && order(&m.2, &o.2).is_eq();
        pairs(m, o).filter(equal).map(|(m, o)| line(&[m.0, o.0])).collect()
    }),
    (
        "SELECT m.id AS a, o.id AS b FROM m LEFT JOIN o ON m.v IS NOT DISTINCT FROM o.v WHERE o.id IS NOT NULL",
        |m, o| pairs(m, o).filter(|(m, o)| order(&m.2, &o.2).is_eq()).map(|(m, o)| line(&[m.0, o.0])).collect(),
    ),
    ("SELECT min(id) AS a, count(*) AS n, count(v) AS c FROM m GROUP BY v", |m, _| {
        let valid = |class: &[Row]| class.iter().filter(|row| row.2.is_some()).count() as i64;
        let shown = |class: Vec<Row>| line(&[class[0].0, class.len() as i64, valid(&class)]);
        classes(&m.iter().collect::<Vec<_>>()).into_iter().map(shown).collect()
    }),
    ("SELECT k, count(DISTINCT v) AS n FROM m GROUP BY k", |m, _| {
        let groups = grouped(m).into_iter();
        let counted = |rows: Vec<&Row>| classes(&rows).iter().filter(|class| class[0].2.is_some()).count() as i64;
        groups.map(|(k, rows)| line(&[k, counted(rows)])).collect()
    }),
    (
        "SELECT id, rank() OVER (PARTITION BY k ORDER BY v) AS r, dense_rank() OVER (PARTITION BY k ORDER BY v) AS d, \
         row_number() OVER (PARTITION BY k ORDER BY v, id) AS n, count(*) OVER (PARTITION BY k, v) AS c FROM m",
        ranked,
    ),
    ("SELECT id FROM m WHERE v IN (SELECT v FROM o)", |m, o| {
        let found = |row: &&Row| row.2.is_some() && o.iter().any(|other| order(&row.2, &other.2).is_eq());
        m.iter().filter(found).map(|row| line(&[row.0])).collect()
    }),
    ("SELECT id FROM m WHERE v = (SELECT max(v) FROM m) OR v = (SELECT min(v) FROM m)", |m, _| {
        let valid: Vec<&Row> = m.iter().filter(|row| row.2.is_some()).collect();
        let classes = classes(&valid);
        let ends: BTreeSet<i64> =
            classes.first().into_iter().chain(classes.last()).flatten().map(|row| row.0).collect();
        ends.into_iter().map(|id| line(&[id])).collect()
    }),
    (
        "SELECT 1 AS what, count(*) AS n FROM (SELECT v FROM m UNION SELECT v FROM o) AS u \
         UNION ALL SELECT 2, count(*) FROM (SELECT v FROM m INTERSECT SELECT v FROM o) AS i \
         UNION ALL SELECT 3, count(*) FROM (SELECT v FROM m EXCEPT SELECT v FROM o) AS e \
         UNION ALL SELECT 4, count(*) FROM (SELECT DISTINCT k, v FROM m) AS d",
        sets,
    ),
    ("SELECT DISTINCT ON (v) id FROM m ORDER BY v, id DESC", |m, _| {
        let last = |class: Vec<Row>| line(&[class.last().expect("no class is empty").0]);
        classes(&m.iter().collect::<Vec<_>>()).into_iter().map(last).collect()
    }),
    ("SELECT id FROM m ORDER BY v DESC NULLS LAST, id LIMIT 3", |m, _| {
        let mut rows: Vec<&Row> = m.iter().collect();
        rows.sort_by(|a, b| a.2.is_none().cmp(&b.2.is_none()).then(order(&b.2, &a.2)).then(a.0.cmp(&b.0)));
        rows.into_iter().take(3).map(|row| line(&[row.0])).collect()
    }),
];

fn line(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(i64::to_string).collect()
}

fn pairs<'a>(m: &'a [Row], o: &'a [Row]) -> impl Iterator<Item = (&'a Row, &'a Row)> {
    m.iter().flat_map(move |row| o.iter().map(move |other| (row, other)))
}

fn grouped(m: &[Row]) -> BTreeMap<i64, Vec<&Row>> {
    let mut groups: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    m.iter().for_each(|row| groups.entry(row.1).or_default().push(row));
    groups
}

fn compared(m: &[Row], o: &[Row]) -> Rows {
    let shown = |(m, o): (&Row, &Row)| {
        let known = m.2.is_some() && o.2.is_some();
        let order = order(&m.2, &o.2);
        let open = |value: bool| if known { value.to_string() } else { "∅".into() };
        let mut line = line(&[m.0, o.0]);
        let orders = [order.is_eq(), order.is_ne(), order.is_lt(), order.is_le(), order.is_gt(), order.is_ge()];
        line.extend(orders.map(open));
        line.push(order.is_ne().to_string());
        line.extend([open(order.is_eq()), open(order.is_eq())]);
        line.push((known && order.is_eq()).to_string());
        // GREATEST and LEAST leave NULL out.
        let extreme = |value: bool| if m.2.is_none() { "∅".into() } else { (o.2.is_none() || value).to_string() };
        line.extend([extreme(order.is_ge()), extreme(order.is_le())]);
        line
    };
    pairs(m, o).map(shown).collect()
}

fn ranked(m: &[Row], _: &[Row]) -> Rows {
    let mut rows = Vec::new();
    for group in grouped(m).into_values() {
        let mut before = 0;
        for (at, class) in classes(&group).into_iter().enumerate() {
            for (place, row) in class.iter().enumerate() {
                let numbers = [before + 1, at + 1, before + place + 1, class.len()].map(|number| number as i64);
                rows.push([line(&[row.0]), line(&numbers)].concat());
            }
            before += class.len();
        }
    }
    rows
}

fn sets(m: &[Row], o: &[Row]) -> Rows {
    let all: Vec<&Row> = m.iter().chain(o).collect();
    let first = classes(&m.iter().collect::<Vec<_>>());
    let both = first.iter().filter(|class| o.iter().any(|row| order(&row.2, &class[0].2).is_eq())).count();
    let within: usize = grouped(m).values().map(|rows| classes(rows).len()).sum();
    let counts = [classes(&all).len(), both, first.len() - both, within];
    counts.into_iter().enumerate().map(|(at, count)| line(&[at as i64 + 1, count as i64])).collect()
}

fn as_bag(rows: Rows) -> Bag {
    let mut bag = Bag::new();
    for row in rows {
        *bag.entry(row.iter().map(|text| format!("{text}\u{1f}")).collect()).or_default() += 1;
    }
    bag
}

/// Runs changes through a database and compares its views with what they mean.
fn history(seed: u64, sql_type: &str) {
    let mut random = Random::new(seed);
    let database = Database::in_memory().unwrap();
    let execute = |sql: &str| drop(database.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}")));
    for name in ["m", "o"] {
        execute(&format!("CREATE TABLE {name} (id BIGINT PRIMARY KEY, k BIGINT, v {sql_type})"));
    }
    for (at, (sql, _)) in VIEWS.iter().enumerate() {
        execute(&format!("CREATE MATERIALIZED VIEW v{at} AS {sql}"));
    }
    let mut tables: [BTreeMap<i64, Row>; 2] = Default::default();
    for _ in 0..CHANGES {
        for (name, rows) in ["m", "o"].into_iter().zip(&mut tables) {
            let mut values = Vec::new();
            for _ in 0..random.between(1, 4) {
                let value = Value::random(&mut random, sql_type);
                let row = (random.below(8) as i64, random.below(2) as i64, value);
                if rows.insert(row.0, row.clone()).is_some() {
                    execute(&format!("DELETE FROM {name} WHERE id = {}", row.0));
                }
                values.push(row);
            }
            // Of rows with one key the last one stays.
            let texts = values.iter().map(|(id, k, v)| format!("({id}, {k}, {})", Value::sql(v, sql_type)));
            execute(&format!("INSERT INTO {name} VALUES {}", texts.collect::<Vec<_>>().join(", ")));
            if random.percent(40) {
                let gone = random.below(8) as i64;
                rows.remove(&gone);
                execute(&format!("DELETE FROM {name} WHERE id = {gone}"));
            }
        }
        let [m, o] = &tables;
        let (m, o): (Vec<Row>, Vec<Row>) = (m.values().cloned().collect(), o.values().cloned().collect());
        for (at, (sql, meaning)) in VIEWS.iter().enumerate() {
            let (_, rows) = database.snapshot(&format!("v{at}")).unwrap_or_else(|error| panic!("{sql}: {error}"));
            let (expected, got) = (as_bag(meaning(&m, &o)), bag(&rows.batches));
            let said = || format!("{sql_type}, seed {seed}: {sql}\n{}m: {m:?}\no: {o:?}", difference(&expected, &got));
            assert!(expected == got, "{}", said());
        }
    }
}

#[test]
fn comparisons_mean_what_they_should() {
    for sql_type in ["DOUBLE", "REAL", "INTERVAL", "BIGINT[]"] {
        (1..=HISTORIES).for_each(|seed| history(seed, sql_type));
    }
}
