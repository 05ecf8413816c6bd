//! Changes as patches: what a key had, and what it has.
//!
//! ```text
//! change                      patches
//! -1  ada   300               ada   {ada, 300}   {ada, 200}
//! +1  ada   200               bob   NULL         {bob, 100}
//! +1  bob   100
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Fields, Schema};
use arrow::row::{RowConverter, SortField};

use super::{Delta, consolidate};
use crate::error::Result;

/// The columns behind those of the key: the row that went and the row that came.
pub const PATCH_COLUMNS: [&str; 2] = ["old", "new"];

impl Delta {
    /// The change by key: the columns of the key, then `old` and `new` as structs of all columns, either of them NULL where
    /// there was or is no row; ordered by the key. Where the columns are no key, one that has several rows has several patches.
    ///
    /// # Errors
    /// When a column cannot be compared.
    ///
    /// # Panics
    /// When `key` names a column that is not there.
    pub fn patches(&self, key: &[usize]) -> Result<RecordBatch> {
        let delta = consolidate(self)?;
        let rows = delta.len();
        let keys: Vec<ArrayRef> = key.iter().map(|column| delta.batch.column(*column).clone()).collect();
        let fields = keys.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let keys = if key.is_empty() { None } else { Some(RowConverter::new(fields)?.convert_columns(&keys)?) };
        let same = |a: u32, b: u32| keys.as_ref().is_none_or(|keys| keys.row(a as usize) == keys.row(b as usize));
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by(|a, b| keys.as_ref().map_or(a.cmp(b), |keys| keys.row(*a as usize).cmp(&keys.row(*b as usize))));
        let (mut old, mut new): (Vec<Option<u32>>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
        for of_key in order.chunk_by(|a, b| same(*a, *b)) {
            let times = |row: &u32, sign: i64| (delta.weights.get(*row as usize) * sign).max(0) as usize;
            let went: Vec<u32> = of_key.iter().flat_map(|row| std::iter::repeat_n(*row, times(row, -1))).collect();
            let came: Vec<u32> = of_key.iter().flat_map(|row| std::iter::repeat_n(*row, times(row, 1))).collect();
            for at in 0..went.len().max(came.len()) {
                old.push(went.get(at).copied());
                new.push(came.get(at).copied());
            }
        }
        let either: UInt32Array = new.iter().zip(&old).map(|(new, old)| new.or(*old)).collect();
        let schema = delta.schema();
        let columns: Fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let whole = StructArray::try_new_with_length(columns, delta.batch.columns().to_vec(), None, rows)?;
        let mut fields: Vec<Field> = key.iter().map(|column| schema.field(*column).clone()).collect();
        let mut values = Vec::with_capacity(key.len() + 2);
        for column in key {
            values.push(take(delta.batch.column(*column), &either, None)?);
        }
        for (name, rows) in PATCH_COLUMNS.into_iter().zip([old, new]) {
            let rows = take(&whole, &UInt32Array::from(rows), None)?;
            fields.push(Field::new(name, rows.data_type().clone(), true));
            values.push(rows);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;

    #[test]
    fn a_key_has_what_went_beside_what_came() {
        let fields = vec![Field::new("name", DataType::Utf8, true), Field::new("n", DataType::Int64, true)];
        let names = StringArray::from(vec!["bob", "ada", "ada", "eve", "bob"]);
        let numbers = Int64Array::from(vec![1, 3, 2, 9, 1]);
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(names), Arc::new(numbers)]).unwrap();
        let delta = Delta::new(batch, vec![1, -1, 1, -1, 1]);
        let patches = delta.patches(&[0]).unwrap();
        assert_eq!(
            patches.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
            ["name", "old", "new"]
        );
        let names: Vec<_> = patches.column(0).as_string::<i32>().iter().flatten().collect();
        // Bob's row came twice: the columns are no key.
        assert_eq!(names, ["ada", "bob", "bob", "eve"]);
        let numbers = |column: usize| -> Vec<Option<i64>> {
            let rows = patches.column(column).as_struct();
            let n = rows.column(1).as_primitive::<Int64Type>();
            (0..rows.len()).map(|row| rows.is_valid(row).then(|| n.value(row))).collect()
        };
        assert_eq!(numbers(1), [Some(3), None, None, Some(9)]);
        assert_eq!(numbers(2), [Some(2), Some(1), Some(1), None]);
        // Without a key all is one.
        assert_eq!(delta.patches(&[]).unwrap().num_rows(), 3);
    }
}
