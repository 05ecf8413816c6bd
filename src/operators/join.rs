//! Inner equi-join; without key columns, the cross product.
//!
//! ```text
//! d(L * R) = L * dR  +  dL * (R + dR)        weights multiply
//!
//!   dR --probe--> L --> rows          then dR is added to R
//!   dL --probe--> R --> rows          then dL is added to L
//! ```
//!
//! Each side is a bag of rows chained by join key. A row with a NULL key matches nothing (unless NULLs are equal) and
//! is not kept. Float keys are equal as DataFusion's hash join has them: `-0.0` matches `0.0`, a NaN its own bits.

use std::fmt;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::SchemaRef;

use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::rows::RowSet;
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// Rows that one step of one join may put out: their places are of four bytes. The memory limit comes before.
pub const OUTPUT_ROWS_MAX: usize = u32::MAX as usize;
/// Rows up to which nobody asks how many bytes they are.
const OUTPUT_ROWS_FREE: usize = 1 << 8;

/// Joins two inputs on equal keys.
///
/// Output: the columns of the left input, then those of the right.
pub struct Join {
    left: Side,
    right: Side,
    nulls_equal: bool,
    output: SchemaRef,
}

/// One input: its rows so far, by key.
struct Side {
    rows: RowSet,
    keys: Vec<usize>,
}

/// Pairs of a delta's rows with the rows of the other side that have their key.
#[derive(Default)]
struct Matches {
    /// Rows of the delta.
    rows: Vec<u32>,
    /// Ids of the other side's rows.
    ids: Vec<u32>,
    weights: Vec<i64>,
}

impl Join {
    /// A join of rows whose columns `on` (left, right) are equal. `append_only` says which inputs never delete.
    ///
    /// # Errors
    /// When a column cannot be kept, or two key columns differ in type.
    pub fn new(
        left: SchemaRef,
        right: SchemaRef,
        on: Vec<(usize, usize)>,
        nulls_equal: bool,
        append_only: (bool, bool),
        output: SchemaRef,
    ) -> Result<Self> {
        for (l, r) in &on {
            let (l, r) = (left.field(*l), right.field(*r));
            if l.data_type() != r.data_type() {
                let types = format!("{} is {}, {} is {}", l.name(), l.data_type(), r.name(), r.data_type());
                return Err(Error::Internal(format!("join keys of different types: {types}")));
            }
        }
        let (left_keys, right_keys) = on.into_iter().unzip();
        Ok(Join {
            left: Side::new(left, left_keys, append_only.0)?,
            right: Side::new(right, right_keys, append_only.1)?,
            nulls_equal,
            output,
        })
    }

    /// The rows of a delta that can match at all.
    fn matchable(&self, delta: &Delta, keys: &[usize]) -> Result<Option<Delta>> {
        if self.nulls_equal {
            return Ok(None);
        }
        let nulls = keys.iter().fold(None, |nulls: Option<NullBuffer>, key| {
            NullBuffer::union(nulls.as_ref(), delta.column(*key).logical_nulls().as_ref())
        });
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(None) };
        Ok(Some(delta.filter(&BooleanArray::new(nulls.into_inner(), None))?))
    }

    fn part(&self, left: Vec<ArrayRef>, right: Vec<ArrayRef>, weights: Vec<i64>) -> Result<Delta> {
        let rows = RecordBatchOptions::new().with_row_count(Some(weights.len()));
        let columns = left.into_iter().chain(right).collect();
        let batch = RecordBatch::try_new_with_options(self.output.clone(), columns, &rows)?;
        let weights = if weights.iter().all(|w| *w == 1) { Weights::ones() } else { Weights::new(weights) };
        Ok(Delta::new(batch, weights))
    }
}

impl Operator for Join {
    fn schema(&self) -> SchemaRef {
        self.output.clone()
    }

    /// After an error the state is not that of any moment: the join must be made anew.
    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let left = self.matchable(inputs[0], &self.left.keys)?;
        let right = self.matchable(inputs[1], &self.right.keys)?;
        let left = left.as_ref().unwrap_or(inputs[0]);
        let right = right.as_ref().unwrap_or(inputs[1]);

