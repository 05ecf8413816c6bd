//! Recursion: WITH RECURSIVE, its rows kept round by round.
//!
//! ```text
//!  W(0) = base      W(r+1) = step(W(r))      UNION: without rows of W(0) .. W(r)      output = W(0) + W(1) + ...
//!
//!                 +-------------- own circuit ---------------+
//!  base --+       |                                          |
//!         v       |     (row, r)                             |
//!       round --------> rows of the round --+                |
//!         ^       |                         step --> (row, r) ---+
//!         |       |  edges -----------------+                |   |
//!         |       +------------------------------------------+   |
//!         +------------------ row, derived in r + 1 -------------+
//! ```
//!
//! The step is one circuit for all rounds: its rows carry the number of their round, so that what it reads beside
//! them (the edges) is indexed once. A change of the edges goes through it first and changes what is derived in many
//! rounds. Then rounds are settled in ascending order, and the change of each goes through the step, which gives the
//! change of the next. So a step costs what moves, and a row goes with the last of its derivations from the base,
//! in whatever circles it is derived from itself.

mod all;
mod distinct;
mod history;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};

use super::project::batch;
use crate::circuit::{Circuit, NodeId, OWN_ROWS, Operator, Outputs, StateSize, Tick};
use crate::delta::{Delta, RowError, consolidate};
use crate::error::{Error, Result};
use all::{All, ROUND_ROWS_MAX};
use distinct::Distinct;

/// Rounds after the base: enough for a chain of so many links. A recursion without an end comes there in seconds.
pub const ROUNDS_MAX: u32 = 10_000;

/// The column that carries the number of a row's round through the step. It comes after the row's own.
pub const ROUND: &str = "__round";

/// Rows of a schema with the number of their round.
pub fn with_round(schema: &Schema) -> SchemaRef {
    let round = Arc::new(Field::new(ROUND, DataType::UInt32, true));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([round]).collect::<Vec<_>>()))
}

/// What is said of a recursion that goes past a number of rounds.
pub fn endless(name: &str, rounds_max: u32) -> Error {
    Error::input(format!("the recursion of `{name}` goes on past {rounds_max} rounds"))
        .with_hint("give its second query a condition that ends it, or write UNION in place of UNION ALL")
}

/// One round after another.
///
/// Inputs: the base, then what the step reads. Output: the columns of the base.
pub struct Recursion {
    name: String,
    schema: SchemaRef,
    step: Circuit,
    /// The step's input for the rows of the round.
    own_rows: NodeId,
    /// The step's other inputs, with the operator's inputs that they are.
    others: Vec<(usize, NodeId)>,
    root: NodeId,
    rows: Rows,
    rounds_max: u32,
    /// Rows that a UNION has past the last round.
    past: i64,
    failure: Option<String>,
    started: bool,
}

enum Rows {
    Distinct(Box<Distinct>),
    All(All),
}

/// How a recursion is past its limits.
enum Past {
    Rounds,
    Rows(u32),
}

impl Recursion {
    /// A recursion of rows of `schema`. `step` reads the rows of the round, with its number, from [`OWN_ROWS`], and has
    /// at `root` what is derived from them, with the same number.
    ///
    /// # Errors
    /// When a column cannot be kept, or the step has no such input.
    pub fn new(
        name: String,
        schema: SchemaRef,
        step: Circuit,
        root: NodeId,
        is_distinct: bool,
        rounds_max: u32,
    ) -> Result<Self> {
        let own_rows = step.object(OWN_ROWS);
        let own_rows = own_rows.ok_or_else(|| Error::Internal("the step does not read its own rows".into()))?;
        let inputs = step.inputs().into_iter().filter(|(object, _)| *object != OWN_ROWS);
        let others = inputs.map(|(object, node)| (object as usize, node)).collect();
        let rows = match is_distinct {
            true => Rows::Distinct(Box::new(Distinct::new(schema.clone())?)),
            false => Rows::All(All::new(rounds_max)),
        };
        let (past, failure, started) = (0, None, false);
        Ok(Recursion { name, schema, step, own_rows, others, root, rows, rounds_max, past, failure, started })
    }

    /// Runs the step over changes of its inputs; what is derived is put with the round that it is derived in.
    fn derive(&mut self, changes: Outputs, tick: &Tick, derived: &mut Derived) -> Result<()> {
        let mut outputs = self.step.step(changes, tick);
        if let Some(error) = self.step.broken(self.root) {
            return Err(error.clone());
        }
        outputs.remove(&self.root).map_or(Ok(()), |delta| derived.add(&delta, &self.schema))
    }

    /// The change of the rows of a round, all earlier rounds being settled.
    fn settle(&mut self, round: u32, derived: &mut Derived) -> Result<Delta> {
        let change = consolidate(&Delta::concat(&self.schema, &derived.take(round))?)?;
        let change = match &mut self.rows {
            Rows::Distinct(rows) => rows.settle(round, &change)?,
            Rows::All(rows) => rows.settle(round, change)?,
        };
        if round <= self.rounds_max {
            return Ok(change);
        }
        self.past += (0..change.len()).map(|row| change.weights.get(row)).sum::<i64>();
        Ok(Delta::empty(self.schema.clone()))
    }

    fn size(&self) -> StateSize {
        let own = match &self.rows {
            Rows::Distinct(rows) => rows.state(),
            Rows::All(rows) => rows.state(),
        };
        let step = self.step.state();
        StateSize { rows: own.rows + step.rows, bytes: own.bytes + step.bytes }
    }

