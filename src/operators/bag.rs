//! INTERSECT ALL and EXCEPT ALL: bags of rows, counted.
//!
//! ```text
//! a row is there   l times on the left, r times on the right
//! INTERSECT ALL    min(l, r) times
//! EXCEPT ALL       max(l - r, 0) times
//! ```
//!
//! Per touched row, what it was is taken back and what it is now put out. Rows are equal as those of DISTINCT are: NULL
//! equals NULL, and `-0.0` is `0.0`, as which it is put out.

use std::fmt;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::Delta;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::error::{Error, Result};

/// Counts the rows of two inputs with the same columns.
pub struct Bag {
    schema: SchemaRef,
    except: bool,
    index: KeyIndex,
    /// By row id: how often it is on the left and on the right.
    counts: Vec<[i64; 2]>,
}

impl Bag {
    /// INTERSECT ALL, or EXCEPT ALL where `except`, of rows of `schema`.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn new(schema: SchemaRef, except: bool) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        Ok(Bag { schema, except, index: KeyIndex::new(&types, Zeros::Folded)?, counts: Vec::new() })
    }

    fn result(&self, id: u32) -> i64 {
        let [left, right] = self.counts[id as usize];
        if self.except { (left - right).max(0) } else { left.min(right) }
    }
}

impl Operator for Bag {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let (mut ids, mut sides) = ([Vec::new(), Vec::new()], Vec::new());
        for (input, ids) in inputs.iter().zip(&mut ids) {
            self.index.intern(input.batch.columns(), input.len(), ids)?;
        }
        self.counts.resize(self.index.columns().slots(), [0; 2]);
        let mut touched: Vec<u32> = ids.iter().flatten().copied().collect();
        touched.sort_unstable();
        touched.dedup();
        sides.extend(touched.iter().map(|id| self.result(*id)));
        for (side, (input, ids)) in inputs.iter().zip(&ids).enumerate() {
            for (row, id) in ids.iter().enumerate() {
                self.counts[*id as usize][side] += input.weights.get(row);
            }
        }
        let (mut moved, mut weights) = (Vec::new(), Vec::new());
        for (id, before) in touched.iter().zip(sides) {
            let change = self.result(*id) - before;
            if change != 0 {
                moved.push(*id);
                weights.push(change);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(moved.len()));
        let columns = self.index.gather(&moved)?;
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        for id in touched {
            let [left, right] = self.counts[id as usize];
            if left < 0 || right < 0 {
                return Err(Error::Internal(format!("a row is there {left} and {right} times")));
            }
            if left + right == 0 {
                self.index.remove(id);
            }
        }
        Ok(Delta::new(batch, weights))
    }

    fn state(&self) -> Option<StateSize> {
        let bytes = self.index.bytes() + self.counts.capacity() * size_of::<[i64; 2]>();
        Some(StateSize { rows: self.index.columns().len(), bytes })
    }
}

impl fmt::Display for Bag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.except { "except all" } else { "intersect all" })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::delta::rows::RowSet;
    use crate::delta::text::{parse, print};
    use crate::operators::testing::{Random, change, contents, schema, step};

    fn columns() -> SchemaRef {
        schema(&[("a", DataType::Utf8), ("x", DataType::Float64)])
    }

    #[test]
    fn rows_are_counted() {
        let schema = columns();
        let mut except = Bag::new(schema.clone(), true).unwrap();
        assert_eq!(
            step(&mut except, &[(&schema, "+3 k 1\n+1 null null"), (&schema, "+1 k 1")]),
            "+2 k 1.0\n+1 null null\n"
        );
        assert_eq!(step(&mut except, &[(&schema, ""), (&schema, "+5 k 1\n+1 null null")]), "-2 k 1.0\n-1 null null\n");
        assert_eq!(step(&mut except, &[(&schema, "+1 k 1"), (&schema, "-4 k 1")]), "+2 k 1.0\n");
        assert_eq!(
            step(&mut except, &[(&schema, "-4 k 1\n-1 null null"), (&schema, "-2 k 1\n-1 null null")]),
            "-2 k 1.0\n"
        );
        assert_eq!(except.state().unwrap().rows, 0);
    }

    #[test]
    fn bag_reference() {
        let schema = columns();
        let row = |random: &mut Random| {
            format!("{} {}", random.pick(&["k", "null"]), random.pick(&["0.0", "-0.0", "NaN", "null"]))
        };
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let except = random.below(2) == 0;
            let mut bag = Bag::new(schema.clone(), except).unwrap();
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            let mut view = RowSet::new(schema.clone(), None, false).unwrap();
            for number in 0..12 {
                let l = parse(&schema, &change(&mut random, &mut lefts, row, false)).unwrap();
                let r = parse(&schema, &change(&mut random, &mut rights, row, false)).unwrap();
                view.apply(&bag.step(&[&l, &r], &Tick::default()).unwrap()).unwrap();
                let folded = |row: &String| row.replace("-0.0", "0.0");
                let mut left: BTreeMap<String, usize> = BTreeMap::new();
                lefts.iter().for_each(|row| *left.entry(folded(row)).or_default() += 1);
                let mut lines = String::new();
                for (row, l) in left {
                    let r = rights.iter().filter(|r| folded(r) == row).count();
                    let times = if except { l.saturating_sub(r) } else { l.min(r) };
                    lines.push_str(&format!("+1 {row}\n").repeat(times));
                }
                let expected = print(&parse(&schema, &lines).unwrap()).unwrap();
                assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
            }
        }
    }
}
