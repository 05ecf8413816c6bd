//! The oracle: random relations, queries and changes; after every step each view must equal its query run in batch.
//!
//! ```text
//! seed ── case ──┬── run stepwise, in memory ──┬── compare with the reference after every step
//!                └── run grouped, on disk ─────┘   (and at the end, after opening again, by VERIFY)
//! ```
//!
//! A failure is made smaller, then printed with its seed and as a script. `ORACLE_SEED=7 cargo test --test suite oracle`
//! runs one seed again; `ORACLE_CASES=1000` runs more of them; `ORACLE_FAILURES=10` ends at the tenth failure;
//! `ORACLE_PRINT=1` prints each script before it is run.

mod aggregates;
mod bag;
mod case;
mod change;
mod conjunctions;
mod exotic;
mod expression;
mod heard;
mod lateral;
mod long;
mod lookup;
mod meaning;
mod naive;
mod planned_alike;
mod query;
pub mod random;
mod recursive;
mod reference;
mod regressions;
mod relational;
mod run;
mod skip;
mod stock;
mod tables;
mod tally;
mod value;
mod windows;
mod written_out;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use case::{Case, Size};
use run::{Way, run};
use tally::Tally;

/// Cases of each test when nothing else is asked for.
const CASES: u64 = 20;
/// Stack of the thread that runs the cases: plans are recursive.
const STACK_BYTES: usize = 64 << 20;
/// How long a failing case is made smaller.
const SHRINK_TIME: Duration = Duration::from_secs(30);

#[test]
fn incremental_views_equal_their_queries() {
    check(1, false);
}

#[test]
fn recomputed_views_equal_their_queries() {
    check(1_000_001, true);
}

fn check(first: u64, exotic: bool) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, cases) = match number("ORACLE_SEED") {
        // Each test has seeds of its own.
        Some(seed) if (seed >= 1_000_001) != exotic => return,
        Some(seed) => (seed, number("ORACLE_CASES").unwrap_or(1)),
        None => (first, number("ORACLE_CASES").unwrap_or(CASES)),
    };
    let failures_max = number("ORACLE_FAILURES").unwrap_or(1) as usize;
    let run = move || {
        let (mut tally, mut failures) = (Tally::default(), Vec::new());
        for seed in first..first + cases {
            match one(seed, exotic, Size::SMALL) {
                Ok(more) => tally.add(more),
                Err(failure) => failures.push(failure),
            }
            if failures.len() >= failures_max {
                break;
            }
        }
        (tally, failures)
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    let (tally, failures) = thread.unwrap().join().unwrap();
    println!("{tally}");
    assert!(failures.is_empty(), "{}", failures.concat());
    // Queries that nobody runs compare nothing.
    assert!(cases < CASES || tally.refused * 50 < tally.comparisons, "too many views are refused: {tally}");
}

fn one(seed: u64, exotic: bool, size: Size) -> Result<Tally, String> {
    let case = Case::random(seed, exotic, size);
    if std::env::var_os("ORACLE_PRINT").is_some() {
        println!("{}", case.script());
    }
    let mut tally = Tally::default();
    for way in [Way::Stepwise, Way::Grouped] {
        match guarded(&case, way) {
            Ok(more) => tally.add(more),
            Err(failure) => {
                let (case, small) = shrink(case, way, failure.clone());
                let script = case.script();
                return Err(format!("\nORACLE_SEED={seed} ({way:?}): {failure}\nmade smaller: {small}\n{script}\n"));
            }
        }
    }
    Ok(tally)
}

fn guarded(case: &Case, way: Way) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| run(case, way))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("?")))
    })
}

/// Leaves out whatever is not needed for a failure of the same sort.
fn shrink(mut case: Case, way: Way, mut failure: String) -> (Case, String) {
    let started = Instant::now();
    let sort = |failure: &str| ["differs", "refused", "fails", "panicked"].into_iter().find(|w| failure.contains(w));
    'smaller: loop {
        for smaller in case.smaller() {
            if started.elapsed() > SHRINK_TIME {
                return (case, failure);
            }
            if let Err(other) = guarded(&smaller, way)
                && sort(&other) == sort(&failure)
            {
                (case, failure) = (smaller, other);
                continue 'smaller;
            }
        }
        return (case, failure);
    }
}
