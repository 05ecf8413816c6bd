//! Top-k of each group: the rows of a partition whose ROW_NUMBER, RANK or DENSE_RANK is at most k.
//!
//! ```text
//! group   a 9 | a 7 | a 7 | a 3 | a 1          number   1 2 3 4 5   at most 2:  9 7
//!                                              rank     1 2 2 4 5   at most 2:  9 7 7
//!         k = 2                                dense    1 2 2 3 4   at most 3:  9 7 7 3
//! ```
//!
//! All rows are kept in order, those of a group side by side. Where rows are not numbered in the output and peers are told
//! apart, the end of each group's top is known, and moves (`border`). Else, after a change of a group, its first rows are
//! read before and after, and what differs is put out: at most the k rows and their ties, however large the group is. Rows
//! that are only ever added can let go what is behind the last of them.

mod border;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;

use self::border::Borders;
use super::ordered::{Change, Key, Order, OrderedRows, by_partition};
use super::project::batch;
use crate::circuit::time::Watermarks;
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// How rows are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// `ROW_NUMBER`: each row has a number of its own.
    Row,
    /// `RANK`: peers have the number of the first of them.
    Rank,
    /// `DENSE_RANK`: peers have one number, and the next peers the next.
    Dense,
}

/// What is kept of each group.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    /// How rows are numbered.
    pub numbering: Numbering,
    /// The greatest number that is kept.
    pub most: i64,
    /// Whether the number is put out, as the last column.
    pub numbered: bool,
}

/// Keeps the first rows of each group.
pub struct GroupTop {
    schema: SchemaRef,
    /// How many of the input's columns are put out.
    shown: usize,
    rows: OrderedRows,
    best: Best,
    /// Where tops end, where this is all that has to be known.
    borders: Option<Borders>,
    append_only: bool,
    text: String,
}

/// Net changes of the output, by row and its number.
type Moved = BTreeMap<(Key, i64), i64>;

/// A row at the top of its group: its number (zero where it is not asked for) and how often it is there.
#[derive(PartialEq, Eq)]
struct Shown {
    key: Key,
    number: i64,
    weight: i64,
}

impl GroupTop {
    /// The best rows of each partition of `input` in this order. Output: the first columns of the input and, if asked for,
    /// the number, under `schema`. `text` says the groups and their order, for `EXPLAIN`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(
        input: SchemaRef,
        schema: SchemaRef,
        order: &Order,
        best: Best,
        append_only: bool,
        text: String,
    ) -> Result<Self> {
        let shown = schema.fields().len() - usize::from(best.numbered);
        let rows = OrderedRows::new(input, order)?;
        let borders = (best.numbering == Numbering::Row && !best.numbered).then(|| Borders::new(best.most));
        Ok(GroupTop { schema, shown, rows, best, borders, append_only, text })
    }

    /// The top of a group.
    fn top(&self, partition: &[u8]) -> Vec<Shown> {
        let Best { numbering, most, numbered } = self.best;
        let mut top: Vec<Shown> = Vec::new();
        // Of the rows so far: how many, and in how many groups of peers.
        let (mut count, mut groups, mut peers): (i64, i64, Option<&[u8]>) = (0, 0, None);
        let mut first_of_peers = 1;
        for (key, entry) in self.rows.partition(partition) {
            let peers_of_key = &key[..entry.peers];
            if peers != Some(peers_of_key) {
                (peers, groups, first_of_peers) = (Some(peers_of_key), groups + 1, count + 1);
            }
            let number = match numbering {
                Numbering::Row => count + 1,
                Numbering::Rank => first_of_peers,
                Numbering::Dense => groups,
            };
            if number > most {
                break;
            }
            match numbering {
                Numbering::Row => {
                    let last = most.min(count.saturating_add(entry.weight));
                    top.extend((number..=last).map(|number| Shown { key: key.clone(), number, weight: 1 }));
                }
                _ => {
                    let number = if numbered { number } else { 0 };
                    top.push(Shown { key: key.clone(), number, weight: entry.weight });
                }
            }
            count = count.saturating_add(entry.weight);
        }
        top
    }

    /// Forgets what is behind the top of a group that only ever gets better rows.
    fn forget_rest(&mut self, partition: &[u8], top: &[Shown]) {
        let Some(last) = top.last() else { return };
        if self.best.numbering == Numbering::Row {
            let shown = top.iter().filter(|row| row.key == last.key).map(|row| row.weight).sum();
            self.rows.set(&last.key, shown);
        }
        let rest: Vec<Key> = self.rows.after(partition, &last.key).map(|(key, _)| key.clone()).collect();
        for key in rest {
            self.rows.set(&key, 0);
        }
    }

    fn decode(&self, moved: &Moved) -> Result<Delta> {
        let rows = self.rows.decode(moved.keys().map(|(key, _)| key))?;
        let mut columns = rows.columns()[..self.shown].to_vec();
        if self.best.numbered {
            columns.push(Arc::new(Int64Array::from_iter_values(moved.keys().map(|(_, number)| *number))));
        }
        let weights = Weights::new(moved.values().copied().collect());
        Ok(Delta::new(batch(&self.schema, columns, moved.len())?, weights))
    }
}

/// Adds what differs between the old and the new top of a group.
fn note(old: Vec<Shown>, new: Vec<Shown>, moved: &mut Moved) {
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    for (rows, sign) in [(old, -1), (new, 1)] {
        for Shown { key, number, weight } in rows.into_iter().skip(same) {
            *moved.entry((key, number)).or_default() += sign * weight;
        }
    }
}

impl Operator for GroupTop {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        if self.append_only && !inputs[0].weights.is_append() {
            return Err(Error::Internal(format!("{self}: a row was deleted from an append-only input")));
        }
        let changes: Vec<(Key, Change)> = self.rows.changes(inputs[0])?.into_iter().collect();
        let mut moved = Moved::new();
        for (partition, changes) in by_partition(&changes) {
            if let Some(borders) = &mut self.borders {
                borders.apply(&mut self.rows, partition, changes, self.append_only, &mut moved)?;
                continue;
            }
            let old = self.top(partition);
            for (key, change) in changes {
                self.rows.apply(key, change)?;
            }
            let new = self.top(partition);
            if self.append_only {
                self.forget_rest(partition, &new);
            }
            note(old, new, &mut moved);
        }
        moved.retain(|_, weight| *weight != 0);
        self.decode(&moved)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let end = self.rows.close(watermarks)?;
        if let (Some(borders), Some(end)) = (&mut self.borders, end) {
            borders.forget_before(&end);
        }
        Ok(())
    }

    fn growth(&self) -> Growth {
        self.rows.growth()
    }

    fn state(&self) -> Option<StateSize> {
        let borders = self.borders.as_ref().map_or(0, Borders::bytes);
        Some(StateSize { rows: self.rows.len(), bytes: self.rows.bytes() + borders })
    }
}

impl fmt::Display for GroupTop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Best { numbering, most, numbered } = self.best;
        let by = match numbering {
            Numbering::Row => "",
            Numbering::Rank => "rank ",
            Numbering::Dense => "dense_rank ",
        };
        write!(f, "group top-k: {by}{most}{}", self.text)?;
        f.write_str(if numbered { ", numbered" } else { "" })
    }
}
