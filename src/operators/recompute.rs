//! Recompute: any plan of the batch engine, kept by running it again. `dQ(R) = Q(R + dR) - Q(R)`.
//!
//! The operator keeps its inputs whole and its last output. It is how a construct without an incremental operator
//! is right from the first day; `EXPLAIN` names it, since each change costs a run over everything.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::collect::collect;
use super::project::batch;
use super::slot::Slot;
use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::rows::RowSet;
use crate::delta::size::batch_bytes;
use crate::delta::{Delta, RowError, consolidate};
use crate::error::{Error, Result};

/// Keeps its inputs, runs a batch plan over them, and puts out the difference.
pub struct Recompute {
    schema: SchemaRef,
    name: String,
    plan: LogicalPlan,
    inputs: Vec<Input>,
    session: SessionState,
    uses_time: bool,
    last: Vec<RecordBatch>,
    failure: Option<String>,
}

struct Input {
    rows: RowSet,
    slot: Arc<Slot>,
}

impl Recompute {
    /// Runs `plan`, which reads its inputs from `slots`. `uses_time`: the plan calls `now()`, which is then the
    /// time of the commit.
    ///
    /// # Errors
    /// When an input has a column that cannot be kept.
    pub fn new(
        schema: SchemaRef,
        name: String,
        plan: LogicalPlan,
        slots: Vec<Arc<Slot>>,
        session: SessionState,
        uses_time: bool,
    ) -> Result<Self> {
        let inputs = slots
            .into_iter()
            .map(|slot| Ok(Input { rows: RowSet::new(slot.row_schema(), None, false)?, slot }))
            .collect::<Result<_>>()?;
        Ok(Recompute { schema, name, plan, inputs, session, uses_time, last: Vec::new(), failure: None })
    }

    /// The plan's rows. Where an expression fails, the plan is run again with batches of one row: an expression can
    /// fail for a batch because of a row that a condition beside it leaves out, and only what fails on its own row counts.
    fn run(&mut self, tick: &Tick) -> Result<Vec<RecordBatch>> {
        let session = at_time(&self.session, tick.time);
        match self.run_in(&session) {
            Err(Error::Input(_)) => {}
            result => return result,
        }
        for input in &mut self.inputs {
            let alone = input.rows.snapshot()?.iter().flat_map(|chunk| rows_of(chunk)).collect();
            input.slot.fill(alone);
        }
        let mut alone = session;
        *alone.config_mut() = alone.config().clone().with_batch_size(1);
        self.run_in(&alone)
    }

    fn run_in(&self, session: &SessionState) -> Result<Vec<RecordBatch>> {
        let folded;
        let plan = if self.uses_time {
            folded = session.optimize(&self.plan)?;
            &folded
        } else {
            &self.plan
        };
        let batches = futures::executor::block_on(async {
            let physical = session.query_planner().create_physical_plan(plan, session).await?;
            collect(physical, session.task_ctx()).await
        })?;
        batches.into_iter().map(|b| batch(&self.schema, b.columns().to_vec(), b.num_rows())).collect()
    }
}

impl Operator for Recompute {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        for (input, delta) in self.inputs.iter_mut().zip(inputs) {
            let renamed = batch(&input.slot.row_schema(), delta.batch.columns().to_vec(), delta.len())?;
            input.rows.apply(&Delta { batch: renamed, weights: delta.weights.clone(), errors: Vec::new() })?;
            input.slot.fill(input.rows.snapshot()?);
        }
        let mut errors = Vec::new();
        let mut output = Delta::empty(self.schema.clone());
        let failure = match self.run(tick) {
            Ok(new) => {
                let new_rows: Vec<Delta> = new.iter().cloned().map(Delta::insert).collect();
                let old_rows: Vec<Delta> = self.last.drain(..).map(|b| Delta::insert(b).negate()).collect();
                output = consolidate(&Delta::concat(&self.schema, new_rows.iter().chain(&old_rows))?)?;
                self.last = new;
                None
            }
            Err(error @ (Error::Limit(_) | Error::Io { .. })) => return Err(error),
            // The last good output stays until the failing row is gone; readers see the failure, not the rows. What the
            // batch engine cannot do with some rows it may be able to do with the next.
            Err(error) => Some(error.to_string()),
        };
        if failure != self.failure {
            errors.extend(self.failure.take().map(|message| RowError { message, weight: -1 }));
            errors.extend(failure.clone().map(|message| RowError { message, weight: 1 }));
            self.failure = failure;
        }
        output.errors = errors;
        Ok(output)
    }

    fn state(&self) -> Option<StateSize> {
        let mut size = StateSize::default();
        for input in &self.inputs {
            size.rows += input.rows.len();
            size.bytes += input.rows.bytes();
        }
        size.rows += self.last.iter().map(RecordBatch::num_rows).sum::<usize>();
        size.bytes += self.last.iter().map(batch_bytes).sum::<usize>();
        Some(size)
    }
}

impl fmt::Display for Recompute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recompute over all rows at each change: {}", self.name)
    }
}

/// The rows of a batch, each by itself.
fn rows_of(chunk: &RecordBatch) -> impl Iterator<Item = Arc<RecordBatch>> + use<> {
    let chunk = chunk.clone();
    (0..chunk.num_rows()).map(move |row| Arc::new(chunk.slice(row, 1)))
}

/// The same session with `now()` at a moment, in microseconds since 1970.
pub fn at_time(state: &SessionState, time: i64) -> SessionState {
    let mut state = state.clone();
    state.execution_props_mut().query_execution_start_time = DateTime::<Utc>::from_timestamp_micros(time);
    state
}
