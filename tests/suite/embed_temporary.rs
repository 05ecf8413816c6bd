//! Temporary tables and views: seen by their session, gone with it, and never in the log.

use std::fs;
use std::path::Path;

use millstream::{Database, Options, Outcome, Session};

use crate::embed_support::{done, rows, run, text};

fn seen(session: &mut Session, sql: &str) -> Vec<String> {
    match session.execute(sql) {
        Ok(Outcome::Rows(rows)) => text(&rows.batches),
        other => panic!("{sql}: {other:?}"),
    }
}

fn refused(session: &mut Session, sql: &str) -> String {
    session.execute(sql).expect_err(sql).to_string()
}

/// Every byte of the files in a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { bytes(&path) } else { fs::read(&path).unwrap() });
    }
    all
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

const TEMPORARY: [&str; 5] = [
    "CREATE TEMP TABLE jotted (word_of_jotted TEXT PRIMARY KEY, n BIGINT)",
    "CREATE TEMP MATERIALIZED VIEW jotted_sum AS SELECT sum(j.n) AS n, count(e.n) AS events FROM jotted j LEFT JOIN events e ON e.n = j.n",
    "CREATE TEMP VIEW jotted_view AS SELECT * FROM jotted_sum",
    "INSERT INTO jotted VALUES ('jotted_value', 1), ('jotted_value_2', 2)",
    "COMMENT ON TABLE jotted IS 'jotted_comment'",
];

#[test]
fn the_log_says_the_same_with_them_and_without() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut offsets = Vec::new();
    for (with, folder) in [false, true].into_iter().zip(&folders) {
        let db = Database::open(folder.path()).unwrap();
        let mut session = db.session();
        done(&mut session, "CREATE STREAM events (n BIGINT)");
        done(&mut session, "CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM events");
        if with {
            TEMPORARY.iter().for_each(|sql| done(&mut session, sql));
        }
        done(&mut session, "INSERT INTO events VALUES (1), (2), (2)");
        if with {
            assert_eq!(seen(&mut session, "SELECT * FROM jotted_view"), ["5|3"]);
            // One commit for both; the log has what lasts of it.
            done(&mut session, "BEGIN");
            done(&mut session, "INSERT INTO jotted VALUES ('jotted_more', 3)");
        }
        done(&mut session, "INSERT INTO events VALUES (3)");
        if with {
            done(&mut session, "COMMIT");
            assert_eq!(seen(&mut session, "SELECT * FROM jotted_view"), ["8|4"]);
            let Outcome::Verified { ok, rows } = session.execute("VERIFY").unwrap() else { panic!("VERIFY") };
            assert!(ok);
            assert_eq!(rows.len(), 2, "{:?}", text(&rows.batches));
            done(&mut session, "DROP VIEW jotted_view");
        }
        // Made over what is gone with the session.
        done(&mut session, "CREATE TABLE after (n BIGINT)");
        done(&mut session, "INSERT INTO after VALUES (7)");
        offsets.push(db.snapshot("total").unwrap().0);
        drop(session);
        offsets.push(db.snapshot("total").unwrap().0);
        db.close().unwrap();
        assert!(!contains(&bytes(folder.path()), "jotted"), "with: {with}");
        let db = Database::open(folder.path()).unwrap();
        assert_eq!(rows(&db, "SELECT * FROM total"), ["8"]);
        assert_eq!(rows(&db, "SELECT * FROM after"), ["7"]);
        assert_eq!(db.relations().iter().map(|r| r.name.clone()).collect::<Vec<_>>(), ["events", "total", "after"]);
    }
    assert_eq!(offsets, [6; 4]);
}

#[test]
fn a_session_that_is_not_ended_leaves_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    let mut session = db.session();
    done(&mut session, "CREATE STREAM events (n BIGINT)");
    TEMPORARY.iter().for_each(|sql| done(&mut session, sql));
    done(&mut session, "INSERT INTO events VALUES (1)");
    // As a crash would leave it: what a reader beside sees.
    let beside = Options { path: Some(folder.path().into()), read_only: true, ..Options::default() };
    let beside = Database::open_with(beside).unwrap();
    assert_eq!(beside.relations().len(), 1);
    assert_eq!(rows(&beside, "SELECT * FROM events"), ["1"]);
    assert!(!contains(&bytes(folder.path()), "jotted"));
    // The database is closed under the session; to end it then is no error.
    db.close().unwrap();
    drop(session);
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(db.relations().len(), 1);
}

