//! Text and binary arrays from byte slices, in any of Arrow's layouts.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewBuilder, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// An array of text or binary type from byte slices; slices of NULL rows are taken as they are.
///
/// # Errors
/// [`Error::Limit`] when a type with 32-bit offsets gets 2 GiB or more.
pub fn byte_array<'a>(
    data_type: &DataType,
    values: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let length: usize = values.clone().map(<[u8]>::len).sum();
    if matches!(data_type, DataType::Utf8 | DataType::Binary) && length > i32::MAX as usize {
        return Err(Error::Limit(format!("a column of {length} bytes of {data_type} in one batch; the most is 2 GiB")));
    }
    if matches!(data_type, DataType::Utf8View | DataType::BinaryView) {
        let mut builder = BinaryViewBuilder::with_capacity(values.len());
        for (row, value) in values.enumerate() {
            let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            builder.append_option(valid.then_some(value));
        }
        let array = builder.finish();
        return Ok(match data_type {
            DataType::Utf8View => Arc::new(array.to_string_view()?),
            _ => Arc::new(array),
        });
    }
    let mut data = Vec::with_capacity(length);
    let lengths = values.clone().map(<[u8]>::len);
    Ok(match data_type {
        DataType::FixedSizeBinary(width) => {
            // A NULL holds no bytes here, but takes its width in Arrow.
            let rows = values.len();
            values.for_each(|value| {
                data.extend_from_slice(value);
                data.resize(data.len() + (*width as usize - value.len()), 0);
            });
            if *width == 0 {
                return Ok(Arc::new(FixedSizeBinaryArray::try_new_with_len(0, Buffer::from_vec(data), nulls, rows)?));
            }
            Arc::new(FixedSizeBinaryArray::try_new(*width, Buffer::from_vec(data), nulls)?)
        }
        DataType::Utf8 | DataType::Binary => {
            let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
            values.for_each(|value| data.extend_from_slice(value));
            match data_type {
                DataType::Utf8 => Arc::new(StringArray::try_new(offsets, Buffer::from_vec(data), nulls)?),
                _ => Arc::new(BinaryArray::try_new(offsets, Buffer::from_vec(data), nulls)?),
            }
        }
        _ => {
            let offsets = OffsetBuffer::<i64>::from_lengths(lengths);
            values.for_each(|value| data.extend_from_slice(value));
            match data_type {
                DataType::LargeUtf8 => Arc::new(LargeStringArray::try_new(offsets, Buffer::from_vec(data), nulls)?),
                _ => Arc::new(LargeBinaryArray::try_new(offsets, Buffer::from_vec(data), nulls)?),
            }
        }
    })
}
