//! `most_frequent(list)`: the element of a sorted list that is in it most often; of several, the first.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array, make_comparator};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function.
pub fn function() -> ScalarUDF {
    MostFrequent { signature: Signature::any(1, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MostFrequent {
    signature: Signature,
}

impl ScalarUDFImpl for MostFrequent {
    fn name(&self) -> &str {
        "most_frequent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(element)] => Ok(element.data_type().clone()),
            _ => plan_err!("most_frequent takes a list"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(lists) => Ok(ColumnarValue::Array(most_frequent(lists)?)),
            ColumnarValue::Scalar(list) => {
                let found = most_frequent(&list.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?))
            }
        }
    }
}

/// One element of each list; NULL for NULL and for a list without elements.
fn most_frequent(lists: &ArrayRef) -> Result<ArrayRef> {
    let lists = lists.as_list::<i32>();
    let values = lists.values();
    let compare = make_comparator(values, values, SortOptions::default())?;
    let ranges = lists.offsets().windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
    let places = ranges.enumerate().map(|(row, range)| {
        if lists.is_null(row) || range.is_empty() {
            return None;
        }
        let (mut most, mut found, mut begin) = (0, range.start, range.start);
        for at in range.clone() {
            if compare(begin, at).is_ne() {
                begin = at;
            }
            if at - begin + 1 > most {
                (most, found) = (at - begin + 1, begin);
            }
        }
        Some(found as u64)
    });
    let places: UInt64Array = places.collect();
    Ok(take(values, &places, None)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn the_first_of_the_longest_runs() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), Some(2), Some(2), Some(3), Some(3)]),
            None,
            Some(vec![]),
            Some(vec![Some(7)]),
        ]);
        let found = most_frequent(&(Arc::new(lists) as ArrayRef)).unwrap();
        assert_eq!(found.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(2), None, None, Some(7)]));
    }
}
