//! What the engine's thread is asked to do, and how the asker hears of it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};

use arrow::array::RecordBatch;

use super::catalog::{Catalog, Ddl, Object};
use super::find::{Found, Wanted};
use super::past::Origin;
use super::query::Cancel;
use super::snapshot::Snapshot;
use super::subscribe::Feed;
use super::table::TableChange;
use crate::circuit::ExplainLine;
use crate::delta::size::batch_bytes;
use crate::error::{Error, Result};

/// A change of one stream or table.
#[derive(Debug, Clone)]
pub enum Change {
    /// Events for a stream; columns as declared.
    Events {
        /// The stream.
        object: u32,
        /// The events.
        batch: RecordBatch,
    },
    /// A change of a table.
    Table {
        /// The table.
        object: u32,
        /// What to do.
        change: TableChange,
    },
}

impl Change {
    /// The stream or table.
    pub fn object(&self) -> u32 {
        match self {
            Change::Events { object, .. } | Change::Table { object, .. } => *object,
        }
    }

    /// Rows in the change.
    pub fn len(&self) -> usize {
        match self {
            Change::Events { batch, .. } | Change::Table { change: TableChange::Upsert(batch), .. } => batch.num_rows(),
            Change::Table { change: TableChange::Exact(delta), .. } => delta.len(),
        }
    }

    /// Columns of its rows.
    pub fn columns(&self) -> usize {
        match self {
            Change::Events { batch, .. } | Change::Table { change: TableChange::Upsert(batch), .. } => {
                batch.num_columns()
            }
            Change::Table { change: TableChange::Exact(delta), .. } => delta.batch.num_columns(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether rows are put in, be it in the place of others.
    pub fn inserts(&self) -> bool {
        match self {
            Change::Events { .. } | Change::Table { change: TableChange::Upsert(_), .. } => true,
            Change::Table { change: TableChange::Exact(delta), .. } => !delta.weights.negated_only(),
        }
    }

    /// Bytes of memory that its rows take.
    pub fn bytes(&self) -> usize {
        match self {
            Change::Events { batch, .. } | Change::Table { change: TableChange::Upsert(batch), .. } => {
                batch_bytes(batch)
            }
            Change::Table { change: TableChange::Exact(delta), .. } => delta.bytes(),
        }
    }
}

/// A commit to be.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Its changes, in order.
    pub changes: Vec<Change>,
    /// How far a source has been read with it: the object and the position.
    pub mark: Option<(u32, String)>,
    /// Tables that must not have changed since an offset: what the changes were computed from.
    pub unless_changed: Option<(u64, Vec<u32>)>,
}

/// Computes a commit from the state right before it, and the rows that were looked up in it.
pub type Evaluate = Box<dyn FnOnce(&Arc<Snapshot>, Option<RecordBatch>) -> Result<Commit> + Send>;
/// Computes DDL from the catalog right before it.
pub type Define = Box<dyn FnOnce(&Arc<Catalog>) -> Result<Vec<Ddl>> + Send>;

/// A request to the engine's thread.
pub enum Request {
    /// Rows that are what they are, whatever the state.
    Commit(Commit, Reply<Committed>),
    /// A change computed from the state, such as UPDATE.
    Evaluate {
        /// The tables and views that it reads.
        reads: Vec<u32>,
        /// A table, and the primary keys of the rows of it that are looked up.
        keys: Option<(u32, RecordBatch)>,
        /// The computation.
        evaluate: Evaluate,
        /// Gets the commit.
        reply: Reply<Committed>,
    },
    /// A change of the catalog.
    Define {
        /// The change.
        define: Define,
        /// Ends the filling of a new view; nothing is changed then.
        cancel: Cancel,
        /// Gets the offset.
        reply: Reply<u64>,
    },
    /// A table and the rows with which it begins.
    CreateFilled {
        /// The table.
        define: Define,
        /// The rows.
        rows: RecordBatch,
        /// Gets the offset.
        reply: Reply<u64>,
    },
    /// The state, with the rows of these objects.
    Snapshot(Vec<u32>, Reply<Arc<Snapshot>>),
    /// Rows by their keys, all at one offset.
    Find(Vec<Wanted>, Reply<Found>),
    /// The columns that tell the rows of a table or view from each other, where they are known.
    Key(u32, Reply<Option<Vec<usize>>>),
    /// The changes of a view from now on.
    Subscribe(u32, usize, Reply<Feed>),
    /// The live circuit of a view.
    Explain(u32, Reply<Vec<ExplainLine>>),
    /// The circuit that a view would have.
    ExplainNew(Box<Object>, Reply<Vec<ExplainLine>>),
    /// What reading the past begins with.
    Past(Reply<Origin>),
    /// Seal and archive.
    Checkpoint(Reply<u64>),
    /// Seal, archive, end.
    Close(Reply<()>),
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its offset; where nothing changed, the offset of the commit before.
    pub offset: u64,
    /// Rows inserted, updated or deleted.
    pub rows: usize,
}

/// Where an answer arrives, once.
pub struct Reply<T>(Arc<Place<T>>);

/// An answer that is on its way: wait for it, or await it.
pub struct Pending<T>(Arc<Place<T>>);

struct Place<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    answer: Option<Result<T>>,
    waker: Option<Waker>,
}

/// How often a thread looks for what it waits for before it sleeps: to be woken takes tens of microseconds, in which a
/// commit is done. Others that can run do so in between.
const LOOKS: usize = 100;

/// What `look` finds, if it comes soon.
pub fn looked_for<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    (0..LOOKS).find_map(|_| {
        let found = look();
        if found.is_none() {
            std::thread::yield_now();
        }
        found
    })
}

/// A place for an answer: one end gives it, the other waits.
pub fn reply<T>() -> (Reply<T>, Pending<T>) {
    let place = Arc::new(Place { state: Mutex::new(State { answer: None, waker: None }), arrived: Condvar::new() });
    (Reply(place.clone()), Pending(place))
}

impl<T> Reply<T> {
    /// Gives the answer.
    pub fn send(self, answer: Result<T>) {
        self.0.put(answer);
    }
}

/// An asker is never left waiting: when the engine ends without an answer, that is the answer.
impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.0.put(Err(Error::Poisoned("the engine has ended".into())));
    }
}

impl<T> Place<T> {
    fn put(&self, answer: Result<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answer.is_none() {
            state.answer = Some(answer);
            self.arrived.notify_all();
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl<T> Pending<T> {
    /// Blocks until the answer is there.
    ///
    /// # Errors
    /// What the engine found.
    pub fn wait(self) -> Result<T> {
        let lock = || self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = looked_for(|| lock().answer.take()) {
            return answer;
        }
        let mut state = lock();
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
