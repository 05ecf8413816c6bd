//! What the tests of the embedded database share: rows as text, small batches, copies, and children of this program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream::{Database, Options, Rows, Session};

/// The variable that makes a test of this program a child that does what it is told, rather than a test.
pub const CHILD_VARIABLE: &str = "MILLSTREAM_TEST_CHILD";

/// A row per line, with `|` between columns and NULL spelled out.
pub fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

/// The rows of a query.
pub fn rows(db: &Database, sql: &str) -> Vec<String> {
    text(&db.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")).batches)
}

/// The one number that a query gives.
pub fn number(db: &Database, sql: &str) -> i64 {
    first_number(&db.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))).unwrap_or_else(|| panic!("{sql}: NULL"))
}

/// The first column of the first row.
pub fn first_number(rows: &Rows) -> Option<i64> {
    let batch = rows.batches.iter().find(|batch| batch.num_rows() > 0)?;
    let column = batch.column(0).as_primitive::<Int64Type>();
    (column.null_count() == 0).then(|| column.value(0))
}

/// Runs statements, which must all go well.
pub fn run(db: &Database, statements: &[&str]) {
    let mut session = db.session();
    statements.iter().for_each(|sql| done(&mut session, sql));
}

/// Runs one statement of a session.
pub fn done(session: &mut Session, sql: &str) {
    if let Err(error) = session.execute(sql) {
        panic!("{sql}: {error}");
    }
}

/// The words of the error that a statement must give.
pub fn refused(db: &Database, sql: &str) -> String {
    match db.execute(sql) {
        Ok(outcome) => panic!("{sql}: {outcome:?}"),
        Err(error) => error.to_string(),
    }
}

/// Every materialized view equals its query.
pub fn verify(db: &Database) {
    match db.execute("VERIFY").unwrap() {
        millstream::Outcome::Verified { ok: true, .. } => {}
        millstream::Outcome::Verified { rows, .. } => panic!("{:#?}", text(&rows.batches)),
        other => panic!("{other:?}"),
    }
}

/// The names of the operators of a circuit that EXPLAIN has printed, without what each works on.
pub fn operators(circuit: &Rows) -> BTreeSet<String> {
    let ends = [" by ", " on ", " over ", " of ", " where ", " skip ", " fetch ", ":", " ("];
    let name = |line: &str| {
        let line = line.split('|').next().unwrap_or_default().trim();
        let plain = ["Input", "Filter", "Project"].into_iter().find(|plain| line.starts_with(plain));
        let cut = ends.iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
        plain.unwrap_or(&line[..cut]).to_string()
    };
    text(&circuit.batches).iter().map(|line| name(line)).collect()
}

/// Columns of BIGINT.
pub fn numbers(columns: &[(&str, Vec<i64>)]) -> RecordBatch {
    let columns = columns.iter().map(|(name, values)| (*name, Arc::new(Int64Array::from(values.clone())) as ArrayRef));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Options of a database in a folder whose segments are small.
pub fn small_segments(path: &Path, segment_bytes: u64) -> Options {
    Options { path: Some(path.to_path_buf()), segment_bytes, ..Options::default() }
}

/// Options that change nothing.
pub fn read_only(path: &Path) -> Options {
    Options { path: Some(path.to_path_buf()), read_only: true, ..Options::default() }
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A copy of a folder and all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// This program again, running one of its tests as a child: `told` is what the child finds in [`CHILD_VARIABLE`].
pub fn child(test: &str, told: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD_VARIABLE, told);
    command
}

/// What a child was told; nothing when the test is run as a test.
pub fn told() -> Option<String> {
    std::env::var(CHILD_VARIABLE).ok()
}
