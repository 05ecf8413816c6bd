//! The long run: a hundred thousand random queries, nested to depth 4, with twenty changes each.
//!
//! `cargo test --release --test suite -- --ignored oracle_long --nocapture` runs seeds on all cores until so many views
//! were made, and prints how far it is every half minute. `ORACLE_SEED=n` begins at a seed, where an earlier run ended;
//! `ORACLE_QUERIES` asks for another number of views, `ORACLE_FAILURES` ends at so many failures (1 unless told).
//! At the end stands how many views had each operator, and how many a Recompute.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::case::Size;
use super::tally::Tally;
use super::{STACK_BYTES, one};

/// Views that are made when nothing else is asked for.
const QUERIES: u64 = 100_000;
/// Seeds of its own.
const FIRST_SEED: u64 = 2_000_001;
/// One case of so many has what is not kept incrementally.
const EXOTIC_EACH: u64 = 3;
const PROGRESS: Duration = Duration::from_secs(30);

/// What all threads share.
struct Progress {
    tally: Tally,
    failures: Vec<String>,
    told: Instant,
}

#[test]
#[ignore = "takes hours, and a release build"]
fn oracle_long() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("ORACLE_SEED").unwrap_or(FIRST_SEED);
    let queries = number("ORACLE_QUERIES").unwrap_or(QUERIES);
    let failures_max = number("ORACLE_FAILURES").unwrap_or(1) as usize;
    let (started, next) = (Instant::now(), AtomicU64::new(first));
    let progress = Mutex::new(Progress { tally: Tally::default(), failures: Vec::new(), told: started });
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let result = one(seed, seed.is_multiple_of(EXOTIC_EACH), Size::LONG);
        let mut progress = progress.lock().unwrap();
        match result {
            Ok(more) => progress.tally.add(more),
            Err(failure) => {
                println!("{failure}");
                progress.failures.push(failure);
            }
        }
        let done = progress.tally.views as u64;
        if progress.told.elapsed() > PROGRESS {
            progress.told = Instant::now();
            let rate = done as f64 / started.elapsed().as_secs_f64();
            let left = queries.saturating_sub(done) as f64 / rate.max(f64::MIN_POSITIVE) / 60.0;
            let failed = progress.failures.len();
            println!(
                "{done} of {queries} queries, {failed} failures, {rate:.1} a second, {left:.0} minutes left; seed {seed}"
            );
        }
        if done >= queries || progress.failures.len() >= failures_max {
            break;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap();
        }
    });
    let Progress { tally, failures, .. } = progress.into_inner().unwrap();
    println!("{:.0} seconds, seeds {first} to {}: {tally}", started.elapsed().as_secs_f64(), next.into_inner() - 1);
    assert!(failures.is_empty(), "{}", failures.concat());
}
