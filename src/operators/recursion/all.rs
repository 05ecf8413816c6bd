//! UNION ALL: every row in every round that derives it, as often as it does.
//!
//! Nothing is kept of the rows but how many a round has, since the change of a round is the change of what is
//! derived. Over a cycle the rows of a round can double with each round; a round of more rows than can be counted is
//! held back until it is smaller.

use std::collections::BTreeMap;

use super::Past;
use crate::circuit::StateSize;
use crate::delta::{Delta, consolidate};
use crate::error::Result;

/// Rows of one round, each counted as often as it is there. Weights, which a join multiplies, are of 63 bits.
pub(super) const ROUND_ROWS_MAX: i128 = 1 << 40;

/// The rows of a UNION ALL recursion, counted by round.
pub(super) struct All {
    rounds_max: u32,
    /// Rows by round, held back ones included.
    totals: BTreeMap<u32, i128>,
    /// What was not fed to the step; with what was, the rows of the round.
    held_back: BTreeMap<u32, Delta>,
}

impl All {
    pub fn new(rounds_max: u32) -> Self {
        All { rounds_max, totals: BTreeMap::new(), held_back: BTreeMap::new() }
    }

    /// Takes the change of what is derived in a round; returns what the step is to know of it.
    pub fn settle(&mut self, round: u32, change: Delta) -> Result<Delta> {
        let sum: i128 = (0..change.len()).map(|row| i128::from(change.weights.get(row))).sum();
        let total = self.totals.entry(round).or_default();
        *total += sum;
        let fits = *total <= self.rows_max(round);
        if self.totals.get(&round) == Some(&0) {
            self.totals.remove(&round);
        }
        let change = match self.held_back.remove(&round) {
            Some(held) => consolidate(&Delta::concat(&change.schema(), [&held, &change])?)?,
            None => change,
        };
        if fits {
            return Ok(change);
        }
        let none = Delta::empty(change.schema());
        self.held_back.insert(round, change);
        Ok(none)
    }

    fn rows_max(&self, round: u32) -> i128 {
        if round > self.rounds_max { 0 } else { ROUND_ROWS_MAX }
    }

    /// The first round that is held back. The rounds before it are whole, so it does not depend on how they came.
    pub fn past(&self) -> Option<Past> {
        let (round, _) = self.held_back.first_key_value()?;
        Some(if *round > self.rounds_max { Past::Rounds } else { Past::Rows(*round) })
    }

    pub fn state(&self) -> StateSize {
        let held = self.held_back.values();
        StateSize {
            rows: held.clone().map(Delta::len).sum(),
            bytes: held.map(Delta::bytes).sum::<usize>() + self.totals.len() * size_of::<(u32, i128)>(),
        }
    }
}
