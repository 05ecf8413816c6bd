//! The statements, as a script uses them.

use super::Place;

#[track_caller]
fn gives(script: &str, expected: &str) {
    assert_eq!(Place::new().sql(script).ok(), expected, "{script}");
}

const TABLE: &str =
    "CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT 7 CHECK (a >= 0), b TEXT NOT NULL DEFAULT 'x');\n";

#[test]
fn defaults_keys_and_changes() {
    gives(
        &format!(
            "{TABLE}INSERT INTO t (id) VALUES (1); INSERT INTO t VALUES (2, DEFAULT, 'y'), (3, NULL, DEFAULT);
             INSERT INTO t VALUES (1, 5, 'again'); UPDATE t SET a = a + 1, b = DEFAULT WHERE id = 1;
             INSERT INTO t SELECT id + 10, a, b FROM t; DELETE FROM t WHERE id > 11; SELECT * FROM t ORDER BY id"
        ),
        "id,a,b\n1,6,x\n2,7,y\n3,,x\n11,6,x\n",
    );
}

#[test]
fn what_only_fails_beside_other_rows_does_not_fail() {
    let setup =
        "CREATE TABLE u (id INT PRIMARY KEY, b INT); INSERT INTO u VALUES (1, 0), (2, 1), (3, 2), (4, 3), (5, 4);";
    gives(
        &format!(
            "{setup}SELECT id FROM u WHERE b <> 0 AND 10 / b > 4 ORDER BY id; SELECT id FROM u ORDER BY b <> 0 AND 10 / b > 4, id LIMIT 3;
             CREATE MATERIALIZED VIEW top AS SELECT id FROM u ORDER BY b <> 0 AND 10 / b > 4, id LIMIT 3;
             CREATE MATERIALIZED VIEW counted AS SELECT count(*) FILTER (WHERE b <> 0 AND 10 / b > 4) AS n, median(id) AS m FROM u;
             SELECT * FROM top ORDER BY id; SELECT * FROM counted;
             UPDATE u SET b = 9 WHERE b = 0 OR 10 / b > 4; DELETE FROM u WHERE b <> 9 AND 10 / (b - 9) < 0; SELECT * FROM u ORDER BY id;"
        ),
        "id\n2\n3\nid\n1\n4\n5\nid\n1\n4\n5\nn,m\n2,3.0\nid,b\n1,9\n2,9\n3,9\n",
    );
}

#[test]
fn columns_are_called_as_they_are_written() {
    gives(
        &format!(
            "{TABLE}INSERT INTO t VALUES (1, 2, 'x'), (2, 3, 'x'); SELECT count(*), sum(a) + 1, 'c' FROM t;
             SELECT DISTINCT a % 2 FROM t ORDER BY a % 2; SELECT * FROM (SELECT max(a) FROM t);
             SELECT a, a, *, 1, 1 FROM t ORDER BY a LIMIT 1; SELECT t.a, u.a FROM t JOIN t u ON t.id = u.id + 1;
             CREATE MATERIALIZED VIEW v AS SELECT b, count(*) FROM t GROUP BY b; SELECT \"count(*)\", * FROM v;
             INSERT INTO t SELECT id + 10, id + 10, b FROM t; SELECT count(*) FROM t WHERE id = a"
        ),
        "count(*),sum(a) + 1,'c'\n2,6,c\na % 2\n0\n1\nmax(a)\n3\na,a,id,a,b,1,1\n2,2,1,2,x,1,1\na,a\n3,2\n\
         count(*),b,count(*)\n2,x,2\ncount(*)\n2\n",
    );
}

#[test]
fn information_schema_tells_columns_keys_and_views() {
    gives(
        &format!(
            "{TABLE}CREATE VIEW w AS SELECT id FROM t; CREATE TABLE d (n DECIMAL(9, 2));
             SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, numeric_scale
             FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3;
             SELECT table_name, view_definition FROM information_schema.views;
             SELECT table_name, column_name FROM information_schema.key_column_usage;
             SELECT schema_name FROM information_schema.schemata"
        ),
        "table_name,column_name,ordinal_position,column_default,is_nullable,data_type,numeric_scale\n\
         d,n,1,,YES,\"DECIMAL(9, 2)\",2\nt,id,1,,NO,INTEGER,\nt,a,2,7,YES,INTEGER,\nt,b,3,'x',NO,VARCHAR,\n\
         w,id,1,,YES,INTEGER,\ntable_name,view_definition\nw,SELECT id FROM t\ntable_name,column_name\nt,id\n\
         schema_name\ninformation_schema\npublic\nsystem\n",
    );
}

