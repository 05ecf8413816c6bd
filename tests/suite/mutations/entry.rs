//! What the fuzz target and the mutation test do with a text: it is run as a statement and as a view's query, in a
//! database in memory. Only what would touch files is left out.

use std::time::Duration;

use millstream::{Database, Error, Options};

/// What the database may take: a text that asks for more gets an error.
const MEMORY_BYTES: usize = 512 << 20;
/// How long a statement may take before it is cancelled: a query that never ends is no fault.
const STATEMENT_TIME: Duration = Duration::from_secs(2);
/// Words of statements that read or write files.
const FILES: [&str; 4] = ["copy", "connector", "external", "location"];

/// A database with some relations in it; what goes wrong with their statements is let pass.
pub fn database<'a>(prelude: impl IntoIterator<Item = &'a str>) -> Database {
    let options = Options { memory_limit: MEMORY_BYTES, ..Options::default() };
    let db = Database::open_with(options).expect("a database in memory");
    prelude.into_iter().for_each(|sql| drop(run_one(&db, sql)));
    db
}

/// Runs a text; returns what no text may bring about.
pub fn run(db: &Database, text: &str) -> Result<(), Error> {
    let lower = text.to_lowercase();
    if FILES.iter().any(|word| lower.contains(word)) {
        return Ok(());
    }
    run_one(db, text)?;
    run_one(db, &format!("EXPLAIN CREATE MATERIALIZED VIEW fuzzed AS {text}"))?;
    run_one(db, &format!("CREATE MATERIALIZED VIEW fuzzed AS {text}"))?;
    run_one(db, "SELECT * FROM fuzzed")?;
    run_one(db, "VERIFY fuzzed")?;
    run_one(db, "DROP MATERIALIZED VIEW fuzzed")
}

fn run_one(db: &Database, sql: &str) -> Result<(), Error> {
    let mut session = db.session();
    let (cancel, (done, waits)) = (session.cancel(), std::sync::mpsc::channel::<()>());
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(STATEMENT_TIME) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            cancel.cancel();
        }
    });
    let outcome = session.execute(sql);
    drop(done);
    watch.join().expect("the watch only waits");
    match outcome {
        Err(error @ (Error::Internal(_) | Error::Corrupt { .. } | Error::Poisoned(_))) => Err(error),
        _ => Ok(()),
    }
}
