//! UNION: a row is in the first round that derives it, and in no other.
//!
//! ```text
//! round        0    1    2    3
//! derived           1         2        by the step, as of now
//! home              ^                  the round in which the row is
//! ```
//!
//! Rounds are settled in ascending order. When a round is settled, what is derived in it and before it is final, so
//! a row is there exactly if this is the first round that derives it. A row that lost its home is looked at again in
//! each later round that derives it; one that found an earlier home leaves the later one when that is settled. No row
//! stays only because rows that it led to lead back to it: those are of later rounds.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};

use super::history::History;
use crate::circuit::StateSize;
use crate::delta::Delta;
use crate::delta::columns::ABSENT;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::error::Result;

/// The rows of a UNION recursion, by round.
pub(super) struct Distinct {
    schema: SchemaRef,
    rows: KeyIndex,
    /// By row id.
    histories: Vec<History>,
    /// By row id: the round in which the row is, [`ABSENT`] for none.
    homes: Vec<u32>,
    /// Within a step: rows to look at when a round is settled.
    touched: BTreeMap<u32, Vec<u32>>,
    /// Within a step: rows that leave a round when it is settled, having found an earlier one.
    leaving: BTreeMap<u32, Vec<u32>>,
    /// Within a step: rows that may be derived in no round any more.
    homeless: Vec<u32>,
    heap_bytes: usize,
    ids: Vec<u32>,
}

impl Distinct {
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        Ok(Distinct {
            schema,
            rows: KeyIndex::new(&types, Zeros::Kept)?,
            histories: Vec::new(),
            homes: Vec::new(),
            touched: BTreeMap::new(),
            leaving: BTreeMap::new(),
            homeless: Vec::new(),
            heap_bytes: 0,
            ids: Vec::new(),
        })
    }

    /// The first round that is to be settled whatever is derived.
    pub fn next(&self) -> Option<u32> {
        let touched = self.touched.first_key_value().map(|(round, _)| *round);
        let leaving = self.leaving.first_key_value().map(|(round, _)| *round);
        touched.into_iter().chain(leaving).min()
    }

    /// Takes the change of what is derived in a round, after all earlier rounds were settled; returns the change of
    /// the rows of the round.
    pub fn settle(&mut self, round: u32, change: &Delta) -> Result<Delta> {
        let mut look = self.touched.remove(&round).unwrap_or_default();
        let mut ids = std::mem::take(&mut self.ids);
        self.rows.intern(change.batch.columns(), change.len(), &mut ids)?;
        let slots = self.rows.columns().slots();
        self.histories.resize_with(slots, History::default);
        self.homes.resize(slots, ABSENT);
        for (row, id) in ids.iter().enumerate() {
            let history = &mut self.histories[*id as usize];
            self.heap_bytes -= history.heap_bytes();
            history.add(round, change.weights.get(row));
            self.heap_bytes += history.heap_bytes();
        }
        look.extend(&ids);
        look.sort_unstable();
        look.dedup();
        for id in &ids {
            self.histories[*id as usize].check(round, || self.rows.gather(&[*id]))?;
        }
        self.ids = ids;
        let (mut moved, mut weights) = (self.leaving.remove(&round).unwrap_or_default(), Vec::new());
        weights.resize(moved.len(), -1);
        for id in look {
            if let Some(weight) = self.look(id, round) {
                moved.push(id);
                weights.push(weight);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(moved.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), self.rows.gather(&moved)?, &options)?;
        Ok(Delta::new(batch, weights))
    }

    /// Whether a row comes into a round or goes from it, as a weight.
    fn look(&mut self, id: u32, round: u32) -> Option<i64> {
        let (history, home) = (&self.histories[id as usize], &mut self.homes[id as usize]);
        match history.first(round) {
            Some(first) if first == round && *home != round => {
                let later = std::mem::replace(home, round);
                if later != ABSENT {
                    self.leaving.entry(later).or_default().push(id);
                }
                Some(1)
            }
            // It is where it was, be that here or in an earlier round.
            Some(_) => None,
            None => {
                let was_here = *home == round;
                if was_here {
                    *home = ABSENT;
                }
                if *home == ABSENT {
                    match history.after(round) {
                        Some(next) => self.touched.entry(next).or_default().push(id),
                        None => self.homeless.push(id),
                    }
                }
                was_here.then_some(-1)
            }
        }
    }

    /// Ends a step: rows that no round derives are forgotten.
    pub fn finish(&mut self) {
        debug_assert!(self.next().is_none());
        let mut homeless = std::mem::take(&mut self.homeless);
        homeless.sort_unstable();
        homeless.dedup();
        for id in homeless {
            if matches!(self.histories[id as usize], History::Never) {
                self.rows.remove(id);
            }
        }
    }

    pub fn state(&self) -> StateSize {
        let own = self.histories.capacity() * size_of::<History>() + self.homes.capacity() * size_of::<u32>();
        StateSize { rows: self.rows.columns().len(), bytes: self.rows.bytes() + own + self.heap_bytes }
    }
}
