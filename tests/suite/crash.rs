//! Killed at random moments: what was acknowledged is there, once, and nothing else than whole commits.
//!
//! ```text
//! parent: start the child ── read its acknowledgements ── SIGKILL ── open, compare ── again
//! child:  three threads append to `events` and `latest` in one commit each, a file is read into `fed`,
//!         views come and go, checkpoints are made; every acknowledged commit is a line on standard output
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use millstream::{Cancel, Database, Durability, Options, query_archive};

use crate::embed_support::{child, number, numbers, read_only, rows, run, small_segments, text, told, verify};

/// Threads of the child that append.
const WRITERS: i64 = 3;
/// Rows of the file that is read meanwhile.
const FILE_ROWS: i64 = 80_000;
/// So small that segments are sealed and archived all the time.
const SEGMENT_BYTES: u64 = 24 << 10;
/// How long the test may go on killing.
const KILLING: Duration = Duration::from_secs(12);
const CYCLES_MAX: usize = 40;

/// Offset of the acknowledged commit by writer and number.
type Acknowledged = BTreeMap<(i64, i64), i64>;

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (database, file) = (folder.path().join("db"), folder.path().join("fed.csv"));
    let lines: String = (1..=FILE_ROWS).map(|id| format!("{id},{}\n", id % 7)).collect();
    std::fs::write(&file, format!("id,value\n{lines}")).unwrap();
    prepare(&database, &file);

    let mut acknowledged = Acknowledged::new();
    let (started, mut cycle, mut within_file) = (Instant::now(), 0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while started.elapsed() < KILLING && cycle < CYCLES_MAX {
        cycle += 1;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let before = acknowledged.len();
        kill_after(&database, Duration::from_millis(random % 400), cycle, &mut acknowledged);
        // A writer tidies up when it opens and closes; a reader leaves the wreck as it is for the next crash.
        let options = if cycle % 3 == 0 { options(&database, cycle) } else { read_only(&database) };
        let db = Database::open_with(options).unwrap_or_else(|e| panic!("cycle {cycle}: {e}"));
        compare(&db, &acknowledged);
        within_file += usize::from((1..FILE_ROWS).contains(&number(&db, "SELECT count(*) FROM fed")));
        assert!(in_opening(cycle) || acknowledged.len() > before, "cycle {cycle}: the child did nothing");
        db.close().unwrap();
    }
    let db = Database::open_with(options(&database, 0)).unwrap();
    db.wait_for_sources(&Cancel::default()).unwrap();
    compare(&db, &acknowledged);
    assert_eq!(number(&db, "SELECT count(*) FROM fed"), FILE_ROWS);
    db.close().unwrap();
    compare_offsets(&database, &acknowledged);
    assert!(within_file > 0, "the file was read before the first crash; give it more rows");
    println!("{cycle} cycles, {within_file} within the file, {} commits acknowledged", acknowledged.len());
}

/// The child: appends until it is killed.
#[test]
fn crash_child() {
    let Some(told) = told() else { return };
    let (path, cycle) = told.rsplit_once('|').unwrap();
    let db = Database::open_with(options(Path::new(path), cycle.parse().unwrap())).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let db = &db;
            scope.spawn(move || append(db, writer));
        }
        loop {
            run(&db, &["CREATE MATERIALIZED VIEW passing AS SELECT writer, max(n) AS n FROM events GROUP BY writer"]);
            run(&db, &["CHECKPOINT", "DROP MATERIALIZED VIEW passing"]);
            std::thread::sleep(Duration::from_millis(30));
        }
    });
}

fn options(path: &Path, cycle: usize) -> Options {
    let durability = [Durability::Group, Durability::Always, Durability::Os][cycle % 3];
    Options { durability, ..small_segments(path, SEGMENT_BYTES) }
}

fn prepare(database: &Path, file: &Path) {
    let db = Database::open_with(options(database, 0)).unwrap();
    let source = format!("WITH (connector = 'file', path = '{}', format = 'csv', batch_rows = 100)", file.display());
    run(
        &db,
        &[
            "CREATE STREAM events (writer BIGINT NOT NULL, n BIGINT NOT NULL)",
            "CREATE TABLE latest (writer BIGINT PRIMARY KEY, n BIGINT)",
            "CREATE MATERIALIZED VIEW counts AS SELECT writer, count(*) AS n, max(n) AS top FROM events GROUP BY writer",
            "CREATE MATERIALIZED VIEW behind AS \
             SELECT e.writer, e.n FROM events e JOIN latest l ON e.writer = l.writer WHERE e.n > l.n",
            &format!("CREATE STREAM fed (id BIGINT, value BIGINT) {source}"),
            "CREATE MATERIALIZED VIEW by_value AS SELECT value, count(*) AS n, sum(id) AS ids FROM fed GROUP BY value",
        ],
    );
    db.close().unwrap();
}

