//! Rows by the values of some columns, for readers: without looking at the others.
//!
//! An index is chains by those columns ([`Chains`]). It is made when first asked for, from the rows that are there, and
//! kept with them from then on; when memory is short it is let go, and made again for the next reader.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::{CHUNK_IDS, CHUNK_ROWS_MAX, RowSet};
use crate::delta::chains::Chains;
use crate::error::{Error, Result};

impl RowSet {
    /// Lets rows be found by these columns.
    ///
    /// # Errors
    /// When a column cannot be a key, or the ids of keys are used up.
    pub fn index(&mut self, columns: &[usize]) -> Result<()> {
        if self.index_on(columns).is_some() {
            return Ok(());
        }
        let types: Vec<DataType> = self.schema.fields().iter().map(|f| f.data_type().clone()).collect();
        let mut chains = Chains::new(&types, columns.to_vec())?;
        for start in (0..self.weights.len()).step_by(CHUNK_IDS) {
            let end = (start + CHUNK_IDS).min(self.weights.len());
            let ids: Vec<u32> = (start..end).filter(|id| self.weights[*id] != 0).map(|id| id as u32).collect();
            let rows: Vec<u32> = (0..ids.len() as u32).collect();
            chains.link(self.gather(&ids)?.columns(), ids.len(), &rows, &ids)?;
        }
        self.indexes.push(chains);
        Ok(())
    }

    /// Lets go of the index by these columns, unless it is the one that the bag was made with.
    pub fn drop_index(&mut self, columns: &[usize]) {
        self.indexes.retain(|chains| chains.columns() != columns);
    }

    fn index_on(&self, columns: &[usize]) -> Option<&Chains> {
        self.chains.iter().chain(&self.indexes).find(|chains| chains.columns() == columns)
    }

    /// The rows whose values in `columns` equal one of the first `count` rows of `keys`, in the order of their ids; one
    /// of weight n is listed n times. NULL equals NULL here, and `-0.0` equals `0.0`.
    ///
    /// # Errors
    /// As [`RowSet::index`], and [`Error::Limit`] when the rows are too many for one batch.
    pub fn find(&mut self, columns: &[usize], keys: &[ArrayRef], count: usize) -> Result<RecordBatch> {
        self.index(columns)?;
        let chains = self.index_on(columns).expect("it was just made");
        let mut found = Vec::new();
        chains.find(keys, count, &mut found)?;
        let mut ids: Vec<u32> = found.into_iter().flat_map(|key| chains.rows(key)).collect();
        ids.sort_unstable();
        // A key that is given twice is one key.
        ids.dedup();
        let total: i64 = ids.iter().map(|id| self.weights[*id as usize]).sum();
        if total as usize > CHUNK_ROWS_MAX {
            return Err(Error::Limit(format!("{total} rows have the key, and {CHUNK_ROWS_MAX} can be looked up")));
        }
        if total as usize > ids.len() {
            let repeated = |id: u32| std::iter::repeat_n(id, self.weights[id as usize] as usize);
            ids = ids.into_iter().flat_map(repeated).collect();
        }
        self.gather(&ids)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};
    use arrow::datatypes::{Field, Schema, SchemaRef};

    use super::*;
    use crate::delta::Delta;
    use crate::delta::text::{parse, print};

    fn schema() -> SchemaRef {
        let fields = [("a", DataType::Utf8), ("b", DataType::Float64), ("c", DataType::Int64)];
        Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
    }

    fn delta(text: &str) -> Delta {
        parse(&schema(), text).unwrap()
    }

    fn text(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn found(rows: &mut RowSet, columns: &[usize], keys: &[ArrayRef]) -> String {
        let batch = rows.find(columns, keys, keys.first().map_or(1, |k| k.len())).unwrap();
        print(&Delta::insert(batch)).unwrap()
    }

    #[test]
    fn rows_are_found_by_any_columns_whatever_came_and_went() {
        let mut rows = RowSet::new(schema(), Some(vec![2]), false).unwrap();
        rows.apply(&delta("+1 x 1 1\n+2 x -0 2\n+1 y 0 3\n+1 null 0 4\n+1 y 0 5")).unwrap();
        assert_eq!(found(&mut rows, &[0], &[text(&[Some("x"), Some("x")])]), "+2 x -0.0 2\n+1 x 1.0 1\n");
        let zero: ArrayRef = Arc::new(Float64Array::from(vec![0.0]));
        assert_eq!(found(&mut rows, &[1, 0], &[zero.clone(), text(&[Some("x")])]), "+2 x -0.0 2\n");
        // The indexes stay right, and one made later sees the same.
        rows.apply(&delta("-2 x -0 2\n+1 x 0 2\n-1 y 0 3\n+1 y 0 3\n+1 z 0 6\n-1 z 0 6\n-1 y 0 5")).unwrap();
        assert_eq!(found(&mut rows, &[1, 0], &[zero.clone(), text(&[Some("x")])]), "+1 x 0.0 2\n");
        assert_eq!(found(&mut rows, &[0], &[text(&[Some("z"), Some("y"), None])]), "+1 null 0.0 4\n+1 y 0.0 3\n");
        assert_eq!(found(&mut rows, &[1], &[zero]), "+1 null 0.0 4\n+1 x 0.0 2\n+1 y 0.0 3\n");
        assert_eq!(rows.find(&[], &[], 1).unwrap().num_rows(), 4);
        rows.tidy().unwrap();
        assert_eq!(found(&mut rows, &[0], &[text(&[Some("y")])]), "+1 y 0.0 3\n");
    }

    #[test]
    fn lookups_reference() {
        for append_only in [false, true] {
            let mut rows = RowSet::new(schema(), None, append_only).unwrap();
            let mut model: BTreeMap<(u64, u64), i64> = BTreeMap::new();
            let mut seed = 7u64;
            for step in 0..200 {
                let mut lines = String::new();
                for _ in 0..3 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let row = ((seed >> 40) % 4, (seed >> 50) % 3);
                    let there = model.entry(row).or_default();
                    let weight = if append_only || *there == 0 || seed >> 63 == 0 { 1 } else { -*there };
                    *there += weight;
                    lines.push_str(&format!("{weight:+} k{} 0 {}\n", row.0, row.1));
                }
                rows.apply(&delta(&lines)).unwrap();
                if step % 7 != 0 {
                    continue;
                }
                for key in 0..4 {
                    let expected: i64 = model.iter().filter(|((k, _), _)| *k == key).map(|(_, n)| n).sum();
                    let key = format!("k{key}");
                    let found = rows.find(&[0], &[text(&[Some(&key)])], 1).unwrap();
                    assert_eq!(found.num_rows() as i64, expected);
                }
            }
        }
    }
}
