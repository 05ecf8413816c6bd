//! What TPC-H and Nexmark share: queries in a folder as live views, data in pieces, and how the views are proven.
//!
//! ```text
//! pieces ── append ──> database with all views ──┬── VERIFY
//!                                                └── the same rows from the batch engine as it comes
//! ```
//!
//! A query file holds one SELECT under a comment that says what it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use millstream::Database;
use millstream::datafusion::datasource::MemTable;
use millstream::datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Builder;

use crate::embed_support::{rows, text, verify};

/// Stack of the thread that runs a workload: plans are recursive.
const STACK_BYTES: usize = 64 << 20;

/// Batches that are one commit.
pub type Piece = Vec<(&'static str, RecordBatch)>;

/// Relations, data and queries.
#[derive(Clone)]
pub struct Workload {
    /// The relations: their names and the statements that make them.
    pub relations: &'static [(&'static str, &'static str)],
    /// The data, in the order in which they come.
    pub pieces: Vec<Piece>,
    /// Changes after the data: each entry is the statements of one transaction.
    pub changes: Vec<Vec<String>>,
    /// The queries, by name.
    pub queries: Vec<(String, String)>,
}

/// The queries of a folder of the tests, by the names of their files.
pub fn queries(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(folder);
    let mut found: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    found
}

impl Workload {
    /// A database with the relations.
    fn database(&self) -> Database {
        let db = Database::in_memory().unwrap();
        self.relations.iter().for_each(|(_, sql)| drop(db.execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))));
        db
    }

    /// All views live while the pieces come and the changes are made, proven half way and at the end; then the same views
    /// made from the history of a database that had none.
    ///
    /// At least `telling_min` of the views must hold something by then.
    pub fn prove(&self, telling_min: usize) {
        let db = self.database();
        self.create(&db, &self.queries);
        for (at, piece) in self.pieces.iter().enumerate() {
            append(&db, piece);
            if at == self.pieces.len() / 2 {
                verify(&db);
            }
        }
        self.proven(&db, "all pieces came");
        let telling = self.telling(&db);
        assert!(telling >= telling_min, "only {telling} of the views hold anything");
        self.change(&db);
        self.proven(&db, "the changes were made");

        let late = self.database();
        self.pieces.iter().for_each(|piece| append(&late, piece));
        self.change(&late);
        self.create(&late, &self.queries);
        for (name, _) in &self.queries {
            let of = |db| rows(db, &format!("SELECT * FROM {name}")).into_iter().collect::<BTreeSet<String>>();
            assert!(of(&db) == of(&late), "{name} made from history differs");
        }
    }

    fn create(&self, db: &Database, queries: &[(String, String)]) {
        for (name, sql) in queries {
            let made = db.execute(&format!("CREATE MATERIALIZED VIEW {name} AS {sql}"));
            drop(made.unwrap_or_else(|e| panic!("{name}: {e}")));
        }
    }

    fn change(&self, db: &Database) {
        for statements in &self.changes {
            let mut session = db.session();
            for sql in ["BEGIN"].into_iter().chain(statements.iter().map(String::as_str)).chain(["COMMIT"]) {
                drop(session.execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}")));
            }
        }
    }

    /// Every view equals its query: by VERIFY, and by the batch engine without anything of ours.
    fn proven(&self, db: &Database, when: &str) {
        verify(db);
        let runtime = Builder::new_current_thread().build().unwrap();
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        for (name, _) in self.relations {
            let rows = db.query(&format!("SELECT * FROM {name}")).unwrap();
            let table = MemTable::try_new(rows.schema.clone(), vec![rows.batches]).unwrap();
            context.register_table(*name, Arc::new(table)).unwrap();
        }
        for (name, sql) in &self.queries {
            let stock = runtime.block_on(async { context.sql(sql).await?.collect().await });
            let mut expected = text(&stock.unwrap_or_else(|e| panic!("{name}, {when}: {e}")));
            let mut got = rows(db, &format!("SELECT * FROM {name}"));
            expected.sort();
            got.sort();
            if let Some((expected, got)) = expected.iter().zip(&got).find(|(expected, got)| !agree(expected, got)) {
                panic!("{name}, {when}:\n  expected {expected}\n  got      {got}");
            }
            assert_eq!(expected.len(), got.len(), "{name}, {when}");
        }
    }

    /// How many views hold a row, and one that is not all NULL.
    fn telling(&self, db: &Database) -> usize {
        let tells = |name: &str| {
            let rows = rows(db, &format!("SELECT * FROM {name}"));
            rows.iter().any(|row| row.split('|').any(|cell| cell != "NULL" && cell != "0"))
        };
        self.queries.iter().filter(|(name, _)| tells(name)).count()
    }

    /// Prints what it takes to keep each query alone: by piece, and for the changes.
    pub fn report(&self) {
        let base = self.timed(&[]);
        println!("{} pieces, {} transactions; without views {}", self.pieces.len(), self.changes.len(), base.text());
        println!("query  first ms  last ms  mean ms  changes ms  rows     kept");
        for query in &self.queries {
            let taken = self.timed(std::slice::from_ref(query));
            println!("{:6} {}  {}", query.0, taken.text(), taken.kept);
        }
    }

    fn timed(&self, queries: &[(String, String)]) -> Taken {
        let db = self.database();
        self.create(&db, queries);
        let time = |work: &dyn Fn()| {
            let started = Instant::now();
            work();
            started.elapsed()
        };
        let pieces = self.pieces.iter().map(|piece| time(&|| append(&db, piece))).collect();
        let changes = time(&|| self.change(&db));
        let count = |(name, _): &(String, String)| rows(&db, &format!("SELECT * FROM {name}")).len();
        let kept = queries.iter().map(|(name, _)| recomputed(&db, name)).collect::<Vec<_>>().concat();
        Taken { pieces, changes, rows: queries.iter().map(count).sum(), kept }
    }
}

