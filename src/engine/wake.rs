//! What moves with the clock alone: rows of temporal filters, and the watermarks of idle streams. Each becomes a commit.
//!
//! ```text
//! ts > now() - '1 h'      a row's hour is over and nothing was committed since: an empty commit takes it out
//! idle_timeout '10 s'     no row for 10 s: a heartbeat moves the watermark on by that long, and again 10 s later
//! ```
//!
//! The clock is looked at above the log: what it says is the logged time of these commits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::clock::now;
use super::commit::Group;
use super::core::Core;
use super::heartbeat::heartbeat;
use super::request::reply;

/// Microseconds between two looks, however much there is to move.
const LOOK_EVERY: i64 = 100_000;

/// When to look next.
#[derive(Debug, Default)]
pub struct Wake {
    /// Nothing moves by itself where there is no such time.
    next: Option<i64>,
    last: i64,
    /// Since when streams are without rows, which have an idle timeout.
    idle_since: BTreeMap<u32, i64>,
}

impl Wake {
    /// Notes that rows or definitions have changed.
    pub fn changed(&mut self) {
        let soon = self.last.saturating_add(LOOK_EVERY);
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }

    /// Rings when it is time to look; never, where nothing moves by itself.
    pub fn alarm(&self) -> Receiver<Instant> {
        match self.next {
            None => crossbeam_channel::never(),
            Some(next) => {
                crossbeam_channel::after(Duration::from_micros(next.saturating_sub(now()).max(0).unsigned_abs()))
            }
        }
    }

    /// By how much the watermarks of idle streams are to move, and when there may be more to do.
    fn idle(
        &mut self,
        timeouts: &BTreeMap<u32, i64>,
        active: &BTreeSet<u32>,
        now: i64,
    ) -> (Vec<(u32, i64)>, Option<i64>) {
        self.idle_since.retain(|stream, _| timeouts.contains_key(stream));
        let (mut moves, mut next) = (Vec::new(), None::<i64>);
        for (stream, timeout) in timeouts {
            let since = self.idle_since.entry(*stream).or_insert(now);
            // The machine's clock may have been set back.
            if active.contains(stream) || *since > now {
                *since = now;
            }
            if now - *since >= *timeout {
                moves.push((*stream, now - *since));
                *since = now;
            }
            let due = since.saturating_add(*timeout);
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        (moves, next)
    }
}

impl Core {
    /// Commits what the clock has come to.
    pub(super) fn wake(&mut self) {
        let now = now();
        if self.wake.next.is_none_or(|next| next > now) {
            return;
        }
        self.wake.last = now;
        self.wake.next = None;
        let (timeouts, active) = (self.clocks.idle_timeouts(), self.clocks.take_active());
        let (moves, idle_next) = self.wake.idle(&timeouts, &active, now);
        let due = self.circuit.next_change().is_some_and(|due| due <= now);
        let mut group = Group::default();
        for (stream, by) in moves {
            let watermark = self.clocks.watermark(stream).zip(self.catalog.get(stream).cloned());
            let Some((watermark, object)) = watermark else { continue };
            if let Ok(commit) = heartbeat(&object, watermark.saturating_add(by)) {
                self.admit(&mut group, commit, reply().0);
            }
        }
        match group.is_empty() && due {
            true => self.pass_time(now),
            false => self.flush(&mut group),
        }
        let next = self.circuit.next_change().into_iter().chain(idle_next).min();
        self.wake.next = next.map(|next| next.max(now.saturating_add(LOOK_EVERY)));
    }
}
