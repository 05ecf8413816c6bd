//! Event time: random events out of order, watermarks and late rows; after every commit each view must equal its query
//! in batch over the rows that were not late, held back or let go of as it says.
//!
//! What is late and what is over is worked out by the test itself. `TIME_SEED=7 cargo test --test suite event_time` runs
//! one seed again, `TIME_CASES=1000` more of them.

mod model;
mod nearest;
mod queries;
mod windows;

use std::collections::BTreeMap;

use millstream::{Database, Durability, Options, Subscription, Update};

use self::model::{Stream, insert, moment};
use self::queries::{Emit, View};
use crate::embed_support::{number, rows, text};
use crate::oracle::random::Random;
use crate::past::Remembered;

const CASES: u64 = 25;
const STEPS: usize = 25;
const VIEWS: usize = 6;
/// Moments of the past that are read again.
const MOMENTS: usize = 4;
/// Bytes of a segment, so small that a case fills several.
const SEGMENT_BYTES: u64 = 2048;

#[test]
fn views_are_right_in_event_time() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("TIME_SEED").unwrap_or(1);
    let cases = number("TIME_CASES").unwrap_or(if number("TIME_SEED").is_some() { 1 } else { CASES });
    for seed in first..first + cases {
        for on_disk in [false, true] {
            let failed = std::panic::catch_unwind(|| Case::new(seed, on_disk).run());
            assert!(failed.is_ok(), "TIME_SEED={seed}, on disk: {on_disk}");
        }
    }
}

struct Case {
    random: Random,
    folder: Option<tempfile::TempDir>,
    /// Nowhere only while it is closed.
    database: Option<Database>,
    /// The same rows without those that were late, in streams that have no watermark.
    plain: Database,
    streams: [Stream; 2],
    views: Vec<Followed>,
    /// What a second is run as: the shorter, the finer watermarks move.
    unit: &'static str,
    log: Vec<String>,
    past: Remembered,
}

struct Followed {
    view: View,
    heard: Option<(Subscription, BTreeMap<String, i64>)>,
}

impl Case {
    fn new(seed: u64, on_disk: bool) -> Case {
        let mut random = Random::new(seed);
        let streams = [Stream::new("a", &mut random), Stream::new("b", &mut random)];
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        let database = folder.as_ref().map_or_else(|| Database::in_memory().unwrap(), open);
        let plain = Database::in_memory().unwrap();
        let (unit, ts) = *random.pick(&[
            ("seconds", "TIMESTAMP"),
            ("milliseconds", "TIMESTAMP"),
            ("microseconds", "TIMESTAMP"),
            ("milliseconds", "TIMESTAMP(3)"),
            ("microseconds", "TIMESTAMP(9)"),
        ]);
        let database = Some(database);
        let mut case = Case {
            random,
            folder,
            database,
            plain,
            streams,
            views: Vec::new(),
            unit,
            log: Vec::new(),
            past: Remembered::default(),
        };
        for stream in 0..2 {
            let sql = case.streams[stream].create(true, ts);
            case.execute(&sql);
            case.plain.execute(&case.streams[stream].create(false, ts)).unwrap();
        }
        let table = "CREATE TABLE t (k INT PRIMARY KEY, y INT)";
        case.execute(table);
        case.plain.execute(table).unwrap();
        case
    }

    fn run(mut self) {
        for step in 0..STEPS {
            match self.random.below(12) {
                0 | 1 if self.views.len() < VIEWS => self.create_view(),
                2 => self.advance(),
                3 => self.change_table(),
                4 if self.folder.is_some() => self.reopen(),
                _ => self.insert(),
            }
            if self.folder.is_none() || step % 5 == 4 {
                self.compare();
            }
        }
        self.reopen();
        self.compare();
        let past = self.past.check(self.database.as_ref().expect("it is open"), &mut self.random, MOMENTS);
        past.unwrap_or_else(|wrong| panic!("{wrong}\n{};", self.log.join(";\n")));
        for (row, view) in rows(self.database(), "VERIFY").iter().zip(&self.views) {
            assert!(row.ends_with("|ok"), "{row}: {}\n{}", view.view.create(), self.log.join(";\n"));
        }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is open")
    }

    fn execute(&mut self, sql: &str) {
        let sql = self.in_unit(sql);
        self.log.push(sql.clone());
        if let Err(error) = self.database().execute(&sql) {
            panic!("{error}\n{};", self.log.join(";\n"));
        }
    }

