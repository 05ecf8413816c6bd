//! REPLAY: what came to one stream comes to another.

use millstream::Database;

use crate::embed_support::{refused, rows, run, verify};

/// A stream of some events, two of which were late.
fn recorded() -> Database {
    let db = Database::in_memory().unwrap();
    let columns = "(k TEXT NOT NULL, n BIGINT CHECK (n < 100), ts TIMESTAMP, \
                   WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)";
    let slots = |name: &str, of: &str| {
        format!(
            "CREATE MATERIALIZED VIEW {name} AS SELECT k, window_start, sum(n) AS n FROM \
             TUMBLE(TABLE {of}, DESCRIPTOR(ts), INTERVAL '4' SECONDS) GROUP BY k, window_start EMIT ON WINDOW CLOSE"
        )
    };
    run(
        &db,
        &[
            &format!("CREATE STREAM s {columns}"),
            &format!("CREATE STREAM t {columns}"),
            &slots("of_s", "s"),
            &slots("of_t", "t"),
            "INSERT INTO s VALUES ('a', 1, '2026-01-01 00:00:00'), ('b', 2, '2026-01-01 00:00:03')",
            "INSERT INTO s VALUES ('a', 3, '2026-01-01 00:00:05'), ('late', 4, '2026-01-01 00:00:00.5')",
            "INSERT INTO s VALUES ('b', 5, '2026-01-01 00:00:04')",
            "INSERT INTO s VALUES ('late', 6, '2026-01-01 00:00:01'), ('a', 7, '2026-01-01 00:00:20')",
        ],
    );
    db
}

#[test]
fn what_came_comes_again() {
    for how in ["", " AT SPEED 1000", " BY ts AT SPEED 2e3"] {
        let db = recorded();
        run(&db, &[&format!("REPLAY s INTO t{how}")]);
        verify(&db);
        if how.is_empty() {
            assert_eq!(rows(&db, "SELECT * FROM t"), rows(&db, "SELECT * FROM s"));
            assert_eq!(rows(&db, "SELECT * FROM t.late"), rows(&db, "SELECT * FROM s.late"));
            assert_eq!(rows(&db, "SELECT * FROM of_t"), rows(&db, "SELECT * FROM of_s"));
            assert_eq!(rows(&db, "SELECT k FROM t.late"), ["late", "late"]);
        }
        let all = |stream: &str| {
            let late = format!("SELECT k, n FROM {stream}.late");
            rows(&db, &format!("SELECT * FROM (SELECT k, n FROM {stream} UNION ALL {late}) AS a ORDER BY n"))
        };
        assert_eq!(all("t"), all("s"));
    }
}

#[test]
fn a_replay_must_make_sense() {
    let db = recorded();
    run(
        &db,
        &[
            "CREATE TABLE facts (k TEXT)",
            "CREATE STREAM other (k TEXT)",
            "CREATE STREAM plain (k TEXT, n BIGINT, ts TEXT)",
        ],
    );
    for (sql, words) in [
        ("REPLAY s", "not said where"),
        ("REPLAY s INTO s", "INTO itself"),
        ("REPLAY s INTO gone", "no stream, table or view `gone`"),
        ("REPLAY facts INTO t", "`facts` is a table, not a stream"),
        ("REPLAY s INTO of_t", "`of_t` is a materialized view, not a stream"),
        ("REPLAY s INTO other", "`other` has the columns"),
        ("REPLAY s INTO t AT SPEED 0", "must be greater than 0"),
        ("REPLAY s INTO t AT SPEED fast", "not a number"),
        ("REPLAY s INTO t BY k AT SPEED 2", "is no event time"),
        ("REPLAY s INTO t BY x AT SPEED 2", "has no column `x`"),
        ("REPLAY s INTO t AT SPEED 2 again", "expected"),
    ] {
        let said = refused(&db, sql);
        assert!(said.contains(words), "{sql}: {said}");
    }
    assert!(rows(&db, "SELECT * FROM t").is_empty());
    // Without an event time, events come as far apart as their commits were.
    run(
        &db,
        &["INSERT INTO plain VALUES ('a', 1, 'x'), ('b', 2, 'y')", "CREATE STREAM again (k TEXT, n BIGINT, ts TEXT)"],
    );
    run(&db, &["REPLAY plain INTO again AT SPEED 1e9"]);
    assert_eq!(rows(&db, "SELECT k, n FROM again"), ["a|1", "b|2"]);
    let mut session = db.session();
    session.execute("BEGIN").unwrap();
    assert!(session.execute("REPLAY s INTO t").unwrap_err().to_string().contains("transaction"));
}
