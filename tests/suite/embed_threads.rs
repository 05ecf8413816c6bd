//! Many threads on one database: appends, readers, subscribers, and handles that come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream::{Database, Error, Update};

use crate::embed_support::{done, number, numbers, refused, rows, run, small_segments, text, verify};

const WRITERS: i64 = 4;
const COMMITS: i64 = 150;
/// How long something that must not wait may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database whose views must agree at every moment: every commit appends two rows, of `n` and of `-n`.
fn paired() -> Database {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE STREAM pairs (n BIGINT)",
            "CREATE MATERIALIZED VIEW total AS SELECT coalesce(sum(n), 0) AS n FROM pairs",
            "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM pairs",
            "CREATE MATERIALIZED VIEW positive AS SELECT count(*) AS n FROM pairs WHERE n > 0",
        ],
    );
    db
}

fn append_pair(db: &Database, n: i64) -> u64 {
    db.append("pairs", numbers(&[("n", vec![n, -n])])).unwrap().wait().unwrap()
}

#[test]
fn readers_see_one_moment_while_many_threads_append() {
    let (db, over) = (paired(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = db.clone();
                scope.spawn(move || (1..=COMMITS).map(|i| append_pair(&db, writer * COMMITS + i)).collect::<Vec<_>>())
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (db, over) = (db.clone(), &over);
                scope.spawn(move || {
                    let (mut seen, mut last) = (0, -1);
                    while !over.load(Ordering::Acquire) {
                        let moment = "SELECT total.n, counted.n, positive.n, (SELECT count(*) FROM pairs) \
                                      FROM total, counted, positive";
                        let row = rows(&db, moment).remove(0);
                        let row: Vec<i64> = row.split('|').map(|x| x.parse().unwrap()).collect();
                        assert_eq!((row[0], row[1], row[3]), (0, 2 * row[2], row[1]), "of several moments");
                        assert!(row[1] >= last, "time went back");
                        (seen, last) = (seen + 1, row[1]);
                    }
                    seen
                })
            })
            .collect();
        let mut offsets: Vec<u64> = Vec::new();
        for writer in writers {
            let told = writer.join().unwrap();
            assert!(told.is_sorted(), "the commits of one thread keep their order");
            offsets.extend(told);
        }
        over.store(true, Ordering::Release);
        offsets.sort_unstable();
        let first = offsets[0];
        assert!(offsets.iter().enumerate().all(|(i, offset)| *offset == first + i as u64), "offsets have gaps");
        assert!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<i32>() > 1);
    });
    assert_eq!(number(&db, "SELECT n FROM counted"), 2 * WRITERS * COMMITS);
    verify(&db);
}

#[test]
fn a_subscriber_that_adds_up_has_the_view() {
    let db = paired();
    run(&db, &["CREATE MATERIALIZED VIEW small AS SELECT n, count(*) AS times FROM pairs WHERE abs(n) < 5 GROUP BY n"]);
    append_pair(&db, 3);
    let mut subscription = db.subscribe("small").unwrap();
    let writer = {
        let db = db.clone();
        std::thread::spawn(move || (0..200).map(|i| append_pair(&db, i % 9)).max().unwrap())
    };
    let mut held = std::collections::BTreeMap::new();
    let mut add = |lines: Vec<String>, weights: Vec<i64>| {
        for (line, weight) in lines.into_iter().zip(weights) {
            *held.entry(line).or_insert(0) += weight;
        }
        held.retain(|_, weight| *weight != 0);
    };
    let Some(Update::Snapshot { offset: mut seen, batch }) = subscription.next() else { panic!("no snapshot") };
    add(text(std::slice::from_ref(&batch)), vec![1; batch.num_rows()]);
    let last = writer.join().unwrap();
    // The last commits may not have touched the view.
    while let Some(update) = subscription.next_timeout(Duration::from_millis(300)) {
        let Update::Delta { offset, delta } = update else { panic!("{update:?}") };
        assert!(offset > seen && offset <= last);
        seen = offset;
        add(text(std::slice::from_ref(&delta.batch)), delta.weights.to_vec(delta.len()));
    }
    let mut view = rows(&db, "SELECT * FROM small");
    view.sort();
    let mut held: Vec<String> = held.into_iter().map(|(line, weight)| format!("{weight} {line}")).collect();
    held.sort();
    assert_eq!(held, view.iter().map(|line| format!("1 {line}")).collect::<Vec<_>>());
}