    fn next(&self, derived: &Derived) -> Option<u32> {
        let scheduled = match &self.rows {
            Rows::Distinct(rows) => rows.next(),
            Rows::All(_) => None,
        };
        derived.by_round.first_key_value().map(|(round, _)| *round).into_iter().chain(scheduled).min()
    }

    /// Why the rows are not those of the query, if they are not.
    fn failing(&self) -> Option<String> {
        if let Some(failure) = self.step.failure(self.root) {
            return Some(failure);
        }
        let past = match &self.rows {
            Rows::Distinct(_) => (self.past != 0).then_some(Past::Rounds),
            Rows::All(rows) => rows.past(),
        };
        past.map(|past| match past {
            Past::Rounds => endless(&self.name, self.rounds_max).to_string(),
            Past::Rows(round) => {
                format!("the recursion of `{}` comes to more than {ROUND_ROWS_MAX} rows in round {round}", self.name)
            }
        })
    }

    fn failed_or_healed(&mut self) -> Vec<RowError> {
        let failure = self.failing();
        if failure == self.failure {
            return Vec::new();
        }
        let gone = self.failure.take().map(|message| RowError { message, weight: -1 });
        self.failure = failure.clone();
        gone.into_iter().chain(failure.map(|message| RowError { message, weight: 1 })).collect()
    }

    fn numbered(&self, rows: &Delta, round: u32) -> Result<Delta> {
        let numbers = UInt32Array::from_value(round, rows.len());
        let columns = rows.batch.columns().iter().cloned().chain([Arc::new(numbers) as _]).collect();
        let batch = RecordBatch::try_new(self.step.schema(self.own_rows), columns)?;
        Ok(Delta::new(batch, rows.weights.clone()))
    }
}

/// What changed, within a step, of the rows that are derived in each round.
#[derive(Default)]
struct Derived {
    by_round: BTreeMap<u32, Vec<Delta>>,
    /// Bytes of the rows.
    bytes: usize,
}

impl Derived {
    /// Adds rows with the number of the round that they are derived from.
    fn add(&mut self, delta: &Delta, schema: &SchemaRef) -> Result<()> {
        let (round, columns) = delta.batch.columns().split_last().expect("the last column is the round");
        let numbers = round.as_primitive::<UInt32Type>().values();
        let rows = Delta::new(batch(schema, columns.to_vec(), delta.len())?, delta.weights.clone());
        match numbers.first() {
            Some(first) if numbers.iter().all(|number| number == first) => self.put(first + 1, rows),
            _ => {
                let mut parts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                for (row, number) in numbers.iter().enumerate() {
                    parts.entry(*number).or_default().push(row as u32);
                }
                for (number, part) in parts {
                    self.put(number + 1, rows.take(&part)?);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, round: u32, rows: Delta) {
        self.bytes += rows.bytes();
        self.by_round.entry(round).or_default().push(rows);
    }

    fn take(&mut self, round: u32) -> Vec<Delta> {
        let parts = self.by_round.remove(&round).unwrap_or_default();
        self.bytes -= parts.iter().map(Delta::bytes).sum::<usize>();
        parts
    }
}

impl Operator for Recursion {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// After an error the state is not that of any moment: the recursion must be made anew.
    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let before = self.size().bytes;
        let mut derived = Derived::default();
        if inputs[0].has_rows() {
            let base = batch(&self.schema, inputs[0].batch.columns().to_vec(), inputs[0].len())?;
            derived.put(0, Delta::new(base, inputs[0].weights.clone()));
        }
        let mut changes = Outputs::new();
        for (input, node) in self.others.iter().filter(|(input, _)| inputs[*input].has_rows()) {
            let delta = inputs[*input];
            let rows = batch(&self.step.schema(*node), delta.batch.columns().to_vec(), delta.len())?;
            changes.insert(*node, Delta::new(rows, delta.weights.clone()));
        }
        if !changes.is_empty() || !self.started {
            self.started = true;
            self.derive(changes, tick, &mut derived)?;
        }
        let (mut parts, mut put_out) = (Vec::new(), 0);
        while let Some(round) = self.next(&derived) {
            let rows = self.settle(round, &mut derived)?;
            if rows.has_rows() {
                let changes = Outputs::from([(self.own_rows, self.numbered(&rows, round)?)]);
                put_out += rows.bytes();
                parts.push(rows);
                self.derive(changes, tick, &mut derived)?;
            }
            // Each round may be small, and there can be many.
            let held = self.size().bytes + derived.bytes + put_out;
            if held > before.saturating_add(tick.output_bytes_max) {
                let why = format!("one change comes to round {round} and takes more bytes than there is memory");
                return Err(Error::Limit(format!("{self}: {why} ({})", tick.output_bytes_max)));
            }
        }
        if let Rows::Distinct(rows) = &mut self.rows {
            rows.finish();
        }
        let mut output = consolidate(&Delta::concat(&self.schema, &parts)?)?;
        output.errors = inputs.iter().flat_map(|input| input.errors.iter().cloned()).collect();
        output.errors.extend(self.failed_or_healed());
        Ok(output)
    }

    fn state(&self) -> Option<StateSize> {
        Some(self.size())
    }

    fn inside(&self) -> Option<(&Circuit, NodeId)> {
        Some((&self.step, self.root))
    }
}

impl fmt::Display for Recursion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let union = match &self.rows {
            Rows::Distinct(_) => "union",
            Rows::All(_) => "union all",
        };
        write!(f, "Recursion ({union}) of {}, at most {} rounds", self.name, self.rounds_max)
    }
}