fn append(db: &Database, writer: i64) {
    let known = format!("SELECT coalesce(max(n), 0) FROM events WHERE writer = {writer}");
    let mut n = number(db, &known);
    loop {
        // A few commits are on their way at once, so that they are made durable as a group.
        let tickets: Vec<_> = (0..1 + n % 5)
            .map(|_| {
                n += 1;
                let row = numbers(&[("writer", vec![writer]), ("n", vec![n])]);
                (n, db.append_all([("events", row.clone()), ("latest", row)]).unwrap())
            })
            .collect();
        for (n, ticket) in tickets {
            let offset = ticket.wait().unwrap();
            // One write: a line is there or not.
            let line = format!("\nack {writer} {n} {offset}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
    }
}

/// Whether the child of a cycle is killed while it may not have opened the database yet.
fn in_opening(cycle: usize) -> bool {
    cycle % 4 == 1
}

/// Lets a child work for a while after its first acknowledgement, kills it, and notes what it acknowledged.
fn kill_after(database: &Path, delay: Duration, cycle: usize, acknowledged: &mut Acknowledged) {
    let told = format!("{}|{cycle}", database.display());
    let mut command = child("crash::crash_child", &told);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut take = || {
        for line in lines.by_ref() {
            if let Some(ack) = line.unwrap().strip_prefix("ack ") {
                let [writer, n, offset] = ack.split(' ').map(|x| x.parse().unwrap()).collect::<Vec<i64>>()[..] else {
                    panic!("not an acknowledgement: {ack}");
                };
                assert_eq!(acknowledged.insert((writer, n), offset), None, "commit {n} of writer {writer} twice");
                return true;
            }
        }
        false
    };
    if !in_opening(cycle) && !take() {
        let output = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
        panic!("cycle {cycle}: the child ended by itself:\n{output}");
    }
    // The pipe must not fill up meanwhile, or the child would wait for us.
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            std::thread::sleep(delay);
            child.0.kill().unwrap();
        });
        while take() {}
        killer.join().unwrap();
    });
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare(db: &Database, acknowledged: &Acknowledged) {
    let last = |writer| acknowledged.range((writer, 0)..(writer + 1, 0)).next_back().map_or(0, |((_, n), _)| *n);
    let kept = "SELECT e.writer, e.top, e.n, e.different, latest.n FROM latest FULL JOIN \
                (SELECT writer, max(n) AS top, count(*) AS n, count(DISTINCT n) AS different FROM events GROUP BY writer) e \
                ON e.writer = latest.writer ORDER BY 1";
    let kept = rows(db, kept);
    let mut seen = BTreeSet::new();
    for row in &kept {
        let [of, top, count, different, in_table] = numbers_in(row)[..] else { panic!("{row}") };
        assert!(seen.insert(of), "writer {of} is there twice");
        assert!(top >= last(of), "writer {of}: commit {} was acknowledged and {top} is the last one", last(of));
        assert_eq!((count, different), (top, top), "writer {of}: a gap or a double");
        assert_eq!(in_table, top, "writer {of}: half a commit");
    }
    // One that was killed before its first commit has none.
    assert!((0..WRITERS).all(|writer| seen.contains(&writer) || last(writer) == 0), "a writer's rows are lost");
    assert_eq!(rows(db, "SELECT * FROM behind"), [""; 0]);
    let fed = rows(db, "SELECT count(*), count(DISTINCT id), coalesce(max(id), 0) FROM fed").remove(0);
    let counts: Vec<&str> = fed.split('|').collect();
    assert!(counts.iter().all(|count| *count == counts[0]), "the file came with gaps or doubles: {fed}");
    verify(db);
}

/// In the archive every acknowledged row has the offset that was told, and no offset is beyond the last.
fn compare_offsets(database: &Path, acknowledged: &Acknowledged) {
    let archived = query_archive(database, "SELECT writer, n, _offset FROM events", None, &Cancel::default()).unwrap();
    let archived: Acknowledged =
        text(&archived.batches).iter().map(|line| numbers_in(line)).map(|row| ((row[0], row[1]), row[2])).collect();
    for (commit, offset) in acknowledged {
        assert_eq!(archived.get(commit), Some(offset), "commit {commit:?}");
    }
    let back = "SELECT n FROM (SELECT n, _time < lag(_time) OVER (ORDER BY _offset) AS back FROM events) WHERE back";
    assert_eq!(query_archive(database, back, None, &Cancel::default()).unwrap().len(), 0, "time went back");
    let mut offsets: Vec<i64> = archived.into_values().collect();
    let commits = offsets.len();
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!(offsets.len(), commits, "two commits have one offset");
}

fn numbers_in(line: &str) -> Vec<i64> {
    line.split('|').map(|x| x.parse().unwrap_or_else(|_| panic!("not numbers: {line}"))).collect()
}
