//! Typed views of a batch's columns: what hashing, comparing and storing rows read from.
//!
//! ```text
//! fixed width     i64, f32, timestamp, decimal, boolean ...  -> machine words of 1, 2, 4, 8, 16 or 32 bytes
//! text, binary    all seven Arrow layouts                    -> byte slices
//! anything else   lists, structs, dictionaries, intervals    -> arrow-row bytes of that one column
//! ```
//!
//! Equality is equality of these words and bytes, so floats are compared by their bits: every NaN payload is a value
//! of its own, and `-0.0` differs from `0.0` unless [`Zeros::Folded`] is asked for.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, FixedSizeBinaryArray, StringViewArray, downcast_primitive_array,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, IntervalUnit, i256};
use arrow::row::{RowConverter, Rows, SortField};

use crate::error::{Error, Result};

/// Whether `-0.0` is read as `0.0`.
///
/// DataFusion 55 folds the sign of zero in `GROUP BY` (the group then shows `0.0`) and in hash join keys, for float
/// columns but not for floats inside lists or structs; it keeps the bits of a NaN. Whole rows and the values of
/// DISTINCT aggregates it compares by bits. (`group_values/single_group_by/primitive.rs`, `joins/utils.rs`,
/// `normalize_float_zero`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// As keys are compared: `-0.0` is `0.0`.
    Folded,
    /// As rows are compared: by bits.
    Kept,
}

/// How the values of a type are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Words of this many bytes.
    Fixed(usize),
    /// Byte slices.
    Bytes,
    /// Byte slices made by arrow-row.
    Encoded,
}

impl Layout {
    /// The layout of a type. Two interval types are narrower in alignment than in width, hence not words.
    pub fn of(data_type: &DataType) -> Layout {
        match data_type {
            DataType::Boolean => Layout::Fixed(1),
            DataType::Interval(IntervalUnit::DayTime | IntervalUnit::MonthDayNano) => Layout::Encoded,
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Layout::Bytes,
            other => other.primitive_width().map_or(Layout::Encoded, Layout::Fixed),
        }
    }
}

/// The converter of a type whose layout is [`Layout::Encoded`].
///
/// # Errors
/// When arrow-row does not know the type.
pub fn converter(data_type: &DataType) -> Result<RowConverter> {
    RowConverter::new(vec![SortField::new(data_type.clone())])
        .map_err(|_| Error::unsupported(format!("values of type {data_type} cannot be kept as keys or rows")))
}

/// The values of one column of a batch.
pub struct Reader<'a> {
    /// Which rows are not NULL; `None` when all are.
    pub nulls: Option<NullBuffer>,
    /// The values; those of NULL rows mean nothing.
    pub values: Values<'a>,
}

/// The values of a column by layout.
pub enum Values<'a> {
    /// One byte: booleans, 8-bit integers.
    W1(ScalarBuffer<i8>),
    /// Two bytes.
    W2(ScalarBuffer<i16>),
    /// Four bytes.
    W4(ScalarBuffer<i32>),
    /// Eight bytes.
    W8(ScalarBuffer<i64>),
    /// Sixteen bytes.
    W16(ScalarBuffer<i128>),
    /// Thirty-two bytes.
    W32(ScalarBuffer<i256>),
    /// Text, binary and row-encoded values.
    Bytes(Bytes<'a>),
}

