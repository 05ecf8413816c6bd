//! Watching a view: its rows, then every change of them, while another thread appends.
//!
//! `cargo run --example subscribe`

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use millstream::{Database, Result, Update};

/// The sensors that have been cold, and how cold.
const VIEW: &str = "CREATE MATERIALIZED VIEW cold AS
    SELECT sensor, min(degrees) AS degrees FROM readings GROUP BY sensor HAVING min(degrees) < 5";

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.execute("CREATE STREAM readings (sensor TEXT, degrees BIGINT)")?;
    db.execute(VIEW)?;
    db.execute("INSERT INTO readings VALUES ('roof', 2)")?;

    // A subscription is an iterator, and for async programs a `Stream`. It begins with the rows that are there.
    let subscription = db.subscribe("cold")?;
    let writer = std::thread::spawn(move || measure(db));
    for update in subscription {
        match update {
            Update::Snapshot { offset, batch } => {
                println!("commit {offset}: the view holds\n{}", pretty_format_batches(&[batch])?);
            }
            // A weight of 1 is a row that came, of -1 one that went: a new minimum is one of each.
            Update::Delta { offset, delta } => {
                let weights = delta.weights.to_vec(delta.len());
                println!("commit {offset}: weights {weights:?}\n{}", pretty_format_batches(&[delta.batch])?);
            }
            // For those who ask for changes by key: `db.patched(subscription)`.
            Update::Patches { offset, batch } => {
                println!("commit {offset}, by key\n{}", pretty_format_batches(&[batch])?);
            }
            // Who is too slow is told so, and asks for a snapshot; nobody waits for it.
            Update::Missed { from, to } => println!("commits {from} to {to} were missed"),
            // Commits with a row on which an expression of the view fails, until the row is gone.
            Update::Failing { offset, reason } => println!("commit {offset}: the view cannot be read: {reason}"),
            Update::Healed { offset } => println!("commit {offset}: the view can be read again"),
        }
    }
    // Closing the database has ended the subscription.
    writer.join().expect("the writer does not panic")
}

/// Appends readings, then closes the database.
fn measure(db: Database) -> Result<()> {
    for (sensor, degrees) in [("cellar", 9), ("garden", 3), ("roof", 4), ("roof", -1), ("cellar", 4)] {
        let sensor: ArrayRef = Arc::new(StringArray::from(vec![sensor]));
        let degrees: ArrayRef = Arc::new(Int64Array::from(vec![degrees]));
        db.append("readings", RecordBatch::try_from_iter([("sensor", sensor), ("degrees", degrees)])?)?.wait()?;
    }
    db.close()
}