        let mut parts = Vec::with_capacity(2);
        let matches = self.left.probe(right, &self.right.keys, 0, tick).map_err(|e| self.name(e))?;
        let first = matches.rows.len();
        if first > 0 {
            let columns = (self.left.rows.columns().gather(&matches.ids)?, take(right, &matches.rows)?);
            parts.push(self.part(columns.0, columns.1, matches.weights)?);
        }
        self.right.rows.apply(right)?;
        let matches = self.right.probe(left, &self.left.keys, first, tick).map_err(|e| self.name(e))?;
        if !matches.rows.is_empty() {
            let columns = (take(left, &matches.rows)?, self.right.rows.columns().gather(&matches.ids)?);
            parts.push(self.part(columns.0, columns.1, matches.weights)?);
        }
        self.left.rows.apply(left)?;

        let mut output = Delta::concat(&self.output, &parts)?;
        output.errors = inputs.iter().flat_map(|input| input.errors.iter().cloned()).collect();
        Ok(output)
    }

    fn state(&self) -> Option<StateSize> {
        let sides = [&self.left.rows, &self.right.rows];
        Some(StateSize {
            rows: sides.iter().map(|rows| rows.columns().len()).sum(),
            bytes: sides.iter().map(|rows| rows.bytes()).sum(),
        })
    }
}

impl Join {
    fn name(&self, error: Error) -> Error {
        match error {
            Error::Limit(message) => Error::Limit(format!("{self}: {message}")),
            other => other,
        }
    }
}

impl Side {
    fn new(schema: SchemaRef, keys: Vec<usize>, append_only: bool) -> Result<Self> {
        Ok(Side { rows: RowSet::new(schema, Some(keys.clone()), append_only)?, keys })
    }

    /// The rows here that have the keys of a delta of the other side, when `before` rows are already in the output.
    fn probe(&self, delta: &Delta, keys: &[usize], before: usize, tick: &Tick) -> Result<Matches> {
        let chains = self.rows.chains().expect("a join side has a key");
        let keys: Vec<ArrayRef> = keys.iter().map(|key| delta.column(*key).clone()).collect();
        let mut key_ids = Vec::new();
        chains.find(&keys, delta.len(), &mut key_ids)?;
        let mut matches = Matches::default();
        let mut unchecked = OUTPUT_ROWS_FREE;
        for (row, key) in key_ids.iter().enumerate() {
            let weight = delta.weights.get(row);
            for id in chains.rows(*key) {
                if before + matches.rows.len() >= unchecked {
                    unchecked = self.output_rows_max(delta, tick);
                    if before + matches.rows.len() >= unchecked {
                        let why = if unchecked < OUTPUT_ROWS_MAX { ", for which there is no memory" } else { "" };
                        return Err(Error::Limit(format!(
                            "one change would put out more than {unchecked} rows{why} (reached at row {row} of {})",
                            delta.len()
                        )));
                    }
                }
                matches.rows.push(row as u32);
                matches.ids.push(id);
                matches.weights.push(weight * self.rows.weight(id));
            }
        }
        Ok(matches)
    }

    /// Rows of output that the step may come to, at the average size of a row here and in the delta.
    fn output_rows_max(&self, delta: &Delta, tick: &Tick) -> usize {
        let pair = size_of::<u32>() * 2 + size_of::<i64>();
        let row = pair + self.rows.bytes() / self.rows.len().max(1) + delta.bytes() / delta.len().max(1);
        (tick.output_bytes_max / row).min(OUTPUT_ROWS_MAX)
    }
}

