//! How much memory rows take. A slice counts for its own rows, not for the buffers that it shares with others.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// What an array takes beside its values: it counts where batches are of a row or two.
const ARRAY_BYTES: usize = 128;

/// Bytes of the rows of a batch. Costs a few nanoseconds per column of a plain type.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| ARRAY_BYTES + array_bytes(column.as_ref())).sum()
}

fn array_bytes(array: &dyn Array) -> usize {
    let rows = array.len();
    let values = match array.data_type() {
        DataType::Utf8 => span(array.as_string::<i32>().value_offsets()),
        DataType::Binary => span(array.as_binary::<i32>().value_offsets()),
        DataType::Boolean => rows.div_ceil(8),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| array_bytes(column)).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.value_offsets()[0] as usize, list.value_offsets()[rows] as usize);
            (rows + 1) * size_of::<i32>() + array_bytes(&list.values().slice(first, last - first))
        }
        other => match other.primitive_width() {
            Some(width) => rows * width,
            // Rarer types, of whose parts a slice may count all.
            None => return array.to_data().get_slice_memory_size().unwrap_or(array.get_array_memory_size()),
        },
    };
    values + array.nulls().map_or(0, |_| rows.div_ceil(8))
}

/// Bytes of text from the first offset to the last, and of the offsets.
fn span(offsets: &[i32]) -> usize {
    let text = offsets.last().zip(offsets.first()).map_or(0, |(last, first)| (last - first) as usize);
    text + size_of_val(offsets)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn a_slice_counts_for_its_own_rows() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..1000).map(Some)));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a text of 20 letters"; 1000]));
        let lists = (0..1000).map(|n| Some(vec![Some(n); 3]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts), ("l", lists)]).unwrap();
        let (whole, ten) = (batch_bytes(&batch), batch_bytes(&batch.slice(500, 10)));
        assert!((48_000..60_000).contains(&whole), "{whole}");
        assert!((480..1100).contains(&ten), "{ten}");
    }
}
