//! CREATE TABLE ... AS in the log: the rows and not the query, and both commits or neither.

use std::fs;
use std::path::Path;

use millstream::{Database, Durability, Options};

use crate::embed_support::{copy, files, read_only, refused, rows, run, verify};

fn open(path: &Path) -> Database {
    let options = Options { path: Some(path.into()), durability: Durability::Os, ..Options::default() };
    Database::open_with(options).unwrap()
}

#[test]
fn a_table_keeps_the_rows_that_its_query_gave() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    run(
        &db,
        &[
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1), (2)",
            "CREATE TABLE kept AS SELECT a, now() AS at FROM t",
            "DELETE FROM t",
            "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, count(DISTINCT at) AS times FROM kept",
        ],
    );
    let before = rows(&db, "SELECT * FROM kept ORDER BY a");
    assert_eq!(before.len(), 2);
    db.close().unwrap();
    let db = open(folder.path());
    assert_eq!(rows(&db, "SELECT * FROM kept ORDER BY a"), before);
    assert_eq!(rows(&db, "SELECT * FROM v"), ["2|1"]);
    verify(&db);
}

#[test]
fn a_crash_before_the_rows_leaves_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    run(&db, &["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1), (2)"]);
    run(&db, &["CREATE TABLE made AS SELECT a FROM t"]);
    let image = tempfile::tempdir().unwrap();
    copy(folder.path(), image.path());
    let note = image.path().join("log/SYNCED");
    let _ = fs::remove_file(&note);
    let segment = files(&image.path().join("log")).into_iter().next().unwrap();
    let whole = fs::read(&segment).unwrap();
    // The last frame is that of the rows.
    fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let reading = |path: &Path| Database::open_with(read_only(path)).unwrap();
    for opening in [&reading as &dyn Fn(&Path) -> Database, &open, &open] {
        let db = opening(image.path());
        assert!(refused(&db, "SELECT * FROM made").contains("no stream, table or view"), "the table is there");
        assert_eq!(rows(&db, "SELECT a FROM t ORDER BY a"), ["1", "2"]);
        db.close().unwrap();
    }
    let db = open(image.path());
    run(&db, &["CREATE TABLE made AS SELECT a + 1 AS b FROM t"]);
    db.close().unwrap();
    assert_eq!(rows(&open(image.path()), "SELECT b FROM made ORDER BY b"), ["2", "3"]);
}
