//! The clock: read here and nowhere else in the crate.
//!
//! What it says goes into the log with a commit, and from there everywhere; see `clippy.toml`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The present in microseconds since 1970-01-01 UTC.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the time of a commit comes from here")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Starts measuring how long something takes, or may take.
pub fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "shown, or waited for above the log")]
    Instant::now()
}
