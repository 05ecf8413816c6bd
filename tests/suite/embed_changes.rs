//! ON CONFLICT, MERGE, TRUNCATE and RETURNING by the crate's interface: what is committed, what is not, and by whom.

use millstream::{Database, Outcome, Session};

use crate::embed_support::{done, refused, rows, run, text, verify};

fn counters() -> Database {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE TABLE counters (name TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n < 1000))",
            "CREATE TABLE more (name TEXT, n BIGINT)",
            "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS counters, sum(n) AS n FROM counters",
            "INSERT INTO counters VALUES ('a', 1), ('b', 2)",
            "INSERT INTO more VALUES ('b', 20), ('c', 30)",
        ],
    );
    db
}

fn offset(db: &Database) -> u64 {
    db.snapshot("total").unwrap().0
}

fn returned(session: &mut Session, sql: &str) -> Vec<String> {
    match session.execute(sql).unwrap() {
        Outcome::Rows(rows) => text(&rows.batches),
        other => panic!("{sql}: {other:?}"),
    }
}

const MERGE: &str = "MERGE INTO counters AS c USING more AS m ON c.name = m.name
    WHEN MATCHED THEN UPDATE SET n = c.n + m.n
    WHEN NOT MATCHED THEN INSERT VALUES (m.name, m.n)";

#[test]
fn rows_that_were_changed_are_given_back() {
    let db = counters();
    let upsert =
        "INSERT INTO counters VALUES ('a', 5), ('z', 6) ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n";
    assert_eq!(rows(&db, &format!("{upsert} RETURNING name AS who, n")), ["a|6", "z|6"]);
    let columns = db.query("DELETE FROM counters WHERE name = 'z' RETURNING name, n + 1, n AS name").unwrap().schema;
    let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["name", "n + 1", "name"]);
    // Without rows there are columns still.
    let none = db.query("UPDATE counters SET n = 0 WHERE name = 'nobody' RETURNING *").unwrap();
    assert_eq!((none.len(), none.schema.fields().len()), (0, 2));
    // Within a transaction they are those that the statement would leave.
    let mut session = db.session();
    done(&mut session, "BEGIN");
    assert_eq!(
        returned(&mut session, &format!("{MERGE} RETURNING merge_action(), c.*")),
        ["UPDATE|b|22", "INSERT|c|30"]
    );
    assert_eq!(returned(&mut session, "DELETE FROM counters WHERE n > 10 RETURNING name"), ["b", "c"]);
    assert_eq!(rows(&db, "SELECT * FROM counters ORDER BY name"), ["a|6", "b|2"]);
    done(&mut session, "COMMIT");
    assert_eq!(rows(&db, "SELECT * FROM counters"), ["a|6"]);
    verify(&db);
}

#[test]
fn what_is_refused_or_changes_nothing_is_no_commit() {
    let db = counters();
    let before = offset(&db);
    for (wrong, says) in [
        ("INSERT INTO counters VALUES ('x', 1), ('a', 5000) ON CONFLICT DO NOTHING", "check"),
        ("INSERT INTO counters VALUES ('x', 1), ('a', 5) ON CONFLICT (name) DO UPDATE SET n = 5000", "check"),
        ("INSERT INTO counters VALUES ('x', 1), ('x', 2) ON CONFLICT (name) DO UPDATE SET n = 0", "a second time"),
        ("INSERT INTO counters VALUES ('x', 1), ('a', 5) ON CONFLICT (name) DO UPDATE SET n = 1 / 0", "zero"),
        ("INSERT INTO counters VALUES ('x', 1) RETURNING 1 / 0", "zero"),
        ("UPDATE counters SET n = m.n * 1000 FROM more AS m WHERE m.name = counters.name", "check"),
        ("MERGE INTO counters USING more ON true WHEN MATCHED THEN DELETE", "a second time"),
        ("TRUNCATE counters, total", "its query alone"),
        ("TRUNCATE counters, nothing", "nothing"),
    ] {
        let error = refused(&db, wrong);
        assert!(error.contains(says) && !error.contains("internal"), "{wrong}: {error}");
    }
    run(
        &db,
        &[
            "INSERT INTO counters VALUES ('a', 9), ('b', 9) ON CONFLICT DO NOTHING",
            "INSERT INTO counters VALUES ('a', 9) ON CONFLICT (name) DO UPDATE SET n = counters.n",
            "UPDATE counters SET n = counters.n FROM more",
            "DELETE FROM counters USING more WHERE more.name = counters.name AND false",
            "MERGE INTO counters AS c USING more AS m ON c.name = m.name WHEN MATCHED THEN UPDATE SET n = c.n",
            "MERGE INTO counters AS c USING more AS m ON c.name = m.name WHEN NOT MATCHED AND m.n > 99 THEN INSERT VALUES ('x', 1)",
        ],
    );
    assert_eq!(offset(&db), before, "nothing was committed");
    assert_eq!(rows(&db, "SELECT * FROM counters ORDER BY name"), ["a|1", "b|2"]);
    run(&db, &["TRUNCATE counters", "TRUNCATE counters", "TRUNCATE more, counters"]);
    assert_eq!(offset(&db), before + 2, "what is empty already changes nothing");
    assert_eq!(rows(&db, "SELECT counters FROM total"), ["0"]);
    verify(&db);
}

