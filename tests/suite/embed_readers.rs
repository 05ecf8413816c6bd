//! Databases opened for reading only: beside a writer, and alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream::{Database, Error};

use crate::embed_support::{copy, files, numbers, read_only, refused, rows, run, small_segments, verify};

/// How long readers come and go.
const READING: Duration = Duration::from_secs(4);

#[test]
fn readers_open_beside_a_writer_that_archives() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 2 << 10)).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (n BIGINT)",
            "CREATE TABLE t (k BIGINT PRIMARY KEY, n BIGINT)",
            "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, max(n) AS top FROM s",
        ],
    );
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::Acquire) {
                n += 1;
                let table = numbers(&[("k", vec![0]), ("n", vec![n])]);
                db.append_all([("s", numbers(&[("n", vec![n])])), ("t", table)]).unwrap().wait().unwrap();
            }
            n
        });
        let (started, mut opened, mut last) = (Instant::now(), 0, 0);
        while started.elapsed() < READING {
            let reader = Database::open_with(read_only(folder.path())).unwrap_or_else(|e| panic!("{opened}: {e:?}"));
            // What was there on opening is seen for as long as the reader likes, wherever the writer moves it.
            for _ in 0..2 {
                let moment = "SELECT v.n, v.top, (SELECT count(*) FROM s), (SELECT max(n) FROM t) FROM v";
                let row: Vec<i64> = rows(&reader, moment)[0].split('|').map(|x| x.parse().unwrap_or(0)).collect();
                assert!(row.iter().all(|n| *n == row[0]), "of several moments: {row:?}");
                assert!(row[0] >= last, "time went back");
                last = row[0];
            }
            opened += 1;
        }
        over.store(true, Ordering::Release);
        let n = writer.join().unwrap();
        println!("{opened} readers beside {n} commits");
    });
    verify(&db);
}

#[test]
fn a_reader_changes_nothing() {
    let (folder, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["CREATE TABLE t (n BIGINT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CHECKPOINT"]);
    run(&db, &["INSERT INTO t VALUES (2)"]);
    copy(folder.path(), image.path());
    drop(db);
    let before: Vec<_> = files(image.path()).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let reader = Database::open_with(read_only(image.path())).unwrap();
    for statement in [
        "INSERT INTO t VALUES (3)",
        "UPDATE t SET n = 5",
        "DELETE FROM t",
        "CREATE STREAM s (n BIGINT)",
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM t",
        "DROP TABLE t",
        "BEGIN",
        "CHECKPOINT",
    ] {
        let error = refused(&reader, statement);
        assert!(error.contains("for reading only"), "{statement}: {error}");
    }
    assert!(reader.append("t", numbers(&[("n", vec![1])])).is_err());
    assert_eq!(rows(&reader, "SELECT n FROM t ORDER BY n"), ["1", "2"]);
    reader.close().unwrap();
    let after: Vec<_> = files(image.path()).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert!(before == after, "a reader wrote something");
}

#[test]
fn there_must_be_something_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = Database::open_with(read_only(&missing)).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Io { kind: std::io::ErrorKind::NotFound, .. }), "{error:?}");
    assert!(error.to_string().contains("missing") && !missing.exists());
}
