//! What a statement can ask of the past, and what it is told when it asks wrongly.

use millstream::{Database, Durability, Options};

use crate::embed_support::{number, refused, rows, run};

/// Commits: 1 and 2 make the relations, 3 the view; then come rows.
fn shop(db: &Database) {
    run(
        db,
        &[
            "CREATE STREAM orders (item TEXT, n BIGINT)",
            "CREATE TABLE items (item TEXT PRIMARY KEY, price BIGINT)",
            "CREATE MATERIALIZED VIEW sold AS SELECT item, sum(n) AS n FROM orders GROUP BY item",
            "INSERT INTO items VALUES ('tea', 3), ('rum', 20)",
            "INSERT INTO orders VALUES ('tea', 1)",
            "UPDATE items SET price = 4 WHERE item = 'tea'",
            "INSERT INTO orders VALUES ('tea', 2), ('rum', 1)",
            "DELETE FROM items WHERE item = 'rum'",
        ],
    );
}

#[test]
fn the_past_is_the_same_in_log_and_archive() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let (path, durability) = (Some(folder.path().into()), Durability::Os);
        Database::open_with(Options { path, durability, segment_bytes: 512, ..Options::default() }).unwrap()
    };
    let db = open();
    shop(&db);
    for reopened in [false, true] {
        if reopened {
            run(&db, &["CHECKPOINT"]);
        }
        assert_eq!(rows(&db, "SELECT item, n FROM sold AS OF OFFSET 6 ORDER BY item"), ["tea|1"]);
        assert_eq!(rows(&db, "SELECT item, price FROM items AS OF OFFSET 5 ORDER BY item"), ["rum|20", "tea|3"]);
        assert_eq!(number(&db, "SELECT count(*) FROM orders AS OF OFFSET 4"), 0);
        assert_eq!(
            rows(&db, "SELECT _offset, _weight, item, price FROM changes('items') ORDER BY 1, 2, 3"),
            ["4|1|rum|20", "4|1|tea|3", "6|-1|tea|3", "6|1|tea|4", "8|-1|rum|20"]
        );
        let sold = "SELECT _offset, _weight, item, n FROM changes('sold', 6, 8) ORDER BY 1, 2, 3";
        assert_eq!(rows(&db, sold), ["7|-1|tea|1", "7|1|rum|1", "7|1|tea|3"]);
        // The time of each commit finds the state behind it.
        for offset in 1..=8 {
            let time = format!("(SELECT max(_time) FROM changes('orders', 1, {offset}))");
            let found = rows(&db, &format!("SELECT {time} AS t"));
            if found[0] != "NULL" {
                let at = format!("SELECT count(*) FROM orders AS OF TIMESTAMP '{}'", found[0].trim_end_matches('Z'));
                assert_eq!(
                    number(&db, &at),
                    number(&db, &format!("SELECT count(*) FROM orders AS OF OFFSET {offset}")),
                    "{at}"
                );
            }
        }
    }
    drop(db);
    let db = open();
    assert_eq!(rows(&db, "SELECT item, n FROM sold AS OF OFFSET 7 ORDER BY item"), ["rum|1", "tea|3"]);
    assert_eq!(number(&db, "SELECT count(*) FROM sold AS OF TIMESTAMP '2001-01-01'"), 0);
}

#[test]
fn a_view_has_a_past_from_before_it_was_made() {
    let db = Database::in_memory().unwrap();
    shop(&db);
    run(
        &db,
        &[
            "CREATE VIEW worth AS SELECT o.item, sum(o.n * i.price) AS worth FROM orders o JOIN items i USING (item) \
             GROUP BY o.item",
            "CREATE MATERIALIZED VIEW worths AS SELECT * FROM worth",
        ],
    );
    for view in ["worth", "worths"] {
        assert_eq!(rows(&db, &format!("SELECT * FROM {view} AS OF OFFSET 7 ORDER BY 1")), ["rum|20", "tea|12"]);
        let changes = format!("SELECT _offset, _weight, item, worth FROM changes('{view}') ORDER BY 1, 2, 3");
        let expected =
            ["5|1|tea|3", "6|-1|tea|3", "6|1|tea|4", "7|-1|tea|4", "7|1|rum|20", "7|1|tea|12", "8|-1|rum|20"];
        assert_eq!(rows(&db, &changes), expected);
    }
}

