//! Subscriptions: the changes of a view, as they are published, in a queue of bounded length.
//!
//! A subscriber that does not keep up holds nobody back: what does not fit its queue is dropped, and in its place it
//! is told which offsets it missed. It then knows that its picture is no longer whole, and can ask for a snapshot.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::delta::Delta;

/// Changes a subscriber may have waiting.
pub const QUEUE_CHANGES: usize = 1024;

/// What a subscriber hears.
#[derive(Debug, Clone)]
pub enum Update {
    /// The view's rows when the subscription began; it comes first.
    Snapshot {
        /// The offset of the rows.
        offset: u64,
        /// The rows.
        batch: RecordBatch,
    },
    /// The net change since the update before.
    Delta {
        /// The last offset that the change holds.
        offset: u64,
        /// The rows with their weights.
        delta: Delta,
    },
    /// From now on reading the view is an error. Changes go on coming and leave out what fails; a view that is out of
    /// service has none until it is created anew, which begins with its rows.
    Failing {
        /// The offset that made it so.
        offset: u64,
        /// What reading the view says, with the row on which an expression fails.
        reason: String,
    },
    /// The view can be read again; the changes that were sent add up to it.
    Healed {
        /// The offset that made it so.
        offset: u64,
    },
    /// Changes that were dropped because the queue was full.
    Missed {
        /// The first offset whose change is missing.
        from: u64,
        /// The last one.
        to: u64,
    },
}

/// A live subscription: an iterator for threads, a stream for async programs.
///
/// ```
/// use millstream::{Database, Update};
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE STREAM clicks (page TEXT)")?;
/// db.execute("CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n FROM clicks GROUP BY page")?;
/// let mut subscription = db.subscribe("pages")?;
/// db.execute("INSERT INTO clicks VALUES ('home'), ('home')")?;
/// db.execute("INSERT INTO clicks VALUES ('home')")?;
///
/// let Some(Update::Snapshot { batch, .. }) = subscription.next() else { panic!() };
/// assert_eq!(batch.num_rows(), 0);
/// let Some(Update::Delta { delta, .. }) = subscription.next() else { panic!() };
/// assert_eq!(delta.len(), 1);
/// // The old row goes and the new one comes.
/// let Some(Update::Delta { delta, .. }) = subscription.next() else { panic!() };
/// let mut weights = delta.weights.to_vec(delta.len());
/// weights.sort();
/// assert_eq!(weights, [-1, 1]);
///
/// db.close()?;
/// assert!(subscription.next().is_none());
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// Where both `Iterator` and `futures::StreamExt` are in scope, `StreamExt::next(&mut subscription).await` says which
/// one is meant.
#[derive(Debug)]
pub struct Subscription {
    view: String,
    schema: SchemaRef,
    feed: Feed,
}

/// The queue between the engine and a subscriber.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
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
        Feed(Arc::new(Shared { state, arrived: Condvar::new(), capacity: capacity.max(1) }))
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

impl Subscription {
    pub(super) fn new(view: String, schema: SchemaRef, feed: Feed) -> Self {
        Subscription { view, schema, feed }
    }

    /// The name of the view.
    pub fn view(&self) -> &str {
        &self.view
    }

    /// The columns of the view.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Whether nothing more will come: the view was dropped or replaced by one with other columns, or the database is
    /// closed.
    pub fn has_ended(&self) -> bool {
        let state = self.feed.lock();
        state.ended && state.updates.is_empty() && state.missed.is_none()
    }

    /// The next update, if one is there.
    pub fn try_next(&mut self) -> Option<Update> {
        self.feed.lock().pop()
    }

    /// The next update, waiting for it until `timeout` has passed.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Update> {
        let waits = |state: &mut State| state.updates.is_empty() && state.missed.is_none() && !state.ended;
        let arrived = self.feed.0.arrived.wait_timeout_while(self.feed.lock(), timeout, waits);
        arrived.unwrap_or_else(PoisonError::into_inner).0.pop()
    }
}

/// Blocks for each update; ends when the view is dropped or the database is closed.
impl Iterator for Subscription {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        let mut state = self.feed.lock();
        loop {
            if let Some(update) = state.pop() {
                return Some(update);
            }
            if state.ended {
                return None;
            }
            state = self.feed.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl futures::Stream for Subscription {
    type Item = Update;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update>> {
        let mut state = self.feed.lock();
        match state.pop() {
            Some(update) => Poll::Ready(Some(update)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.dropped = true;
        state.updates.clear();
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;

    fn update(offset: u64) -> Update {
        Update::Delta { offset, delta: Delta::empty(Arc::new(Schema::empty())) }
    }

    #[test]
    fn a_slow_subscriber_is_told_what_it_missed() {
        let feed = Feed::new(2);
        let mut subscription = Subscription::new("v".into(), Arc::new(Schema::empty()), feed.clone());
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
