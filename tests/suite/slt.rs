//! The files of `slt/`: statements and queries with what they must give, each file run in three ways.
//!
//! ```text
//! as written             the views follow the changes
//! views created last     before each query that reads, all views are dropped and made anew from history
//! verified throughout    after each statement, every materialized view is compared with its query run in batch
//! ```
//!
//! How to write one. Begin with a comment (`# ...`) that says what the file is about. Records are parted by empty
//! lines, and a file has an in-memory database of its own:
//!
//! ```text
//! statement ok
//! CREATE TABLE t (id INT PRIMARY KEY, name TEXT)
//!
//! statement count 2
//! INSERT INTO t VALUES (1, 'a'), (2, NULL)
//!
//! statement error there is no table, stream or view `u`
//! SELECT * FROM u
//!
//! query IT rowsort
//! SELECT id, name FROM t
//! ----
//! 1 a
//! 2 NULL
//! ```
//!
//! The words after `error` are a regular expression that the message must contain. After `query` stands a letter for
//! each column (I an integer, R a float or decimal, T anything else), then `rowsort` unless the query itself orders its
//! rows. Values are printed as the program prints them, NULL as `NULL`, an empty text as `(empty)`, control characters
//! as escapes. Blanks count as one. `EXPLAIN CREATE MATERIALIZED VIEW ...` is a `query TTII`. `connection other` before a
//! record runs it in another session. `skipif views-last` (or `as-written`, `verified`) before a record leaves it out in
//! that way.
//!
//! `SLT=joins cargo test --test suite slt` runs the files with `joins` in their name; `UPDATE=1` writes what was given
//! into the files as what is expected: read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use futures::executor::block_on;
use millstream::sink::text::for_each_row;
use millstream::{Database, Error, Outcome, Relation, Rows, Session};
use sqllogictest::{ColumnType, DB, DBOutput, Record, Runner};

use crate::embed_support::text;

/// How a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsWritten,
    ViewsLast,
    Verified,
}

impl Way {
    /// What `skipif` and `onlyif` call it.
    fn label(self) -> &'static str {
        match self {
            Way::AsWritten => "as-written",
            Way::ViewsLast => "views-last",
            Way::Verified => "verified",
        }
    }
}

#[test]
fn slt_files_as_written() {
    run_all(Way::AsWritten);
}

#[test]
fn slt_files_with_views_created_last() {
    run_all(Way::ViewsLast);
}

#[test]
fn slt_files_verified_throughout() {
    run_all(Way::Verified);
}

#[test]
fn a_file_that_is_wrong_fails() {
    let table = "statement ok\nCREATE TABLE t (id INT PRIMARY KEY)\n\nstatement ok\nINSERT INTO t VALUES (1)\n\n";
    let wrong = [
        ("query I\nSELECT id FROM t\n----\n2\n", "query result mismatch"),
        ("query T\nSELECT id FROM t\n----\n1\n", "columns mismatch"),
        ("statement error no such\nSELECT id FROM t\n", "expected"),
        ("statement error no such\nSELECT nothing FROM t\n", "fail"),
        ("statement ok\nSELECT nothing FROM t\n", "nothing"),
        ("statement count 2\nINSERT INTO t VALUES (3)\n", "2"),
    ];
    for (record, message) in wrong {
        let found = run_text(Path::new("wrong.slt"), &format!("{table}{record}"), Way::AsWritten).unwrap_err();
        assert!(found.contains(message) && found.contains("wrong.slt:7"), "{record}: {found}");
    }
}