#[test]
fn a_subscriber_is_told_when_its_view_fails_and_heals() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE t (id BIGINT PRIMARY KEY, x BIGINT)", "INSERT INTO t VALUES (1, 5)"]);
    run(&db, &["CREATE MATERIALIZED VIEW v AS SELECT id, 10 / x AS y FROM t"]);
    let mut subscription = db.subscribe("v").unwrap();
    assert!(matches!(subscription.try_next(), Some(Update::Snapshot { .. })));
    run(&db, &["INSERT INTO t VALUES (2, 0), (3, 2)"]);
    let Some(Update::Delta { offset, delta }) = subscription.try_next() else { panic!("the good row") };
    assert_eq!((offset, text(&[delta.batch])), (4, vec!["3|5".into()]));
    let Some(Update::Failing { offset: 4, reason }) = subscription.try_next() else { panic!("the bad row") };
    assert!(reason.starts_with("division by zero"), "{reason}");
    run(&db, &["INSERT INTO t VALUES (4, 0)", "DELETE FROM t WHERE id = 2"]);
    assert!(subscription.try_next().is_none(), "it is known to fail");
    run(&db, &["DELETE FROM t WHERE id = 4"]);
    assert!(matches!(subscription.try_next(), Some(Update::Healed { offset: 7 })));
    assert!(subscription.try_next().is_none());
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed_and_holds_nobody_back() {
    let db = paired();
    let mut slow = db.subscribe("counted").unwrap();
    let started = Instant::now();
    for n in 1..=1200 {
        append_pair(&db, n);
    }
    assert!(started.elapsed() < PATIENCE);
    let mut missed = None;
    let mut last = 0;
    while let Some(update) = slow.try_next() {
        match update {
            Update::Snapshot { offset, .. } => last = offset,
            Update::Delta { offset, .. } => {
                assert_eq!(offset, last + 1);
                last = offset;
            }
            Update::Missed { from, to } => missed = Some((from, to)),
            other => panic!("{other:?}"),
        }
    }
    let (now, _) = db.snapshot("counted").unwrap();
    assert_eq!(missed, Some((last + 1, now)));
    // From here on it hears of every change again.
    append_pair(&db, 1);
    assert!(matches!(slow.next(), Some(Update::Delta { offset, .. }) if offset == now + 1));
}

#[test]
fn subscribers_end_with_their_view_and_with_the_database() {
    let db = paired();
    let (of_view, of_database) = (db.subscribe("total").unwrap(), db.subscribe("counted").unwrap());
    run(&db, &["DROP MATERIALIZED VIEW total"]);
    assert_eq!(of_view.count(), 1);
    for _ in 0..100 {
        drop(db.subscribe("positive").unwrap());
    }
    append_pair(&db, 1);
    db.close().unwrap();
    // Two updates: the rows at first, and one change. Then nothing blocks.
    assert_eq!(of_database.count(), 2);
}

#[test]
fn only_materialized_views_can_be_subscribed_to() {
    let db = paired();
    run(&db, &["CREATE VIEW plain AS SELECT n FROM pairs"]);
    for name in ["pairs", "plain"] {
        let error = db.subscribe(name).unwrap_err().to_string();
        assert!(error.contains("only a materialized view"), "{error}");
    }
    let error = db.subscribe("totl").unwrap_err().to_string();
    assert!(error.contains("totl") && error.contains("did you mean `total`?"), "{error}");
}

#[test]
fn closing_while_others_hold_handles() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s"]);
    let (other, mut session, subscription) = (db.clone(), db.session(), db.subscribe("v").unwrap());
    done(&mut session, "BEGIN");
    done(&mut session, "INSERT INTO s VALUES (1)");
    db.append("s", numbers(&[("n", vec![1])])).unwrap();
    db.close().unwrap();

    assert!(other.append("s", numbers(&[("n", vec![1])])).unwrap().wait().is_err());
    assert!(other.query("SELECT * FROM v").is_err());
    assert!(session.execute("COMMIT").is_err());
    assert!(other.subscribe("v").is_err());
    assert_eq!(subscription.count(), 2);
    // The next writer does not wait for the handles.
    let again = Database::open(folder.path()).unwrap();
    assert_eq!(number(&again, "SELECT n FROM v"), 1);
    drop((other, session));
    run(&again, &["INSERT INTO s VALUES (2)"]);
    again.close().unwrap();
}

#[test]
fn dropping_the_last_handle_closes() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 4 << 10)).unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)"]);
    // Tickets that nobody waits for are commits all the same.
    for n in 0..500 {
        drop(db.append("s", numbers(&[("n", vec![n])])).unwrap());
    }
    let session = db.session();
    drop(db);
    drop(session);
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(rows(&db, "SELECT count(*), sum(n) FROM s"), ["500|124750"]);
}

