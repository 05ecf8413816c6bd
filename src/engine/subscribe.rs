//! Subscriptions: the changes of a view, as they are published, in a queue of bounded length.
//!
//! A subscriber that does not keep up holds nobody back: what does not fit its queue is dropped, and in its place it
//! is told which offsets it missed. It then knows that its picture is no longer whole, and can ask for a snapshot.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::clock;
pub use super::feed::{Feed, QUEUE_CHANGES};
use crate::delta::Delta;

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
    /// The net change since the update before, by key, for a subscription that asks for it.
    Patches {
        /// The last offset that the change holds.
        offset: u64,
        /// The columns of the key, then `old` and `new` as in [`Delta::patches`].
        batch: RecordBatch,
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
    /// What is read after each other, each up to its end.
    feeds: VecDeque<Feed>,
    /// The columns of the key by which changes are told.
    patched: Option<Vec<usize>>,
}

impl Subscription {
    pub(super) fn new(view: String, schema: SchemaRef, feeds: impl IntoIterator<Item = Feed>) -> Self {
        Subscription { view, schema, feeds: feeds.into_iter().collect(), patched: None }
    }

    /// The same, with changes as patches by this key.
    pub(super) fn patched(mut self, key: Vec<usize>) -> Self {
        self.patched = Some(key);
        self
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
        self.feeds.iter().all(Feed::is_over)
    }

    /// The next update, if one is there.
    pub fn try_next(&mut self) -> Option<Update> {
        let update = self.feed().try_pop()?;
        Some(self.told(update))
    }

    /// The next update, waiting for it until `timeout` has passed.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Update> {
        let until = clock::start() + timeout;
        loop {
            let feed = self.feed().clone();
            match feed.pop(Some(until)) {
                Some(update) => return Some(self.told(update)),
                // There may be another one behind it.
                None if feed.is_over() && self.feeds.len() > 1 => {}
                None => return None,
            }
        }
    }

    /// The feed that is read now.
    fn feed(&mut self) -> &Feed {
        while self.feeds.len() > 1 && self.feeds[0].is_over() {
            self.feeds.pop_front();
        }
        &self.feeds[0]
    }

    /// An update as it was asked for.
    fn told(&self, update: Update) -> Update {
        match (update, &self.patched) {
            (Update::Delta { offset, delta }, Some(key)) => match delta.patches(key) {
                Ok(batch) => Update::Patches { offset, batch },
                Err(error) => Update::Failing { offset, reason: error.to_string() },
            },
            (update, _) => update,
        }
    }
}

/// Blocks for each update; ends when the view is dropped or the database is closed.
impl Iterator for Subscription {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        loop {
            let feed = self.feed().clone();
            match feed.pop(None) {
                Some(update) => return Some(self.told(update)),
                None if self.feeds.len() > 1 => {}
                None => return None,
            }
        }
    }
}

impl futures::Stream for Subscription {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            let feed = self.feed().clone();
            match feed.poll(context) {
                Poll::Ready(Some(update)) => return Poll::Ready(Some(self.told(update))),
                Poll::Ready(None) if self.feeds.len() > 1 => {}
                other => return other,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feeds.iter().for_each(Feed::leave);
    }
}
