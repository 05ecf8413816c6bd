//! The database inside async programs: nothing panics because a runtime is there, and what can be awaited is.

use std::time::Duration;

use futures::StreamExt;
use millstream::{Cancel, Database, Error, Update, query_archive};

use crate::embed_support::{numbers, read_only, rows, run, text, verify};

/// Everything that a program may call, by name.
fn use_all(path: &std::path::Path) {
    let db = Database::open(path).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (n BIGINT)",
            "CREATE TABLE t (k BIGINT PRIMARY KEY, n BIGINT)",
            "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s",
            "CREATE MATERIALIZED VIEW again AS SELECT n, row_number() OVER (ORDER BY n) AS place FROM s",
            "INSERT INTO s VALUES (1), (2)",
            "INSERT INTO t SELECT n, n + 0 FROM s",
            "UPDATE t SET n = n + 1 WHERE k = 1",
            "DELETE FROM t WHERE k = 2",
            "CHECKPOINT",
            "EXPLAIN v",
        ],
    );
    db.append("s", numbers(&[("n", vec![3])])).unwrap().wait().unwrap();
    assert_eq!(rows(&db, "SELECT v.n, t.n FROM v, t"), ["3|2"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'v'"), ["1"]);
    assert!(db.verify("v").unwrap());
    verify(&db);
    let mut subscription = db.subscribe("v").unwrap();
    assert!(matches!(subscription.next_timeout(Duration::ZERO), Some(Update::Snapshot { .. })));
    db.wait_for_sources(&Cancel::default()).unwrap();
    let beside = Database::open_with(read_only(path)).unwrap();
    assert_eq!(rows(&beside, "SELECT n FROM v"), ["3"]);
    drop(beside);
    db.close().unwrap();
    let archived = query_archive(path, "SELECT n FROM s ORDER BY n", None, &Cancel::default()).unwrap();
    assert_eq!(text(&archived.batches), ["1", "2", "3"]);
    assert!(query_archive(path, "SELECT m FROM s", None, &Cancel::default()).is_err());
    drop(Database::open(path).unwrap());
    // Opening that fails ends what it has begun.
    std::fs::write(path.join("archive").join("MANIFEST"), "{").unwrap();
    assert!(matches!(Database::open(path).map(drop), Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_runtime_of_one_thread_may_call_all() {
    use_all(tempfile::tempdir().unwrap().path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_of_many_threads_may_call_all() {
    let task = tokio::spawn(async { use_all(tempfile::tempdir().unwrap().path()) });
    task.await.unwrap();
}

#[test]
fn another_executor_may_call_all() {
    futures::executor::block_on(async { use_all(tempfile::tempdir().unwrap().path()) });
}

#[tokio::test]
async fn an_opening_that_fails_late_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s"]);
    run(&db, &["INSERT INTO s VALUES (1)"]);
    db.close().unwrap();
    let stream = folder.path().join("archive").join("s");
    let file = std::fs::read_dir(stream).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    // The threads for queries have been started by the time that the file is read.
    assert!(
        matches!(Database::open(folder.path()).map(drop), Err(Error::Corrupt { file: named, .. }) if named == file)
    );
}

#[tokio::test]
async fn tickets_and_subscriptions_are_awaited() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT sum(n) AS n FROM s"]);
    let mut subscription = db.subscribe("v").unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.append("s", numbers(&[("n", vec![n])])).unwrap().await.unwrap() })
        })
        .collect();
    let mut offsets = Vec::new();
    for task in tasks {
        offsets.push(task.await.unwrap());
    }
    let last = *offsets.iter().max().unwrap();
    assert!(matches!(StreamExt::next(&mut subscription).await, Some(Update::Snapshot { .. })));
    let mut at = 0;
    while at < last {
        match StreamExt::next(&mut subscription).await {
            Some(Update::Delta { offset, .. }) => at = offset,
            other => panic!("{other:?}"),
        }
    }
    // A task that waits is woken by the next change, and by the end.
    let waiting = tokio::spawn(async move { StreamExt::collect::<Vec<_>>(subscription).await });
    tokio::task::yield_now().await;
    db.append("s", numbers(&[("n", vec![100])])).unwrap().await.unwrap();
    db.close().unwrap();
    let rest = waiting.await.unwrap();
    assert!(
        matches!(rest.as_slice(), [Update::Delta { delta, .. }] if text(std::slice::from_ref(&delta.batch)).contains(&"290".into()))
    );
}

#[tokio::test]
async fn a_refused_commit_is_the_tickets_error() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)"]);
    let ticket = db.append("s", numbers(&[("n", vec![1])])).unwrap();
    assert_eq!(ticket.await.unwrap(), 2);
    let other = db.clone();
    db.close().unwrap();
    let error = other.append("s", numbers(&[("n", vec![1])])).unwrap().await.unwrap_err();
    assert!(matches!(error, Error::Poisoned(_)), "{error:?}");
}
