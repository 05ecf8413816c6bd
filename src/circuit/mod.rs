//! The circuit: the graph of operators that keeps every view up to date.
//!
//! ```text
//!   inputs (streams, tables)      operators                        views
//!   flights ──────────────┬── filter ── project ── aggregate ───── delays
//!                         └── project ── top-k ─────────────────── longest
//! ```
//!
//! A step takes one delta per input and visits the nodes in the order of their creation, which is topological:
//! a node's inputs are always older than itself. Nodes are found by what they compute, so that views with
//! equal sub-plans share them; a node lives as long as a view or another node needs it.

mod errors;
mod explain;
mod graph;
pub mod time;
mod widen;

use std::fmt::Display;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

pub use explain::ExplainLine;
pub use graph::{Circuit, NodeId, NodeSpec, Outputs, Skipped};

use crate::delta::Delta;
use crate::error::Result;
use time::{Bound, Closing, Watermarks};

/// The moment of a step: what an operator may know beside its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The last offset whose changes the step holds.
    pub offset: u64,
    /// The logged time of that commit, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// How far streams have come with that commit.
    pub watermarks: Arc<Watermarks>,
    /// Bytes that one operator may put out in the step. An operator whose output can be far larger than its input
    /// looks at it before it makes the rows.
    pub output_bytes_max: usize,
}

/// The empty log, and no limit.
impl Default for Tick {
    fn default() -> Self {
        Tick { offset: 0, time: 0, watermarks: Arc::default(), output_bytes_max: usize::MAX }
    }
}

/// Turns changes of its inputs into the change of its output, keeping whatever state it needs.
///
/// For every history of inputs, the sum of the outputs equals the operator's batch meaning applied to the sum of
/// the inputs, however the history is cut into steps. `Display` is the operator's line in `EXPLAIN`.
pub trait Operator: Display + Send {
    /// Columns of the output.
    fn schema(&self) -> SchemaRef;

    /// The change of the output for a change of each input.
    ///
    /// # Errors
    /// Only for what stops the engine (memory, damage). An expression that fails on a row is no error of the
    /// step: the row goes to [`Delta::errors`].
    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta>;

    /// Lets go of what no later change can touch, now that watermarks are here. The output does not change by it.
    ///
    /// # Errors
    /// Only for what stops the engine.
    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let _ = watermarks;
        Ok(())
    }

    /// The logged time at which the output changes although no input does, as far as the operator knows it.
    ///
    /// # Errors
    /// Only for what stops the engine.
    fn next_change(&mut self) -> Result<Option<i64>> {
        Ok(None)
    }

    /// The operator's state, if it keeps any.
    fn state(&self) -> Option<StateSize> {
        None
    }

    /// How far the state can grow; for ever, where nothing else is said of an operator that has one.
    fn growth(&self) -> Growth {
        if self.state().is_some() { Growth::Open } else { Growth::None }
    }

    /// The circuit that the operator runs within itself, and the node that it reads there. An input of that circuit
    /// is called by the place of the operator's input that it stands for, or [`OWN_ROWS`].
    fn inside(&self) -> Option<(&Circuit, NodeId)> {
        None
    }
}

/// In an operator's own circuit, the input for the rows that the operator itself puts in.
pub const OWN_ROWS: u32 = u32::MAX;

/// How far an operator's state can grow, however many rows come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// There is no state.
    None,
    /// It has a size of its own.
    Fixed,
    /// It holds what is not behind this bound.
    Closed(Bound),
    /// It holds what the clock has yet to reach.
    Clock,
    /// For ever.
    Open,
}

/// How much an operator holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateSize {
    /// Rows, groups or entries, as the operator counts them.
    pub rows: usize,
    /// Bytes of memory, as accounted.
    pub bytes: usize,
}

/// What is known at planning about the rows that flow along an edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// No negative weight can occur.
    pub append_only: bool,
    /// These columns hold no combination of values twice, and every weight in the integral is one.
    pub key: Option<Vec<usize>>,
    /// Columns by which rows are known that no later change touches.
    pub closing: Vec<Closing>,
}
