//! Rows of any schema by dense id, column by column.
//!
//! ```text
//! id      0     1     2     3
//! a      10    20     .    30     fixed width: a vector of words
//! b     "x"  NULL     .   "y"     text: spans of an arena
//!                     ^ freed: the next appended row takes it
//! ```

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, BooleanArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute;
use arrow::datatypes::{ArrowNativeType, DataType, i256};
use arrow::row::RowConverter;

use super::arena::Arena;
use super::byte_array::byte_array;
use super::values::{Layout, Reader, Values, Zeros, converter};
use crate::error::{Error, Result};

/// Ids are `u32`; the last one is kept for [`ABSENT`].
pub const ROWS_MAX: usize = u32::MAX as usize - 1;

/// No id.
pub const ABSENT: u32 = u32::MAX;

/// Rows of one schema by dense id.
pub struct Columns {
    columns: Vec<Column>,
    free: Vec<u32>,
    slots: usize,
    zeros: Zeros,
}

struct Column {
    data_type: DataType,
    store: Store,
    /// Grown when the first NULL comes.
    valid: Option<Vec<bool>>,
}

enum Store {
    W1(Vec<i8>),
    W2(Vec<i16>),
    W4(Vec<i32>),
    W8(Vec<i64>),
    W16(Vec<i128>),
    W32(Vec<i256>),
    Bytes(Arena),
    Encoded(Arena, Box<RowConverter>),
}

impl Columns {
    /// No rows yet, of columns of these types.
    ///
    /// # Errors
    /// When a type cannot be stored.
    pub fn new(types: &[DataType], zeros: Zeros) -> Result<Self> {
        let columns = types.iter().map(Column::new).collect::<Result<_>>()?;
        Ok(Columns { columns, free: Vec::new(), slots: 0, zeros })
    }