#[test]
fn a_second_writer_is_told_who_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    let error = Database::open(folder.path()).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Io { kind: std::io::ErrorKind::WouldBlock, .. }), "{error:?}");
    assert!(error.to_string().contains("another process is writing"), "{error}");
    drop(db);
    Database::open(folder.path()).unwrap();
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_queued() {
    let db = paired();
    let wrong = db.append("pairs", numbers(&[("n", vec![1]), ("m", vec![2])])).map(drop).unwrap_err();
    assert!(wrong.to_string().contains("(n Int64)"), "{wrong}");
    for (name, says) in [("counted", "takes no rows"), ("pair", "did you mean `pairs`?")] {
        let wrong = db.append(name, numbers(&[("n", vec![1])])).map(drop).unwrap_err().to_string();
        assert!(wrong.contains(says), "{wrong}");
    }
    assert!(refused(&db, "INSERT INTO counted VALUES (1)").contains("its query alone changes"));
    // One batch that does not fit, and none of the group is there.
    run(&db, &["CREATE TABLE t (n BIGINT PRIMARY KEY CHECK (n > 0))"]);
    let (good, bad) = (numbers(&[("n", vec![1])]), numbers(&[("n", vec![-1])]));
    assert!(db.append_all([("pairs", good.clone()), ("t", bad)]).is_err());
    assert_eq!(number(&db, "SELECT n FROM counted"), 0);
    db.append_all([("pairs", good.clone()), ("t", good)]).unwrap().wait().unwrap();
    assert_eq!(rows(&db, "SELECT counted.n, t.n FROM counted, t"), ["1|1"]);
}

#[test]
fn handles_go_to_any_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Database>();
    shared::<millstream::Cancel>();
    sent::<millstream::Session>();
    sent::<millstream::Subscription>();
    sent::<millstream::Ticket>();
}

#[test]
fn everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 8 << 10)).unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)", "CREATE TABLE t (k BIGINT PRIMARY KEY, n BIGINT)"]);
    run(&db, &["CREATE MATERIALIZED VIEW v AS SELECT k, t.n + s.n AS n FROM s JOIN t ON s.n % 10 = t.k"]);
    let end = Instant::now() + Duration::from_secs(4);
    let again = |work: &dyn Fn(i64)| (1..).take_while(|_| Instant::now() < end).for_each(work);
    let work: [&(dyn Fn(i64) + Sync); 6] = [
        &|i| drop(db.append("s", numbers(&[("n", vec![i, i + 1])])).unwrap()),
        &|i| run(&db, &[&format!("INSERT INTO t VALUES ({}, {i})", i % 10), "UPDATE t SET n = n + 1 WHERE k < 5"]),
        &|i| {
            run(&db, &[&format!("CREATE OR REPLACE MATERIALIZED VIEW w AS SELECT max(n) + {i} AS n FROM v")]);
            assert!(db.subscribe("w").unwrap().next().is_some());
        },
        &|_| run(&db, &["CREATE STREAM u (n BIGINT)", "INSERT INTO u VALUES (1)", "DROP STREAM u CASCADE"]),
        &|_| run(&db, &["CHECKPOINT", "SELECT * FROM v, information_schema.tables LIMIT 3", "SHOW VIEWS", "EXPLAIN v"]),
        &|_| assert!(db.verify("v").unwrap()),
    ];
    std::thread::scope(|scope| work.into_iter().for_each(|work| drop(scope.spawn(move || again(&work)))));
    verify(&db);
    let before = rows(&db, "SELECT count(*), sum(n), (SELECT n FROM w) FROM v");
    db.close().unwrap();
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(rows(&db, "SELECT count(*), sum(n), (SELECT n FROM w) FROM v"), before);
}

#[test]
fn a_running_statement_can_be_cancelled() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE t (n BIGINT PRIMARY KEY)", "INSERT INTO t SELECT value FROM generate_series(1, 3000)"]);
    let endless = "SELECT count(*) FROM t a, t b, t c WHERE a.n + b.n + c.n < 0";
    for statement in [endless, &format!("UPDATE t SET n = -n WHERE n < ({endless})")] {
        let mut session = db.session();
        let cancel = session.cancel();
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                cancel.cancel();
            });
            assert!(matches!(session.execute(statement), Err(Error::Cancelled)));
        });
        assert!(started.elapsed() < PATIENCE);
        // The session goes on, and so do others.
        done(&mut session, "SELECT 1");
        assert_eq!(number(&db, "SELECT min(n) FROM t"), 1);
    }
}
