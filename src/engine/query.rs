//! Runs batch plans: on the query threads, with a way to stop them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use tokio::runtime::Handle;

use super::providers::Batching;
use crate::error::{Error, Result};
use crate::operators::collect::collect;
use crate::operators::project::batch as with_schema;
use crate::sink::Writer;

/// How long a waiting statement takes to notice that it was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// The rows of a result.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The same rows under the names that `shown` gives for some columns.
    pub(super) fn renamed(self, shown: &HashMap<String, String>) -> Result<Rows> {
        if shown.is_empty() {
            return Ok(self);
        }
        let field = |field: &FieldRef| match shown.get(field.name()) {
            Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
            None => field.clone(),
        };
        let schema = Arc::new(Schema::new(self.schema.fields().iter().map(field).collect::<Vec<_>>()));
        let batches = self.batches.iter().map(|b| with_schema(&schema, b.columns().to_vec(), b.num_rows()));
        Ok(Rows { batches: batches.collect::<Result<_>>()?, schema })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Stops the statement that a session is running. Cheap to clone, usable from any thread.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops the running statement; without one, nothing happens.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the running statement was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Plans and runs batch queries for one statement.
#[derive(Clone)]
pub struct Runner {
    session: Arc<SessionState>,
    /// Where memory comes from, whatever the session.
    runtime: Arc<RuntimeEnv>,
    threads: Handle,
    cancel: Cancel,
}

impl Runner {
    /// Runs on `threads`, with the time of `session` as `now()`.
    pub fn new(session: Arc<SessionState>, threads: Handle, cancel: Cancel) -> Self {
        let runtime = session.runtime_env().clone();
        Runner { session, runtime, threads, cancel }
    }

    /// The session, with its functions and time.
    pub fn session(&self) -> &SessionState {
        &self.session
    }

    /// All rows of a plan.
    ///
    /// # Errors
    /// What the plan meets, or [`Error::Cancelled`].
    pub fn collect(&self, plan: LogicalPlan) -> Result<Rows> {
        let (session, context) = (self.session.clone(), self.context());
        self.run(async move {
            let physical = session.create_physical_plan(&plan).await?;
            let schema = physical.schema();
            let batches = collect(physical, context).await?;
            Ok(Rows { schema, batches })
        })
    }

    /// All rows of a plan that is optimised already.
    ///
    /// # Errors
    /// As [`Runner::collect`].
    pub fn collect_as_planned(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
        let (session, context, plan) = (self.session.clone(), self.context(), plan.clone());
        self.run(async move {
            let physical = session.query_planner().create_physical_plan(&plan, session.as_ref()).await?;
            Ok(collect(physical, context).await?)
        })
    }

    /// All rows of the plan that `plan` makes. Where an expression fails, the plan is run again row by row: an
    /// expression can fail for a batch because of a row that a condition beside it leaves out, and only what fails on
    /// its own row counts.
    ///
    /// # Errors
    /// As [`Runner::collect`], and what `plan` meets.
    pub fn settle(&self, plan: impl Fn(Batching) -> Result<LogicalPlan>) -> Result<Rows> {
        match self.collect(plan(Batching::Whole)?) {
            Err(Error::Input(_)) => self.row_by_row().collect(plan(Batching::RowByRow)?),
            rows => rows,
        }
    }

    /// As [`Runner::settle`], into a file; returns how many rows there were.
    ///
    /// # Errors
    /// As [`Runner::settle`], and what the writer meets.
    pub fn settle_into(
        &self,
        plan: impl Fn(Batching) -> Result<LogicalPlan>,
        open: impl Fn(&SchemaRef) -> Result<Writer> + Clone + Send + 'static,
    ) -> Result<usize> {
        match self.stream(plan(Batching::Whole)?, open.clone()) {
            Err(Error::Input(_)) => self.row_by_row().stream(plan(Batching::RowByRow)?, open),
            rows => rows,
        }
    }

    fn row_by_row(&self) -> Runner {
        let mut session = self.session().clone();
        *session.config_mut() = session.config().clone().with_batch_size(1);
        self.with_session(session)
    }

    /// Memory for what a statement keeps beside its plan, counted as that of queries.
    pub fn reservation(&self) -> MemoryReservation {
        MemoryConsumer::new("statement").register(&self.runtime.memory_pool)
    }

    fn context(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(self.session.as_ref()).with_runtime(self.runtime.clone()))
    }

    /// The same, in another session. Memory comes from where it came before.
    pub fn with_session(&self, session: SessionState) -> Runner {
        Runner { session: Arc::new(session), ..self.clone() }
    }

    /// Writes all rows of a plan as they come; returns how many there were.
    ///
    /// # Errors
    /// As [`Runner::collect`], and what the writer meets.
    fn stream(
        &self,
        plan: LogicalPlan,
        open: impl FnOnce(&SchemaRef) -> Result<Writer> + Send + 'static,
    ) -> Result<usize> {
        let (session, context) = (self.session.clone(), self.context());
        self.run(async move {
            let physical = session.create_physical_plan(&plan).await?;
            let mut writer = open(&physical.schema())?;
            let mut batches = execute_stream(physical, context)?;
            let mut written = Ok(0);
            while let (Ok(rows), Some(batch)) = (&mut written, batches.next().await) {
                match batch.map_err(Error::from).and_then(|batch| writer.write(&batch).map(|()| batch.num_rows())) {
                    Ok(more) => *rows += more,
                    Err(error) => written = Err(error),
                }
            }
            match written {
                Ok(rows) => writer.finish().map(|()| rows),
                Err(error) => {
                    writer.abandon();
                    Err(error)
                }
            }
        })
    }

    /// Runs a task on the query threads and waits, until it ends or is cancelled. Its panic is an error.
    pub fn run<T: Send + 'static>(&self, task: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let handle = self.threads.spawn(async move {
            // The asker may have gone: it was cancelled.
            let _ = sender.send(task.await);
        });
        loop {
            match receiver.recv_timeout(CANCEL_POLL) {
                Ok(result) => return result,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                    handle.abort();
                    return Err(Error::Cancelled);
                }
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                    return Err(Error::Internal("the batch engine panicked".into()));
                }
            }
        }
    }
}

/// A text that several threads may set, the first one staying.
#[derive(Debug, Default)]
pub struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    /// Keeps the error if it is the first.
    pub fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The error, if there is one.
    pub fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