    /// Views of a batch's columns, which are of the types of these.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn read<'a>(&self, arrays: &'a [ArrayRef]) -> Result<Vec<Reader<'a>>> {
        debug_assert_eq!(arrays.len(), self.columns.len());
        arrays.iter().zip(&self.columns).map(|(array, column)| column.read(array, self.zeros)).collect()
    }

    /// Appends some rows of a batch, freed ids first; their ids are pushed to `ids`.
    ///
    /// # Errors
    /// [`Error::Limit`] past [`ROWS_MAX`] rows.
    pub fn append(&mut self, readers: &[Reader], rows: &[u32], ids: &mut Vec<u32>) -> Result<()> {
        let first = ids.len();
        ids.reserve(rows.len());
        for _ in rows {
            ids.push(self.allocate()?);
        }
        self.put(readers, rows, &ids[first..]);
        Ok(())
    }

    /// An id for a row that [`Columns::put`] will fill, a freed one if there is any.
    ///
    /// # Errors
    /// [`Error::Limit`] past [`ROWS_MAX`] rows.
    #[inline]
    pub fn allocate(&mut self) -> Result<u32> {
        if let Some(id) = self.free.pop() {
            return Ok(id);
        }
        if self.slots == ROWS_MAX {
            return Err(Error::Limit(format!("one operator can keep {ROWS_MAX} rows, and this change needs more")));
        }
        self.slots += 1;
        Ok((self.slots - 1) as u32)
    }

    /// Fills allocated ids with some rows of a batch.
    pub fn put(&mut self, readers: &[Reader], rows: &[u32], ids: &[u32]) {
        for (column, reader) in self.columns.iter_mut().zip(readers) {
            column.put(reader, rows, ids, self.slots);
        }
    }

    /// The word of a row whose only column is of fixed width up to 8 bytes; `None` for NULL.
    pub fn word(&self, id: u32) -> Option<u64> {
        let column = &self.columns[0];
        let slot = id as usize;
        column.is_valid(id).then(|| match &column.store {
            Store::W1(store) => store[slot] as u64,
            Store::W2(store) => store[slot] as u64,
            Store::W4(store) => store[slot] as u64,
            Store::W8(store) => store[slot] as u64,
            _ => unreachable!("a word key is at most 8 bytes"),
        })
    }

    /// Gives an id back.
    pub fn free(&mut self, id: u32) {
        for column in &mut self.columns {
            if let Store::Bytes(arena) | Store::Encoded(arena, _) = &mut column.store {
                arena.clear(id);
            }
        }
        self.free.push(id);
    }

    /// Whether the row with this id equals a row of a batch.
    #[inline]
    pub fn equal(&self, id: u32, readers: &[Reader], row: usize) -> bool {
        self.columns.iter().zip(readers).all(|(column, reader)| column.equal(id, reader, row))
    }

    /// The rows with these ids, in that order.
    ///
    /// # Errors
    /// [`Error::Limit`] when the text of one column is past 2 GiB.
    pub fn gather(&self, ids: &[u32]) -> Result<Vec<ArrayRef>> {
        self.columns.iter().map(|column| column.gather(ids)).collect()
    }

    /// One column of the rows with these ids.
    ///
    /// # Errors
    /// As [`Columns::gather`].
    pub fn gather_column(&self, index: usize, ids: &[u32]) -> Result<ArrayRef> {
        self.columns[index].gather(ids)
    }

    /// One more than the highest id ever given.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many ids are in use.
    pub fn len(&self) -> usize {
        self.slots - self.free.len()
    }

    /// Whether no id is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.free.capacity() * 4 + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self> {
        let store = match Layout::of(data_type) {
            Layout::Fixed(1) => Store::W1(Vec::new()),
            Layout::Fixed(2) => Store::W2(Vec::new()),
            Layout::Fixed(4) => Store::W4(Vec::new()),
            Layout::Fixed(8) => Store::W8(Vec::new()),
            Layout::Fixed(16) => Store::W16(Vec::new()),
            Layout::Fixed(_) => Store::W32(Vec::new()),
            Layout::Bytes => Store::Bytes(Arena::default()),
            Layout::Encoded => Store::Encoded(Arena::default(), Box::new(converter(data_type)?)),
        };
        Ok(Column { data_type: data_type.clone(), store, valid: None })
    }

    fn read<'a>(&self, array: &'a ArrayRef, zeros: Zeros) -> Result<Reader<'a>> {
        let converter = match &self.store {
            Store::Encoded(_, converter) => Some(converter.as_ref()),
            _ => None,
        };
        Reader::new(array, converter, zeros)
    }

    fn put(&mut self, reader: &Reader, rows: &[u32], ids: &[u32], slots: usize) {
        match (&mut self.store, &reader.values) {
            (Store::W1(store), Values::W1(values)) => scatter(store, values, rows, ids, slots),
            (Store::W2(store), Values::W2(values)) => scatter(store, values, rows, ids, slots),
            (Store::W4(store), Values::W4(values)) => scatter(store, values, rows, ids, slots),
            (Store::W8(store), Values::W8(values)) => scatter(store, values, rows, ids, slots),
            (Store::W16(store), Values::W16(values)) => scatter(store, values, rows, ids, slots),
            (Store::W32(store), Values::W32(values)) => scatter(store, values, rows, ids, slots),
            (Store::Bytes(arena), Values::Bytes(values)) => {
                arena.resize(slots);
                for (row, id) in rows.iter().zip(ids) {
                    if reader.is_valid(*row as usize) {
                        arena.set(*id, values.get(*row as usize));
                    }
                }
            }
            // A NULL is encoded too: decoding asks for its bytes.
            (Store::Encoded(arena, _), Values::Bytes(values)) => {
                arena.resize(slots);
                for (row, id) in rows.iter().zip(ids) {
                    arena.set(*id, values.get(*row as usize));
                }
            }
            _ => unreachable!("a batch has the columns' types"),
        }
        if reader.nulls.is_some() || self.valid.is_some() {
            let valid = self.valid.get_or_insert_default();
            valid.resize(slots, true);
            for (row, id) in rows.iter().zip(ids) {
                valid[*id as usize] = reader.is_valid(*row as usize);
            }
        }
    }

    #[inline]
    fn is_valid(&self, id: u32) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid[id as usize])
    }

    #[inline]
    fn equal(&self, id: u32, reader: &Reader, row: usize) -> bool {
        let valid = self.is_valid(id);
        if valid != reader.is_valid(row) {
            return false;
        }
        let slot = id as usize;
        !valid
            || match (&self.store, &reader.values) {
                (Store::W1(store), Values::W1(values)) => store[slot] == values[row],
                (Store::W2(store), Values::W2(values)) => store[slot] == values[row],
                (Store::W4(store), Values::W4(values)) => store[slot] == values[row],
                (Store::W8(store), Values::W8(values)) => store[slot] == values[row],
                (Store::W16(store), Values::W16(values)) => store[slot] == values[row],
                (Store::W32(store), Values::W32(values)) => store[slot] == values[row],
                (Store::Bytes(arena) | Store::Encoded(arena, _), Values::Bytes(values)) => {
                    arena.get(id) == values.get(row)
                }
                _ => unreachable!("a batch has the columns' types"),
            }
    }

    fn gather(&self, ids: &[u32]) -> Result<ArrayRef> {
        let nulls = self.valid.as_ref().map(|valid| ids.iter().map(|id| valid[*id as usize]).collect::<NullBuffer>());
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let words = match &self.store {
            Store::W1(store) if self.data_type == DataType::Boolean => {
                let values = ids.iter().map(|id| store[*id as usize] != 0).collect();
                return Ok(Arc::new(BooleanArray::new(values, nulls)));
            }
            Store::W1(store) => pick(store, ids),
            Store::W2(store) => pick(store, ids),
            Store::W4(store) => pick(store, ids),
            Store::W8(store) => pick(store, ids),
            Store::W16(store) => pick(store, ids),
            Store::W32(store) => pick(store, ids),
            Store::Bytes(arena) => return byte_array(&self.data_type, ids.iter().map(|id| arena.get(*id)), nulls),
            Store::Encoded(arena, converter) => {
                let parser = converter.parser();
                let array = converter.convert_rows(ids.iter().map(|id| parser.parse(arena.get(*id))))?.swap_remove(0);
                // arrow-row gives the values of a dictionary, not the dictionary.
                let same = array.data_type() == &self.data_type;
                return if same { Ok(array) } else { Ok(compute::cast(&array, &self.data_type)?) };
            }
        };
        let data = ArrayData::builder(self.data_type.clone()).len(ids.len()).add_buffer(words).nulls(nulls).build()?;
        Ok(make_array(data))
    }

    fn bytes(&self) -> usize {
        let store = match &self.store {
            Store::W1(store) => store.capacity(),
            Store::W2(store) => store.capacity() * 2,
            Store::W4(store) => store.capacity() * 4,
            Store::W8(store) => store.capacity() * 8,
            Store::W16(store) => store.capacity() * 16,
            Store::W32(store) => store.capacity() * 32,
            Store::Bytes(arena) => arena.memory(),
            Store::Encoded(arena, converter) => arena.memory() + converter.size(),
        };
        store + self.valid.as_ref().map_or(0, Vec::capacity)
    }
}

