//! Keys to dense ids: the hash index under groups, tables, join sides and bags of rows.
//!
//! ```text
//! one column of at most 8 bytes   HashTable<(word, id)>      the key itself lies in the table
//! no column                       at most one id
//! anything else                   HashTable<(hash, id)>      the key lies in Columns
//! ```
//!
//! NULL is a key like others here. Ids of removed keys are given to later ones. The table is only ever asked for a
//! key, never walked, so no result depends on its order.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::columns::{ABSENT, Columns};
use super::hash::{hash_rows, hash_word};
use super::values::{Layout, Reader, Values, Zeros};
use crate::error::Result;

/// Keys of one schema by dense id, and back.
pub struct KeyIndex {
    columns: Columns,
    table: Table,
    fresh: Fresh,
}

enum Table {
    Unit(Option<u32>),
    Word { map: HashTable<(u64, u32)>, null: Option<u32> },
    Rows { map: HashTable<(u64, u32)>, hashes: Vec<u64> },
}

/// The keys that a batch brought: the first row of each, and its id.
#[derive(Default)]
struct Fresh {
    rows: Vec<u32>,
    ids: Vec<u32>,
}

impl KeyIndex {
    /// An index over key columns of these types.
    ///
    /// # Errors
    /// When a type cannot be stored.
    pub fn new(types: &[DataType], zeros: Zeros) -> Result<Self> {
        let table = match types {
            [] => Table::Unit(None),
            [one] if matches!(Layout::of(one), Layout::Fixed(width) if width <= 8) => {
                Table::Word { map: HashTable::new(), null: None }
            }
            _ => Table::Rows { map: HashTable::new(), hashes: Vec::new() },
        };
        Ok(KeyIndex { columns: Columns::new(types, zeros)?, table, fresh: Fresh::default() })
    }

    /// The id of each of `rows` keys, in `ids`; keys met for the first time get one. Returns the first row of each new
    /// key.
    ///
    /// # Errors
    /// When the ids are used up or a nested value cannot be encoded.
    pub fn intern(&mut self, keys: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<&[u32]> {
        let readers = self.columns.read(keys)?;
        ids.clear();
        ids.reserve(rows);
        self.fresh.rows.clear();
        self.fresh.ids.clear();
        let (columns, fresh) = (&mut self.columns, &mut self.fresh);
        match &mut self.table {
            Table::Unit(unit) => {
                if rows > 0 && unit.is_none() {
                    *unit = Some(columns.allocate()?);
                    fresh.rows.push(0);
                }
                ids.resize(rows, unit.unwrap_or(ABSENT));
            }
            Table::Word { map, null } => {
                let mut words = Words { map, null, columns, fresh, ids, reader: &readers[0] };
                match &readers[0].values {
                    Values::W1(v) => words.intern(rows, |row| v[row] as u64)?,
                    Values::W2(v) => words.intern(rows, |row| v[row] as u64)?,
                    Values::W4(v) => words.intern(rows, |row| v[row] as u64)?,
                    Values::W8(v) => words.intern(rows, |row| v[row] as u64)?,
                    _ => unreachable!("a word key is at most 8 bytes"),
                }
                columns.put(&readers, &fresh.rows, &fresh.ids);
            }
            Table::Rows { map, hashes } => {
                let batch = hash_rows(&readers, rows);
                for (row, hash) in batch.into_iter().enumerate() {
                    let found = map.find(hash, |(h, id)| *h == hash && columns.equal(*id, &readers, row));
                    if let Some((_, id)) = found {
                        ids.push(*id);
                        continue;
                    }
                    // Stored at once: a later row of the batch may hold the same key.
                    let id = columns.allocate()?;
                    columns.put(&readers, &[row as u32], &[id]);
                    map.insert_unique(hash, (hash, id), |(h, _)| *h);
                    if hashes.len() <= id as usize {
                        hashes.resize(id as usize + 1, 0);
                    }
                    hashes[id as usize] = hash;
                    fresh.rows.push(row as u32);
                    ids.push(id);
                }
            }
        }
        Ok(&self.fresh.rows)
    }

    /// The id of each of `rows` keys, in `ids`; [`ABSENT`] for unknown ones.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn find(&self, keys: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<()> {
        let readers = self.columns.read(keys)?;
        ids.clear();
        ids.reserve(rows);
        match &self.table {
            Table::Unit(unit) => ids.resize(rows, unit.unwrap_or(ABSENT)),
            Table::Word { map, null } => {
                let reader = &readers[0];
                let null = null.unwrap_or(ABSENT);
                match &reader.values {
                    Values::W1(v) => find_words(map, null, reader, rows, |row| v[row] as u64, ids),
                    Values::W2(v) => find_words(map, null, reader, rows, |row| v[row] as u64, ids),
                    Values::W4(v) => find_words(map, null, reader, rows, |row| v[row] as u64, ids),
                    Values::W8(v) => find_words(map, null, reader, rows, |row| v[row] as u64, ids),
                    _ => unreachable!("a word key is at most 8 bytes"),
                }
            }
            Table::Rows { map, .. } => {
                for (row, hash) in hash_rows(&readers, rows).into_iter().enumerate() {
                    let found = map.find(hash, |(h, id)| *h == hash && self.columns.equal(*id, &readers, row));
                    ids.push(found.map_or(ABSENT, |(_, id)| *id));
                }
            }
        }
        Ok(())
    }

