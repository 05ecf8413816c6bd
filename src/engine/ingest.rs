//! Ingestion: one thread per source reads and checks, and hands commits to the engine.
//!
//! A chunk, its rejected rows and the mark to resume after it are one commit: each row of a file is in the log once,
//! whatever happens in between.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use crossbeam_channel::Sender;
use datafusion::execution::session_state::SessionState;
use serde::{Deserialize, Serialize};

use super::catalog::{Kind, Object};
use super::constraint::Constraints;
use super::core::ask;
use super::query::{Cancel, FirstError};
use super::request::{Change, Commit, Committed, Pending, Request};
use super::system::{REJECTS, rejects_schema};
use super::table::TableChange;
use crate::error::{Error, Result};
use crate::source::{self, Chunk, Mark, Reject, Source, Target};

/// Chunks of one source that may be on their way to the log.
const CHUNKS_AHEAD: usize = 2;
/// How long a waiting statement takes to notice that it was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How far a source has been read, as the log has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// Where to resume; nowhere before the first chunk.
    pub mark: Option<Mark>,
    /// Whether the source is at its end.
    pub finished: bool,
}

/// The state of a source, for progress bars.
#[derive(Debug, Clone)]
pub struct SourceProgress {
    /// The stream or table that it feeds.
    pub stream: String,
    /// What is read.
    pub path: String,
    /// Rows accepted since the database was opened.
    pub rows: u64,
    /// Rows rejected since then.
    pub rejected: u64,
    /// Bytes of the input read.
    pub bytes: u64,
    /// Bytes of the input, where known.
    pub total_bytes: Option<u64>,
    /// Whether the source is at its end, or failed.
    pub finished: bool,
    /// Why it failed.
    pub error: Option<Error>,
}

/// The sources of a database.
#[derive(Default)]
pub struct Sources {
    running: Mutex<Vec<Arc<Running>>>,
    changed: Condvar,
    stop: AtomicBool,
}

struct Running {
    object: u32,
    stream: String,
    path: String,
    total_bytes: Option<u64>,
    rows: AtomicU64,
    rejected: AtomicU64,
    bytes: AtomicU64,
    finished: AtomicBool,
    dropped: AtomicBool,
    error: FirstError,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sources {
    /// Starts reading a source into its stream or table, after what the log already has of it.
    ///
    /// # Errors
    /// When the source cannot be opened.
    pub fn start(
        self: &Arc<Self>,
        object: &Arc<Object>,
        progress: Option<&str>,
        session: &SessionState,
        engine: &Sender<Request>,
    ) -> Result<()> {
        let progress: Option<Progress> = progress.map(serde_json::from_str).transpose().map_err(|e| {
            Error::unsupported(format!("the position of `{}` in its source is not understood: {e}", object.name))
        })?;
        if progress.as_ref().is_some_and(|p| p.finished) {
            return Ok(());
        }
        let schema = crate::sql::lower::nullable(&object.schema);
        let constraints = Constraints::new(session, object)?;
        let target = Target { schema, refused: Arc::new(move |batch| constraints.refused(batch)) };
        let source = source::open(&object.options, target, progress.and_then(|p| p.mark).as_ref())?;
        let running = Arc::new(Running::new(object, source.name(), source.total_bytes()));
        let feed = Feed {
            object: object.clone(),
            engine: engine.clone(),
            sources: self.clone(),
            running: running.clone(),
            ahead: VecDeque::new(),
        };
        let name = format!("millstream-source-{}", object.id);
        let thread = std::thread::Builder::new().name(name).spawn(move || feed.run(source));
        let thread = thread.map_err(|e| Error::io("starting a thread for", &PathBuf::from(&running.path), &e))?;
        *running.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(running);
        Ok(())
    }

    /// Lists a source that could not be opened again.
    pub fn lost(&self, object: &Object, error: Error) {
        let path = object.options.get("path").map_or("", String::as_str);
        let source = Running::new(object, path, None);
        source.error.set(error);
        source.finished.store(true, Ordering::Release);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(source));
    }

    /// Blocks until all sources are at their end.
    ///
    /// # Errors
    /// The first failure of a source that feeds one of `objects`, or of any source; or [`Error::Cancelled`].
    pub fn wait(&self, objects: Option<&[u32]>, cancel: &Cancel) -> Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if running.iter().all(|r| r.finished.load(Ordering::Acquire)) {
                let mut waited = running.iter().filter(|r| objects.is_none_or(|o| o.contains(&r.object)));
                return waited.find_map(|r| r.error.get()).map_or(Ok(()), Err);
            }
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            running = self.changed.wait_timeout(running, CANCEL_POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The state of every source that was started since the database was opened.
    pub fn progress(&self) -> Vec<SourceProgress> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .map(|r| SourceProgress {
                stream: r.stream.clone(),
                path: r.path.clone(),
                rows: r.rows.load(Ordering::Relaxed),
                rejected: r.rejected.load(Ordering::Relaxed),
                bytes: r.bytes.load(Ordering::Relaxed),
                total_bytes: r.total_bytes,
                finished: r.finished.load(Ordering::Acquire),
                error: r.error.get(),
            })
            .collect()
    }

