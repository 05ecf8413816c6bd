//! Conditions on `now()`, and watermarks that move with the clock: views over both go with the time, without a commit of
//! the user's.

use std::time::{Duration, Instant};

use millstream::{Database, Update};

use crate::embed_support::{number, operators, refused, rows, run, verify};
use crate::oracle::random::Random;
use crate::past::Remembered;

/// For how long to wait for what the clock is to bring.
const PATIENCE: Duration = Duration::from_secs(60);

/// Queries whose conditions are temporal filters.
const KEPT: [&str; 12] = [
    "SELECT count(*) AS n FROM s WHERE at > now() - INTERVAL '50 milliseconds'",
    "SELECT k, at FROM s WHERE at >= now() - INTERVAL '30 milliseconds' AND k > 1",
    "SELECT k, count(*) AS n, max(at) AS last FROM s WHERE at <= now() GROUP BY k",
    "SELECT k, at FROM s WHERE at BETWEEN now() - INTERVAL '60 milliseconds' AND now() - INTERVAL '20 milliseconds'",
    "SELECT k FROM t WHERE localtimestamp < at + INTERVAL '40 milliseconds'",
    "SELECT t.k, s.at FROM s JOIN t ON s.k = t.k WHERE s.at > now() - INTERVAL '50 milliseconds' AND t.at < now()",
    "SELECT k, max(at) AS last FROM s GROUP BY k HAVING max(at) < now() - INTERVAL '20 milliseconds'",
    "SELECT DISTINCT k FROM s WHERE now() - at < INTERVAL '45 milliseconds'",
    "SELECT k FROM t WHERE at - now() > INTERVAL '-30 milliseconds'",
    "SELECT k FROM s WHERE date_trunc('second', at) = date_trunc('second', now())",
    "SELECT k, at FROM s WHERE CAST(at AS DATE) >= current_date - 1 ORDER BY at DESC LIMIT 3",
    "SELECT k, row_number() OVER (PARTITION BY k ORDER BY at, at) AS n FROM t WHERE at > now() - INTERVAL '25 milliseconds'",
];

/// Queries that use `now()` in a way that only running them again is right for.
const RECOMPUTED: [&str; 4] = [
    "SELECT k FROM s WHERE at > now() - INTERVAL '20 milliseconds' OR k = 1",
    "SELECT k, now() - at > INTERVAL '20 milliseconds' AS old FROM t",
    "SELECT k FROM t WHERE extract(microsecond FROM now()) > extract(microsecond FROM at)",
    "SELECT k FROM t WHERE at > now() - INTERVAL '10 milliseconds' * k",
];

#[test]
fn views_go_with_the_time() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let cases = number("TIME_CASES").unwrap_or(1);
    let first = number("TIME_SEED").unwrap_or(1);
    for seed in first..first + cases {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(seed);
        let mut db = Database::open(folder.path()).unwrap();
        run(&db, &["CREATE STREAM s (k INT, at TIMESTAMP)", "CREATE TABLE t (k INT PRIMARY KEY, at TIMESTAMP)"]);
        let mut views: Vec<&str> = KEPT.iter().chain(&RECOMPUTED).copied().collect();
        let (mut made, mut past) = (0, Remembered::default());
        for step in 0..45 {
            if !views.is_empty() && random.percent(40) {
                let query = views.swap_remove(random.below(views.len()));
                run(&db, &[&format!("CREATE MATERIALIZED VIEW v{made} AS {query}")]);
                made += 1;
            }
            let sql = match random.below(8) {
                0 => format!("DELETE FROM t WHERE k = {}", random.below(4)),
                1 => format!("UPDATE t SET at = at + INTERVAL '10 milliseconds' WHERE k < {}", random.below(4)),
                2 => format!("INSERT INTO t VALUES ({}, {})", random.below(4), moment(&mut random)),
                _ => format!(
                    "INSERT INTO s VALUES ({}, {}), (2, {})",
                    random.below(4),
                    moment(&mut random),
                    moment(&mut random)
                ),
            };
            run(&db, &[&sql]);
            std::thread::sleep(Duration::from_millis(random.below(12) as u64));
            verify(&db);
            (0..made).for_each(|view| past.note(&db, &format!("v{view}")));
            if step % 20 == 19 {
                drop(db);
                db = Database::open(folder.path()).unwrap();
                verify(&db);
            }
        }
        past.check(&db, &mut random, 60).unwrap_or_else(|wrong| panic!("TIME_SEED={seed}: {wrong}"));
    }
}

