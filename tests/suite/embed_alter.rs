//! Streams, tables and views that change while their rows and the views over them stay: in memory, reopened from the
//! log, reopened from the archive, and asked offline.

use millstream::{Database, query_archive};

use crate::embed_support::{read_only, refused, rows, run, text, verify};

const BEFORE: [&str; 9] = [
    "CREATE STREAM clicks (page TEXT, ms BIGINT CHECK (ms >= 0))",
    "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT)",
    "CREATE MATERIALIZED VIEW everything AS SELECT * FROM clicks",
    "CREATE MATERIALIZED VIEW named AS SELECT p.name, c.ms FROM clicks c JOIN people p ON p.name = c.page",
    "CREATE VIEW plain AS SELECT * FROM people",
    "CREATE MATERIALIZED VIEW over AS SELECT count(*) AS n, max(id) AS id FROM plain",
    "INSERT INTO clicks VALUES ('ada', 1), ('bob', 2)",
    "INSERT INTO people VALUES (1, 'ada')",
    "INSERT INTO people VALUES (2, 'eve')",
];

const ALTER: [&str; 9] = [
    "ALTER STREAM clicks ADD COLUMN agent TEXT NOT NULL DEFAULT 'unknown'",
    "ALTER STREAM clicks ADD COLUMN bytes BIGINT, ADD COLUMN tags TEXT[] DEFAULT ARRAY['x']",
    "ALTER STREAM clicks ADD COLUMN IF NOT EXISTS bytes BIGINT",
    "ALTER STREAM clicks RENAME COLUMN ms TO took_ms",
    "ALTER STREAM clicks RENAME TO visits",
    "ALTER TABLE people ADD COLUMN born DATE",
    "ALTER TABLE people RENAME COLUMN name TO called",
    "ALTER TABLE people RENAME TO persons",
    "ALTER VIEW everything RENAME COLUMN ms TO duration",
];

const AFTER: [&str; 7] = [
    "CREATE STREAM clicks (other BIGINT)",
    "INSERT INTO clicks VALUES (7)",
    "INSERT INTO visits VALUES ('eve', 3, 'curl', 10, NULL)",
    "INSERT INTO visits (page, took_ms) VALUES ('ada', 4)",
    "UPDATE persons SET born = '1815-12-10', called = 'ada' WHERE id = 1",
    "INSERT INTO persons (id, called) VALUES (3, 'bob')",
    "CREATE MATERIALIZED VIEW agents AS SELECT agent, count(*) AS n, sum(bytes) AS bytes, count(tags) AS t FROM visits GROUP BY agent",
];

fn check(db: &Database) {
    let visits = "SELECT page, took_ms, agent, bytes, tags[1] FROM visits ORDER BY took_ms";
    let expected = ["ada|1|unknown|NULL|x", "bob|2|unknown|NULL|x", "eve|3|curl|10|NULL", "ada|4|unknown|NULL|x"];
    assert_eq!(rows(db, visits), expected);
    assert_eq!(rows(db, "SELECT * FROM persons ORDER BY id"), ["1|ada|1815-12-10", "2|eve|NULL", "3|bob|NULL"]);
    assert_eq!(
        rows(db, "SELECT page, duration FROM everything ORDER BY duration"),
        ["ada|1", "bob|2", "eve|3", "ada|4"]
    );
    assert_eq!(rows(db, "SELECT * FROM named ORDER BY ms"), ["ada|1", "bob|2", "eve|3", "ada|4"]);
    assert_eq!(rows(db, "SELECT * FROM plain ORDER BY id"), ["1|ada", "2|eve", "3|bob"]);
    assert_eq!(rows(db, "SELECT n, id FROM over"), ["3|3"]);
    assert_eq!(rows(db, "SELECT * FROM agents ORDER BY agent"), ["curl|1|10|0", "unknown|3|NULL|3"]);
    assert_eq!(rows(db, "SELECT other FROM clicks"), ["7"]);
    verify(db);
}

#[test]
fn rows_and_views_stay_when_what_they_are_of_is_altered() {
    let db = Database::in_memory().unwrap();
    run(&db, &BEFORE);
    run(&db, &ALTER);
    run(&db, &AFTER);
    check(&db);
    let error = refused(&db, "INSERT INTO visits (page, took_ms) VALUES ('ada', -1)");
    assert!(error.contains("is not met"), "{error}");
    // The views can be dropped, and what they read after them.
    run(&db, &["DROP VIEW plain CASCADE", "DROP MATERIALIZED VIEW everything", "DROP STREAM visits CASCADE"]);
    run(&db, &["INSERT INTO persons (id) VALUES (4)"]);
    verify(&db);
}

