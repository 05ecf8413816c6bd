//! MATCH_RECOGNIZE: random patterns over random rows that come, change and go, against all ways to read the rows.
//!
//! `MATCH_SEED=7 cargo test --test suite match_recognize` runs one seed again, `MATCH_CASES=1000` more of them.

mod language;
mod naive;
mod state;

use std::collections::BTreeMap;

use millstream::Database;

use self::language::{Query, Row};
use self::naive::Unanswered;
use crate::embed_support::text;
use crate::oracle::random::Random;

const CASES: u64 = 60;
const STEPS: usize = 12;
const QUERIES: usize = 3;
const IDS: usize = 16;
const PARTITIONS: usize = 2;

#[test]
fn matches_are_those_of_all_ways_to_read_rows() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("MATCH_SEED").unwrap_or(1);
    let cases = number("MATCH_CASES").unwrap_or(if number("MATCH_SEED").is_some() { 1 } else { CASES });
    let mut found = 0;
    for seed in first..first + cases {
        let case = std::panic::catch_unwind(|| run(seed));
        assert!(case.is_ok(), "MATCH_SEED={seed}");
        found += case.unwrap_or_default();
    }
    assert!(cases < CASES || found > 400, "only {found} matches");
}

/// Returns how many rows were shown.
fn run(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let database = Database::in_memory().unwrap();
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, g INT, ts TIMESTAMP, x INT)").unwrap();
    let queries: Vec<Query> = (0..QUERIES).map(|_| Query::random(&mut random)).collect();
    for (at, query) in queries.iter().enumerate() {
        let sql = format!("CREATE MATERIALIZED VIEW v{at} AS {}", query.sql("t"));
        database.execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let mut table: BTreeMap<i64, (usize, Row)> = BTreeMap::new();
    let mut log = Vec::new();
    let mut shown = 0;
    for step in 1..=STEPS {
        let sql = change(&mut random, &mut table);
        database.execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        log.push(sql);
        for (at, query) in queries.iter().enumerate() {
            shown += compare(&database, query, at, &table, &log, step == STEPS);
        }
    }
    shown
}

fn change(random: &mut Random, table: &mut BTreeMap<i64, (usize, Row)>) -> String {
    if random.percent(30) && !table.is_empty() {
        let from = random.below(IDS) as i64;
        table.retain(|id, _| !(from..from + 3).contains(id));
        return format!("DELETE FROM t WHERE id BETWEEN {from} AND {}", from + 2);
    }
    let mut values: BTreeMap<i64, String> = BTreeMap::new();
    for _ in 0..random.between(1, 5) {
        let (id, g, at) = (random.below(IDS) as i64, random.below(PARTITIONS), random.below(20) as i64);
        let x = random.percent(90).then(|| random.below(6) as i64);
        table.insert(id, (g, Row { at, id, x }));
        let x = x.map_or("NULL".into(), |x| x.to_string());
        let ts = format!("TIMESTAMP '2026-01-01 00:00:00' + INTERVAL '{at} seconds'");
        values.insert(id, format!("({id}, {g}, {ts}, {x})"));
    }
    format!("INSERT INTO t VALUES {}", values.into_values().collect::<Vec<_>>().join(", "))
}

fn compare(
    database: &Database,
    query: &Query,
    view: usize,
    table: &BTreeMap<i64, (usize, Row)>,
    log: &[String],
    in_batch: bool,
) -> usize {
    let mut expected: Result<Vec<String>, Unanswered> = Ok(Vec::new());
    for g in 0..PARTITIONS {
        let rows: Vec<Row> = table.values().filter(|(of, _)| *of == g).map(|(_, row)| *row).collect();
        match (query.answer(&rows), &mut expected) {
            (Ok(rows), Ok(all)) => all.extend(rows.into_iter().map(|row| format!("{g}|{row}"))),
            (Err(other), Ok(_)) => expected = Err(other),
            (Err(Unanswered::TooLong), _) => expected = Err(Unanswered::TooLong),
            _ => {}
        }
    }
    let mut measures = "first_id, last_id, c".to_string();
    (0..query.measures.len()).for_each(|at| measures.push_str(&format!(", m{at}")));
    if query.numbered {
        measures.push_str(", n");
    }
    let columns = if query.all_rows { format!("g, id, {measures}") } else { format!("g, {measures}") };
    let told = || format!("{}\n{};", query.sql("t"), log.join(";\n"));
    let mut sources = vec![format!("v{view}")];
    if in_batch {
        sources.push(format!("({}) AS q", query.sql("t")));
    }
    for from in sources {
        let sql = format!("SELECT {columns} FROM {from}");
        match (&mut expected, database.query(&sql)) {
            (Err(Unanswered::TooLong), _) => return 0,
            (Err(Unanswered::Fails), found) => assert!(found.is_err(), "{sql} gives an answer\n{}", told()),
            (Ok(expected), found) => {
                let found = found.unwrap_or_else(|error| panic!("{sql}: {error}\n{}", told()));
                let mut found = text(&found.batches);
                found.sort();
                expected.sort();
                assert_eq!(&found, expected, "{sql}\n{}", told());
            }
        }
    }
    expected.map_or(0, |rows| rows.len())
}
