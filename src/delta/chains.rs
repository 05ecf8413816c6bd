//! Rows by key: for each key a doubly linked chain of the row ids that have it.
//!
//! ```text
//! key id    heads            next / prev by row id
//!   0   ->  row 7   <->  row 2   <->  row 0
//!   1   ->  row 5
//! ```
//!
//! A row joins at the head and leaves in constant time. A key without rows is forgotten.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use arrow::datatypes::DataType;

use super::columns::ABSENT;
use super::index::KeyIndex;
use super::values::Zeros;
use crate::error::Result;

/// Row ids by key.
pub struct Chains {
    columns: Vec<usize>,
    keys: KeyIndex,
    heads: Vec<u32>,
    links: Vec<Link>,
    key_ids: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    key: u32,
    next: u32,
    previous: u32,
}

const UNLINKED: Link = Link { key: ABSENT, next: ABSENT, previous: ABSENT };

impl Chains {
    /// Chains over these columns of rows of these types.
    ///
    /// # Errors
    /// When a type cannot be a key.
    pub fn new(types: &[DataType], columns: Vec<usize>) -> Result<Self> {
        let key_types: Vec<DataType> = columns.iter().map(|c| types[*c].clone()).collect();
        let keys = KeyIndex::new(&key_types, Zeros::Folded)?;
        Ok(Chains { columns, keys, heads: Vec::new(), links: Vec::new(), key_ids: Vec::new() })
    }

    /// Adds row `ids[i]`, which is row `rows[i]` of a batch with these columns.
    ///
    /// # Errors
    /// When the ids of keys are used up.
    pub fn link(&mut self, batch: &[ArrayRef], batch_rows: usize, rows: &[u32], ids: &[u32]) -> Result<()> {
        let mut keys: Vec<ArrayRef> = self.columns.iter().map(|c| batch[*c].clone()).collect();
        if rows.len() != batch_rows {
            let indices = UInt32Array::from(rows.to_vec());
            for key in &mut keys {
                *key = compute::take(key, &indices, None)?;
            }
        }
        let mut key_ids = std::mem::take(&mut self.key_ids);
        self.keys.intern(&keys, rows.len(), &mut key_ids)?;
        self.heads.resize(self.keys.columns().slots(), ABSENT);
        let slots = ids.iter().map(|id| *id as usize + 1).max().unwrap_or(0);
        if self.links.len() < slots {
            self.links.resize(slots, UNLINKED);
        }
        for (id, key) in ids.iter().zip(&key_ids) {
            let head = std::mem::replace(&mut self.heads[*key as usize], *id);
            if head != ABSENT {
                self.links[head as usize].previous = *id;
            }
            self.links[*id as usize] = Link { key: *key, next: head, previous: ABSENT };
        }
        self.key_ids = key_ids;
        Ok(())
    }

    /// Removes a row; one that was never added stays that way.
    pub fn unlink(&mut self, id: u32) {
        let Some(link) = self.links.get_mut(id as usize) else { return };
        let Link { key, next, previous } = std::mem::replace(link, UNLINKED);
        if key == ABSENT {
            return;
        }
        if next != ABSENT {
            self.links[next as usize].previous = previous;
        }
        if previous != ABSENT {
            self.links[previous as usize].next = next;
        } else {
            self.heads[key as usize] = next;
            if next == ABSENT {
                self.keys.remove(key);
            }
        }
    }

    /// The key id of each of `rows` keys, [`ABSENT`] where no row has it.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn find(&self, keys: &[ArrayRef], rows: usize, key_ids: &mut Vec<u32>) -> Result<()> {
        self.keys.find(keys, rows, key_ids)
    }

    /// The ids of the rows that have a key, the latest first; none for [`ABSENT`].
    #[inline]
    pub fn rows(&self, key: u32) -> impl Iterator<Item = u32> {
        let mut id = if key == ABSENT { ABSENT } else { self.heads[key as usize] };
        std::iter::from_fn(move || {
            if id == ABSENT {
                return None;
            }
            let row = id;
            id = self.links[id as usize].next;
            Some(row)
        })
    }

    /// The key columns.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.heads.capacity() * 4 + self.links.capacity() * size_of::<Link>()
    }
}