/// The columns of some rows of a delta; of all of them in order, the columns themselves.
fn take(delta: &Delta, rows: &[u32]) -> Result<Vec<ArrayRef>> {
    if rows.len() == delta.len() && rows.iter().enumerate().all(|(at, row)| at == *row as usize) {
        return Ok(delta.batch.columns().to_vec());
    }
    Ok(compute::take_arrays(delta.batch.columns(), &UInt32Array::from(rows.to_vec()), None)?)
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left.keys.is_empty() {
            return f.write_str("cross join");
        }
        f.write_str("join on ")?;
        for (position, (left, right)) in self.left.keys.iter().zip(&self.right.keys).enumerate() {
            let (left, right) = (self.left.rows.schema().field(*left), self.right.rows.schema().field(*right));
            write!(f, "{}{} = {}", if position == 0 { "" } else { ", " }, left.name(), right.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::delta::text::{parse, print};
    use crate::operators::testing::{Random, change, contents, schema, step};

    fn inputs() -> (SchemaRef, SchemaRef, SchemaRef) {
        let left = [("a", DataType::Utf8), ("x", DataType::Float64)];
        let right = [("b", DataType::Utf8), ("y", DataType::Float64), ("z", DataType::Int64)];
        (schema(&left), schema(&right), schema(&[left.as_slice(), right.as_slice()].concat()))
    }

    #[test]
    fn rows_match_across_steps_and_weights_multiply() {
        let (left, right, output) = inputs();
        let mut join = Join::new(left.clone(), right.clone(), vec![(0, 0)], false, (false, false), output).unwrap();
        assert_eq!(join.to_string(), "join on a = b");
        assert_eq!(step(&mut join, &[(&left, "+2 k 1\n+1 null 1"), (&right, "+1 null 5 5")]), "");
        assert_eq!(step(&mut join, &[(&left, "+1 k 2"), (&right, "+3 k 5 5")]), "+6 k 1.0 k 5.0 5\n+3 k 2.0 k 5.0 5\n");
        assert_eq!(step(&mut join, &[(&left, "-1 k 1"), (&right, "-3 k 5 5\n+1 k 6 6")]).lines().count(), 4);
        assert_eq!(step(&mut join, &[(&left, "-1 k 1\n-1 k 2"), (&right, "")]), "-1 k 1.0 k 6.0 6\n-1 k 2.0 k 6.0 6\n");
        assert_eq!(join.state().unwrap().rows, 1);
    }

    #[test]
    fn join_reference() {
        let (left, right, output) = inputs();
        let row = |random: &mut Random, third: bool| {
            let key = random.pick(&["k", "l", "null"]);
            let number = random.pick(&["0.0", "-0.0", "NaN", "1.5", "null"]);
            if third { format!("{key} {number} {}", random.pick(&["1", "null"])) } else { format!("{key} {number}") }
        };
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let on = [vec![], vec![(0, 0)], vec![(1, 1)], vec![(0, 0), (1, 1)]][random.below(4)].clone();
            let nulls_equal = random.below(2) == 0;
            let append = (random.below(3) == 0, random.below(3) == 0);
            let mut join =
                Join::new(left.clone(), right.clone(), on.clone(), nulls_equal, append, output.clone()).unwrap();
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            let mut view = RowSet::new(output.clone(), None, false).unwrap();
            for number in 0..9 {
                let l = parse(&left, &change(&mut random, &mut lefts, |r| row(r, false), append.0)).unwrap();
                let r = parse(&right, &change(&mut random, &mut rights, |r| row(r, true), append.1)).unwrap();
                view.apply(&join.step(&[&l, &r], &Tick::default()).unwrap()).unwrap();
                let mut lines = String::new();
                for l in &lefts {
                    for r in &rights {
                        let (ls, rs): (Vec<&str>, Vec<&str>) = (l.split(' ').collect(), r.split(' ').collect());
                        let equal = on.iter().all(|(a, b)| {
                            let (a, b) = (ls[*a].replace("-0.0", "0.0"), rs[*b].replace("-0.0", "0.0"));
                            a == b && (nulls_equal || a != "null")
                        });
                        if equal {
                            lines += &format!("+1 {l} {r}\n");
                        }
                    }
                }
                let expected = print(&parse(&output, &lines).unwrap()).unwrap();
                assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
            }
        }
    }
}
