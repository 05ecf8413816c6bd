//! What `system.errors` lists is a function of the log: however commits are grouped, whenever the view was made, and after
//! opening again.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use millstream::{Database, Durability, Options};

use crate::embed_support::{read_only, rows, run, verify};

/// Commits of the test.
const COMMITS: i64 = 300;

const QUERIES: [(&str, &str); 4] = [
    ("plain", "SELECT 100 / x AS q FROM events"),
    ("paired", "SELECT f.id, e.x / f.x AS q FROM facts f JOIN events e ON e.x = f.id % 3"),
    ("grouped", "SELECT id % 3 AS k, count(*) AS n, sum(id / x) AS q FROM facts GROUP BY id % 3"),
    ("first", "SELECT id FROM facts ORDER BY 10 / x, id LIMIT 3"),
];

fn create(db: &Database, suffix: &str) {
    for (name, sql) in QUERIES {
        run(db, &[&format!("CREATE MATERIALIZED VIEW {name}{suffix} WITH (on_error = 'skip') AS {sql}")]);
    }
}

fn begin(db: &Database) {
    run(db, &["CREATE STREAM events (x BIGINT)", "CREATE TABLE facts (id BIGINT PRIMARY KEY, x BIGINT)"]);
    create(db, "");
}

fn numbers(columns: &[(&str, i64)]) -> RecordBatch {
    let column = |(name, value): &(&str, i64)| (name.to_string(), Arc::new(Int64Array::from(vec![*value])) as ArrayRef);
    RecordBatch::try_from_iter(columns.iter().map(column)).unwrap()
}

/// Appends all commits; each is waited for before the next one, or all at the end.
fn append(db: &Database, each_alone: bool) {
    let mut tickets = Vec::new();
    for at in 0..COMMITS {
        let events = numbers(&[("x", at * at % 7)]);
        let facts = numbers(&[("id", at * 5 % 11), ("x", at * 3 % 4)]);
        let ticket = match at % 3 {
            0 => db.append("events", events),
            1 => db.append("facts", facts),
            _ => db.append_all([("facts", facts), ("events", events)]),
        };
        let ticket = ticket.unwrap();
        if each_alone {
            ticket.wait().unwrap();
        } else {
            tickets.push(ticket);
        }
    }
    tickets.into_iter().for_each(|ticket| {
        ticket.wait().unwrap();
    });
}

fn listed(db: &Database, suffix: &str) -> Vec<String> {
    let of = |(name, _): &(&str, &str)| {
        let sql = "SELECT reason, \"offset\", count FROM system.errors WHERE view";
        let found = rows(db, &format!("{sql} = '{name}{suffix}' ORDER BY reason, \"offset\""));
        found.into_iter().map(|row| format!("{name}|{row}")).collect::<Vec<_>>()
    };
    QUERIES.iter().flat_map(of).collect()
}

fn open(path: &Path) -> Database {
    let (durability, segment_bytes) = (Durability::Os, 4096);
    Database::open_with(Options { path: Some(path.into()), durability, segment_bytes, ..Options::default() }).unwrap()
}

#[test]
fn failures_are_listed_since_the_same_commit_however_commits_are_grouped() {
    let alone = Database::in_memory().unwrap();
    begin(&alone);
    append(&alone, true);
    let expected = listed(&alone, "");
    assert!(QUERIES.iter().all(|(name, _)| expected.iter().any(|row| row.starts_with(name))), "{expected:?}");
    let since: std::collections::BTreeSet<&str> = expected.iter().filter_map(|row| row.split('|').nth(2)).collect();
    assert!(since.len() > 20, "{since:?}");
    verify(&alone);

    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    begin(&db);
    append(&db, false);
    assert_eq!(listed(&db, ""), expected);
    create(&db, "_last");
    assert_eq!(listed(&db, "_last"), expected);
    db.close().unwrap();

    let db = open(folder.path());
    assert_eq!(listed(&db, ""), expected);
    assert_eq!(listed(&db, "_last"), expected);
    verify(&db);
    let reader = Database::open_with(read_only(folder.path())).unwrap();
    assert_eq!(listed(&reader, ""), expected);
    // What stands before an opening goes as it would have gone.
    for db in [&db, &alone] {
        run(
            db,
            &["DELETE FROM facts WHERE id = 0", "UPDATE facts SET x = 0 WHERE id < 4", "INSERT INTO events VALUES (0)"],
        );
    }
    let without_offsets = |rows: Vec<String>| -> Vec<String> {
        // The views that were made in between are commits too, and move the later ones.
        rows.into_iter()
            .map(|row| row.split('|').enumerate().filter(|(at, _)| *at != 2).map(|(_, c)| c).collect())
            .collect()
    };
    assert_eq!(without_offsets(listed(&db, "")), without_offsets(listed(&alone, "")));
    assert_eq!(listed(&db, ""), listed(&db, "_last"));
    verify(&db);
}