/// Byte slices by row, whatever array they lie in.
pub enum Bytes<'a> {
    /// Utf8 and Binary.
    Small(&'a [i32], &'a [u8]),
    /// LargeUtf8 and LargeBinary.
    Large(&'a [i64], &'a [u8]),
    /// Utf8View.
    TextView(&'a StringViewArray),
    /// BinaryView.
    BinaryView(&'a BinaryViewArray),
    /// FixedSizeBinary.
    Fixed(&'a FixedSizeBinaryArray),
    /// Row-encoded values.
    Rows(Rows),
}

impl Bytes<'_> {
    /// The bytes of one row.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        match self {
            Bytes::Small(offsets, data) => &data[offsets[row] as usize..offsets[row + 1] as usize],
            Bytes::Large(offsets, data) => &data[offsets[row] as usize..offsets[row + 1] as usize],
            Bytes::TextView(array) => array.value(row).as_bytes(),
            Bytes::BinaryView(array) => array.value(row),
            Bytes::Fixed(array) => array.value(row),
            Bytes::Rows(rows) => rows.row(row).data(),
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads an array; `converter` is the one of the array's type where its layout is [`Layout::Encoded`].
    ///
    /// # Errors
    /// When arrow-row cannot encode the values.
    pub fn new(array: &'a ArrayRef, converter: Option<&RowConverter>, zeros: Zeros) -> Result<Reader<'a>> {
        let values = match Layout::of(array.data_type()) {
            Layout::Fixed(width) => words(array, width, zeros),
            Layout::Bytes => Values::Bytes(bytes(array)),
            Layout::Encoded => {
                let converter = converter.expect("encoded columns come with their converter");
                Values::Bytes(Bytes::Rows(converter.convert_columns(std::slice::from_ref(array))?))
            }
        };
        Ok(Reader { nulls: array.logical_nulls().filter(|n| n.null_count() > 0), values })
    }

    /// Whether the row is not NULL.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|n| n.is_valid(row))
    }
}

fn words<'a>(array: &ArrayRef, width: usize, zeros: Zeros) -> Values<'a> {
    if let Some(booleans) = array.as_boolean_opt() {
        return Values::W1(booleans.values().iter().map(i8::from).collect());
    }
    let buffer = word_buffer(array);
    let float = zeros == Zeros::Folded && array.data_type().is_floating();
    match width {
        1 => Values::W1(ScalarBuffer::from(buffer)),
        2 => Values::W2(folded(ScalarBuffer::from(buffer), float, i16::MIN)),
        4 => Values::W4(folded(ScalarBuffer::from(buffer), float, i32::MIN)),
        8 => Values::W8(folded(ScalarBuffer::from(buffer), float, i64::MIN)),
        16 => Values::W16(ScalarBuffer::from(buffer)),
        32 => Values::W32(ScalarBuffer::from(buffer)),
        _ => unreachable!("Arrow has no primitive of {width} bytes"),
    }
}

fn word_buffer(array: &ArrayRef) -> Buffer {
    downcast_primitive_array!(
        array => array.values().inner().clone(),
        other => unreachable!("{other} is no fixed-width type")
    )
}

/// The bits of `-0.0` of any width are those of the smallest integer.
fn folded<T: ArrowNativeType>(words: ScalarBuffer<T>, float: bool, negative_zero: T) -> ScalarBuffer<T> {
    if !float || !words.contains(&negative_zero) {
        return words;
    }
    words.iter().map(|word| if *word == negative_zero { T::default() } else { *word }).collect()
}

fn bytes(array: &ArrayRef) -> Bytes<'_> {
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Bytes::Small(array.value_offsets(), array.value_data())
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Bytes::Large(array.value_offsets(), array.value_data())
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Bytes::Small(array.value_offsets(), array.value_data())
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Bytes::Large(array.value_offsets(), array.value_data())
        }
        DataType::Utf8View => Bytes::TextView(array.as_string_view()),
        DataType::BinaryView => Bytes::BinaryView(array.as_binary_view()),
        DataType::FixedSizeBinary(_) => Bytes::Fixed(array.as_fixed_size_binary()),
        other => unreachable!("{other} has no byte layout"),
    }
}

/// Marks in `changed` the rows in which two readers of equal length differ, bit for bit.
pub fn mark_changes(old: &Reader, new: &Reader, changed: &mut [bool]) {
    fn compare<T: PartialEq>(old: &[T], new: &[T], valid: impl Fn(usize) -> bool, changed: &mut [bool]) {
        for (row, mark) in changed.iter_mut().enumerate() {
            *mark |= old[row] != new[row] && valid(row);
        }
    }
    if old.nulls.is_some() || new.nulls.is_some() {
        for (row, mark) in changed.iter_mut().enumerate() {
            *mark |= old.is_valid(row) != new.is_valid(row);
        }
    }
    let valid = |row: usize| old.is_valid(row) && new.is_valid(row);
    match (&old.values, &new.values) {
        (Values::W1(a), Values::W1(b)) => compare(a, b, valid, changed),
        (Values::W2(a), Values::W2(b)) => compare(a, b, valid, changed),
        (Values::W4(a), Values::W4(b)) => compare(a, b, valid, changed),
        (Values::W8(a), Values::W8(b)) => compare(a, b, valid, changed),
        (Values::W16(a), Values::W16(b)) => compare(a, b, valid, changed),
        (Values::W32(a), Values::W32(b)) => compare(a, b, valid, changed),
        (Values::Bytes(a), Values::Bytes(b)) => {
            for (row, mark) in changed.iter_mut().enumerate() {
                *mark |= valid(row) && a.get(row) != b.get(row);
            }
        }
        _ => unreachable!("both sides have one type"),
    }
}
