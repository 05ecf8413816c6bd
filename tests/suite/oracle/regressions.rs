//! What the oracle has found, each made small: the script must run, and every view equal its query.

use millstream::{Database, Error, Outcome};

use crate::embed_support::text;

/// Runs statements, then VERIFY.
fn verified(statements: &[&str]) -> Database {
    let database = Database::in_memory().unwrap();
    for statement in statements {
        database.execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    match database.execute("VERIFY").unwrap() {
        Outcome::Verified { ok: true, .. } => database,
        other => panic!("{other:?}"),
    }
}

/// How many rows a query gives.
fn count(database: &Database, query: &str) -> usize {
    database.query(query).unwrap().len()
}

#[test]
fn a_condition_without_columns_stays_above_the_group_of_all_rows() {
    for groups in ["GROUPING SETS ((x), ())", "ROLLUP (x)", "CUBE (x)"] {
        let query =
            format!("SELECT n FROM (SELECT NULL AS c, count(*) AS n FROM a GROUP BY {groups}) s WHERE c IN (1, 2)");
        let view = format!("CREATE MATERIALIZED VIEW v AS {query}");
        let database = verified(&["CREATE TABLE a (x BIGINT)", "INSERT INTO a VALUES (1)", &view]);
        assert_eq!((count(&database, "SELECT * FROM v"), count(&database, &query)), (0, 0), "{groups}");
    }
}

#[test]
fn structs_with_null_fields_have_one_order() {
    verified(&[
        "CREATE STREAM st (id INT, s STRUCT<a INT, b TEXT>)",
        "CREATE MATERIALIZED VIEW v AS SELECT id, s FROM st ORDER BY s, id LIMIT 2",
        "CREATE MATERIALIZED VIEW w AS SELECT first_value(id ORDER BY s DESC, id) AS r, min(s) AS l, max(s) AS g FROM st",
        "CREATE MATERIALIZED VIEW n AS SELECT id, row_number() OVER (ORDER BY s, id) AS r FROM st",
        "INSERT INTO st VALUES (3, {a: 1, b: 'x'})",
        "INSERT INTO st VALUES (7, {a: 1, b: NULL}), (5, {a: 1, b: NULL})",
        "INSERT INTO st VALUES (9, {a: 1, b: 'x'}), (10, NULL)",
    ]);
}

#[test]
fn a_table_is_grouped_by_its_key_alike_in_views_and_in_batch() {
    let database = verified(&[
        "CREATE TABLE t (id INT PRIMARY KEY, f DOUBLE)",
        "CREATE MATERIALIZED VIEW v AS SELECT id, -f AS o, count(*) AS n FROM t GROUP BY id, -f",
        "CREATE MATERIALIZED VIEW w AS SELECT id, f FROM t GROUP BY id",
        "INSERT INTO t VALUES (1, 0.0), (2, -0.0)",
        "UPDATE t SET f = 1 WHERE id = 2",
    ]);
    assert_eq!(count(&database, "SELECT * FROM w"), 2);
}

#[test]
fn a_view_that_is_its_input_leaves_it_when_it_goes() {
    let database = verified(&[
        "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM t",
        "CREATE MATERIALIZED VIEW w AS SELECT a, count(*) AS n FROM v GROUP BY a",
        "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT id, a + 10 AS a FROM t",
        "DROP VIEW v CASCADE",
        "INSERT INTO t VALUES (3, 2)",
        "CREATE MATERIALIZED VIEW w AS SELECT a, count(*) AS n FROM t GROUP BY a",
    ]);
    assert_eq!(count(&database, "SELECT * FROM w"), 2);
}

#[test]
fn a_false_join_condition_stays_above_a_global_aggregate() {
    let database = verified(&[
        "CREATE TABLE a (x BIGINT)",
        "CREATE MATERIALIZED VIEW v AS SELECT s.n FROM (SELECT count(*) AS n FROM a) AS s \
         JOIN (SELECT x FROM a GROUP BY x) AS t ON s.n > -1 AND false < false",
        "INSERT INTO a VALUES (1)",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v"), 0);
}

#[test]
fn a_condition_without_columns_stays_above_a_global_aggregate() {
    for condition in ["now() < TIMESTAMP '2000-01-01'", "(SELECT max(x) FROM a) > 100"] {
        let query = format!("SELECT n FROM (SELECT count(*) AS n FROM a) AS s WHERE {condition}");
        let view = format!("CREATE MATERIALIZED VIEW v AS {query}");
        let database = verified(&["CREATE TABLE a (x BIGINT)", &view, "INSERT INTO a VALUES (1)"]);
        assert_eq!(count(&database, "SELECT * FROM v"), 0);
        assert_eq!(count(&database, &query), 0);
    }
}

#[test]
fn a_constant_that_fails_fails_on_each_row_and_on_none() {
    let database = verified(&[
        "CREATE TABLE a (x BIGINT)",
        "CREATE MATERIALIZED VIEW v AS SELECT abs(CAST('-9223372036854775808' AS BIGINT)) AS c, x FROM a",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v"), 0);
    database.execute("INSERT INTO a VALUES (1)").unwrap();
    assert!(matches!(database.query("SELECT * FROM v"), Err(Error::Input(_))));
    database.execute("DELETE FROM a").unwrap();
    assert_eq!(count(&database, "SELECT * FROM v"), 0);
}

#[test]
fn a_database_with_several_views_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    database.execute("CREATE TABLE a (x BIGINT)").unwrap();
    database.execute("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM a").unwrap();
    database.execute("CREATE MATERIALIZED VIEW w AS SELECT n + 1 AS m FROM v").unwrap();
    database.close().unwrap();
    let database = Database::open(folder.path()).unwrap();
    assert_eq!(count(&database, "SELECT * FROM w WHERE m = 1"), 1);
}

#[test]
fn events_are_verified_row_by_row() {
    verified(&[
        "CREATE STREAM e (x BIGINT, y BIGINT)",
        "CREATE MATERIALIZED VIEW kept AS SELECT y FROM e WHERE x IN (5, 6) AND y >= x",
        "CREATE MATERIALIZED VIEW v AS SELECT y FROM (SELECT y FROM kept GROUP BY y) AS s WHERE (y / y) IN (-1, 0)",
        "INSERT INTO e VALUES (1, 0), (NULL, 3)",
    ]);
}

#[test]
fn a_recomputed_node_takes_rows_without_columns() {
    let database = verified(&[
        "CREATE TABLE a (x BIGINT)",
        "CREATE TABLE b (x BIGINT)",
        "INSERT INTO b VALUES (1), (2)",
        "CREATE MATERIALIZED VIEW v AS SELECT 0 AS c FROM b WHERE -1 NOT IN (SELECT x FROM a)",
        "UPDATE b SET x = 3",
        "DELETE FROM b WHERE x = 4",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v"), 2);
}

#[test]
fn a_total_order_is_one_of_all_rows() {
    verified(&[
        "CREATE TABLE a (x DOUBLE, y BIGINT)",
        "CREATE TABLE b (y BIGINT)",
        "INSERT INTO b VALUES (5)",
        "CREATE MATERIALIZED VIEW v AS SELECT y, lead(x, 2) OVER (PARTITION BY x ORDER BY x) AS n \
         FROM (SELECT x, y FROM a WHERE x > 0 UNION ALL SELECT 1.5 AS x, y FROM b) AS s",
    ]);
}

#[test]
fn the_two_zeros_are_one_distinct_value_whatever_stands_beside() {
    let database = verified(&[
        "CREATE STREAM e (k BIGINT, x DOUBLE)",
        "CREATE MATERIALIZED VIEW alone AS SELECT count(DISTINCT x) AS n FROM e",
        "CREATE MATERIALIZED VIEW beside AS SELECT count(DISTINCT x) AS n, avg(x) AS m FROM e",
        "CREATE MATERIALIZED VIEW grouped AS SELECT k, count(DISTINCT x) AS n FROM e GROUP BY k",
        "INSERT INTO e VALUES (1, CAST('0' AS DOUBLE)), (1, CAST('-0' AS DOUBLE))",
    ]);
    for source in ["alone", "beside", "grouped", "(SELECT count(DISTINCT x) AS n FROM e)"] {
        assert_eq!(count(&database, &format!("SELECT * FROM {source} AS s WHERE n = 1")), 1, "{source}");
    }
}

#[test]
fn an_order_may_name_a_column_twice() {
    verified(&[
        "CREATE TABLE a (x BIGINT, y TEXT)",
        "INSERT INTO a VALUES (1, 'b'), (1, 'a')",
        "CREATE MATERIALIZED VIEW v AS SELECT DISTINCT ON (x) x, y FROM a ORDER BY x, x",
        "CREATE MATERIALIZED VIEW w AS SELECT last_value(y ORDER BY x, x DESC) AS y FROM a",
    ]);
}

#[test]
fn distinct_is_not_forgotten_beside_others() {
    let database = verified(&[
        "CREATE TABLE a (k TEXT, x BIGINT)",
        "INSERT INTO a VALUES ('k', 1), ('k', 3), ('k', 3), ('k', NULL)",
        "CREATE MATERIALIZED VIEW v AS SELECT k, bit_xor(DISTINCT x) AS b FROM a GROUP BY k",
        "CREATE MATERIALIZED VIEW w AS SELECT k, array_agg(DISTINCT x ORDER BY x) AS up, \
         array_agg(DISTINCT x ORDER BY x DESC) AS down, string_agg(DISTINCT k, '' ORDER BY k DESC) AS s FROM a GROUP BY k",
        "CREATE MATERIALIZED VIEW n AS SELECT nth_value(x, 2 ORDER BY k, x) AS up, nth_value(x, 2 ORDER BY x DESC) AS down FROM a",
        "DELETE FROM a WHERE x = 1",
        "INSERT INTO a VALUES ('k', 1), ('j', 7)",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v WHERE b = 2"), 1);
    assert_eq!(count(&database, "SELECT * FROM w WHERE up = [1, 3, NULL] AND down = [NULL, 3, 1]"), 1);
    assert_eq!(count(&database, "SELECT * FROM n WHERE up = 1 AND down = 7"), 1);
}

#[test]
fn lists_with_null_have_one_order_and_any_value_is_the_first() {
    let database = verified(&[
        "CREATE TABLE a (k TEXT, x BIGINT, l BIGINT[])",
        "INSERT INTO a VALUES ('k', NULL, [NULL]), ('k', 2, [1]), ('k', 1, NULL)",
        "CREATE MATERIALIZED VIEW v AS SELECT max(l) AS m FROM a",
        "CREATE MATERIALIZED VIEW w AS SELECT k, max(l) AS m, any_value(x) AS x FROM a GROUP BY k",
        "CREATE MATERIALIZED VIEW f AS SELECT k, first_value(x ORDER BY l NULLS FIRST) AS x FROM a GROUP BY k",
    ]);
    for view in ["v", "w"] {
        assert_eq!(count(&database, &format!("SELECT * FROM {view} WHERE m = [NULL]")), 1, "{view}");
    }
    assert_eq!(count(&database, "SELECT * FROM w WHERE x = 1"), 1);
}

#[test]
fn what_a_filter_leaves_out_does_not_fail() {
    let database = verified(&[
        "CREATE TABLE a (k TEXT, x BIGINT)",
        "INSERT INTO a VALUES ('k', 0), ('k', 5)",
        "CREATE MATERIALIZED VIEW v AS SELECT k, sum(10 / x) FILTER (WHERE x <> 0) AS s, \
         max(10 / x) FILTER (WHERE x <> 0) AS m FROM a GROUP BY k",
        "CREATE MATERIALIZED VIEW w AS SELECT array_agg(k ORDER BY 10 / x) FILTER (WHERE x <> 0) AS s FROM a",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v WHERE s = 2 AND m = 2"), 1);
    assert_eq!(count(&database, "SELECT sum(10 / x) FILTER (WHERE x <> 0) AS s FROM a"), 1);
}

#[test]
fn failing_groups_by_a_value_and_its_text_are_left_out() {
    drop(verified(&[
        "CREATE TABLE t (id INT PRIMARY KEY, x TEXT)",
        "CREATE MATERIALIZED VIEW v WITH (on_error = 'skip') AS
         SELECT CAST(x AS BIGINT) AS n, count(*) AS rows FROM t GROUP BY CAST(x AS BIGINT), CAST(CAST(x AS BIGINT) AS TEXT)",
        "INSERT INTO t VALUES (1, 'a'), (2, '7'), (3, '07')",
    ]));
}

#[test]
fn a_float_whose_width_its_other_branch_decides_has_one_zero() {
    drop(verified(&[
        "CREATE STREAM s (d DOUBLE, r REAL)",
        "CREATE MATERIALIZED VIEW v AS SELECT CASE WHEN d > 1 THEN round(r) ELSE d END AS c FROM s",
        "CREATE MATERIALIZED VIEW w AS SELECT count(DISTINCT c) AS n FROM v",
        "CREATE MATERIALIZED VIEW x AS SELECT d, rank() OVER (ORDER BY CASE WHEN d > 1 THEN 1 ELSE d END) AS n FROM s",
        "INSERT INTO s VALUES (0.0, 1.5), (-0.0, 2.5), (2, 0.2)",
    ]));
}

#[test]
fn a_recursive_query_reads_windows_ordered_by_structs() {
    drop(verified(&[
        "CREATE STREAM s (k BIGINT, x STRUCT<a BIGINT, b TEXT>)",
        "CREATE MATERIALIZED VIEW v AS SELECT k, dense_rank() OVER (PARTITION BY k ORDER BY x) AS n FROM s",
        "CREATE MATERIALIZED VIEW w AS WITH RECURSIVE r AS (SELECT k, n FROM v UNION ALL SELECT k, n + 1 FROM r WHERE n < 4)
         SELECT * FROM r",
        "INSERT INTO s VALUES (1, {a: 1, b: 'x'}), (1, {a: 1, b: NULL}), (2, NULL)",
    ]));
}

#[test]
fn the_cast_of_a_key_is_no_key() {
    let database = verified(&[
        "CREATE TABLE t (at TIMESTAMP PRIMARY KEY, n INT, note TEXT)",
        "CREATE MATERIALIZED VIEW v AS SELECT at::date AS day, n % 2 AS odd, count(*) AS c FROM t GROUP BY at::date, n % 2",
        "CREATE MATERIALIZED VIEW w AS SELECT t.at AT TIME ZONE 'UTC' AS day, n % 2, count(*) AS c FROM t GROUP BY 1, 2",
        "INSERT INTO t VALUES ('2024-01-01 10:30:00', 1, 'a'), ('2024-01-01 12:00:00', 3, 'b')",
    ]);
    assert_eq!((count(&database, "SELECT * FROM v"), count(&database, "SELECT * FROM w")), (1, 2));
    let error = database.query("SELECT at::date, note FROM t GROUP BY at::date").unwrap_err();
    assert!(error.to_string().contains("`t.note` is neither in GROUP BY"), "{error}");
}

#[test]
fn grouping_sets_of_no_rows_leave_out_none() {
    drop(verified(&[
        "CREATE TABLE t (k DOUBLE, n DOUBLE, u INT, PRIMARY KEY (k))",
        "CREATE TABLE u (a INT, x BIGINT NOT NULL)",
        "CREATE MATERIALIZED VIEW w AS SELECT k FROM t WHERE u <> (SELECT count(*) FROM t AS s WHERE t.u = 2)",
        "CREATE MATERIALIZED VIEW v WITH (on_error = 'skip') AS SELECT u.x, a, count(*) FILTER (WHERE 10 / x > 3) AS c
         FROM w JOIN u ON 1 > 2 JOIN t ON w.k = t.n GROUP BY u.x, ROLLUP (a)",
        "INSERT INTO t VALUES (1, 1, 1), (2, 1, 2)",
        "INSERT INTO u VALUES (1, 0), (2, 1)",
    ]));
}

#[test]
fn lead_passes_over_nulls_alike_in_views_and_in_batch() {
    for order in ["x", "-k", "k % 2"] {
        let query = format!(
            "SELECT k, lead(x, 2) IGNORE NULLS OVER (ORDER BY {order}, k, y) AS a, \
             lag(x, 2) IGNORE NULLS OVER (ORDER BY {order} DESC, k DESC, y) AS b FROM t"
        );
        verified(&[
            "CREATE STREAM t (k BIGINT, x BOOLEAN, y BOOLEAN)",
            &format!("CREATE MATERIALIZED VIEW v AS {query}"),
            "INSERT INTO t VALUES (2, true, false), (2, true, false), (0, false, true), (-9, true, false)",
            "INSERT INTO t VALUES (NULL, true, true), (2, NULL, false)",
        ]);
    }
}

#[test]
fn rows_that_lead_looks_ahead_to_are_there_below_a_limit() {
    let database = verified(&[
        "CREATE TABLE t (k BIGINT PRIMARY KEY, x BIGINT)",
        "INSERT INTO t VALUES (1, NULL), (2, NULL), (3, NULL), (4, 40), (5, NULL)",
    ]);
    let first = |query: &str| text(&database.query(query).unwrap().batches)[0].clone();
    let next = "SELECT k, lead(x) IGNORE NULLS OVER (ORDER BY k) AS n FROM t ORDER BY k LIMIT 1";
    assert_eq!(first(next), "1|40");
    let back = "SELECT k, lag(x, 1) OVER (ORDER BY k) AS n FROM t ORDER BY k DESC LIMIT 1";
    assert_eq!(first(back), "5|40");
}

#[test]
fn a_subquery_that_comes_to_hold_a_constant_may_have_no_row() {
    let database = verified(&[
        "CREATE TABLE t (k BIGINT PRIMARY KEY)",
        "CREATE MATERIALIZED VIEW n AS SELECT get_field(CAST(named_struct('a', 7) AS STRUCT<a BIGINT>), 'a') AS c FROM t",
        "CREATE TABLE u (k BIGINT PRIMARY KEY)",
        "CREATE MATERIALIZED VIEW v AS SELECT k, (SELECT c FROM n LIMIT 1) AS c FROM u",
        "INSERT INTO u VALUES (1)",
    ]);
    assert_eq!(count(&database, "SELECT * FROM v WHERE c IS NULL"), 1);
}

#[test]
fn an_offset_counts_in_its_order_whatever_is_read_of_the_rows() {
    let database = verified(&[
        "CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT)",
        "CREATE MATERIALIZED VIEW v AS SELECT a, b FROM t ORDER BY a OFFSET 3",
        "CREATE MATERIALIZED VIEW w AS SELECT sum(b) AS s FROM v",
        "INSERT INTO t VALUES (5, 5), (1, 1), (3, 3), (2, 2), (4, 4)",
    ]);
    assert_eq!(count(&database, "SELECT * FROM w WHERE s = 9"), 1);
    assert_eq!(
        count(&database, "SELECT sum(b) AS s FROM (SELECT a, b FROM t ORDER BY a OFFSET 3) HAVING sum(b) = 9"),
        1
    );
}

#[test]
fn a_group_of_all_rows_that_fails_may_read_no_column() {
    verified(&[
        "CREATE TABLE t (k BIGINT PRIMARY KEY)",
        "CREATE MATERIALIZED VIEW v WITH (on_error = 'skip') AS SELECT sum(9223372036854775807) AS s FROM t",
        "INSERT INTO t VALUES (1), (2), (3)",
        "DELETE FROM t WHERE k = 1",
    ]);
}

#[test]
fn a_condition_fails_in_a_join_whose_rows_change_nothing() {
    verified(&[
        "CREATE TABLE t (x BIGINT PRIMARY KEY, y BIGINT)",
        "CREATE MATERIALIZED VIEW u AS SELECT * FROM t",
        "CREATE MATERIALIZED VIEW v AS SELECT a.x FROM u AS a LEFT JOIN u AS b ON a.y = b.x AND a.y % (b.x - 1) = a.y",
        "INSERT INTO t VALUES (1, -1), (-1, 1)",
    ]);
}

#[test]
fn a_condition_fails_only_on_rows_that_meet() {
    verified(&[
        "CREATE TABLE a (x BIGINT)",
        "CREATE TABLE b (x BIGINT)",
        "CREATE MATERIALIZED VIEW v AS SELECT a.x, b.x AS y FROM a RIGHT JOIN b ON a.x % (b.x - 1) = a.x",
        "INSERT INTO b VALUES (-9223372036854775808)",
    ]);
}
