//! Fifty million events, out of order within bounds, through views over windows of time: the state must stay flat. Prints
//! the resident memory and what the operators hold as it goes, and after the last window has closed.
//!
//! ```text
//! cargo bench --bench flat_state              50 million events
//! EVENTS=2000000 cargo bench --bench flat_state
//! ```

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::compute;
use arrow::datatypes::Int64Type;
use millstream::Database;

const EVENTS: i64 = 50_000_000;
/// Events of one commit.
const COMMIT: i64 = 10_000;
/// Lines that are printed.
const LINES: i64 = 10;
/// Events of a second of event time.
const PER_SECOND: i64 = 1_000;
/// By how many seconds events are out of order.
const DISORDER: i64 = 5;
const KEYS: i64 = 1_000;
/// One in so many events is one of the other stream of the join.
const ANSWERS: i64 = 4;

const VIEWS: [(&str, &str); 4] = [
    (
        "windowed",
        "SELECT date_bin(INTERVAL '1 minute', at) AS minute, k, count(*) AS n, sum(v) AS total, count(DISTINCT v) AS vs
         FROM asked GROUP BY minute, k",
    ),
    (
        "joined",
        "SELECT a.at, a.k, a.v, b.v AS answer FROM asked a JOIN answered b
         ON a.k = b.k AND b.at BETWEEN a.at - INTERVAL '1 second' AND a.at + INTERVAL '2 seconds'",
    ),
    (
        "sessions",
        "SELECT k, window_start, window_end, count(*) AS n
         FROM SESSION(TABLE asked PARTITION BY k, DESCRIPTOR(at), INTERVAL '2' SECOND) GROUP BY k, window_start, window_end",
    ),
    (
        "unanswered",
        "SELECT a.at, a.k FROM asked a WHERE NOT EXISTS (SELECT 1 FROM answered b
         WHERE a.k = b.k AND b.at BETWEEN a.at AND a.at + INTERVAL '2 seconds') EMIT ON WINDOW CLOSE",
    ),
];

#[allow(clippy::disallowed_methods)]
fn main() {
    let events = std::env::var("EVENTS").ok().map_or(EVENTS, |text| text.parse().expect("EVENTS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let db = Database::open(folder.path()).expect("a database");
    for stream in ["asked", "answered"] {
        let sql = format!(
            "CREATE STREAM {stream} (k BIGINT, v BIGINT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '{DISORDER} seconds')"
        );
        db.execute(&sql).expect("a stream");
    }
    for (name, query) in VIEWS {
        let options = "retention = '30 seconds', require_bounded_state = true";
        db.execute(&format!("CREATE MATERIALIZED VIEW {name} WITH ({options}) AS {query}")).expect("a view");
    }
    let started = Instant::now();
    let mut random = 1;
    println!("    events  events/s  resident MiB  state rows  state MiB");
    let mut next = 0;
    while next < events {
        let end = (next + events / LINES).min(events);
        while next < end {
            let to = (next + COMMIT).min(end);
            let both = [
                ("asked", batch(next..to - (to - next) / ANSWERS, &mut random)),
                ("answered", batch(next..next + (to - next) / ANSWERS, &mut random)),
            ];
            db.append_all(both).and_then(|ticket| ticket.wait()).expect("a commit");
            next = to;
        }
        tell(&db, next, next as f64 / started.elapsed().as_secs_f64());
    }
    for stream in ["asked", "answered"] {
        db.execute(&format!("ALTER STREAM {stream} ADVANCE WATERMARK TO TIMESTAMP '2100-01-01'")).expect("a heartbeat");
    }
    println!("after the last window has closed:");
    tell(&db, next, next as f64 / started.elapsed().as_secs_f64());
}

/// Events of these numbers, each as late as may be at most.
fn batch(numbers: std::ops::Range<i64>, random: &mut u64) -> RecordBatch {
    let mut next = |limit: i64| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        ((*random >> 11) % limit.unsigned_abs()) as i64
    };
    let rows = (numbers.end - numbers.start) as usize;
    let (mut keys, mut values, mut moments) =
        (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
    for number in numbers {
        keys.push(next(KEYS));
        values.push(next(100));
        // A commit is of ten seconds at most, so that none of its rows is late.
        let millis = (number / COMMIT * COMMIT) * 1_000 / PER_SECOND + next(DISORDER * 1_000);
        moments.push(millis * 1_000_000);
    }
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(Int64Array::from(keys))),
        ("v", Arc::new(Int64Array::from(values))),
        ("at", Arc::new(TimestampNanosecondArray::from(moments))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn tell(db: &Database, events: i64, rate: f64) {
    let (mut rows, mut bytes) = (0, 0);
    for (name, _) in VIEWS {
        for batch in db.query(&format!("EXPLAIN {name}")).expect("a circuit").batches {
            let sum = |column: &str| {
                let numbers = batch.column_by_name(column).expect("EXPLAIN has it").as_primitive::<Int64Type>();
                compute::sum(numbers).unwrap_or_default()
            };
            rows += sum("state_rows");
            bytes += sum("state_bytes");
        }
    }
    println!("{events:>10} {rate:>9.0} {:>13} {rows:>11} {:>10}", resident() >> 20, bytes >> 20);
}

/// Bytes of memory that the process has; none where the system does not tell it as Linux does.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok()).unwrap_or_default() << 10
}
