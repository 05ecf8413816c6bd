//! Functions of lists that look below a NULL.
//!
//! A list that is NULL may still have elements in its column: CASE leaves them there. `array_append` and
//! `array_prepend` take them for the list's own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, UInt64Array, cast::AsArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// A function whose lists have no elements where they are NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OfLists {
    inner: Arc<ScalarUDF>,
}

impl OfLists {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        OfLists { inner }
    }
}

impl ScalarUDFImpl for OfLists {
    as_inner!();

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for arg in &mut args.args {
            if let ColumnarValue::Array(array) = arg {
                *array = cleared(array)?;
            }
        }
        self.inner.invoke_with_args(args)
    }
}

/// A column of lists without elements where it is NULL; any other column as it is.
fn cleared(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::List(_) if array.null_count() > 0 => cleared_list::<i32>(array),
        DataType::LargeList(_) if array.null_count() > 0 => cleared_list::<i64>(array),
        _ => Ok(array.clone()),
    }
}

fn cleared_list<O: OffsetSizeTrait>(array: &ArrayRef) -> Result<ArrayRef> {
    let lists = array.as_list::<O>();
    let length = |row| if lists.is_valid(row) { lists.value_length(row).as_usize() } else { 0 };
    let offsets = OffsetBuffer::<O>::from_lengths((0..lists.len()).map(length));
    let elements = (0..lists.len()).filter(|row| lists.is_valid(*row)).flat_map(|row| {
        let start = lists.value_offsets()[row].as_usize() as u64;
        start..start + length(row) as u64
    });
    let values = take(lists.values(), &UInt64Array::from_iter_values(elements), None)?;
    let (DataType::List(field) | DataType::LargeList(field)) = lists.data_type() else { return Ok(array.clone()) };
    Ok(Arc::new(GenericListArray::<O>::try_new(field.clone(), offsets, values, lists.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn a_list_that_is_null_has_no_elements() {
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let nulls = NullBuffer::from(vec![true, false, true]);
        let offsets = OffsetBuffer::<i32>::from_lengths([1, 2, 1]);
        let dirty: ArrayRef = Arc::new(ListArray::new(field, offsets, values, Some(nulls)));
        let clean = cleared(&dirty).unwrap();
        let expected =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None, Some(vec![Some(4)])]);
        assert_eq!(clean.as_list::<i32>(), &expected);
        assert_eq!(clean.as_list::<i32>().values().len(), 2);
    }
}