/// Whether two rows say the same: the batch engine as it comes cuts decimal quotients and averages off after a few digits,
/// so that a number of ours that has more of them may differ by one in the last digit that it has.
fn agree(expected: &str, got: &str) -> bool {
    let close = |expected: &str, got: &str| {
        let (Some((_, digits)), Some((_, more))) = (expected.split_once('.'), got.split_once('.')) else {
            return false;
        };
        if more.len() <= digits.len() {
            return false;
        }
        let (Ok(wanted), Ok(found)) = (expected.parse::<f64>(), got.parse::<f64>()) else { return false };
        (wanted - found).abs() <= 10_f64.powi(-i32::try_from(digits.len()).expect("few digits"))
    };
    let (expected, got): (Vec<&str>, Vec<&str>) = (expected.split('|').collect(), got.split('|').collect());
    expected.len() == got.len()
        && expected.iter().zip(&got).all(|(expected, got)| expected == got || close(expected, got))
}

/// What keeping a view took.
struct Taken {
    pieces: Vec<Duration>,
    changes: Duration,
    rows: usize,
    kept: String,
}

impl Taken {
    fn text(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mean = self.pieces.iter().sum::<Duration>() / u32::try_from(self.pieces.len()).unwrap();
        format!(
            "{:8.1} {:8.1} {:8.1} {:11.1}  {:7}",
            ms(self.pieces[0]),
            ms(*self.pieces.last().unwrap()),
            ms(mean),
            ms(self.changes),
            self.rows
        )
    }
}

/// The operators of a live view that run the batch plan, or `incremental`.
fn recomputed(db: &Database, view: &str) -> String {
    let lines = rows(db, &format!("EXPLAIN {view}"));
    let found: Vec<&str> = lines
        .iter()
        .filter(|line| line.trim_start().starts_with("Recompute"))
        .map(|line| line.split('|').next().unwrap_or_default().trim())
        .map(|line| line.rsplit(": ").next().unwrap_or_default())
        .collect();
    if found.is_empty() { "incremental".into() } else { format!("Recompute {}", found.join(", ")) }
}

/// One commit.
fn append(db: &Database, piece: &Piece) {
    let fitted = piece.iter().map(|(name, batch)| (*name, fit(db, name, batch)));
    db.append_all(fitted).unwrap().wait().unwrap();
}

/// A batch with the columns' types as they are declared.
fn fit(db: &Database, name: &str, batch: &RecordBatch) -> RecordBatch {
    let schema = db.query(&format!("SELECT * FROM {name} LIMIT 0")).unwrap().schema;
    let columns = batch.columns().iter().zip(schema.fields()).map(|(c, f)| cast(c, f.data_type()).unwrap());
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// Runs a test with room for the plans.
pub fn with_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