#[test]
fn a_statement_reads_several_moments() {
    let db = Database::in_memory().unwrap();
    shop(&db);
    let grown =
        "SELECT n.item, n.n - coalesce(o.n, 0) AS more FROM sold n LEFT JOIN sold AS OF OFFSET 5 o USING (item)";
    assert_eq!(rows(&db, &format!("{grown} ORDER BY 1")), ["rum|1", "tea|2"]);
    let from_with = "WITH o AS (SELECT * FROM sold AS OF OFFSET 5) SELECT o.item, (SELECT count(*) FROM sold \
                     AS OF OFFSET 4) AS none FROM o";
    assert_eq!(rows(&db, from_with), ["tea|0"]);
    // What was deleted is brought back from before.
    run(&db, &["INSERT INTO items SELECT * FROM items AS OF OFFSET 7 WHERE item = 'rum'"]);
    run(&db, &["UPDATE items SET price = o.price FROM items AS OF OFFSET 5 AS o WHERE o.item = items.item"]);
    assert_eq!(rows(&db, "SELECT * FROM items ORDER BY 1"), ["rum|20", "tea|3"]);
    run(&db, &["CREATE TABLE kept AS SELECT * FROM items AS OF OFFSET 4"]);
    assert_eq!(rows(&db, "SELECT * FROM kept ORDER BY 1"), ["rum|20", "tea|3"]);
    let mut session = db.session();
    session.execute("BEGIN").unwrap();
    session.execute("DELETE FROM items WHERE item IN (SELECT item FROM sold AS OF OFFSET 5)").unwrap();
    session.execute("COMMIT").unwrap();
    assert_eq!(rows(&db, "SELECT item FROM items"), ["rum"]);
}

#[test]
fn what_is_temporary_has_no_past() {
    let db = Database::in_memory().unwrap();
    shop(&db);
    let mut session = db.session();
    session.execute("CREATE TEMPORARY TABLE mine (n INT)").unwrap();
    let said = session.execute("SELECT * FROM mine AS OF OFFSET 4").unwrap_err().to_string();
    assert!(said.contains("`mine` is temporary and not in the log"), "{said}");
    session.execute("CREATE TEMPORARY VIEW most AS SELECT max(n) AS n FROM sold").unwrap();
    let millstream::Outcome::Rows(found) = session.execute("SELECT * FROM most AS OF OFFSET 5").unwrap() else {
        panic!()
    };
    assert_eq!(crate::embed_support::text(&found.batches), ["1"]);
}