    /// Forgets a key that is present; its id may be given to another.
    pub fn remove(&mut self, id: u32) {
        match &mut self.table {
            Table::Unit(unit) => *unit = None,
            Table::Word { map, null } => match self.columns.word(id) {
                None => *null = None,
                Some(word) => take(map, hash_word(word), id),
            },
            Table::Rows { map, hashes } => take(map, hashes[id as usize], id),
        }
        self.columns.free(id);
    }

    /// The keys with these ids.
    ///
    /// # Errors
    /// When a text column would pass 2 GiB.
    pub fn gather(&self, ids: &[u32]) -> Result<Vec<ArrayRef>> {
        self.columns.gather(ids)
    }

    /// The columns that hold the keys by id.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.columns.bytes()
            + match &self.table {
                Table::Unit(_) => 0,
                Table::Word { map, .. } => map.allocation_size(),
                Table::Rows { map, hashes } => map.allocation_size() + hashes.capacity() * 8,
            }
    }
}

/// The parts of an index of word keys, borrowed for one batch.
struct Words<'a> {
    map: &'a mut HashTable<(u64, u32)>,
    null: &'a mut Option<u32>,
    columns: &'a mut Columns,
    fresh: &'a mut Fresh,
    ids: &'a mut Vec<u32>,
    reader: &'a Reader<'a>,
}

impl Words<'_> {
    #[inline]
    fn intern(&mut self, rows: usize, word: impl Fn(usize) -> u64) -> Result<()> {
        if self.reader.nulls.is_none() {
            for row in 0..rows {
                self.intern_one(row, word(row))?;
            }
            return Ok(());
        }
        for row in 0..rows {
            if self.reader.is_valid(row) {
                self.intern_one(row, word(row))?;
                continue;
            }
            let id = match *self.null {
                Some(id) => id,
                None => {
                    let id = self.columns.allocate()?;
                    self.fresh.rows.push(row as u32);
                    self.fresh.ids.push(id);
                    *self.null.insert(id)
                }
            };
            self.ids.push(id);
        }
        Ok(())
    }

    #[inline]
    fn intern_one(&mut self, row: usize, word: u64) -> Result<()> {
        let id = match self.map.entry(hash_word(word), |(w, _)| *w == word, |(w, _)| hash_word(*w)) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let id = self.columns.allocate()?;
                entry.insert((word, id));
                self.fresh.rows.push(row as u32);
                self.fresh.ids.push(id);
                id
            }
        };
        self.ids.push(id);
        Ok(())
    }
}

#[inline]
fn find_words(
    map: &HashTable<(u64, u32)>,
    null: u32,
    reader: &Reader,
    rows: usize,
    word: impl Fn(usize) -> u64,
    ids: &mut Vec<u32>,
) {
    for row in 0..rows {
        if !reader.is_valid(row) {
            ids.push(null);
            continue;
        }
        let word = word(row);
        ids.push(map.find(hash_word(word), |(w, _)| *w == word).map_or(ABSENT, |(_, id)| *id));
    }
}

fn take(map: &mut HashTable<(u64, u32)>, hash: u64, id: u32) {
    if let Ok(entry) = map.find_entry(hash, |(_, i)| *i == id) {
        entry.remove();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, StringArray};

    use super::*;

    #[test]
    fn ids_are_dense_and_reused() {
        let mut index = KeyIndex::new(&[DataType::Int32], Zeros::Folded).unwrap();
        let keys: ArrayRef = Arc::new(Int32Array::from(vec![Some(-7), None, Some(9), Some(-7), None]));
        let mut ids = Vec::new();
        assert_eq!(index.intern(std::slice::from_ref(&keys), 5, &mut ids).unwrap(), [0, 1, 2]);
        assert_eq!(ids, [0, 1, 2, 0, 1]);
        index.remove(1);
        index.remove(0);
        index.find(std::slice::from_ref(&keys), 5, &mut ids).unwrap();
        assert_eq!(ids, [ABSENT, ABSENT, 2, ABSENT, ABSENT]);
        index.intern(&[keys.slice(1, 3)], 3, &mut ids).unwrap();
        assert_eq!(ids, [0, 2, 1]);
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(-7), Some(9)]));
        assert_eq!(&index.gather(&[0, 1, 2]).unwrap()[0], &expected);
    }

    #[test]
    fn composite_keys_with_nulls_and_zeros() {
        let types = [DataType::Utf8, DataType::Float64];
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), None, Some("a"), None]));
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, 1.0, f64::NAN]));
        let mut ids = Vec::new();
        let mut folded = KeyIndex::new(&types, Zeros::Folded).unwrap();
        folded.intern(&[text.clone(), numbers.clone()], 5, &mut ids).unwrap();
        assert_eq!(ids, [0, 0, 1, 2, 1]);
        let mut kept = KeyIndex::new(&types, Zeros::Kept).unwrap();
        kept.intern(&[text, numbers], 5, &mut ids).unwrap();
        assert_eq!(ids, [0, 1, 2, 3, 2]);
    }
}
