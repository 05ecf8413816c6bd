//! Texts that stand for more than they say: chains, wide lists, names that double. Each has an answer or a limit, as a
//! query and as a view, and the program lives.

use super::adversarial::feed;

const STREAM: &str = "CREATE STREAM s (a INT, b TEXT, c BOOLEAN); INSERT INTO s VALUES (1, 'x', true);\n";

/// A query, and the same as a view that is read and verified.
fn both(query: &str) -> [super::Run; 2] {
    [
        feed(format!("{STREAM}{query}")),
        feed(format!("{STREAM}CREATE MATERIALIZED VIEW v AS {query}; SELECT count(*) FROM v; VERIFY v")),
    ]
}

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

#[test]
fn what_doubles_with_each_name_ends_in_a_limit() {
    let joined = repeated(24, |i| format!(", c{} AS (SELECT x.a FROM c{i} x JOIN c{i} y ON x.a = y.a)", i + 1));
    let united = repeated(29, |i| format!(", c{} AS (SELECT a FROM c{i} UNION ALL SELECT a FROM c{i})", i + 1));
    let views =
        repeated(40, |i| format!("CREATE VIEW w{} AS SELECT a FROM w{i} UNION ALL SELECT a FROM w{i};\n", i + 1));
    let limits = [
        format!("WITH c0 AS (SELECT a FROM s){joined} SELECT a FROM c24"),
        format!("WITH c0 AS (SELECT a FROM s){united} SELECT a FROM c29"),
        format!("SELECT s0.a FROM {}s", repeated(1_000, |i| format!("s s{i}, "))),
        format!("SELECT count(*) AS n FROM s GROUP BY CUBE (a{})", repeated(20, |i| format!(", a + {i}"))),
        format!("SELECT count(*) AS n FROM s GROUP BY CUBE (a{})", repeated(70, |i| format!(", a + {i}"))),
        format!("SELECT a FROM s WHERE c{}", " AND c".repeat(20_000)),
        format!("SELECT b{} AS x FROM s", " || b".repeat(20_000)),
        format!("SELECT a FROM s WHERE a IN (0{})", ", 1".repeat(100_000)),
        format!("SELECT CASE {}END AS x FROM s", "WHEN a = 1 THEN 2 ".repeat(20_000)),
        format!("SELECT a{} FROM s", repeated(10_000, |i| format!(", a + {i} AS c{i}"))),
    ];
    for query in &limits {
        for run in both(query) {
            assert_eq!(run.code, 4, "{}...: {}", &query[..60], run.err);
            assert!(run.err.contains("limit"), "{}", run.err);
        }
    }
    let run = feed(format!("{STREAM}CREATE VIEW w0 AS SELECT a FROM s; {views}"));
    assert!(run.code == 4 && run.err.contains("more parts than the limit"), "{}", run.err);
}

#[test]
fn what_is_deep_within_a_view_has_room_wherever_the_view_is_named() {
    let chain = format!("SELECT a FROM s{}", " UNION ALL SELECT a FROM s".repeat(489));
    let [query, view] = both(&chain);
    assert_eq!(query.ok().lines().count(), 491);
    assert!(view.ok().starts_with("count(*)\n490\n") && view.out.contains(",ok\n"), "{}", view.out);
    // The plain view is expanded in texts that are short themselves, within each other.
    let script = format!(
        "{STREAM}CREATE VIEW deep AS {chain}; CREATE VIEW deeper AS SELECT a + 1 AS a FROM deep WHERE a = 1{};
         CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM deeper; SELECT n FROM m; SELECT count(*) FROM deeper;
         EXPLAIN m; INSERT INTO s SELECT a, 'y', false FROM deeper LIMIT 1; VERIFY; CREATE OR REPLACE MATERIALIZED VIEW m AS
         SELECT sum(a) AS n FROM deeper; SELECT n FROM m",
        " OR a = 2".repeat(50)
    );
    assert!(feed(script).ok().ends_with("\nn\n2450\n"));
}

