//! Prepared statements of the crate: values, types, lookups, and several of them at one moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use millstream::{Database, Outcome, Prepared, Value};

use crate::embed_support::{run, text};

fn social(db: &Database) {
    run(
        db,
        &[
            "CREATE TABLE posts (id BIGINT PRIMARY KEY, author TEXT, words INT)",
            "CREATE MATERIALIZED VIEW authors AS
                SELECT author, count(*) AS posts, sum(words) AS words FROM posts GROUP BY author",
            "CREATE MATERIALIZED VIEW long_posts AS SELECT id, author, words FROM posts WHERE words > 100",
            "CREATE INDEX ON long_posts (author)",
            "INSERT INTO posts SELECT i, 'author ' || (i % 10), i * 10 FROM generate_series(1, 100) AS t(i)",
        ],
    );
}

fn found(statement: &Prepared, values: &[Value]) -> Vec<String> {
    let mut rows = text(&statement.query(values).unwrap().batches);
    rows.sort();
    rows
}

fn error(statement: &Prepared, values: &[Value]) -> String {
    statement.execute(values).unwrap_err().to_string()
}

#[test]
fn rows_by_key() {
    let db = Database::in_memory().unwrap();
    social(&db);
    let author = db.prepare("SELECT posts, words FROM authors WHERE author = $1").unwrap();
    let post = db.prepare("SELECT author, words / $2 AS w FROM posts WHERE id = $1").unwrap();
    let long = db.prepare("SELECT id FROM long_posts WHERE $1 = author AND words <= $2 ORDER BY id DESC LIMIT $3");
    let long = long.unwrap();
    assert!([&author, &post, &long].iter().all(|statement| statement.is_lookup().unwrap()));
    assert_eq!(author.parameters().unwrap(), [Some("VARCHAR".to_string())]);
    assert_eq!(found(&author, &["author 3".into()]), ["10|4800"]);
    assert_eq!(found(&author, &["nobody".into()]), [""; 0]);
    assert_eq!(found(&author, &[Value::Null]), [""; 0]);
    assert_eq!(found(&post, &[42i64.into(), 2i32.into()]), ["author 2|210"]);
    assert_eq!(found(&post, &[42.0.into(), 2i64.into()]), ["author 2|210"]);
    assert_eq!(found(&long, &["author 2".into(), 500i64.into(), 3i64.into()]), ["22", "32", "42"]);
    assert_eq!(found(&long, &["author 2".into(), 500i64.into(), 1i64.into()]), ["42"]);
    assert_eq!(error(&post, &[42i64.into(), 0i64.into()]), "division by zero");
    assert_eq!(error(&author, &[]), "the statement has 1 parameter, and 0 values were given");
    assert_eq!(error(&author, &[7i64.into()]), "parameter `$1` takes VARCHAR, and 7, of type BIGINT, was given");
    assert_eq!(
        error(&long, &["author 2".into(), 500i64.into(), (-1i64).into()]),
        "LIMIT must not be negative, and -1 was given"
    );
    db.execute("DELETE FROM posts WHERE id = 42").unwrap();
    assert_eq!(found(&post, &[42i64.into(), 2i64.into()]), [""; 0]);
    assert_eq!(found(&author, &["author 2".into()]), ["9|4280"]);
    assert_eq!(found(&long, &["author 2".into(), 500i64.into(), Value::Null]), ["12", "22", "32"]);
}

#[test]
fn changes_with_parameters() {
    let db = Database::in_memory().unwrap();
    social(&db);
    let post = db.prepare("INSERT INTO posts VALUES ($1, $2, $3)").unwrap();
    let types = ["BIGINT", "VARCHAR", "INTEGER"].map(|name| Some(name.to_string()));
    assert_eq!(post.parameters().unwrap(), types);
    let Outcome::Done { tag } = post.execute(&[500i64.into(), "new".into(), Value::Null]).unwrap() else { panic!() };
    assert_eq!(tag, "INSERT 1");
    let edit = db.prepare("UPDATE posts SET words = coalesce(words, 0) + $2 WHERE id = $1").unwrap();
    edit.execute(&[500i64.into(), 30i64.into()]).unwrap();
    let author = db.prepare("SELECT posts, words FROM authors WHERE author = $1").unwrap();
    assert_eq!(found(&author, &["new".into()]), ["1|30"]);
    let read = db.prepare("SELECT words FROM posts WHERE id = $1").unwrap();
    let mut session = db.session();
    session.execute("BEGIN").unwrap();
    session.execute_prepared(&edit, &[500i64.into(), 70i64.into()]).unwrap();
    let within = session.execute_prepared(&read, &[500i64.into()]).and_then(Outcome::into_rows).unwrap();
    assert_eq!(
        (text(&within.batches), found(&read, &[500i64.into()])),
        (vec!["100".to_string()], vec!["30".to_string()])
    );
    session.execute("ROLLBACK").unwrap();
    db.prepare("DELETE FROM posts WHERE author = $1").unwrap().execute(&["new".into()]).unwrap();
    assert_eq!(found(&author, &["new".into()]), [""; 0]);
    assert_eq!(post.query(&[1i64.into(), "x".into(), 1i64.into()]).unwrap_err().to_string(), "INSERT 1 gives no rows");
}

