//! Conditions that stand beside each other, in WHERE and in ON, worked out row by row.
//!
//! The batch engine derives conditions from others, and leaves out those that it finds to follow. Views and their queries
//! are planned by the same rules, so that the reference cannot find one that is wrong.

use millstream::Database;

use super::random::Random;
use crate::embed_support::text;

const CASES: u64 = 300;
const ROWS: usize = 5;

/// The columns, each with the numbers 0 to 3 in a type of its own.
const COLUMNS: [(&str, &str); 3] = [("a", "BIGINT"), ("d", "DATE"), ("f", "DOUBLE")];

/// A row: a number for each column.
type Row = [Option<i32>; 3];

/// `side.column op number`.
struct Comparison {
    right: bool,
    column: usize,
    op: &'static str,
    number: i32,
}

impl Comparison {
    fn random(random: &mut Random, column: Option<usize>) -> Comparison {
        Comparison {
            right: random.percent(50),
            column: column.filter(|_| random.percent(80)).unwrap_or_else(|| random.below(COLUMNS.len())),
            op: random.pick::<&str>(&["=", "=", "<", "<=", ">", ">=", "<>"]),
            number: random.below(4) as i32,
        }
    }

    fn sql(&self, random: &mut Random) -> String {
        let column = format!("{}.{}", if self.right { "r" } else { "l" }, COLUMNS[self.column].0);
        let literal = literal(random, self.column, self.number);
        let turned = match self.op {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            same => same,
        };
        match random.percent(50) {
            true => format!("{column} {} {literal}", self.op),
            false => format!("{literal} {turned} {column}"),
        }
    }

    fn holds(&self, left: Option<&Row>, right: Option<&Row>) -> bool {
        let Some(value) = (if self.right { right } else { left }).and_then(|row| row[self.column]) else {
            return false;
        };
        match self.op {
            "=" => value == self.number,
            "<" => value < self.number,
            "<=" => value <= self.number,
            ">" => value > self.number,
            ">=" => value >= self.number,
            _ => value != self.number,
        }
    }
}

fn literal(random: &mut Random, column: usize, number: i32) -> String {
    let day = format!("2024-01-0{}", number + 1);
    let sign = if number == 0 && random.percent(50) { "-" } else { "" };
    match (column, random.below(3)) {
        (0, 0) => number.to_string(),
        (0, 1) => format!("CAST('{number}' AS BIGINT)"),
        (0, _) => format!("({} - 1)", number + 1),
        (1, 0) => format!("DATE '{day}'"),
        (1, 1) => format!("CAST('{day}' AS DATE)"),
        (1, _) => format!("'{day}'"),
        (_, 0) => format!("{sign}{number}.0"),
        (_, _) => format!("CAST('{sign}{number}' AS DOUBLE)"),
    }
}

fn conjunction(random: &mut Random, comparisons: &[Comparison]) -> String {
    comparisons.iter().map(|comparison| comparison.sql(random)).collect::<Vec<_>>().join(" AND ")
}

/// The rows of a join, as the numbers of those on its sides.
fn joined(kind: &str, key: usize, on: &[Comparison], after: &[Comparison], tables: &[Vec<Row>; 2]) -> Vec<String> {
    let [left, right] = tables;
    let meets = |l: &Row, r: &Row| {
        l[key].is_some() && l[key] == r[key] && on.iter().all(|comparison| comparison.holds(Some(l), Some(r)))
    };
    let mut pairs: Vec<(Option<usize>, Option<usize>)> = Vec::new();
    for (at, l) in left.iter().enumerate() {
        let found: Vec<usize> = (0..right.len()).filter(|r| meets(l, &right[*r])).collect();
        if found.is_empty() && matches!(kind, "LEFT JOIN" | "FULL JOIN") {
            pairs.push((Some(at), None));
        }
        pairs.extend(found.into_iter().map(|r| (Some(at), Some(r))));
    }
    if matches!(kind, "RIGHT JOIN" | "FULL JOIN") {
        let alone = (0..right.len()).filter(|r| !left.iter().any(|l| meets(l, &right[*r])));
        pairs.extend(alone.map(|r| (None, Some(r))));
    }
    pairs.retain(|(l, r)| after.iter().all(|c| c.holds(l.map(|l| &left[l]), r.map(|r| &right[r]))));
    let shown = |row: Option<usize>| row.map_or_else(|| "NULL".to_string(), |row| row.to_string());
    let mut rows: Vec<String> = pairs.into_iter().map(|(l, r)| format!("{} {}", shown(l), shown(r))).collect();
    rows.sort();
    rows
}

fn insert(random: &mut Random, database: &Database, name: &str) -> Vec<Row> {
    let rows: Vec<Row> =
        (0..ROWS).map(|_| [(); 3].map(|()| (!random.percent(10)).then(|| random.below(4) as i32))).collect();
    for (id, row) in rows.iter().enumerate() {
        let values = row.iter().enumerate().map(|(column, number)| match number {
            Some(number) => literal(random, column, *number),
            None => "NULL".into(),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        database.execute(&format!("INSERT INTO {name} VALUES ({id}, {values})")).unwrap();
    }
    rows
}

#[test]
fn conditions_beside_each_other_all_hold() {
    for seed in 0..CASES {
        let random = &mut Random::new(seed);
        let database = Database::in_memory().unwrap();
        let columns = COLUMNS.map(|(name, sql_type)| format!("{name} {sql_type}")).join(", ");
        let kind = *random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let key = random.below(COLUMNS.len());
        let some = |random: &mut Random, least: usize| -> Vec<Comparison> {
            (0..random.between(least, 3)).map(|_| Comparison::random(random, Some(key))).collect()
        };
        let (on, after) = (some(random, 1), some(random, 0));
        let name = COLUMNS[key].0;
        let mut query = format!(
            "SELECT concat(coalesce(l.id::text, 'NULL'), ' ', coalesce(r.id::text, 'NULL')) AS pair
             FROM l {kind} r ON l.{name} = r.{name} AND {}",
            conjunction(random, &on)
        );
        if !after.is_empty() {
            query = format!("{query} WHERE {}", conjunction(random, &after));
        }
        for table in ["l", "r"] {
            database.execute(&format!("CREATE TABLE {table} (id BIGINT, {columns})")).unwrap();
        }
        database.execute(&format!("CREATE MATERIALIZED VIEW v AS {query}")).unwrap();
        let tables = [insert(random, &database, "l"), insert(random, &database, "r")];
        let expected = joined(kind, key, &on, &after, &tables);
        for read in [query.as_str(), "SELECT * FROM v"] {
            let mut rows = text(&database.query(read).unwrap().batches);
            rows.sort();
            assert_eq!(rows, expected, "seed {seed}: {query}\nread by {read}, over {tables:?}");
        }
    }
}
