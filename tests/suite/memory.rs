//! The memory limit: queries that pass it are refused, views that do not fit go out of service, and all else goes on.

mod program;

use std::path::Path;

use millstream::{Database, Error, Options, Update};

use crate::embed_support::{number, numbers, rows, run, verify};

/// A database in a folder with this limit.
fn open(path: &Path, memory_limit: usize) -> Database {
    Database::open_with(Options { path: Some(path.to_path_buf()), memory_limit, ..Options::default() }).unwrap()
}

/// The words of the limit that a statement must meet.
#[track_caller]
fn limited(db: &Database, sql: &str) -> String {
    match db.execute(sql) {
        Err(Error::Limit(message)) => message,
        other => panic!("{sql}: {other:?}"),
    }
}

/// Appends `n` from a range in commits of a thousand rows, with `n` modulo 10 beside it.
fn append(db: &Database, name: &str, range: std::ops::Range<i64>) -> Result<(), Error> {
    let all: Vec<i64> = range.collect();
    all.chunks(1000).try_for_each(|part| {
        let kinds = part.iter().map(|n| n % 10).collect();
        db.append(name, numbers(&[("n", part.to_vec()), ("kind", kinds)]))?.wait().map(drop)
    })
}

const EVENTS: &str = "CREATE STREAM events (n BIGINT, kind BIGINT)";
const LARGE: &str = "CREATE MATERIALIZED VIEW large AS SELECT n, count(*) AS c FROM events GROUP BY n";
const OVER_LARGE: &str = "CREATE MATERIALIZED VIEW over_large AS SELECT max(n) AS most FROM large";
const SMALL: &str = "CREATE MATERIALIZED VIEW small AS SELECT kind, count(*) AS c FROM events GROUP BY kind";

#[test]
fn the_largest_view_goes_out_of_service_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 4_000_000);
    run(&db, &[EVENTS, LARGE, OVER_LARGE, SMALL]);
    append(&db, "events", 0..1000).unwrap();
    verify(&db);
    let mut changes = db.subscribe("large").unwrap();
    assert!(matches!(changes.next(), Some(Update::Snapshot { batch, .. }) if batch.num_rows() == 1000));
    append(&db, "events", 1000..100_000).unwrap();

    let reading = limited(&db, "SELECT * FROM large");
    assert!(reading.starts_with("view `large` is out of service: its state had grown to "), "{reading}");
    assert!(reading.contains("past the memory limit of 4 MB (--memory-limit); "), "{reading}");
    assert!(matches!(db.snapshot("large"), Err(Error::Limit(_))));
    assert!(matches!(db.subscribe("large"), Err(Error::Limit(_))));
    assert!(limited(&db, "SELECT * FROM over_large").starts_with("view `over_large` is out of service, because it"));
    limited(&db, "EXPLAIN large");
    limited(&db, "CREATE MATERIALIZED VIEW another AS SELECT max(c) AS c FROM large");
    let last = std::iter::from_fn(|| changes.try_next()).last();
    assert!(matches!(last, Some(Update::Failing { reason, .. }) if reason == reading));

    // Others go on, and equal their queries.
    assert_eq!(rows(&db, "SELECT sum(c) FROM small"), ["100000"]);
    assert!(db.verify("small").unwrap());
    assert!(!db.verify("large").unwrap());
    assert_eq!(number(&db, "SELECT count(*) FROM events"), 100_000);

    // It does not fit when it is made again either, and with what it needs it does.
    let message =
        limited(&db, "CREATE OR REPLACE MATERIALIZED VIEW large AS SELECT n, count(*) AS c FROM events GROUP BY n");
    assert!(message.starts_with("view `large` does not fit: its state comes to "), "{message}");
    assert_eq!(number(&db, "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%large'"), 2);
    run(
        &db,
        &["CREATE OR REPLACE MATERIALIZED VIEW large AS SELECT n, count(*) AS c FROM events WHERE n < 500 GROUP BY n"],
    );
    assert!(matches!(changes.next(), Some(Update::Snapshot { batch, .. }) if batch.num_rows() == 500));
    assert_eq!(rows(&db, "SELECT most FROM over_large"), ["499"]);
    verify(&db);
    db.close().unwrap();
}

