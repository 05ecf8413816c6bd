//! The pairs of a change's rows with the rows of the other side that have their keys.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;

use super::condition::Condition;
use super::side::Side;
use crate::circuit::Tick;
use crate::delta::{Delta, RowError};
use crate::error::{Error, Result};

/// Rows that one step of one join may put out: their places are of four bytes. The memory limit comes before.
pub const OUTPUT_ROWS_MAX: usize = u32::MAX as usize;
/// Rows up to which nobody asks how many bytes they are.
const OUTPUT_ROWS_FREE: usize = 1 << 8;
/// Pairs for which the condition is evaluated at once.
const CHUNK_PAIRS: usize = 1 << 13;

/// Pairs of rows.
#[derive(Default)]
pub struct Pairs {
    /// Rows of the change.
    pub rows: Vec<u32>,
    /// Ids of the other side's rows.
    pub ids: Vec<u32>,
    /// The product of their weights.
    pub weights: Vec<i64>,
}

impl Pairs {
    fn push(&mut self, row: u32, id: u32, weight: i64) {
        self.rows.push(row);
        self.ids.push(id);
        self.weights.push(weight);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.ids.clear();
        self.weights.clear();
    }
}

/// What is to be found out about the pairs, and what has been.
pub struct Probe<'a> {
    /// The change.
    pub delta: &'a Delta,
    /// Whether it is of the right side.
    pub from_right: bool,
    /// The side that it meets.
    pub other: &'a Side,
    /// What else must hold of a pair.
    pub condition: Option<&'a Condition>,
    /// Whether the pairs themselves are wanted.
    pub wanted: bool,
    /// How often each row of the other side is matched, where that is counted.
    pub counts: Option<&'a mut Vec<i64>>,
    /// The pairs that were found.
    pub pairs: Pairs,
    /// How many rows of the other side each row of the change matches; counted where there is a condition.
    pub met: Vec<i64>,
    /// Rows of the other side that came to be matched or are no longer, with whether they were before; one row may be
    /// there several times, of which the first counts.
    pub crossed: Vec<(u32, bool)>,
    /// Pairs on which the condition fails.
    pub errors: Vec<RowError>,
}

impl Probe<'_> {
    /// Finds the pairs. `found` are the ids of the change's keys on the other side; `before` rows are in the step's
    /// output already.
    ///
    /// # Errors
    /// [`Error::Limit`] when the output grows too large.
    pub fn run(&mut self, found: &[u32], before: usize, tick: &Tick) -> Result<()> {
        let mut candidates = Pairs::default();
        let mut unchecked = OUTPUT_ROWS_FREE;
        if self.condition.is_some() {
            self.met.resize(found.len(), 0);
        }
        for (row, key) in found.iter().enumerate() {
            let weight = self.delta.weights.get(row);
            for id in self.other.chain(*key) {
                if before + self.pairs.rows.len() >= unchecked {
                    unchecked = self.output_rows_max(tick);
                    if before + self.pairs.rows.len() >= unchecked {
                        let why = if unchecked < OUTPUT_ROWS_MAX { ", for which there is no memory" } else { "" };
                        return Err(Error::Limit(format!(
                            "one change would put out more than {unchecked} rows{why} (reached at row {row} of {})",
                            self.delta.len()
                        )));
                    }
                }
                let weight = weight * self.other.bag().weight(id);
                if self.condition.is_none() {
                    self.pairs.push(row as u32, id, weight);
                    continue;
                }
                candidates.push(row as u32, id, weight);
                if candidates.rows.len() == CHUNK_PAIRS {
                    self.choose(&mut candidates)?;
                }
            }
        }
        if candidates.rows.is_empty() { Ok(()) } else { self.choose(&mut candidates) }
    }

    /// Takes the pairs for which the condition holds.
    fn choose(&mut self, candidates: &mut Pairs) -> Result<()> {
        let condition = self.condition.expect("pairs are chosen by a condition");
        let columns = condition
            .places()
            .iter()
            .map(|place| match place.right == self.from_right {
                true => take(self.delta.column(place.column), &candidates.rows),
                false => self.other.bag().columns().gather_column(place.column, &candidates.ids),
            })
            .collect::<Result<_>>()?;
        for at in condition.holds(columns, candidates.weights.clone(), &mut self.errors)? {
            let (row, id) = (candidates.rows[at], candidates.ids[at]);
            self.met[row as usize] += self.other.bag().weight(id);
            if let Some(counts) = &mut self.counts {
                let count = &mut counts[id as usize];
                let before = *count > 0;
                *count += self.delta.weights.get(row as usize);
                if (*count > 0) != before {
                    self.crossed.push((id, before));
                }
            }
            if self.wanted {
                self.pairs.push(row, id, candidates.weights[at]);
            }
        }
        candidates.clear();
        Ok(())
    }

    /// Rows of output that the step may come to, at the average size of a row here and in the delta.
    fn output_rows_max(&self, tick: &Tick) -> usize {
        let bag = self.other.bag();
        let pair = size_of::<u32>() * 2 + size_of::<i64>();
        let row = pair + bag.bytes() / bag.len().max(1) + self.delta.bytes() / self.delta.len().max(1);
        (tick.output_bytes_max / row).min(OUTPUT_ROWS_MAX)
    }
}

/// Some rows of a column.
fn take(column: &ArrayRef, rows: &[u32]) -> Result<ArrayRef> {
    Ok(compute::take(column, &UInt32Array::from(rows.to_vec()), None)?)
}

/// The columns of some rows of a delta; of all of them in order, the columns themselves.
///
/// # Errors
/// When Arrow cannot build them.
pub fn take_all(delta: &Delta, rows: &[u32]) -> Result<Vec<ArrayRef>> {
    if rows.len() == delta.len() && rows.iter().enumerate().all(|(at, row)| at == *row as usize) {
        return Ok(delta.batch.columns().to_vec());
    }
    delta.batch.columns().iter().map(|column| take(column, rows)).collect()
}