fn moment(random: &mut Random) -> String {
    match random.below(12) {
        0 => "NULL".to_string(),
        1 => "date_trunc('second', now())".to_string(),
        _ => format!("now() + INTERVAL '{} milliseconds'", random.below(120) as i64 - 80),
    }
}

#[test]
fn only_what_must_be_is_recomputed() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE STREAM s (k INT, at TIMESTAMP)", "CREATE TABLE t (k INT PRIMARY KEY, at TIMESTAMP)"]);
    let of = |query: &str| operators(&db.query(&format!("EXPLAIN CREATE MATERIALIZED VIEW v AS {query}")).unwrap());
    for query in KEPT {
        assert!(!of(query).contains("Recompute"), "{query}: {:?}", of(query));
    }
    for query in RECOMPUTED {
        assert!(of(query).contains("Recompute"), "{query}: {:?}", of(query));
    }
    // What comes and goes by the clock holds no more than that.
    let bounded = "CREATE MATERIALIZED VIEW v WITH (require_bounded_state = true) AS SELECT k, count(*) AS n FROM s";
    run(&db, &[&format!("{bounded} WHERE at > now() - INTERVAL '1 hour' GROUP BY k")]);
    refused(&db, &format!("{bounded} WHERE at <= now() GROUP BY k").replace("VIEW v", "VIEW w"));
}

#[test]
fn rows_go_without_another_commit() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (k INT, at TIMESTAMP)",
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM s WHERE at > now() - INTERVAL '300 milliseconds'",
        ],
    );
    let mut heard = db.subscribe("v").unwrap();
    assert!(matches!(heard.next(), Some(Update::Snapshot { .. })));
    run(&db, &["INSERT INTO s VALUES (1, now())"]);
    let weights = |update| match update {
        Some(Update::Delta { delta, .. }) => (0..delta.len()).map(|row| delta.weights.get(row)).sum::<i64>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(weights(heard.next()), 1);
    // It goes by itself: this waits for as long as that takes.
    assert_eq!(weights(heard.next()), -1);
    assert!(rows(&db, "SELECT * FROM v").is_empty());
}

#[test]
fn an_idle_stream_closes_its_windows() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Database::open(folder.path()).unwrap();
    let db = open();
    run(
        &db,
        &[
            "CREATE STREAM s (k INT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '1 second')
             WITH (idle_timeout = '100 milliseconds')",
            "CREATE MATERIALIZED VIEW v AS SELECT date_bin(INTERVAL '1 second', at) AS slot, count(*) AS n FROM s
             GROUP BY slot EMIT ON WINDOW CLOSE",
            "INSERT INTO s VALUES (1, TIMESTAMP '2020-01-01 00:00:00.9')",
        ],
    );
    let started = Instant::now();
    while rows(&db, "SELECT * FROM v").is_empty() {
        assert!(started.elapsed() < PATIENCE, "the window was not closed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(rows(&db, "SELECT slot, n FROM v"), ["2020-01-01T00:00:00|1"]);
    // What was idle goes on: the moments came into the log, and a row behind them is late.
    assert!(number(&db, "SELECT count(*) FROM system.heartbeats") >= 2);
    run(&db, &["INSERT INTO s VALUES (2, TIMESTAMP '2020-01-01 00:00:00.95')"]);
    assert_eq!(rows(&db, "SELECT k FROM s.late"), ["2"]);
    verify(&db);
    drop(db);
    verify(&open());
}

#[test]
fn an_idle_timeout_must_be_one() {
    let db = Database::in_memory().unwrap();
    let stream = |watermark: &str, timeout: &str| {
        refused(&db, &format!("CREATE STREAM s (at TIMESTAMP{watermark}) WITH (idle_timeout = '{timeout}')"))
    };
    assert!(stream("", "10s").contains("without a watermark"));
    for wrong in ["soon", "0 seconds", "-1 second", "1 month"] {
        let said = stream(", WATERMARK FOR at", wrong);
        assert!(said.contains("is not a length of time"), "{said}");
    }
}