#[test]
fn opening_takes_views_out_of_service_and_heals_them() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), usize::MAX);
    run(&db, &[EVENTS, LARGE, OVER_LARGE, SMALL]);
    append(&db, "events", 0..60_000).unwrap();
    verify(&db);
    db.close().unwrap();

    let db = open(folder.path(), 2_000_000);
    limited(&db, "SELECT * FROM large");
    limited(&db, "SELECT * FROM over_large");
    assert!(db.verify("small").unwrap());
    append(&db, "events", 60_000..61_000).unwrap();
    run(&db, &["DROP VIEW large CASCADE", LARGE.replace("events", "events WHERE n < 9").as_str()]);
    assert_eq!(rows(&db, "SELECT count(*) FROM large"), ["9"]);
    run(&db, &["DROP VIEW large"]);
    db.close().unwrap();

    let db = open(folder.path(), 400_000_000);
    run(&db, &[LARGE, OVER_LARGE]);
    verify(&db);
    db.close().unwrap();
    let db = open(folder.path(), 2_000_000);
    limited(&db, "SELECT * FROM over_large");
    db.close().unwrap();
    let db = open(folder.path(), 400_000_000);
    assert_eq!(rows(&db, "SELECT most FROM over_large"), ["60999"]);
    verify(&db);
    db.close().unwrap();
}

#[test]
fn shared_operators_stay_for_the_views_that_remain() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 6_000_000);
    // Both views read one aggregate, whose state is most of the memory; the rows of one are many, of the other few.
    run(&db, &[EVENTS, LARGE]);
    run(
        &db,
        &[
            "CREATE MATERIALIZED VIEW few AS SELECT n, c FROM (SELECT n, count(*) AS c FROM events GROUP BY n) WHERE c > 1",
        ],
    );
    let mut next = 0;
    while db.snapshot("large").is_ok() {
        append(&db, "events", next..next + 1000).unwrap();
        next += 1000;
        assert!(next < 200_000, "the view is never too large");
    }
    append(&db, "events", 0..10).unwrap();
    assert_eq!(rows(&db, "SELECT count(*) FROM few"), ["10"]);
    assert!(db.verify("few").unwrap());
    append(&db, "events", 1000..200_000).unwrap();
    limited(&db, "SELECT * FROM few");
    db.close().unwrap();
}

#[test]
fn a_full_table_takes_no_rows_and_gives_them_up() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 4_000_000);
    run(&db, &["CREATE TABLE t (n BIGINT PRIMARY KEY, kind BIGINT)", EVENTS]);
    run(&db, &["CREATE MATERIALIZED VIEW kinds AS SELECT kind, count(*) AS c FROM t GROUP BY kind"]);
    run(&db, &["CREATE MATERIALIZED VIEW twice AS SELECT * FROM t"]);
    let Err(Error::Limit(message)) = append(&db, "t", 0..100_000) else { panic!("the table is never full") };
    assert!(message.starts_with("table `t` takes no more rows: "), "{message}");
    assert!(message.contains("past the memory limit of 4 MB (--memory-limit); delete rows"), "{message}");
    limited(&db, "SELECT * FROM twice");
    limited(&db, "SELECT * FROM kinds");
    let there = number(&db, "SELECT count(*) FROM t");
    assert!((1000..100_000).contains(&there), "{there}");
    limited(&db, "INSERT INTO t SELECT n + 1000000, n FROM t LIMIT 5000");
    limited(&db, "UPDATE t SET kind = 4 WHERE n < 5000");
    // A stream of a database on disk is not kept in memory.
    append(&db, "events", 0..5000).unwrap();
    for below in 1..=there / 2000 {
        run(&db, &[&format!("DELETE FROM t WHERE n < {}", below * 2000)]);
    }
    assert!(number(&db, "SELECT count(*) FROM t") <= 2000);
    run(&db, &["INSERT INTO t VALUES (-1, 1)", "UPDATE t SET kind = 4 WHERE n = -1"]);
    append(&db, "t", 200_000..210_000).unwrap();
    run(&db, &["CREATE OR REPLACE MATERIALIZED VIEW kinds AS SELECT kind, count(*) AS c FROM t GROUP BY kind"]);
    assert!(db.verify("kinds").unwrap());
    db.close().unwrap();
    let db = open(folder.path(), 400_000_000);
    verify(&db);
    db.close().unwrap();
}

