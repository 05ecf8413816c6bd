//! Where the top of each group ends, for ROW_NUMBER at most k: a change costs a logarithm, however great k is.
//!
//! ```text
//! a group in order   9  7  7  5 | 5  3  1          k = 4
//!                    ---------- shown: 4 rows
//!                             - last: within = 1 of its 2
//! ```
//!
//! Rows before the last shown one are all shown, rows behind it are not. A row that comes before it pushes out the last, a
//! shown row that goes lets in the next; the border moves by as many rows, found beside it in the order.

use std::collections::HashMap;

use super::Moved;
use crate::error::Result;
use crate::operators::ordered::{Change, Key, OrderedRows};

/// The end of the top of each group that has rows.
pub struct Borders {
    most: i64,
    groups: HashMap<Box<[u8]>, Border>,
    bytes: usize,
}

/// The end of one top.
#[derive(Default)]
struct Border {
    /// The last row that is shown.
    last: Option<Key>,
    /// How often it is shown.
    within: i64,
    /// How many rows are shown.
    total: i64,
}

impl Borders {
    /// No groups yet; of each at most so many rows are shown.
    pub fn new(most: i64) -> Self {
        Borders { most, groups: HashMap::new(), bytes: 0 }
    }

    /// Applies the changes of a group to the rows, and notes those that come into its top or leave it. With `forget`, rows
    /// behind the top are let go.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) when more of a row is deleted than is there.
    pub fn apply(
        &mut self,
        rows: &mut OrderedRows,
        partition: &[u8],
        changes: &[(Key, Change)],
        forget: bool,
        moved: &mut Moved,
    ) -> Result<()> {
        if !self.groups.contains_key(partition) {
            self.groups.insert(partition.into(), Border::default());
            self.bytes += partition.len();
        }
        let border = self.groups.get_mut(partition).expect("it is there or was put there");
        let mut top = Top { most: self.most, rows, partition, border, moved };
        for (key, change) in changes {
            top.rows.apply(key, change)?;
            if change.weight > 0 {
                top.insert(key, change.weight);
            } else {
                top.delete(key, -change.weight);
            }
        }
        if forget {
            top.forget_rest();
        }
        if top.border.total == 0 {
            self.groups.remove(partition);
            self.bytes -= partition.len();
        }
        Ok(())
    }

    /// Lets go of the groups whose bytes are before these.
    pub fn forget_before(&mut self, end: &[u8]) {
        let bytes = &mut self.bytes;
        self.groups.retain(|partition, _| {
            let stays = partition.as_ref() >= end;
            *bytes -= if stays { 0 } else { partition.len() };
            stays
        });
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(Box<[u8]>, Border)>() + self.bytes
    }
}

/// The top of one group during a step.
struct Top<'a> {
    most: i64,
    rows: &'a mut OrderedRows,
    partition: &'a [u8],
    border: &'a mut Border,
    moved: &'a mut Moved,
}

impl Top<'_> {
    /// A row has come.
    fn insert(&mut self, key: &Key, weight: i64) {
        let is_full = self.border.total >= self.most;
        match &self.border.last {
            Some(last) if key < last => {}
            _ if is_full => return,
            Some(last) if key == last => self.border.within += weight,
            _ => (self.border.last, self.border.within) = (Some(key.clone()), weight),
        }
        self.show(key, weight);
        while self.border.total > self.most {
            let Some(last) = self.border.last.clone() else { break };
            let out = self.border.within.min(self.border.total - self.most);
            self.border.within -= out;
            self.show(&last, -out);
            if self.border.within == 0 {
                self.step_back(&last);
            }
        }
    }

    /// A row has gone.
    fn delete(&mut self, key: &Key, weight: i64) {
        let gone = match &self.border.last {
            Some(last) if key < last => weight,
            Some(last) if key == last => {
                // Those that were not shown go first: the rest is as before.
                let gone = self.border.within - self.border.within.min(self.rows.weight(key));
                self.border.within -= gone;
                gone
            }
            _ => 0,
        };
        if gone == 0 {
            return;
        }
        self.show(key, -gone);
        if self.border.within == 0 {
            self.step_back(key);
        }
        self.fill();
    }

    /// Lets rows in from behind the border while there is room.
    fn fill(&mut self) {
        while self.border.total < self.most {
            let room = self.most - self.border.total;
            let next = match &self.border.last {
                Some(last) if self.rows.weight(last) > self.border.within => {
                    Some((last.clone(), self.rows.weight(last) - self.border.within))
                }
                Some(last) => {
                    self.rows.after(self.partition, last).next().map(|(key, entry)| (key.clone(), entry.weight))
                }
                None => self.rows.partition(self.partition).next().map(|(key, entry)| (key.clone(), entry.weight)),
            };
            let Some((key, weight)) = next else { break };
            let weight = weight.min(room);
            if self.border.last.as_ref() != Some(&key) {
                (self.border.last, self.border.within) = (Some(key.clone()), 0);
            }
            self.border.within += weight;
            self.show(&key, weight);
        }
    }

    /// Puts the border before a row that is no longer shown.
    fn step_back(&mut self, key: &Key) {
        let before = self.rows.before(self.partition, key).next().map(|(key, entry)| (key.clone(), entry.weight));
        (self.border.last, self.border.within) = before.map_or((None, 0), |(key, weight)| (Some(key), weight));
    }

    fn show(&mut self, key: &Key, weight: i64) {
        self.border.total += weight;
        *self.moved.entry((key.clone(), 0)).or_default() += weight;
    }

    /// Lets go what is behind the border.
    fn forget_rest(&mut self) {
        let Some(last) = &self.border.last else { return };
        self.rows.set(last, self.border.within);
        let rest: Vec<Key> = self.rows.after(self.partition, last).map(|(key, _)| key.clone()).collect();
        rest.iter().for_each(|key| self.rows.set(key, 0));
    }
}