#[test]
fn a_key_that_fails_opposite_an_empty_side_fails_the_view_and_is_no_difference() {
    let run = Place::new().sql(
        "CREATE TABLE t (id INT PRIMARY KEY, x INT); CREATE TABLE e (x INT PRIMARY KEY); INSERT INTO t VALUES (1, 5);
         CREATE MATERIALIZED VIEW j AS SELECT t.id FROM t JOIN e ON 10 / (t.x - 5) = e.x; VERIFY j;",
    );
    assert!(run.ok().contains("ok, both fail: division by zero, on the row (id = 1, x = 5)"), "{run:?}");
}

#[test]
fn a_transaction_is_one_commit_or_none() {
    gives(
        &format!(
            "{TABLE}CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t;
             BEGIN; INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2);
             SELECT count(*) AS inside FROM t; COMMIT; SELECT * FROM v;
             BEGIN; DELETE FROM t; SELECT count(*) AS inside FROM t; ROLLBACK; SELECT * FROM v"
        ),
        "inside\n2\nn\n2\ninside\n0\nn\n2\n",
    );
    gives(
        "CREATE STREAM s (a INT); INSERT INTO s VALUES (1);
         BEGIN; INSERT INTO s VALUES (2); INSERT INTO s SELECT a + 10 FROM s; SELECT sum(a) FROM s; ROLLBACK;
         SELECT sum(a) FROM s; BEGIN; INSERT INTO s SELECT a + 1 FROM s; INSERT INTO s SELECT a FROM s; COMMIT;
         SELECT * FROM s ORDER BY a",
        "sum(a)\n26\nsum(a)\n1\na\n1\n1\n2\n2\n",
    );
    let run = Place::new().sql(&format!(
        "{TABLE}.bail off\nBEGIN; INSERT INTO t (id) VALUES (1); INSERT INTO t VALUES (2, -1, 'x'); SELECT 1;
         COMMIT; SELECT id FROM t; COMMIT; ROLLBACK; BEGIN; CREATE VIEW v AS SELECT 1; ROLLBACK"
    ));
    assert_eq!((run.out.as_str(), run.code), ("id\n", 1));
    for error in [
        "check `a >= 0` is not met",
        "the transaction is aborted",
        "it is rolled back",
        "no transaction is open",
        "CREATE is a commit of its own",
    ] {
        assert!(run.err.contains(error), "{error}: {}", run.err);
    }
    let place = Place::new();
    let run = place.run(&["db", "-c", TABLE, "-c", "BEGIN; INSERT INTO t (id) VALUES (1)"]);
    assert!(run.code == 1 && run.err.contains("ended within a transaction"), "{run:?}");
    assert_eq!(place.run(&["db", "--format", "csv", "-c", "SELECT count(*) AS n FROM t"]).ok(), "n\n0\n");
}

#[test]
fn views_over_views_are_replaced_and_dropped_with_care() {
    let setup = "CREATE STREAM s (k TEXT, x INT); INSERT INTO s VALUES ('a', 1), ('a', 2), ('b', 5);
        CREATE MATERIALIZED VIEW m AS SELECT k, sum(x) AS s FROM s GROUP BY k;
        CREATE VIEW p AS SELECT * FROM m WHERE s > 3;
        CREATE MATERIALIZED VIEW top (most) AS SELECT max(s) FROM p;\n";
    gives(
        &format!(
            "{setup}SELECT * FROM top; CREATE OR REPLACE MATERIALIZED VIEW m AS SELECT k, 10 * sum(x) AS s FROM s GROUP BY k;
             SELECT * FROM top; SELECT * FROM p ORDER BY k; INSERT INTO s VALUES ('c', 9); SELECT * FROM top;
             CREATE MATERIALIZED VIEW IF NOT EXISTS top AS SELECT 1; SELECT * FROM top; .print"
        )
        .replace(" .print", ""),
        "most\n5\nmost\n50\nk,s\na,30\nb,50\nmost\n90\nmost\n90\n",
    );
    let run = Place::new().sql(&format!(
        "{setup}.bail off\nDROP VIEW m; CREATE OR REPLACE MATERIALIZED VIEW m AS SELECT k FROM s; SELECT * FROM top;
         DROP MATERIALIZED VIEW m CASCADE; SHOW VIEWS; DROP VIEW IF EXISTS m; DROP VIEW m"
    ));
    assert_eq!((run.out.as_str(), run.code), ("most\n5\nname,kind,columns\n", 1));
    for error in [
        "`m` is read by `top`, `p`",
        "`p` reads `m` and would no longer work: no column `s`",
        "no stream, table or view `m`",
    ] {
        assert!(run.err.contains(error), "{error}: {}", run.err);
    }
}

