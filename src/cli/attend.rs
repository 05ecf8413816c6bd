//! What goes on while the program waits: changes of subscribed views are printed, and progress is drawn.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use millstream::{Cancel, Database, Subscription};

use super::clock;
use super::output::Output;
use super::render::Failure;
use super::report;

/// How often the subscriptions are looked at, and the bar drawn.
const TICK: Duration = Duration::from_millis(50);

/// The most changes printed of one view before the next has its turn.
const CHANGES_PER_TURN_MAX: usize = 1_000;

/// The views a script has subscribed to.
#[derive(Default)]
pub struct Feed {
    subscriptions: Vec<Subscription>,
}

impl Feed {
    /// Adds a subscription.
    pub fn add(&mut self, subscription: Subscription) {
        self.subscriptions.push(subscription);
    }

    /// Drops the subscriptions of a view, or all; says whether there were any.
    pub fn remove(&mut self, view: Option<&str>) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|s| view.is_some_and(|v| v != s.view()));
        self.subscriptions.len() < before
    }

    /// Hands over all subscriptions.
    pub fn take(&mut self) -> Vec<Subscription> {
        std::mem::take(&mut self.subscriptions)
    }

    /// Prints the changes that have arrived, one turn for each view; says whether there were any.
    pub fn turn(&mut self, output: &mut Output) -> Result<bool, Failure> {
        let mut any = false;
        for subscription in &mut self.subscriptions {
            for _ in 0..CHANGES_PER_TURN_MAX {
                let Some(change) = subscription.try_next() else { break };
                any = true;
                output.change(subscription.view(), change)?;
            }
        }
        self.subscriptions.retain(|subscription| {
            if subscription.has_ended() {
                report::say(&format!("note: the subscription to `{}` has ended\n", subscription.view()));
            }
            !subscription.has_ended()
        });
        Ok(any)
    }
}

/// Does the work, and meanwhile prints changes and, given a database, draws the progress of its sources. When nothing
/// can be printed any more, the work is cancelled.
pub fn attend<R>(
    feed: &mut Feed,
    output: &mut Output,
    progress: Option<&Database>,
    cancel: &Cancel,
    work: impl FnOnce() -> R,
) -> (R, Result<(), Failure>) {
    if feed.subscriptions.is_empty() && progress.is_none() {
        return (work(), Ok(()));
    }
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let attendant = scope.spawn(move || {
            let mut bar = None;
            let mut outcome = Ok(());
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if let Some(database) = progress {
                    bar = Bar::draw(bar, database);
                }
                let printed = match &bar {
                    Some(bar) => bar.shown.suspend(|| feed.turn(output)),
                    None => feed.turn(output),
                };
                if let Err(failure) = printed {
                    cancel.cancel();
                    outcome = Err(failure);
                    break;
                }
            }
            if let Some(bar) = bar {
                bar.shown.finish_and_clear();
            }
            outcome
        });
        let result = work();
        drop(done);
        (result, attendant.join().expect("printing does not panic"))
    })
}

/// The progress of all sources together, on standard error.
struct Bar {
    shown: ProgressBar,
    since: Instant,
    rows_before: u64,
}

impl Bar {
    fn draw(bar: Option<Bar>, database: &Database) -> Option<Bar> {
        let sources = database.sources();
        if bar.is_none() && sources.iter().all(|s| s.finished) {
            return None;
        }
        let rows: u64 = sources.iter().map(|s| s.rows).sum();
        let bytes_total: Option<u64> = sources.iter().map(|s| s.total_bytes).sum();
        let bar = bar.unwrap_or_else(|| Bar { shown: new_bar(bytes_total), since: clock::start(), rows_before: rows });
        let seconds = bar.since.elapsed().as_secs_f64().max(TICK.as_secs_f64());
        let per_second = (rows.saturating_sub(bar.rows_before)) as f64 / seconds;
        bar.shown.set_message(format!("{} rows, {} rows/s", HumanCount(rows), HumanCount(per_second as u64)));
        if let Some(total) = bytes_total {
            bar.shown.set_length(total);
        }
        bar.shown.set_position(sources.iter().map(|s| s.bytes).sum());
        Some(bar)
    }
}

/// A bar where the sizes are known, else a spinner.
fn new_bar(bytes_total: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes_total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {msg}, {bytes} of {total_bytes}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {bytes}, {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is right"))
}