#[test]
fn several_lookups_see_one_moment() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents BIGINT)",
            "CREATE MATERIALIZED VIEW a AS SELECT owner, sum(cents) AS cents FROM accounts GROUP BY owner",
            "CREATE MATERIALIZED VIEW b AS SELECT owner, -sum(cents) AS cents FROM accounts GROUP BY owner",
            "INSERT INTO accounts VALUES ('ada', 0), ('bob', 0)",
        ],
    );
    let of = |view: &str| db.prepare(&format!("SELECT cents FROM {view} WHERE owner = $1")).unwrap();
    let (a, b) = (of("a"), of("b"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pay = db.prepare("UPDATE accounts SET cents = cents + $1").unwrap();
            for cents in 1..200i64 {
                pay.execute(&[cents.into()]).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut last = 0;
        while !done.load(Ordering::Acquire) {
            let key = ["ada".into()];
            let (offset, rows) = Prepared::query_together(&[(&a, &key), (&b, &key)]).unwrap();
            let [plus, minus]: [i64; 2] = [0, 1].map(|at: usize| text(&rows[at].batches)[0].parse().unwrap());
            assert_eq!(plus, -minus);
            assert!(offset >= last);
            last = offset;
        }
    });
    let scan = db.prepare("SELECT count(*) FROM accounts WHERE cents > $1").unwrap();
    assert!(!scan.is_lookup().unwrap());
    let error = Prepared::query_together(&[(&scan, &[0i64.into()])]).unwrap_err();
    assert!(error.to_string().starts_with("only queries by key can be run together"), "{error}");
}

#[test]
fn indexes_are_there_when_the_database_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    social(&db);
    db.execute("CREATE INDEX gone ON posts (words)").unwrap();
    db.execute("DROP INDEX gone").unwrap();
    db.close().unwrap();
    for checkpoint in [true, false] {
        let db = Database::open(folder.path()).unwrap();
        let shown = text(&db.query("SHOW INDEXES").unwrap().batches);
        assert_eq!(shown, ["long_posts_author_idx|long_posts|author"]);
        let long = db.prepare("SELECT id FROM long_posts WHERE author = $1 AND id < 40").unwrap();
        assert!(long.is_lookup().unwrap());
        assert_eq!(found(&long, &["author 5".into()]), ["15", "25", "35"]);
        if checkpoint {
            db.execute("CHECKPOINT").unwrap();
        }
    }
}

#[test]
fn a_prepared_statement_follows_what_it_reads() {
    let db = Database::in_memory().unwrap();
    social(&db);
    let author = db.prepare("SELECT * FROM authors WHERE author = $1").unwrap();
    assert_eq!(found(&author, &["author 3".into()]), ["author 3|10|4800"]);
    db.execute(
        "CREATE OR REPLACE MATERIALIZED VIEW authors AS SELECT author, max(id) AS id FROM posts GROUP BY author",
    )
    .unwrap();
    assert_eq!(found(&author, &["author 3".into()]), ["author 3|93"]);
    db.execute("DROP VIEW authors").unwrap();
    assert!(error(&author, &["author 3".into()]).starts_with("no stream, table or view `authors`"));
    db.execute("CREATE VIEW authors AS SELECT DISTINCT author FROM posts").unwrap();
    assert_eq!(found(&author, &["author 3".into()]), ["author 3"]);
    assert!(!author.is_lookup().unwrap());
}

#[test]
#[ignore = "measures, and prints what it finds"]
fn time_of_a_lookup() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE STREAM likes (post BIGINT, who BIGINT)",
            "CREATE MATERIALIZED VIEW counts AS SELECT post, count(*) AS n FROM likes GROUP BY post",
            "INSERT INTO likes SELECT i % 100000, i FROM generate_series(1, 300000) AS t(i)",
        ],
    );
    let count = db.prepare("SELECT n FROM counts WHERE post = $1").unwrap();
    let time = |what: &str, runs: u32, read: &dyn Fn(i64)| {
        read(1);
        let started = Instant::now();
        (0..runs).for_each(|run| read(i64::from(run * 7919 % 100_000)));
        println!("{what}: {:?} a read", started.elapsed() / runs);
    };
    time("prepared, in the crate", 10_000, &|post| assert_eq!(count.query(&[post.into()]).unwrap().len(), 1));
    let session = std::cell::RefCell::new(db.session());
    session.borrow_mut().execute("PREPARE c AS SELECT n FROM counts WHERE post = $1").unwrap();
    let execute = |sql: String| drop(session.borrow_mut().execute(&sql).unwrap());
    time("EXECUTE", 2_000, &|post| execute(format!("EXECUTE c({post})")));
    time("SELECT, not prepared", 500, &|post| execute(format!("SELECT n FROM counts WHERE post = {post}")));
    time("a scan", 50, &|post| execute(format!("SELECT n FROM counts WHERE post + 0 = {post}")));
}
