//! What is let go of when the watermark says that no search to come looks at it.

use millstream::Database;

use crate::embed_support::{number, rows, verify};

const PARTS: usize = 60;
/// Rows of a part: one a second.
const ROWS: usize = 50;

/// The most rows that the operator held.
fn held(within: &str, pattern: &str, defined: &str) -> i64 {
    let database = Database::in_memory().unwrap();
    let stream = "CREATE STREAM s (k INT, ts TIMESTAMP, x INT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)";
    database.execute(stream).unwrap();
    let view = format!(
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts \
         MEASURES LAST(ts) AS at, count(*) AS n PATTERN ({pattern}) {within} DEFINE {defined})"
    );
    database.execute(&view).unwrap();
    let mut most = 0;
    for part in 0..PARTS {
        let (from, to) = (part * ROWS, part * ROWS + ROWS - 1);
        // Each card is seen for a while and never again.
        let insert = format!(
            "INSERT INTO s SELECT v / 40 + v % 3, TIMESTAMP '2026-01-01 00:00:00' + v * INTERVAL '1 second', v * 7 % 10 \
             FROM generate_series({from}, {to}) AS g(v)"
        );
        database.execute(&insert).unwrap();
        let operator =
            rows(&database, "EXPLAIN v").into_iter().find(|row| row.trim_start().starts_with("match ")).unwrap();
        let state: i64 = operator.split('|').nth(2).unwrap().parse().unwrap();
        most = most.max(state);
    }
    assert!(number(&database, "SELECT count(*) FROM v") > 100);
    verify(&database);
    most
}

#[test]
fn rows_that_no_search_looks_at_are_let_go_of() {
    let within = "WITHIN INTERVAL '20' SECOND";
    let defined = "b AS x > 3, c AS x < first(x)";
    // The rows of one part, and of the seconds before.
    assert!(held(within, "a b+ c", defined) < 90);
    assert!(held(within, "a b+? c", "b AS sum(x) > 3, c AS x < a.x") < 90);
    // Where nothing says how long a match is, what searches still look at stays.
    assert!(held("", "a b+ c", defined) < 1_000);
    // Of each partition that there ever was, one row.
    let with_past = held(within, "b a", "b AS x > prev(x)");
    assert!((77..300).contains(&with_past), "{with_past}");
}