    /// Stops reading for an object that is being dropped.
    pub fn forget(&self, object: u32) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().filter(|r| r.object == object).for_each(|r| r.dropped.store(true, Ordering::Release));
        running.retain(|r| r.object != object);
    }

    /// Stops all sources after the chunk that they are at. They resume there when the database is opened again.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for source in running {
            if let Some(thread) = source.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // A panic is known already: the source has ended with an error.
                let _ = thread.join();
            }
        }
    }
}

impl Running {
    fn new(object: &Object, path: &str, total_bytes: Option<u64>) -> Running {
        Running {
            object: object.id,
            stream: object.name.clone(),
            path: path.to_string(),
            total_bytes,
            rows: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            error: FirstError::default(),
            thread: Mutex::new(None),
        }
    }
}

/// One source's thread.
struct Feed {
    object: Arc<Object>,
    engine: Sender<Request>,
    sources: Arc<Sources>,
    running: Arc<Running>,
    ahead: VecDeque<Pending<Committed>>,
}

impl Feed {
    fn run(mut self, mut source: Box<dyn Source>) {
        let span = tracing::debug_span!("source", stream = self.object.name, path = self.running.path);
        let _entered = span.enter();
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.feed(source.as_mut())));
        let fed = fed.unwrap_or_else(|_| Err(Error::Internal(format!("reading {} panicked", self.running.path))));
        if let Err(error) = fed {
            tracing::debug!(%error, stream = self.object.name, "a source has failed");
            self.running.error.set(error);
        }
        self.running.finished.store(true, Ordering::Release);
        drop(self.sources.running.lock().unwrap_or_else(PoisonError::into_inner));
        self.sources.changed.notify_all();
    }

    fn feed(&mut self, source: &mut dyn Source) -> Result<()> {
        let mut mark = None;
        while let Some(chunk) = source.next()? {
            if self.sources.stop.load(Ordering::Acquire) || self.running.dropped.load(Ordering::Acquire) {
                return self.settle(0);
            }
            mark = Some(chunk.mark.clone());
            self.running.bytes.store(chunk.bytes, Ordering::Relaxed);
            let commit = self.commit(chunk)?;
            tracing::trace!(bytes = self.running.bytes.load(Ordering::Relaxed), "a chunk");
            self.send(commit)?;
            self.settle(CHUNKS_AHEAD)?;
        }
        tracing::debug!(rows = self.running.rows.load(Ordering::Relaxed), "read to its end");
        let end = Commit { mark: Some(self.mark(mark, true)?), ..Commit::default() };
        self.send(end)?;
        self.settle(0)
    }

    fn send(&mut self, commit: Commit) -> Result<()> {
        self.ahead.push_back(ask(&self.engine, |reply| Request::Commit(commit, reply)));
        Ok(())
    }

    /// Waits until only so many chunks are on their way.
    fn settle(&mut self, ahead: usize) -> Result<()> {
        while self.ahead.len() > ahead {
            if let Some(pending) = self.ahead.pop_front() {
                pending.wait()?;
            }
        }
        Ok(())
    }

    fn commit(&self, chunk: Chunk) -> Result<Commit> {
        let Chunk { batch, rejects, mark, .. } = chunk;
        self.running.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.running.rejected.fetch_add(rejects.len() as u64, Ordering::Relaxed);
        let object = self.object.id;
        let mut changes = Vec::with_capacity(2);
        if batch.num_rows() > 0 {
            changes.push(match self.object.kind {
                Kind::Stream => Change::Events { object, batch },
                _ => Change::Table { object, change: TableChange::Upsert(batch) },
            });
        }
        if !rejects.is_empty() {
            changes.push(Change::Events { object: REJECTS, batch: self.rejected(&rejects)? });
        }
        Ok(Commit { changes, mark: Some(self.mark(Some(mark), false)?), unless_changed: None })
    }

    fn mark(&self, mark: Option<Mark>, finished: bool) -> Result<(u32, String)> {
        let text = serde_json::to_string(&Progress { mark, finished });
        Ok((self.object.id, text.map_err(|e| Error::Internal(format!("a position cannot be written: {e}")))?))
    }

    fn rejected(&self, rejects: &[Reject]) -> Result<RecordBatch> {
        let name = self.object.name.as_str();
        Ok(RecordBatch::try_new(
            rejects_schema(),
            vec![
                Arc::new(StringArray::from(vec![name; rejects.len()])),
                Arc::new(StringArray::from_iter_values(rejects.iter().map(|r| r.file.as_str()))),
                Arc::new(Int64Array::from_iter_values(rejects.iter().map(|r| r.position as i64))),
                Arc::new(StringArray::from_iter_values(rejects.iter().map(|r| r.reason.as_str()))),
                Arc::new(StringArray::from_iter_values(rejects.iter().map(|r| r.text.as_str()))),
            ],
        )?)
    }
}