#[test]
fn what_the_engine_tells_has_a_past() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (n BIGINT, ts TIMESTAMP, WATERMARK FOR ts)",
            "CREATE MATERIALIZED VIEW v WITH (on_error = 'skip') AS SELECT 10 / n AS part FROM s WHERE n < 5",
            "INSERT INTO s VALUES (2, '2026-01-01 00:00:02')",
            "INSERT INTO s VALUES (0, '2026-01-01 00:00:03'), (1, '2026-01-01 00:00:01')",
            "INSERT INTO s VALUES (5, '2026-01-01 00:00:05')",
            "ALTER STREAM s ADD COLUMN note TEXT DEFAULT 'none'",
            "ALTER STREAM s RENAME TO events",
        ],
    );
    for (sql, expected) in [
        ("SELECT view, \"offset\", count FROM system.errors AS OF OFFSET 3", vec![]),
        ("SELECT view, \"offset\", count FROM system.errors AS OF OFFSET 4", vec!["v|4|1"]),
        ("SELECT stream, late_rows FROM system.watermarks AS OF OFFSET 3", vec!["events|0"]),
        (
            "SELECT stream, watermark, late_rows FROM system.watermarks AS OF OFFSET 4",
            vec!["events|2026-01-01T00:00:03|1"],
        ),
        ("SELECT n FROM events.late AS OF OFFSET 4", vec!["1"]),
        ("SELECT count(*) FROM system.rejects AS OF OFFSET 4", vec!["0"]),
        ("SELECT part FROM v AS OF OFFSET 5", vec!["5"]),
        ("SELECT n, note FROM events AS OF OFFSET 3", vec!["2|none"]),
        ("SELECT n, note, _offset FROM changes('events', 4, 5)", vec!["0|none|4", "5|none|5"]),
        ("SELECT n, _offset FROM changes('events.late')", vec!["1|4"]),
    ] {
        assert_eq!(rows(&db, sql), expected, "{sql}");
    }
}

#[test]
fn wrong_moments_are_refused() {
    let db = Database::in_memory().unwrap();
    shop(&db);
    for (sql, words) in [
        ("SELECT * FROM sold AS OF OFFSET 99", "offset 99 is still to come: the last commit is 8"),
        ("SELECT * FROM sold AS OF OFFSET -1", "-1 is none"),
        ("SELECT * FROM sold AS OF OFFSET NULL", "not one value"),
        ("SELECT * FROM sold AS OF TIMESTAMP '2200-01-01'", "it is still to come"),
        ("SELECT * FROM gone AS OF OFFSET 1", "no stream, table or view `gone`"),
        ("WITH sold AS (SELECT 1) SELECT * FROM sold AS OF OFFSET 1", "`sold` is a query of WITH"),
        ("SELECT * FROM changes('gone')", "no stream, table or view `gone`"),
        ("SELECT * FROM changes('sold', 1, 99)", "offset 99 is still to come"),
        ("SELECT * FROM changes(sold)", "the name of a relation in quotes"),
        ("SELECT * FROM changes('sold', 1, 2, 3)", "the name of a relation in quotes"),
        ("SELECT * FROM changes('system.errors')", "the changes of `system.errors`"),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM sold AS OF OFFSET 1", "`sold` AS OF OFFSET 1 here"),
        ("CREATE VIEW v AS SELECT * FROM changes('sold')", "changes(...) here"),
        ("PREPARE p AS SELECT * FROM sold AS OF OFFSET 1", "`sold` AS OF OFFSET 1 here"),
        ("SUBSCRIBE sold FROM OFFSET 99", "offset 99 is still to come"),
        ("SUBSCRIBE sold FROM OFFSET 2", "view `sold` was made at offset 3"),
        ("SUBSCRIBE items AS PATCHES", "only a materialized view can be subscribed to"),
    ] {
        let said = refused(&db, sql);
        assert!(said.contains(words), "{sql}: {said}");
    }
    run(&db, &["CREATE MATERIALIZED VIEW raw AS SELECT * FROM orders"]);
    assert!(refused(&db, "SUBSCRIBE raw AS PATCHES").contains("has no key"));
}

#[test]
fn there_must_be_memory_for_the_state() {
    let db = Database::open_with(Options { memory_limit: 4 << 20, ..Options::default() }).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (k BIGINT)",
            "INSERT INTO s SELECT value FROM generate_series(1, 20000)",
            "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM s GROUP BY k",
            "INSERT INTO s SELECT value FROM generate_series(1, 10)",
        ],
    );
    let said = refused(&db, "SELECT count(*) FROM v AS OF OFFSET 3");
    assert!(said.contains("memory"), "{said}");
    assert_eq!(number(&db, "SELECT count(*) FROM v"), 20000);
    assert_eq!(number(&db, "SELECT count(*) FROM v AS OF OFFSET 1"), 0);
}