#[test]
fn two_sessions_have_their_own() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE t (n BIGINT)", "INSERT INTO t VALUES (0)"]);
    let (mut one, mut two) = (db.session(), db.session());
    done(&mut one, "CREATE TEMP TABLE t (n BIGINT)");
    done(&mut two, "CREATE TEMP TABLE t (n BIGINT)");
    done(&mut one, "CREATE TEMP MATERIALIZED VIEW v AS SELECT sum(n) AS n FROM t");
    done(&mut two, "CREATE TEMP MATERIALIZED VIEW v AS SELECT sum(n) AS n FROM t");
    done(&mut one, "INSERT INTO t VALUES (1), (2)");
    done(&mut two, "INSERT INTO t VALUES (10)");
    assert_eq!(seen(&mut one, "SELECT * FROM v"), ["3"]);
    assert_eq!(seen(&mut two, "SELECT * FROM v"), ["10"]);
    assert_eq!(rows(&db, "SELECT * FROM t"), ["0"]);
    assert!(db.query("SELECT * FROM v").is_err());
    assert!(db.snapshot("v").is_err());
    assert_eq!(db.relations().len(), 1);
    drop(one);
    assert_eq!(seen(&mut two, "SELECT * FROM v"), ["10"]);
    // Nothing of the first session is left that could hold this up.
    done(&mut two, "DROP TABLE t CASCADE");
    done(&mut two, "DROP TABLE t");
    assert!(refused(&mut two, "SELECT * FROM t").contains("no stream, table or view `t`"));
}

#[test]
fn what_lasts_is_not_dropped_under_a_view_of_another_session() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE t (n BIGINT)", "INSERT INTO t VALUES (1)"]);
    let mut one = db.session();
    done(&mut one, "CREATE TEMP VIEW t AS SELECT n + 1 AS n FROM t");
    assert_eq!(seen(&mut one, "SELECT * FROM t"), ["2"]);
    let error = db.execute("DROP TABLE t").unwrap_err().to_string();
    assert!(error.contains("`t` is read by `t`"), "{error}");
    drop(one);
    db.execute("DROP TABLE t").unwrap();
    // With CASCADE the view goes, wherever it is.
    run(&db, &["CREATE TABLE t (n BIGINT)"]);
    let mut one = db.session();
    done(&mut one, "CREATE TEMP VIEW w AS SELECT n + 1 AS n FROM t");
    db.execute("DROP TABLE t CASCADE").unwrap();
    assert!(refused(&mut one, "SELECT * FROM w").contains("no stream, table or view `w`"));
}

#[test]
fn one_statement_is_no_session_to_live_in() {
    let db = Database::in_memory().unwrap();
    for sql in ["CREATE TEMP TABLE t (n BIGINT)", "CREATE TEMP VIEW v AS SELECT 1 AS n"] {
        let error = db.execute(sql).unwrap_err().to_string();
        assert!(error.contains("lives as long as its session"), "{error}");
    }
}

#[test]
fn subscribers_of_a_temporary_view_hear_of_its_changes_and_its_end() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    done(&mut session, "CREATE TEMP TABLE t (n BIGINT)");
    done(&mut session, "CREATE TEMP MATERIALIZED VIEW v AS SELECT sum(n) AS n FROM t");
    let Outcome::Subscribed(mut changes) = session.execute("SUBSCRIBE v").unwrap() else { panic!("SUBSCRIBE") };
    done(&mut session, "INSERT INTO t VALUES (1)");
    done(&mut session, "INSERT INTO t VALUES (2)");
    drop(session);
    let updates: Vec<_> = std::iter::from_fn(|| changes.next()).collect();
    assert!(updates.len() >= 2, "{updates:?}");
}

#[test]
fn a_commit_that_is_refused_changes_neither() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE lasting (k BIGINT PRIMARY KEY, n BIGINT)", "INSERT INTO lasting VALUES (1, 1)"]);
    let mut session = db.session();
    done(&mut session, "CREATE TEMP TABLE jotted (n BIGINT)");
    done(&mut session, "CREATE TEMP MATERIALIZED VIEW v AS SELECT count(*) AS n FROM jotted");
    done(&mut session, "BEGIN");
    done(&mut session, "INSERT INTO jotted VALUES (1)");
    done(&mut session, "UPDATE lasting SET n = n + 1");
    db.execute("UPDATE lasting SET n = 10").unwrap();
    assert!(refused(&mut session, "COMMIT").contains("changed by another commit"));
    assert_eq!(seen(&mut session, "SELECT count(*) FROM jotted"), ["0"]);
    assert_eq!(seen(&mut session, "SELECT n FROM v"), ["0"]);
    done(&mut session, "INSERT INTO jotted VALUES (1)");
    assert_eq!(seen(&mut session, "SELECT n FROM v"), ["1"]);
}