#[test]
fn the_catalog_is_the_same_after_reopening() {
    let place = Place::new();
    let script = format!(
        "{TABLE}CREATE STREAM \"S 1\" (a INT); CREATE MATERIALIZED VIEW v AS SELECT b, count(*) AS n FROM t GROUP BY b;
         CREATE VIEW w AS SELECT * FROM v; CREATE MATERIALIZED VIEW x AS SELECT max(n) AS n FROM w; INSERT INTO t (id) VALUES (1), (2)"
    );
    place.feed(&["db"], script.as_bytes()).ok();
    let list = "SHOW STREAMS; SHOW TABLES; SHOW VIEWS; DESCRIBE t; SHOW CREATE TABLE t; SELECT * FROM x; EXPLAIN v;
        SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    let first = place.run(&["db", "--format", "csv", "-c", list]).ok().to_string();
    assert_eq!(place.run(&["db", "--format", "csv", "-c", list]).ok(), first);
    for line in [
        "S 1,a",
        "\"t\",\"id, a, b\"",
        "v,materialized view,\"b, n\"",
        "id,INTEGER,NO,PRIMARY KEY,",
        "a,INTEGER,YES,,7",
        "b,VARCHAR,NO,,'x'",
        "n\n2\n",
        "S 1,STREAM",
        "w,VIEW",
    ] {
        let line = line.replace("\"t\"", "t");
        assert!(first.contains(&line), "{line}: {first}");
    }
    let run = place.run(&["db", "--format", "csv", "-c", "VERIFY; INSERT INTO t VALUES (3, -1, 'x')"]);
    assert!(run.code == 1 && run.err.contains("check `a >= 0`") && run.out.matches(",ok").count() == 2, "{run:?}");
}

#[test]
fn now_in_a_view_is_the_time_of_the_commit() {
    gives(
        "CREATE STREAM s (a INT); CREATE MATERIALIZED VIEW v AS SELECT a, now() AS at FROM s;
         INSERT INTO s VALUES (1), (2);
         SELECT count(DISTINCT at) AS times, min(at) > now() - INTERVAL '1 minute' AND max(at) <= now() AS near FROM v",
        "times,near\n1,true\n",
    );
}

#[test]
fn explain_has_its_forms() {
    let place = Place::new();
    let setup = "CREATE TABLE t (id INT PRIMARY KEY, b TEXT); CREATE MATERIALIZED VIEW v AS SELECT b, count(*) AS n FROM t GROUP BY b;";
    let explain = |statement: &str| place.sql(&format!("{setup}{statement}")).ok().to_string();
    for of_view in [
        "EXPLAIN v",
        "EXPLAIN VIEW v",
        "EXPLAIN MATERIALIZED VIEW v",
        "EXPLAIN CREATE MATERIALIZED VIEW w AS SELECT b, count(*) FROM t GROUP BY b",
    ] {
        let text = explain(of_view);
        assert!(
            text.starts_with("operator,facts,state_rows,state_bytes,bounded\n")
                && text.contains("Input table t,key (id)"),
            "{text}"
        );
    }
    assert!(explain("EXPLAIN SELECT * FROM v").contains("physical_plan"));
    assert!(explain("EXPLAIN ANALYZE SELECT * FROM v").contains("metrics=["));
    let run = place.sql(&format!("{setup}EXPLAIN INSERT INTO t VALUES (1, 'x')"));
    assert!(run.err.starts_with("error: EXPLAIN takes a query or a view, not INSERT\n"), "{}", run.err);
}

#[test]
fn a_failing_row_is_reported_by_its_view_alone_and_heals() {
    let run = Place::new().sql(
        ".bail off
         CREATE TABLE t (id INT PRIMARY KEY, x INT); CREATE MATERIALIZED VIEW v AS SELECT id, 10 / x AS y FROM t;
         CREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM t;
         INSERT INTO t VALUES (1, 5), (2, 0); SELECT * FROM v; SELECT * FROM w; DELETE FROM t WHERE id = 2; SELECT * FROM v",
    );
    assert_eq!((run.out.as_str(), run.code), ("n\n2\nid,y\n1,2\n", 1));
    assert!(run.err.starts_with("error: view `v` cannot be read: division by zero"), "{}", run.err);
}
