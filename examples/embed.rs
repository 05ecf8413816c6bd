//! A program with a database inside: append batches, read views kept up to date, find all of it again later.
//!
//! `cargo run --example embed`

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::util::pretty::print_batches;
use millstream::{Database, Error, Result};

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("millstream-example-{}", std::process::id()));
    let db = Database::open(&folder)?;
    // A stream keeps every event; a table keeps one row for each key.
    db.execute("CREATE STREAM orders (item TEXT, price DOUBLE)")?;
    db.execute("CREATE TABLE items (item TEXT PRIMARY KEY, maker TEXT)")?;
    // A materialized view is kept up to date as rows come, and never computed anew.
    db.execute(
        "CREATE MATERIALIZED VIEW income AS
         SELECT maker, count(*) AS orders, sum(price) AS income
         FROM orders JOIN items ON orders.item = items.item GROUP BY maker",
    )?;
    db.execute("INSERT INTO items VALUES ('ax', 'Ada'), ('bolt', 'Bob')")?;

    // Rows that a program has at hand go in as an Arrow batch. The ticket resolves once they are durable.
    let item: ArrayRef = Arc::new(StringArray::from(vec!["ax", "bolt", "ax"]));
    let price: ArrayRef = Arc::new(Float64Array::from(vec![30.0, 0.5, 32.0]));
    let ticket = db.append("orders", RecordBatch::try_from_iter([("item", item), ("price", price)])?)?;
    println!("three orders are commit {}", ticket.wait()?);
    print_batches(&db.query("SELECT * FROM income ORDER BY maker")?.batches)?;

    // A change of a table changes what is joined with it.
    db.execute("UPDATE items SET maker = 'Bob' WHERE item = 'ax'")?;
    print_batches(&db.query("SELECT * FROM income ORDER BY maker")?.batches)?;
    db.close()?;

    // Another run finds streams, tables and views as they were left, and can prove that the view is right.
    let db = Database::open(&folder)?;
    let (offset, rows) = db.snapshot("income")?;
    println!("at commit {offset} the view has {} row; verified: {}", rows.len(), db.verify("income")?);
    db.close()?;
    std::fs::remove_dir_all(&folder).map_err(|e| Error::io("removing", &folder, &e))
}