fn run_all(way: Way) {
    let only = std::env::var("SLT").unwrap_or_default();
    let updates = std::env::var_os("UPDATE").is_some_and(|v| v == "1");
    let mut wrong = String::new();
    for file in files().iter().filter(|file| file.to_string_lossy().contains(&only)) {
        // One way writes; the others compare with it.
        let result = match (way, updates) {
            (Way::AsWritten, true) => update(file),
            _ => run_text(file, &fs::read_to_string(file).unwrap(), way),
        };
        if let Err(error) = result {
            writeln!(wrong, "{error}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{way:?}:\n{wrong}");
}

/// Every file of `slt/`, in order.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/slt");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "slt"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

/// Runs the records of a file up to the first that gives something else.
fn run_text(file: &Path, text: &str, way: Way) -> Result<(), String> {
    let name = file.file_name().unwrap().to_string_lossy();
    let records = sqllogictest::parse_with_name::<Column>(text, name.as_ref()).map_err(|e| e.to_string())?;
    let mut runner = runner(way);
    let said = |error: sqllogictest::TestError| format!("{}", error.display(false));
    for record in records.into_iter().take_while(|record| !matches!(record, Record::Halt { .. })) {
        runner.run(record).map_err(said)?;
    }
    Ok(())
}

fn update(file: &Path) -> Result<(), String> {
    let written = block_on(runner(Way::AsWritten).update_test_file(
        file,
        " ",
        sqllogictest::default_validator,
        sqllogictest::default_normalizer,
        sqllogictest::strict_column_validator,
    ));
    written.map_err(|e| format!("{}: {e}", file.display()))
}

fn runner(way: Way) -> Runner<Connection, impl sqllogictest::MakeConnection<Conn = Connection>> {
    let database = Database::in_memory().unwrap();
    let mut runner = Runner::new(move || {
        let database = database.clone();
        async move { Ok::<_, Error>(Connection { session: database.session(), database, way }) }
    });
    runner.with_column_validator(sqllogictest::strict_column_validator);
    runner.add_label(way.label());
    runner
}

/// One session of the database of a file.
struct Connection {
    database: Database,
    session: Session,
    way: Way,
}

impl DB for Connection {
    type Error = Error;
    type ColumnType = Column;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, Error> {
        if self.way == Way::ViewsLast && reads(sql) && !self.session.in_transaction() {
            create_views_anew(&mut self.session)?;
        }
        let outcome = self.session.execute(sql);
        if self.way == Way::Verified {
            verify(self.database.execute("VERIFY"))?;
            if !self.session.in_transaction() {
                // Its temporary views too.
                verify(self.session.execute("VERIFY"))?;
            }
        }
        match outcome? {
            Outcome::Rows(rows) | Outcome::Verified { rows, .. } => output(&rows),
            Outcome::Done { tag } => {
                let count = tag.rsplit(' ').next().and_then(|number| number.parse().ok());
                Ok(DBOutput::StatementComplete(count.unwrap_or(0)))
            }
            Outcome::Subscribed(_) => Err(Error::input("a file of records has no use for SUBSCRIBE")),
        }
    }
}

/// Whether a statement shows what a view holds.
fn reads(sql: &str) -> bool {
    let first = sql.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    ["SELECT", "WITH", "VALUES", "VERIFY", "EXECUTE"].iter().any(|word| word.eq_ignore_ascii_case(first))
}

/// Drops every view, and makes each again by its own statement: it is filled from history.
fn create_views_anew(session: &mut Session) -> Result<(), Error> {
    let views = |session: &Session| -> Vec<Relation> {
        session.relations().into_iter().filter(|relation| relation.kind.ends_with("view")).collect()
    };
    let made = views(session);
    // What reads others is dropped before them and made after them: whatever goes without an error goes first.
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    all_in_some_order(made.iter().map(|view| format!("DROP {} {}", view.kind, quoted(&view.name))).collect(), session)?;
    all_in_some_order(made.iter().map(|view| view.sql.clone()).collect(), session)?;
    assert_eq!(views(session).len(), made.len(), "every view is there again");
    Ok(())
}

/// Runs each statement once the others have made it possible.
fn all_in_some_order(mut statements: Vec<String>, session: &mut Session) -> Result<(), Error> {
    while !statements.is_empty() {
        let (before, mut refused) = (statements.len(), None);
        statements.retain(|sql| match session.execute(sql) {
            Ok(_) => false,
            Err(error) => {
                refused = Some(error);
                true
            }
        });
        if let Some(error) = refused.filter(|_| statements.len() == before) {
            return Err(error);
        }
    }
    Ok(())
}

/// Every materialized view equals its query.
fn verify(verified: Result<Outcome, Error>) -> Result<(), Error> {
    match verified? {
        Outcome::Verified { ok: true, .. } => Ok(()),
        Outcome::Verified { rows, .. } => Err(Error::Internal(format!("VERIFY: {:#?}", text(&rows.batches)))),
        other => Err(Error::Internal(format!("VERIFY gives {other:?}"))),
    }
}

fn output(rows: &Rows) -> Result<DBOutput<Column>, Error> {
    let types = rows.schema.fields().iter().map(|field| Column::of(field.data_type())).collect();
    let mut texts = Vec::new();
    for batch in &rows.batches {
        let each = |row: Vec<Option<String>>| {
            texts.push(row.into_iter().map(cell).collect());
            Ok(())
        };
        for_each_row(&rows.schema, batch, each).map_err(|e| Error::Internal(format!("{e:?}")))?;
    }
    Ok(DBOutput::Rows { types, rows: texts })
}

fn cell(value: Option<String>) -> String {
    match value {
        None => "NULL".into(),
        Some(text) if text.is_empty() => "(empty)".into(),
        Some(text) => {
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
        }
    }
}

/// What a column holds, as the letter after `query` says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Integer,
    Real,
    Other,
}

impl Column {
    fn of(data_type: &DataType) -> Column {
        match data_type {
            t if t.is_integer() => Column::Integer,
            t if t.is_numeric() => Column::Real,
            _ => Column::Other,
        }
    }
}

impl ColumnType for Column {
    fn from_char(letter: char) -> Option<Column> {
        match letter {
            'I' => Some(Column::Integer),
            'R' => Some(Column::Real),
            'T' => Some(Column::Other),
            _ => None,
        }
    }

    fn to_char(&self) -> char {
        match self {
            Column::Integer => 'I',
            Column::Real => 'R',
            Column::Other => 'T',
        }
    }
}
