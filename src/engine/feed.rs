//! The queue between the engine and a subscriber.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::clock;
use super::subscribe::Update;

/// Changes a subscriber may have waiting.
pub const QUEUE_CHANGES: usize = 1024;

/// The queue between the engine and a subscriber.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// An update has come, or nobody sends or listens any more.
    arrived: Condvar,
    /// There is room again, or nobody listens any more.
    left: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    updates: VecDeque<Update>,
    missed: Option<(u64, u64)>,
    /// Nobody will send any more.
    ended: bool,
    /// Nobody listens any more.
    dropped: bool,
    waker: Option<Waker>,
}

impl Feed {
    /// A queue of `capacity` updates.
    pub fn new(capacity: usize) -> Self {
        let state = Mutex::new(State::default());
        Feed(Arc::new(Shared { state, arrived: Condvar::new(), left: Condvar::new(), capacity: capacity.max(1) }))
    }

    /// Puts an update into the queue, or notes it as missed. Never blocks. Returns whether somebody still listens.
    pub fn push(&self, update: Update) -> bool {
        let mut state = self.lock();
        if state.dropped {
            return false;
        }
        let full = state.updates.len() >= self.0.capacity || state.missed.is_some();
        match (&update, full) {
            (Update::Delta { offset, .. } | Update::Failing { offset, .. } | Update::Healed { offset }, true) => {
                let from = state.missed.map_or(*offset, |(from, _)| from);
                state.missed = Some((from, *offset));
            }
            _ => state.updates.push_back(update),
        }
        self.0.arrived.notify_all();
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        true
    }

    /// Puts an update into the queue once there is room for it. Returns whether somebody still listens.
    pub fn push_waiting(&self, update: Update) -> bool {
        let full = |state: &mut State| state.updates.len() >= self.0.capacity && !state.dropped;
        let room = self.0.left.wait_while(self.lock(), full);
        drop(room.unwrap_or_else(PoisonError::into_inner));
        self.push(update)
    }

    /// The next update, if one is there.
    pub fn try_pop(&self) -> Option<Update> {
        self.popped(&mut self.lock())
    }

    /// The next update, waiting for it; nothing when there will be none, or at a time.
    pub fn pop(&self, until: Option<Instant>) -> Option<Update> {
        let mut state = self.lock();
        loop {
            if let Some(update) = self.popped(&mut state) {
                return Some(update);
            }
            if state.ended {
                return None;
            }
            state = match until.map(|until| until.saturating_duration_since(clock::start())) {
                None => self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(rest) => self.0.arrived.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// The next update, if one is there; else whoever asks is woken when one is.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Update>> {
        let mut state = self.lock();
        match self.popped(&mut state) {
            Some(update) => Poll::Ready(Some(update)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn popped(&self, state: &mut State) -> Option<Update> {
        let update = state.pop();
        self.0.left.notify_all();
        update
    }

    /// Whether nothing is in the queue and nothing will be.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        state.ended && state.updates.is_empty() && state.missed.is_none()
    }

    /// Says that nobody listens any more.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.dropped = true;
        state.updates.clear();
        self.0.left.notify_all();
    }

    /// What waits in the queue.
    pub fn take(&self) -> Vec<Update> {
        std::iter::from_fn(|| self.lock().pop()).collect()
    }

    /// Tells the subscriber that nothing more will come.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.0.arrived.notify_all();
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<Update> {
        match self.updates.pop_front() {
            Some(update) => Some(update),
            None => self.missed.take().map(|(from, to)| Update::Missed { from, to }),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;
    use crate::delta::Delta;
    use crate::engine::subscribe::Subscription;

    fn update(offset: u64) -> Update {
        Update::Delta { offset, delta: Delta::empty(Arc::new(Schema::empty())) }
    }

    #[test]
    fn a_slow_subscriber_is_told_what_it_missed() {
        let feed = Feed::new(2);
        let mut subscription = Subscription::new("v".into(), Arc::new(Schema::empty()), [feed.clone()]);
        for offset in 1..=5 {
            assert!(feed.push(update(offset)));
        }
        assert!(matches!(subscription.next(), Some(Update::Delta { offset: 1, .. })));
        // Room again, but the next change must not come before it is known that others are missing.
        assert!(feed.push(update(6)));
        assert!(matches!(subscription.next(), Some(Update::Delta { offset: 2, .. })));
        assert!(matches!(subscription.next(), Some(Update::Missed { from: 3, to: 6 })));
        feed.push(update(7));
        assert!(matches!(subscription.next(), Some(Update::Delta { offset: 7, .. })));
        feed.end();
        assert!(subscription.next().is_none());
        drop(subscription);
        assert!(!feed.push(update(8)));
    }
}
