//! Single: the row of a scalar subquery, of which there may be one and no more.
//!
//! The first columns say for which outer values the row is; without such columns there is one row in all. Where there
//! are more, none is put out, and an error says so until all but one have gone.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};

use super::eval::show_row;
use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::index::KeyIndex;
use crate::delta::rows::RowSet;
use crate::delta::values::Zeros;
use crate::delta::{Delta, RowError};
use crate::error::Result;

/// What is wrong with a scalar subquery of several rows.
pub const MORE_THAN_ONE: &str = "a scalar subquery gives more than one row";

/// Lets at most one row pass for each combination of the first `keys` columns.
pub struct Single {
    rows: RowSet,
    keys: usize,
}

/// The rows of one key: how many, and the id of one of them.
type Held = (i64, Option<u32>);

impl Single {
    /// Over rows of `schema`.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn new(schema: SchemaRef, keys: usize) -> Result<Self> {
        Ok(Single { rows: RowSet::new(schema, Some((0..keys).collect()), false)?, keys })
    }

    fn held(&self, keys: &[ArrayRef], count: usize) -> Result<Vec<Held>> {
        let chains = self.rows.chains().expect("the rows have a key");
        let mut ids = Vec::new();
        chains.find(keys, count, &mut ids)?;
        let held = |key: &u32| {
            let rows = chains.rows(*key);
            rows.fold((0, None), |(total, _), id| (total + self.rows.weight(id), Some(id)))
        };
        Ok(ids.iter().map(held).collect())
    }

    /// Puts out the rows of keys that have exactly one, and errors for those that have more, with this weight.
    fn put(&self, keys: &Delta, held: &[Held], weight: i64, errors: &mut Vec<RowError>) -> Result<Delta> {
        let ids: Vec<u32> = held.iter().filter(|(total, _)| *total == 1).filter_map(|(_, id)| *id).collect();
        for (row, (total, _)) in held.iter().enumerate() {
            if *total > 1 {
                let message = match self.keys {
                    0 => MORE_THAN_ONE.to_string(),
                    _ => format!("{MORE_THAN_ONE}, for {}", show_row(&keys.batch, row)),
                };
                errors.push(RowError { message, weight });
            }
        }
        Ok(Delta::new(self.rows.gather(&ids)?, vec![weight; ids.len()]))
    }
}

impl Operator for Single {
    fn schema(&self) -> SchemaRef {
        self.rows.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let delta = inputs[0];
        let key_columns: Vec<usize> = (0..self.keys).collect();
        let types: Vec<DataType> = key_columns.iter().map(|c| delta.column(*c).data_type().clone()).collect();
        let (mut index, mut ids) = (KeyIndex::new(&types, Zeros::Folded)?, Vec::new());
        let all: Vec<ArrayRef> = key_columns.iter().map(|c| delta.column(*c).clone()).collect();
        let first = index.intern(&all, delta.len(), &mut ids)?.to_vec();
        let mut touched = delta.take(&first)?;
        touched.batch = touched.batch.project(&key_columns)?;
        let keys = touched.batch.columns().to_vec();
        let mut errors = Vec::new();
        let held = self.held(&keys, first.len())?;
        let gone = self.put(&touched, &held, -1, &mut errors)?;
        self.rows.apply(delta)?;
        let held = self.held(&keys, first.len())?;
        let come = self.put(&touched, &held, 1, &mut errors)?;
        let mut output = Delta::concat(self.rows.schema(), [&gone, &come])?;
        output.errors = errors;
        Ok(output)
    }

    fn state(&self) -> Option<StateSize> {
        Some(StateSize { rows: self.rows.columns().len(), bytes: self.rows.bytes() })
    }
}

impl fmt::Display for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("single row of a scalar subquery")?;
        if self.keys > 0 {
            let schema = self.rows.schema();
            let names: Vec<&str> = schema.fields().iter().take(self.keys).map(|f| f.name().as_str()).collect();
            write!(f, " for each ({})", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::delta::text::{parse, print};
    use crate::operators::testing::{Random, change, contents, schema, step};

    #[test]
    fn a_second_row_is_an_error_until_it_goes() {
        let schema = schema(&[("k", DataType::Utf8), ("x", DataType::Int64)]);
        let mut single = Single::new(schema.clone(), 0).unwrap();
        assert_eq!(step(&mut single, &[(&schema, "+1 a 1")]), "+1 a 1\n");
        let more = "a scalar subquery gives more than one row";
        assert_eq!(step(&mut single, &[(&schema, "+1 b 2")]), format!("+1 !{more}\n-1 a 1\n"));
        assert_eq!(step(&mut single, &[(&schema, "-1 a 1\n+1 b 2")]), "");
        assert_eq!(step(&mut single, &[(&schema, "-1 b 2")]), format!("-1 !{more}\n+1 b 2\n"));
        assert_eq!(step(&mut single, &[(&schema, "-1 b 2\n+1 c 3")]), "-1 b 2\n+1 c 3\n");
    }

    #[test]
    fn single_reference() {
        let schema = schema(&[("k", DataType::Utf8), ("x", DataType::Int64)]);
        let row =
            |random: &mut Random| format!("{} {}", random.pick(&["a", "b", "c", "null"]), random.pick(&["1", "2"]));
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut single = Single::new(schema.clone(), 1).unwrap();
            let mut rows = Vec::new();
            let mut view = RowSet::new(schema.clone(), None, false).unwrap();
            let mut errors: BTreeMap<String, i64> = BTreeMap::new();
            for number in 0..20 {
                let mut text = change(&mut random, &mut rows, row, false);
                // Keep few rows, so that keys have none, one and more in turn.
                while rows.len() > 4 {
                    text.push_str(&format!("\n-1 {}", rows.swap_remove(random.below(rows.len()))));
                }
                let output = single.step(&[&parse(&schema, &text).unwrap()], &Tick::default()).unwrap();
                for error in &output.errors {
                    *errors.entry(error.message.clone()).or_default() += error.weight;
                }
                errors.retain(|_, weight| *weight != 0);
                view.apply(&output).unwrap();
                let mut held: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
                rows.iter().for_each(|row| held.entry(row.split(' ').next().unwrap()).or_default().push(row));
                let ones = held.values().filter(|rows| rows.len() == 1);
                let lines: String = ones.map(|rows| format!("+1 {}\n", rows[0])).collect();
                let expected = print(&parse(&schema, &lines).unwrap()).unwrap();
                assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
                let more = held.values().filter(|rows| rows.len() > 1).count();
                assert_eq!(errors.len(), more, "seed {seed} step {number}: {errors:?}");
                assert!(errors.values().all(|weight| *weight == 1), "seed {seed} step {number}: {errors:?}");
            }
        }
    }
}