#[test]
fn wide_and_nested_types_have_an_answer_or_a_limit() {
    let columns = |count| repeated(count, |i| format!(", c{i} INT"));
    let run = feed(format!(
        "CREATE TABLE t (id INT{}); INSERT INTO t (id) VALUES (1); CREATE MATERIALIZED VIEW v AS SELECT * FROM t; SELECT id FROM v",
        columns(1_000)
    ));
    assert_eq!(run.ok(), "id\n1\n");
    assert_eq!(feed(format!("CREATE TABLE t (id INT{})", columns(10_000))).code, 4, "more columns than a table has");
    let nested =
        |depth| format!("CREATE TABLE t (a {}INT{}); SELECT * FROM t", "STRUCT<x ".repeat(depth), ">".repeat(depth));
    assert!([0, 4].contains(&feed(nested(60)).code));
    assert_eq!(feed(nested(500)).code, 4);
    let name = "x".repeat(1_000_000);
    assert!(feed(format!("{STREAM}SELECT a AS {name} FROM s")).ok().ends_with("\n1\n"));
    let run = feed(format!(
        "CREATE TABLE t (j TEXT); INSERT INTO t VALUES ('{}'); SELECT json_length(j) AS n FROM t",
        "[".repeat(100_000)
    ));
    assert!(run.code <= 1, "{}", run.err);
}

#[test]
fn what_is_short_and_makes_much_ends_in_a_limit() {
    let texts = [
        "repeat(b, 2000000000)",
        "lpad(b, 2000000000)",
        "rpad('x', 2000000000, b)",
        "replace(repeat('a', 60000), 'a', repeat(b, 60000))",
        "concat(repeat(b, 35000000), repeat(b, 35000000))",
    ];
    for text in texts {
        let run = feed(format!("{STREAM}SELECT length({text}) AS n FROM s"));
        assert!(run.err.contains("bytes and the limit is"), "{text}: {} {}", run.out, run.err);
    }
    let run = feed("SELECT length(repeat('x', 2000000000)) AS n");
    assert!(run.err.contains("bytes and the limit is"), "{} {}", run.out, run.err);
    for list in [
        "array_repeat(a, 2000000000)",
        "array_repeat(array_repeat(b, 100000), 100000)",
        "array_resize([a], 2000000000)",
    ] {
        let run = feed(format!("{STREAM}SELECT cardinality({list}) AS n FROM s"));
        assert!(run.err.contains("bytes and the limit is"), "{list}: {} {}", run.out, run.err);
    }
    // The limit is one of the value: a row that has it is the only one in error.
    let script = format!(
        "{STREAM}CREATE MATERIALIZED VIEW v AS SELECT length(repeat(b, a)) AS n FROM s; SELECT n FROM v;
         INSERT INTO s VALUES (120000000, 'y', true); SELECT n FROM v"
    );
    let run = feed(script);
    assert!(
        run.out.starts_with("n\n1\n") && run.err.contains("repeat would make a value of 120000000 bytes"),
        "{}",
        run.err
    );
}

#[test]
fn subqueries_beside_each_other_do_not_double() {
    let beside = repeated(24, |i| format!(", (SELECT max(t.a) FROM s t WHERE t.a <= s.a + {i}) AS x{i}"));
    for run in both(&format!("SELECT a{beside} FROM s")) {
        assert!(run.ok().lines().count() > 1, "{}", run.out);
    }
    let exists = repeated(40, |i| format!(" AND EXISTS (SELECT 1 FROM s t WHERE t.a = s.a + {i} - {i})"));
    for run in both(&format!("SELECT a FROM s WHERE c{exists}")) {
        assert!(run.ok().lines().count() > 1, "{}", run.out);
    }
}

#[test]
fn expressions_of_regular_expressions_are_errors_of_the_statement() {
    let script =
        format!("{STREAM}SELECT a FROM s WHERE b ~ '(a{{1000}}){{1000}}'; SELECT 1 BETWEEN 1 AND 2 BETWEEN 1 AND 3");
    let run = feed(script);
    assert!(run.err.contains("did not compile") && !run.err.contains("internal"), "{}", run.err);
    assert_eq!(feed("SELECT 'x' ~ '((((('").code, 1);
    assert_eq!(feed("SELECT repeat('a', 50000) ~ '(a*)*b' AS x").ok(), "x\nfalse\n");
}