    fn in_unit(&self, sql: &str) -> String {
        sql.replace("seconds'", &format!("{}'", self.unit))
    }

    fn create_view(&mut self) {
        let others: Vec<View> = self.views.iter().map(|followed| followed.view.clone()).collect();
        let view = View::random(&mut self.random, others.len(), &others);
        self.execute(&view.create());
        let heard = (self.folder.is_none()).then(|| (self.database().subscribe(&view.name).unwrap(), BTreeMap::new()));
        self.views.push(Followed { view, heard });
    }

    fn insert(&mut self) {
        let at = self.random.below(2);
        let events = self.streams[at].events(&mut self.random);
        let accepted = self.streams[at].commit(&events);
        let name = self.streams[at].name;
        self.execute(&insert(name, &events).expect("there is an event"));
        if let Some(sql) = insert(name, &accepted) {
            self.plain.execute(&self.in_unit(&sql)).unwrap();
        }
    }

    fn advance(&mut self) {
        let at = self.random.below(2);
        let to = self.streams[at].bound().max(500) + self.random.below(40) as i64 - 10;
        self.streams[at].advance(to);
        let sql = format!("ALTER STREAM {} ADVANCE WATERMARK TO {}", self.streams[at].name, moment(to));
        self.execute(&sql);
    }

    fn change_table(&mut self) {
        let (k, y) = (self.random.below(3), self.random.below(6));
        let sql = match self.random.below(3) {
            0 => format!("DELETE FROM t WHERE k = {k}"),
            _ => format!("INSERT INTO t VALUES ({k}, {y})"),
        };
        self.execute(&sql);
        self.plain.execute(&sql).unwrap();
    }

    fn reopen(&mut self) {
        let Some(folder) = &self.folder else { return };
        self.database.take().expect("it is open").close().unwrap();
        self.database = Some(open(folder));
        self.log.push("-- opened again".into());
    }

    fn compare(&mut self) {
        let [a, b] = &self.streams;
        for stream in [a, b] {
            let late = number(self.database(), &format!("SELECT count(*) FROM {}.late", stream.name));
            assert_eq!(late as usize, stream.late, "late rows of {}\n{};", stream.name, self.log.join(";\n"));
        }
        for Followed { view, heard } in &mut self.views {
            let database = self.database.as_ref().expect("it is open");
            let batch = view.batch(a, b).replace("seconds'", &format!("{}'", self.unit));
            let found = database.query(&format!("SELECT * FROM {}", view.name));
            let found = found.unwrap_or_else(|e| panic!("{e}\n{}\n{};", view.create(), self.log.join(";\n")));
            let mut found = text(&found.batches);
            let mut expected = rows(&self.plain, &batch);
            found.sort();
            expected.sort();
            self.past.note(database, &view.name);
            assert_eq!(found, expected, "{}\n{batch}\n{};", view.create(), self.log.join(";\n"));
            if let Some((subscription, heard)) = heard {
                hear(subscription, heard, view);
                let heard: Vec<&String> = heard.iter().flat_map(|(row, n)| vec![row; *n as usize]).collect();
                assert_eq!(heard, expected.iter().collect::<Vec<_>>(), "heard of {}", view.create());
            }
        }
    }
}

/// Takes in what a subscriber was told. Rows that are over come once, and never go.
fn hear(subscription: &mut Subscription, heard: &mut BTreeMap<String, i64>, view: &View) {
    while let Some(update) = subscription.try_next() {
        let (batch, weights) = match update {
            Update::Snapshot { batch, .. } => (batch.clone(), vec![1; batch.num_rows()]),
            Update::Delta { delta, .. } => (delta.batch.clone(), delta.weights.to_vec(delta.len())),
            other => panic!("{other:?}"),
        };
        for (row, weight) in text(&[batch]).into_iter().zip(weights) {
            assert!(view.emit != Emit::OnClose || weight > 0, "{row} is taken back by {}", view.create());
            let count = heard.entry(row.clone()).or_default();
            *count += weight;
            if *count == 0 {
                heard.remove(&row);
            }
        }
    }
}

fn open(folder: &tempfile::TempDir) -> Database {
    let path = Some(folder.path().into());
    let options = Options { path, durability: Durability::Os, segment_bytes: SEGMENT_BYTES, ..Options::default() };
    Database::open_with(options).unwrap()
}