#[test]
fn upserts_of_many_threads_lose_nothing() {
    const THREADS: usize = 4;
    const TIMES: usize = 25;
    let db = counters();
    let upsert = "INSERT INTO counters VALUES ('n', 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n";
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                (0..TIMES).for_each(|_| run(&db, &[upsert, "UPDATE counters SET n = n + 1 WHERE name = 'a'"]))
            });
        }
    });
    let all = THREADS * TIMES;
    assert_eq!(
        rows(&db, "SELECT name, n FROM counters ORDER BY name"),
        [format!("a|{}", 1 + all), "b|2".into(), format!("n|{all}")]
    );
    verify(&db);
}

#[test]
fn a_merge_in_a_transaction_is_refused_when_others_changed_its_target() {
    let db = counters();
    let mut session = db.session();
    done(&mut session, "BEGIN");
    done(&mut session, MERGE);
    run(&db, &["UPDATE counters SET n = 7 WHERE name = 'b'"]);
    let error = session.execute("COMMIT").unwrap_err().to_string();
    assert!(error.contains("`counters` was changed by another commit"), "{error}");
    assert_eq!(rows(&db, "SELECT * FROM counters ORDER BY name"), ["a|1", "b|7"]);
    verify(&db);
}

#[test]
fn rows_are_found_by_keys_of_every_type() {
    let db = Database::in_memory().unwrap();
    for (number, (of, values, wanted)) in [
        ("BIGINT", ["1", "-9223372036854775808"], "k = -9223372036854775808"),
        ("SMALLINT", ["1", "2"], "k = 2.0"),
        ("DOUBLE", ["1.5", "-0.0"], "k = 0"),
        ("DOUBLE", ["1.5", "CAST('NaN' AS DOUBLE)"], "k = CAST('NaN' AS DOUBLE)"),
        ("DECIMAL(6,2)", ["1.5", "2"], "k = 2"),
        ("TEXT", ["'é'", "'it''s'"], "k = 'it''s'"),
        ("DATE", ["'2024-01-01'", "'2024-02-29'"], "k = '2024-02-29'"),
        ("TIMESTAMP", ["'2024-01-01'", "'2024-02-29 10:00:00'"], "k = TIMESTAMP '2024-02-29T10:00:00'"),
        ("BOOLEAN", ["true", "false"], "k = false"),
        ("BOOLEAN", ["true", "false"], "NOT k"),
    ]
    .into_iter()
    .enumerate()
    {
        let [first, second] = values;
        run(
            &db,
            &[
                &format!("CREATE TABLE t{number} (k {of} PRIMARY KEY, n INT)"),
                &format!("INSERT INTO t{number} VALUES ({first}, 1), ({second}, 2)"),
            ],
        );
        let update = format!("UPDATE t{number} SET n = 3 WHERE {wanted} AND n = 2 RETURNING n");
        assert_eq!(rows(&db, &update), ["3"], "{update}");
        let upsert = format!("INSERT INTO t{number} VALUES ({second}, 4) ON CONFLICT (k) DO UPDATE SET n = excluded.n");
        assert_eq!(rows(&db, &format!("{upsert} RETURNING n")), ["4"], "{upsert}");
        assert_eq!(rows(&db, &format!("DELETE FROM t{number} WHERE {wanted} RETURNING n")), ["4"], "{wanted}");
        assert_eq!(rows(&db, &format!("SELECT n FROM t{number}")), ["1"]);
    }
}
