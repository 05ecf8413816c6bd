//! Writes that fail: the error says so, nothing more is accepted, what was acknowledged stays.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use millstream::{Database, Error};

use crate::embed_support::{CHILD_VARIABLE, child, number, numbers, run, small_segments, told, verify};

/// No file of the child grows beyond this many blocks of 512 bytes.
const FILE_BLOCKS: u32 = 64;

#[test]
fn a_failed_write_poisons_the_database_and_reopening_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM events (n BIGINT)",
            "CREATE TABLE latest (n BIGINT PRIMARY KEY)",
            "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM events",
            "CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM latest",
        ],
    );
    db.close().unwrap();

    let child = child("damage_writes::poison_child", folder.path().to_str().unwrap());
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec \"$0\" \"$@\"")]);
    limited.arg(child.get_program()).args(child.get_args()).env(CHILD_VARIABLE, folder.path());
    let output = limited.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: i64 = told.lines().find_map(|line| line.strip_prefix("acknowledged ")).unwrap().parse().unwrap();
    assert!(acknowledged > 10, "{told}");

    let db = Database::open(folder.path()).unwrap();
    assert_eq!(number(&db, "SELECT max(n) FROM events"), acknowledged);
    assert_eq!(number(&db, "SELECT n FROM counted"), acknowledged);
    assert_eq!(number(&db, "SELECT n FROM kept"), acknowledged);
    verify(&db);
    run(&db, &["INSERT INTO events VALUES (-1)"]);
    db.close().unwrap();
}

/// The child: appends until the log cannot be written.
#[test]
fn poison_child() {
    let Some(path) = told() else { return };
    let db = Database::open(Path::new(&path)).unwrap();
    let append = |n: i64| {
        let row = numbers(&[("n", vec![n])]);
        db.append_all([("events", row.clone()), ("latest", row)]).unwrap().wait()
    };
    let mut n = 0;
    let error = loop {
        match append(n + 1) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Io { .. }) && error.to_string().contains("log"), "{error:?}");
    for _ in 0..2 {
        let next = append(n + 2).unwrap_err();
        assert!(matches!(&next, Error::Poisoned(_)) && next.to_string().contains("reopen"), "{next:?}");
    }
    let ddl = db.execute("CREATE STREAM other (n BIGINT)").unwrap_err();
    assert!(matches!(ddl, Error::Poisoned(_)), "{ddl:?}");
    // Reading goes on, and sees what was acknowledged.
    for query in
        ["SELECT count(*) FROM events", "SELECT count(*) FROM latest", "SELECT n FROM counted", "SELECT n FROM kept"]
    {
        assert_eq!(number(&db, query), n, "{query}");
    }
    assert!(matches!(db.close().unwrap_err(), Error::Poisoned(_)));
    println!("\nacknowledged {n}");
}

#[test]
fn what_cannot_be_archived_stays_in_the_log_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 1 << 10)).unwrap();
    run(&db, &["CREATE STREAM s (n BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s"]);
    // A file where the stream's folder belongs.
    let obstacle = folder.path().join("archive").join("s");
    std::fs::write(&obstacle, "").unwrap();
    for n in 0..100 {
        run(&db, &[&format!("INSERT INTO s VALUES ({n})")]);
    }
    let error = db.execute("CHECKPOINT").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    run(&db, &["INSERT INTO s VALUES (100)"]);
    assert_eq!(number(&db, "SELECT count(*) FROM s"), 101);
    std::fs::remove_file(&obstacle).unwrap();
    run(&db, &["CHECKPOINT"]);
    let segments = std::fs::read_dir(folder.path().join("log"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "log"));
    assert_eq!(segments.count(), 1);
    assert_eq!(number(&db, "SELECT count(*) FROM s"), 101);
    verify(&db);
    db.close().unwrap();
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(number(&db, "SELECT n FROM v"), 101);
}
