//! Constant rows: `VALUES`, a SELECT without FROM, `generate_series`. They come with the first step and stay.

use std::fmt;

use arrow::datatypes::SchemaRef;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::collect::collect;
use super::project::batch;
use crate::circuit::{Operator, Tick};
use crate::delta::{Delta, RowError};
use crate::error::{Error, Result};

/// Puts out the rows of a plan without inputs, once.
pub struct Constant {
    schema: SchemaRef,
    /// What gives the rows, until it has given them.
    source: Option<Box<(LogicalPlan, SessionState)>>,
    text: String,
}

impl Constant {
    /// The rows of `plan` under `schema`. `text` names them, for `EXPLAIN`.
    pub fn new(schema: SchemaRef, plan: LogicalPlan, session: SessionState, text: String) -> Self {
        Constant { schema, source: Some(Box::new((plan, session))), text }
    }

    fn rows(&self, plan: &LogicalPlan, session: &SessionState) -> Result<Delta> {
        let batches = futures::executor::block_on(async {
            let physical = session.query_planner().create_physical_plan(plan, session).await?;
            collect(physical, session.task_ctx()).await
        })?;
        let named = |rows: &arrow::array::RecordBatch| {
            Ok(Delta::insert(batch(&self.schema, rows.columns().to_vec(), rows.num_rows())?))
        };
        Delta::concat(&self.schema, &batches.iter().map(named).collect::<Result<Vec<_>>>()?)
    }
}

impl Operator for Constant {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, _: &[&Delta], _: &Tick) -> Result<Delta> {
        let Some(source) = self.source.take() else { return Ok(Delta::empty(self.schema.clone())) };
        match self.rows(&source.0, &source.1) {
            Err(error @ (Error::Limit(_) | Error::Io { .. })) => Err(error),
            // A constant that fails does so for good.
            Err(error) => {
                let mut failed = Delta::empty(self.schema.clone());
                failed.errors.push(RowError { message: error.to_string(), weight: 1 });
                Ok(failed)
            }
            rows => rows,
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
