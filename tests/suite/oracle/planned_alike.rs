//! Rules of the batch engine that made views or their queries something else, each with the least that shows it.

use millstream::{Database, Outcome};

use crate::embed_support::text;

/// Runs statements, and verifies all views after each.
fn verified(statements: &[&str]) -> Database {
    let database = Database::in_memory().unwrap();
    for statement in statements {
        database.execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        match database.execute("VERIFY").unwrap() {
            Outcome::Verified { ok: true, .. } => {}
            other => panic!("{statement}: {other:?}"),
        }
    }
    database
}

fn rows(database: &Database, query: &str) -> Vec<String> {
    let rows = database.query(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut rows = text(&rows.batches);
    rows.sort();
    rows
}

#[test]
fn a_lateral_join_within_a_view_binds_its_own_columns() {
    let database = verified(&[
        "CREATE TABLE t (a BIGINT, b BIGINT)",
        "INSERT INTO t VALUES (1, 10), (2, 20)",
        "CREATE MATERIALIZED VIEW v AS SELECT s.a, l.b FROM t AS s
            CROSS JOIN LATERAL (SELECT DISTINCT u.b FROM t AS u WHERE u.a = s.a) AS l",
        "CREATE MATERIALIZED VIEW w AS SELECT s.a, m.b FROM t AS s JOIN (SELECT v.a, v.b FROM v JOIN t ON v.a = t.a) AS m
            ON s.a < m.a",
        "CREATE MATERIALIZED VIEW x AS SELECT s.a, (SELECT b FROM v ORDER BY b LIMIT 1) AS b FROM t AS s",
    ]);
    assert_eq!(rows(&database, "SELECT * FROM w"), ["1|20"]);
    assert_eq!(rows(&database, "SELECT * FROM x"), ["1|10", "2|10"]);
}

#[test]
fn casts_that_round_are_keys_of_joins() {
    let database = verified(&[
        "CREATE TABLE t (a BIGINT)",
        "CREATE TABLE u (b DOUBLE)",
        "INSERT INTO t VALUES (1), (2), (3)",
        "INSERT INTO u VALUES (1.4), (2.6)",
        "CREATE MATERIALIZED VIEW v AS SELECT a, b FROM t JOIN u ON a = CAST(b AS BIGINT) AND a = CAST(b AS INT)",
        "CREATE MATERIALIZED VIEW w AS SELECT a, a IN (SELECT TRY_CAST(b AS BIGINT) FROM u) AS found FROM t",
    ]);
    assert_eq!(rows(&database, "SELECT * FROM v"), ["1|1.4", "3|2.6"]);
    assert_eq!(rows(&database, "SELECT a, b FROM t JOIN u ON a = CAST(b AS BIGINT)"), ["1|1.4", "3|2.6"]);
    assert_eq!(rows(&database, "SELECT * FROM w"), ["1|true", "2|false", "3|true"]);
}

#[test]
fn what_is_never_null_fails_all_the_same() {
    for relation in ["TABLE t (x DECIMAL(10,2) NOT NULL)", "STREAM t (x DECIMAL(10,2) NOT NULL)"] {
        let database = verified(&[
            &format!("CREATE {relation}"),
            "CREATE MATERIALIZED VIEW v AS SELECT 1 AS one FROM t WHERE x / x IS NULL",
            "CREATE MATERIALIZED VIEW w AS SELECT count(x / x) AS n FROM t",
            "INSERT INTO t VALUES (1)",
        ]);
        assert_eq!(rows(&database, "SELECT * FROM w"), ["1"]);
        database.execute("INSERT INTO t VALUES (0)").unwrap();
        for query in ["SELECT * FROM v", "SELECT * FROM w", "SELECT 1 FROM t WHERE x / x IS NULL"] {
            let error = database.query(query).unwrap_err().to_string();
            assert!(error.contains("division by zero"), "{query}: {error}");
        }
        assert!(matches!(database.execute("VERIFY").unwrap(), Outcome::Verified { ok: true, .. }));
    }
}

#[test]
fn an_order_may_come_to_hold_a_constant_twice() {
    verified(&[
        "CREATE TABLE t (k REAL, x REAL)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (2, 3)",
        "CREATE MATERIALIZED VIEW v AS SELECT k,
            first_value(x ORDER BY CASE WHEN 1 > 2 THEN x END, CASE WHEN 2 > 3 THEN k END, x) AS f FROM t GROUP BY k",
        "CREATE MATERIALIZED VIEW w AS SELECT v.f FROM v JOIN t ON v.f = t.x OR v.f < t.k",
    ]);
}

#[test]
fn a_recursive_query_may_be_called_as_one_of_a_view_that_it_reads() {
    let database = verified(&[
        "CREATE TABLE t (c BIGINT)",
        "INSERT INTO t VALUES (7)",
        "CREATE MATERIALIZED VIEW v AS WITH RECURSIVE r AS (
            SELECT 0 AS n, c AS k FROM t UNION SELECT n + 1, k FROM r WHERE n < 1)
            SELECT n, CAST(k AS SMALLINT) AS k FROM r",
        "CREATE MATERIALIZED VIEW w AS WITH RECURSIVE r AS (
            SELECT 0 AS n, CASE WHEN k = k THEN k ELSE n END AS k FROM v
            UNION SELECT max(n) + 1, min(k) FROM r WHERE n < 2 HAVING count(*) > 0) SELECT n, k FROM r",
    ]);
    assert_eq!(rows(&database, "SELECT * FROM w"), ["0|7", "1|7", "2|7"]);
}

#[test]
fn what_fails_in_a_view_on_views_fails_on_their_rows_alone() {
    verified(&[
        "CREATE TABLE t (x INT)",
        "CREATE TABLE u (y INT)",
        "CREATE MATERIALIZED VIEW v AS SELECT t.x, count(*) AS n FROM t JOIN u ON t.x > u.y GROUP BY t.x",
        "CREATE MATERIALIZED VIEW w AS SELECT n FROM v WHERE CAST(x AS SMALLINT) IS NOT NULL",
        "INSERT INTO t VALUES (2147483647)",
    ]);
}

#[test]
fn lists_with_null_are_among_the_first_however_many_rows_there_are() {
    let database = verified(&[
        "CREATE STREAM t (l BIGINT[])",
        "CREATE MATERIALIZED VIEW v AS SELECT l FROM t ORDER BY l DESC NULLS LAST LIMIT 2",
        "INSERT INTO t SELECT [1, n] FROM generate_series(1, 9) AS s(n)",
        "INSERT INTO t VALUES ([NULL, 5])",
        "INSERT INTO t VALUES ([NULL])",
    ]);
    assert_eq!(rows(&database, "SELECT l[2] FROM v ORDER BY 1"), ["5", "NULL"]);
}

#[test]
fn rows_that_are_counted_keep_their_digits() {
    let database = verified(&[
        "CREATE TABLE t (r REAL, d DOUBLE)",
        "INSERT INTO t VALUES (NULL, 0.123456789012)",
        "CREATE MATERIALIZED VIEW v AS SELECT CASE WHEN r > 0 THEN r ELSE d END AS c FROM t EXCEPT ALL SELECT 1 FROM t",
        "CREATE MATERIALIZED VIEW w AS SELECT round(c) AS c FROM (SELECT r AS c FROM t UNION ALL SELECT d FROM t) AS s
            INTERSECT ALL SELECT 0.0 FROM t",
    ]);
    assert_eq!(rows(&database, "SELECT c FROM v"), ["0.123456789012"]);
    assert_eq!(rows(&database, "SELECT c FROM w"), ["0.0"]);
}
