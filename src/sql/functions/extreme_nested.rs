//! MIN and MAX of lists and structs, in the order of ORDER BY.
//!
//! A struct is compared field by field, a field that is NULL coming last; within lists NULL is the greatest value. A value
//! that is NULL itself does not count.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::compute::{SortOptions, concat, filter, is_not_null, is_null, nullif};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

/// The least or greatest of nested values.
#[derive(Debug)]
pub struct ExtremeNested {
    max: bool,
    /// Whether values are lost again, so that the best one is not enough.
    slides: bool,
    /// Values that are not NULL, the oldest first.
    values: ArrayRef,
}

impl ExtremeNested {
    /// The extreme of values of a type; nothing where the type is not nested or has no order. With `slides` values may be
    /// taken back in the order in which they came.
    pub fn new(data_type: &DataType, max: bool, slides: bool) -> Option<Self> {
        let has_order = RowConverter::supports_fields(&[SortField::new(data_type.clone())]);
        let is_list_or_struct = matches!(
            data_type,
            DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
        );
        (is_list_or_struct && has_order).then(|| ExtremeNested { max, slides, values: new_empty_array(data_type) })
    }

    fn best(&self) -> Result<Option<usize>> {
        let mut keys = Vec::new();
        push_keys(&self.values, SortOptions { descending: self.max, nulls_first: false }, &mut keys)?;
        let fields = keys.iter().map(|(key, options)| SortField::new_with_options(key.data_type().clone(), *options));
        let converter = RowConverter::new(fields.collect())?;
        let columns: Vec<ArrayRef> = keys.into_iter().map(|(key, _)| key).collect();
        let rows = converter.convert_columns(&columns)?;
        Ok((0..rows.num_rows()).min_by_key(|row| rows.row(*row)))
    }
}

/// What a nested value is ordered by.
fn push_keys(values: &ArrayRef, options: SortOptions, keys: &mut Vec<(ArrayRef, SortOptions)>) -> Result<()> {
    let nulls: ArrayRef = Arc::new(is_null(values)?);
    match values.data_type() {
        DataType::Struct(_) => {
            keys.push((nulls.clone(), SortOptions { descending: options.nulls_first, nulls_first: false }));
            for field in values.as_struct().columns() {
                push_keys(&nullif(field, nulls.as_boolean())?, options, keys)?;
            }
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            keys.push((nulls, SortOptions { descending: options.nulls_first, nulls_first: false }));
            keys.push((values.clone(), SortOptions { nulls_first: options.descending, ..options }));
        }
        _ => keys.push((values.clone(), options)),
    }
    Ok(())
}

impl Accumulator for ExtremeNested {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let more = filter(&values[0], &is_not_null(&values[0])?)?;
        self.values = concat(&[self.values.as_ref(), more.as_ref()])?;
        if !self.slides
            && let Some(best) = self.best()?
        {
            self.values = self.values.slice(best, 1);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let gone = values[0].len() - values[0].logical_null_count();
        self.values = self.values.slice(gone, self.values.len() - gone);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.slides
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.best()? {
            Some(best) => ScalarValue::try_from_array(&self.values, best),
            None => ScalarValue::try_from(self.values.data_type()),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.get_array_memory_size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    fn extremes(values: &ArrayRef) -> [String; 2] {
        [false, true].map(|max| {
            let mut extreme = ExtremeNested::new(values.data_type(), max, false).unwrap();
            extreme.update_batch(std::slice::from_ref(values)).unwrap();
            extreme.evaluate().unwrap().to_string()
        })
    }

    #[test]
    fn null_is_the_greatest_in_lists_and_last_in_structs() {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(2), Some(1)]),
            None,
            Some(vec![Some(2), None]),
            Some(vec![Some(2)]),
        ]));
        assert_eq!(extremes(&lists), ["[2]", "[2, ]"]);
        let field = Arc::new(Field::new("a", DataType::Int64, true));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1), Some(2)]));
        let structs: ArrayRef = Arc::new(StructArray::from(vec![(field, numbers)]));
        assert_eq!(extremes(&structs), ["{a:1}", "{a:2}"]);
    }

    #[test]
    fn what_came_first_leaves_first() {
        let list = |value| {
            let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(value)]), None]);
            Arc::new(list) as ArrayRef
        };
        let mut extreme = ExtremeNested::new(list(1).data_type(), false, true).unwrap();
        for value in [1, 3, 2] {
            extreme.update_batch(&[list(value)]).unwrap();
        }
        let mut seen = vec![extreme.evaluate().unwrap().to_string()];
        for value in [1, 3, 2] {
            extreme.retract_batch(&[list(value)]).unwrap();
            seen.push(extreme.evaluate().unwrap().to_string());
        }
        assert_eq!(seen, ["[1]", "[2]", "[2]", ""]);
    }
}