#[test]
fn one_commit_larger_than_the_limit_is_refused_before_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 2_000_000);
    run(&db, &["CREATE TABLE t (n BIGINT, kind BIGINT)"]);
    let many: Vec<i64> = (0..200_000).collect();
    let error = db.append("t", numbers(&[("n", many.clone()), ("kind", many)])).unwrap().wait().unwrap_err();
    assert!(
        matches!(&error, Error::Limit(message) if message.contains("with 3.2 MB more, tables would come")),
        "{error}"
    );
    assert_eq!(rows(&db, "SELECT count(*) FROM t"), ["0"]);
    append(&db, "t", 0..10).unwrap();
    db.close().unwrap();
}

#[test]
fn in_memory_the_log_counts() {
    let db = Database::open_with(Options { memory_limit: 4_000_000, ..Options::default() }).unwrap();
    run(&db, &[EVENTS, SMALL]);
    let Err(Error::Limit(message)) = append(&db, "events", 0..1_000_000) else { panic!("the log is never full") };
    assert!(message.starts_with("stream `events` takes no more rows: "), "{message}");
    assert!(message.contains("tables and the log, which is in memory, would come to"), "{message}");
}

#[test]
fn a_join_is_stopped_within_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 8_000_000);
    run(&db, &[EVENTS, SMALL]);
    append(&db, "events", 0..2000).unwrap();
    let pairs = "SELECT a.kind, count(*) AS c FROM events a CROSS JOIN events b GROUP BY a.kind";
    let message = limited(&db, &format!("CREATE MATERIALIZED VIEW pairs AS {pairs}"));
    assert!(message.starts_with("view `pairs`: cross join: one change would put out more than "), "{message}");
    run(&db, &["CREATE STREAM others (n BIGINT, kind BIGINT)"]);
    run(&db, &["CREATE MATERIALIZED VIEW pairs AS SELECT count(*) AS c FROM events CROSS JOIN others"]);
    append(&db, "others", 0..10).unwrap();
    assert_eq!(rows(&db, "SELECT c FROM pairs"), ["20000"]);
    append(&db, "others", 0..1000).unwrap();
    let message = limited(&db, "SELECT c FROM pairs");
    assert!(message.starts_with("view `pairs` is out of service: cross join: one change"), "{message}");
    assert!(db.verify("small").unwrap());
    append(&db, "events", 0..10).unwrap();
    assert_eq!(rows(&db, "SELECT sum(c) FROM small"), ["2010"]);
    db.close().unwrap();
}

#[test]
fn a_view_that_is_run_again_is_stopped_in_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 8_000_000);
    run(&db, &[EVENTS, SMALL]);
    run(
        &db,
        &["CREATE MATERIALIZED VIEW ranked AS SELECT n, rank() OVER (PARTITION BY kind ORDER BY n) AS r FROM events"],
    );
    append(&db, "events", 0..1000).unwrap();
    verify(&db);
    append(&db, "events", 1000..60_000).unwrap();
    limited(&db, "SELECT * FROM ranked");
    assert!(db.verify("small").unwrap());
    assert_eq!(rows(&db, "SELECT sum(c) FROM small"), ["60000"]);
    db.close().unwrap();
}

#[test]
fn a_transaction_holds_no_more_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 4_000_000);
    run(&db, &[EVENTS]);
    let mut session = db.session();
    session.execute("BEGIN").unwrap();
    let insert = "INSERT INTO events SELECT value, 1 FROM generate_series(1, 10000)";
    let refused = (0..100).find_map(|_| session.execute(insert).err()).unwrap();
    assert!(matches!(&refused, Error::Limit(_)), "{refused}");
    assert!(session.execute("COMMIT").unwrap_err().to_string().contains("rolled back"));
    assert_eq!(number(&db, "SELECT count(*) FROM events"), 0);
    // What it held is free again.
    session.execute(insert).unwrap();
    assert_eq!(number(&db, "SELECT count(*) FROM events"), 10_000);
    db.close().unwrap();
}

#[test]
fn a_view_that_hands_on_its_input_leaves_it_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), 2_000_000);
    run(&db, &[EVENTS, SMALL, "CREATE MATERIALIZED VIEW same AS SELECT * FROM events", "DROP VIEW small, same"]);
    append(&db, "events", 0..10).unwrap();
    run(&db, &["CREATE MATERIALIZED VIEW same AS SELECT * FROM events"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM same"), ["10"]);
    append(&db, "events", 10..100_000).unwrap();
    limited(&db, "SELECT * FROM same");
    run(&db, &["DROP VIEW same", SMALL]);
    append(&db, "events", 0..10).unwrap();
    assert_eq!(rows(&db, "SELECT sum(c) FROM small"), ["100010"]);
    verify(&db);
    db.close().unwrap();
}
