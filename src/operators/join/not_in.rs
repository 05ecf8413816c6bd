//! NOT IN: left rows whose value is not among those of the right side, as SQL has it with NULLs.
//!
//! ```text
//! right side            left rows put out
//! empty                 all
//! holds a NULL          none: the value may be equal to it
//! anything else         those with a value that is not NULL and not among the right ones
//! ```
//!
//! Of the right side the number of rows per value is kept. When the right side comes to be empty or to hold a NULL, or
//! ceases to, every left row is looked at; else only those with a value that came or went.

use std::fmt;

use arrow::array::{Array, ArrayRef, RecordBatch};

use arrow::datatypes::SchemaRef;

use super::side::{Side, Totals};
use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::Delta;
use crate::error::{Error, Result};

/// Left rows whose column `left_key` is not in the column `right_key` of the right side.
pub struct NotIn {
    left: Side,
    right: Totals,
    right_key: usize,
    right_name: String,
    /// Rows of the right side, and those among them that are NULL.
    rows: i64,
    nulls: i64,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Regime {
    Empty,
    HasNull,
    ByValue,
}

impl NotIn {
    /// Over inputs with these columns.
    ///
    /// # Errors
    /// When a column cannot be kept, or the types of the two values differ.
    pub fn new(left: SchemaRef, right: &SchemaRef, on: (usize, usize), append_only: bool) -> Result<Self> {
        let (value, among) = (left.field(on.0), right.field(on.1));
        if value.data_type() != among.data_type() {
            return Err(Error::Internal(format!("NOT IN of {} and {}", value.data_type(), among.data_type())));
        }
        let right_name = among.name().clone();
        let totals = Totals::new(right, &[on.1])?;
        Ok(NotIn {
            left: Side::rows(left, vec![on.0], append_only, None)?,
            right: totals,
            right_key: on.1,
            right_name,
            rows: 0,
            nulls: 0,
        })
    }

    fn regime(&self) -> Regime {
        match (self.rows, self.nulls) {
            (0, _) => Regime::Empty,
            (_, 0) => Regime::ByValue,
            _ => Regime::HasNull,
        }
    }

    /// For each row whether it is put out.
    fn keeps(&self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let rows = batch.num_rows();
        let values = batch.column(self.left.keys[0]);
        match self.regime() {
            Regime::Empty => Ok(vec![true; rows]),
            Regime::HasNull => Ok(vec![false; rows]),
            Regime::ByValue => {
                let nulls = values.logical_nulls();
                let there = self.right.has(std::slice::from_ref(values), rows)?;
                let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                Ok(there.iter().enumerate().map(|(row, there)| !there && !is_null(row)).collect())
            }
        }
    }

    /// Takes in the change of the right side; returns what it changes of the rows so far.
    fn right(&mut self, delta: &Delta) -> Result<Vec<Delta>> {
        let before = self.regime();
        let values = delta.column(self.right_key);
        let nulls = values.logical_nulls();
        let (mut rows, mut null_rows) = (self.rows, self.nulls);
        let mut valued = Vec::new();
        for row in 0..delta.len() {
            let weight = delta.weights.get(row);
            rows += weight;
            match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                true => null_rows += weight,
                false => valued.push(row as u32),
            }
        }
        let valued = delta.take(&valued)?;
        let keys: Vec<ArrayRef> = vec![valued.column(self.right_key).clone()];
        let after = match (rows, null_rows) {
            (0, _) => Regime::Empty,
            (_, 0) => Regime::ByValue,
            _ => Regime::HasNull,
        };
        // The rows that the change may concern, each once.
        let concerned = match (before, after) {
            (Regime::ByValue, Regime::ByValue) => {
                let found = self.left.find(&keys, valued.len())?;
                let mut ids: Vec<u32> = found.iter().flat_map(|key| self.left.chain(*key)).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            }
            (before, after) if before == after => Vec::new(),
            _ => (0..self.left.bag().columns().slots() as u32).filter(|id| self.left.bag().weight(*id) > 0).collect(),
        };
        let batch = self.left.bag().gather(&concerned)?;
        let kept = self.keeps(&batch)?;
        self.right.apply(&keys, &valued)?;
        (self.rows, self.nulls) = (rows, null_rows);
        let keeps = self.keeps(&batch)?;
        let mut moved = Vec::new();
        let mut weights = Vec::new();
        for (row, id) in concerned.iter().enumerate() {
            if kept[row] != keeps[row] {
                moved.push(row as u32);
                weights.push(if keeps[row] { self.left.bag().weight(*id) } else { -self.left.bag().weight(*id) });
            }
        }
        let mut moved = Delta::insert(batch).take(&moved)?;
        moved.weights = weights.into();
        Ok(vec![moved])
    }
}

impl Operator for NotIn {
    fn schema(&self) -> SchemaRef {
        self.left.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let mut parts = if inputs[1].has_rows() { self.right(inputs[1])? } else { Vec::new() };
        if inputs[0].has_rows() {
            parts.push(inputs[0].filter(&self.keeps(&inputs[0].batch)?.into())?);
            self.left.apply(inputs[0])?;
        }
        Delta::concat(self.left.schema(), &parts)
    }

    fn state(&self) -> Option<StateSize> {
        let left = self.left.state();
        Some(StateSize { rows: left.rows + self.right.len(), bytes: left.bytes + self.right.bytes() })
    }
}

impl fmt::Display for NotIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "anti join on {} not in {}", self.left.schema().field(self.left.keys[0]).name(), self.right_name)
    }
}