#[test]
fn an_altered_database_is_the_same_from_log_and_archive() {
    for checkpoints in [0, 1, 2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path()).unwrap();
        run(&db, &BEFORE);
        if checkpoints & 1 != 0 {
            run(&db, &["CHECKPOINT"]);
        }
        run(&db, &ALTER);
        if checkpoints & 2 != 0 {
            run(&db, &["CHECKPOINT"]);
        }
        run(&db, &AFTER);
        check(&db);
        // From the log, as after a crash.
        check(&Database::open_with(read_only(folder.path())).unwrap());
        db.close().unwrap();
        let db = Database::open(folder.path()).unwrap();
        check(&db);
        run(&db, &["ALTER TABLE persons ADD COLUMN age INT DEFAULT 3", "INSERT INTO persons (id) VALUES (9)"]);
        assert_eq!(rows(&db, "SELECT id, age FROM persons ORDER BY id"), ["1|3", "2|3", "3|3", "9|3"]);
        verify(&db);
        db.close().unwrap();
        let offline = |sql: &str| {
            let rows = query_archive(folder.path(), sql, None, &Default::default()).unwrap();
            text(&rows.batches)
        };
        assert_eq!(
            offline("SELECT page, took_ms, agent, bytes, tags[1], _offset > 0 FROM visits ORDER BY took_ms"),
            [
                "ada|1|unknown|NULL|x|true",
                "bob|2|unknown|NULL|x|true",
                "eve|3|curl|10|NULL|true",
                "ada|4|unknown|NULL|x|true"
            ]
        );
        assert_eq!(
            offline("SELECT id, max(called), sum(_weight), max(age) FROM persons GROUP BY id ORDER BY id"),
            ["1|ada|1|3", "2|eve|1|3", "3|bob|1|3", "9|NULL|1|3"]
        );
        assert_eq!(offline("SELECT other FROM clicks"), ["7"]);
        let db = Database::open(folder.path()).unwrap();
        assert_eq!(rows(&db, "SELECT id, age FROM persons ORDER BY id"), ["1|3", "2|3", "3|3", "9|3"]);
        verify(&db);
    }
}

#[test]
fn indexes_and_prepared_statements_outlive_what_is_altered() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(
        &db,
        &[
            "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT, town TEXT)",
            "CREATE MATERIALIZED VIEW homes AS SELECT id, town FROM people WHERE id < 100",
            "CREATE VIEW plain AS SELECT * FROM people",
            "CREATE INDEX by_name ON people (name)",
            "CREATE INDEX by_town ON homes (town)",
            "INSERT INTO people VALUES (1, 'ada', 'london'), (2, 'bob', 'paris'), (3, 'ada', 'paris')",
        ],
    );
    let by_id = db.prepare("SELECT * FROM people WHERE id = $1").unwrap();
    let by_name = db.prepare("SELECT id FROM people WHERE name = $1 ORDER BY id").unwrap();
    let seen = db.prepare("SELECT * FROM plain WHERE name = $1 ORDER BY id").unwrap();
    let insert = db.prepare("INSERT INTO people (id, name, town) VALUES ($1, $2, $3)").unwrap();
    assert!(by_id.is_lookup().unwrap() && by_name.is_lookup().unwrap());
    run(&db, &["ALTER TABLE people ADD COLUMN born INT DEFAULT 1815"]);
    assert!(by_id.is_lookup().unwrap() && by_name.is_lookup().unwrap());
    insert.execute(&[4i64.into(), "ada".into(), "rome".into()]).unwrap();
    assert_eq!(text(&by_id.query(&[1i64.into()]).unwrap().batches), ["1|ada|london|1815"]);
    assert_eq!(text(&by_name.query(&["ada".into()]).unwrap().batches), ["1", "3", "4"]);
    assert_eq!(text(&seen.query(&["ada".into()]).unwrap().batches), ["1|ada|london", "3|ada|paris", "4|ada|rome"]);
    run(
        &db,
        &[
            "ALTER TABLE people RENAME COLUMN name TO called",
            "ALTER MATERIALIZED VIEW homes RENAME COLUMN town TO place",
            "ALTER MATERIALIZED VIEW homes RENAME TO places",
        ],
    );
    // What a statement names must be there under that name; what it does not name may change.
    let error = by_name.query(&["ada".into()]).unwrap_err().to_string();
    assert!(error.contains("name"), "{error}");
    assert_eq!(text(&by_id.query(&[2i64.into()]).unwrap().batches), ["2|bob|paris|1815"]);
    assert_eq!(text(&seen.query(&["bob".into()]).unwrap().batches), ["2|bob|paris"]);
    let after = |db: &Database| {
        let called = db.prepare("SELECT id, born FROM people WHERE called = $1 ORDER BY id").unwrap();
        let place = db.prepare("SELECT id, place FROM places WHERE place = $1 ORDER BY id").unwrap();
        let all = db.prepare("SELECT * FROM places WHERE place = $1 ORDER BY id").unwrap();
        assert!([&called, &place, &all].iter().all(|statement| statement.is_lookup().unwrap()));
        assert_eq!(text(&called.query(&["ada".into()]).unwrap().batches), ["1|1815", "3|1815", "4|1815"]);
        assert_eq!(text(&place.query(&["paris".into()]).unwrap().batches), ["2|paris", "3|paris"]);
        let found = all.query(&["rome".into()]).unwrap();
        assert_eq!(found.schema.field(1).name(), "place");
        assert_eq!(text(&found.batches), ["4|rome"]);
        assert_eq!(rows(db, "SHOW INDEXES"), ["by_name|people|called", "by_town|places|place"]);
        verify(db);
    };
    after(&db);
    db.close().unwrap();
    let db = Database::open(folder.path()).unwrap();
    after(&db);
    run(&db, &["CHECKPOINT"]);
    db.close().unwrap();
    after(&Database::open(folder.path()).unwrap());
}