#[inline]
fn scatter<T: ArrowNativeType>(store: &mut Vec<T>, values: &[T], rows: &[u32], ids: &[u32], slots: usize) {
    store.resize(slots, T::default());
    for (row, id) in rows.iter().zip(ids) {
        store[*id as usize] = values[*row as usize];
    }
}

#[inline]
fn pick<T: ArrowNativeType>(store: &[T], ids: &[u32]) -> Buffer {
    Buffer::from_vec(ids.iter().map(|id| store[*id as usize]).collect::<Vec<T>>())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, FixedSizeBinaryArray, Int64Array, StringArray, StructArray};
    use arrow::compute::cast;
    use arrow::datatypes::{Field, IntervalUnit, TimeUnit};

    use super::*;

    fn arrays() -> Vec<ArrayRef> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(0), Some(7), Some(7)]));
        let texts = ["a", "", "a text longer than twelve bytes", "b"];
        let texts: ArrayRef = Arc::new(StringArray::from_iter(texts.into_iter().map(Some).chain([None])));
        let to = |array: &ArrayRef, data_type: DataType| cast(array, &data_type).unwrap();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", dictionary.clone(), true)];
        let parts = vec![numbers.clone(), to(&texts, dictionary.clone())];
        let nulls = NullBuffer::from(vec![true, true, false, true, true]);
        let bytes = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            [Some([1, 2]), None, Some([0, 0]), None, Some([3, 4])].into_iter(),
            2,
        );
        vec![
            to(&numbers, DataType::Boolean),
            to(&numbers, DataType::UInt8),
            to(&numbers, DataType::Float16),
            to(&numbers, DataType::Date32),
            to(&numbers, DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()))),
            to(&numbers, DataType::Decimal128(30, 2)),
            to(&numbers, DataType::Decimal256(60, 2)),
            to(&to(&numbers, DataType::Duration(TimeUnit::Second)), DataType::Interval(IntervalUnit::MonthDayNano)),
            to(&numbers, DataType::new_list(DataType::Float64, true)),
            to(&texts, DataType::LargeUtf8),
            to(&texts, DataType::Utf8View),
            to(&texts, DataType::Binary),
            to(&to(&texts, DataType::Binary), DataType::BinaryView),
            to(&texts, dictionary),
            Arc::new(bytes.unwrap()),
            Arc::new(StructArray::new(fields.into(), parts, Some(nulls))),
            texts,
            numbers,
        ]
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        let arrays = arrays();
        let types: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
        let mut columns = Columns::new(&types, Zeros::Kept).unwrap();
        let readers = columns.read(&arrays).unwrap();
        let mut ids = Vec::new();
        columns.append(&readers, &[4, 3, 2], &mut ids).unwrap();
        columns.free(0);
        columns.free(2);
        columns.append(&readers, &[0, 1, 2, 4], &mut ids).unwrap();
        assert_eq!(ids, [0, 1, 2, 2, 0, 3, 4]);
        for (id, row) in [(0, 1), (1, 3), (2, 0), (3, 2), (4, 4)] {
            assert!(columns.equal(id, &readers, row));
            assert!(!columns.equal(id, &readers, (row + 1) % 5));
        }
        let back = columns.gather(&[2, 0, 3, 1, 4]).unwrap();
        for (back, array) in back.iter().zip(&arrays) {
            assert_eq!(back, array, "{}", array.data_type());
        }
        assert_eq!(columns.len(), 5);
    }
}
