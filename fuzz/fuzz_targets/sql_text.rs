//! Any bytes as a statement: whatever they are, there is an answer or an error that is the statement's own.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/suite/mutations/entry.rs"]
mod entry;

const PRELUDE: [&str; 4] = [
    "CREATE STREAM s (k TEXT, a INT, f DOUBLE, ts TIMESTAMP)",
    "CREATE TABLE t (id INT PRIMARY KEY, k TEXT, a INT, b INT, f DOUBLE, l INT[], st STRUCT<x INT, y TEXT>)",
    "INSERT INTO s VALUES ('x', 1, 0.5, '2024-02-29 12:00:00'), (NULL, NULL, 'NaN', NULL)",
    "INSERT INTO t VALUES (1, 'x', 2, 0, 1.5, [1, NULL], {x: 1, y: 'z'}), (2, NULL, NULL, 3, '-inf', NULL, NULL)",
];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let db = entry::database(PRELUDE);
        if let Err(error) = entry::run(&db, text) {
            panic!("{text}\n{error}");
        }
    }
});
