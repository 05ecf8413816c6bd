//! The clock, to show how long things take.

use std::time::Instant;

/// Starts measuring.
pub fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "only shown, never acted upon")]
    Instant::now()
}
