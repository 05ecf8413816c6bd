//! Top-k of each group: the rows of a partition whose ROW_NUMBER, RANK or DENSE_RANK is at most k.
//!
//! ```text
//! group   a 9 | a 7 | a 7 | a 3 | a 1          number   1 2 3 4 5   at most 2:  9 7
//!                                              rank     1 2 2 4 5   at most 2:  9 7 7
//!         k = 2                                dense    1 2 2 3 4   at most 3:  9 7 7 3
//! ```
//!
//! All rows are kept in order, those of a group side by side. After a change of a group its first rows are read before
//! and after, and what differs is put out: at most the k rows and their ties, however large the group is. Rows that are
//! only ever added can let go what is behind the last of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::SchemaRef;

use super::ordered::{Change, Key, Order, OrderedRows, by_partition};
use super::project::batch;
use crate::circuit::{Operator, StateSize, Tick};
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
    append_only: bool,
    text: String,
}

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
        Ok(GroupTop { schema, shown, rows, best, append_only, text })
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
                Numbering::Row if numbered => {
                    let last = most.min(count.saturating_add(entry.weight));
                    top.extend((number..=last).map(|number| Shown { key: key.clone(), number, weight: 1 }));
                }
                Numbering::Row => {
                    let weight = entry.weight.min(most - count);
                    top.push(Shown { key: key.clone(), number: 0, weight });
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

    fn decode(&self, moved: &BTreeMap<(Key, i64), i64>) -> Result<Delta> {
        let rows = self.rows.decode(moved.keys().map(|(key, _)| key))?;
        let mut columns = rows.columns()[..self.shown].to_vec();
        if self.best.numbered {
            columns.push(Arc::new(UInt64Array::from_iter_values(moved.keys().map(|(_, number)| *number as u64))));
        }
        let weights = Weights::new(moved.values().copied().collect());
        Ok(Delta::new(batch(&self.schema, columns, moved.len())?, weights))
    }
}

/// Adds what differs between the old and the new top of a group.
fn note(old: Vec<Shown>, new: Vec<Shown>, moved: &mut BTreeMap<(Key, i64), i64>) {
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
        let mut moved = BTreeMap::new();
        for (partition, changes) in by_partition(&changes) {
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

    fn state(&self) -> Option<StateSize> {
        Some(StateSize { rows: self.rows.len(), bytes: self.rows.bytes() })
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::delta::rows::RowSet;
    use crate::delta::text::{parse, print};
    use crate::operators::row_codec::SortKey;
    use crate::operators::testing::{Random, change, contents, schema, step};

    const COLUMNS: [(&str, DataType); 3] = [("g", DataType::Utf8), ("x", DataType::Int64), ("id", DataType::Int64)];

    fn operator(numbering: Numbering, most: i64, numbered: bool, append_only: bool) -> (SchemaRef, GroupTop) {
        let input = schema(&COLUMNS);
        let mut columns = COLUMNS.to_vec();
        if numbered {
            columns.push(("number", DataType::UInt64));
        }
        let keys = vec![SortKey { column: 1, descending: true, nulls_first: false }];
        let order = Order { partition: vec![0], keys, ties: Vec::new() };
        let best = Best { numbering, most, numbered };
        let top = GroupTop::new(input.clone(), schema(&columns), &order, best, append_only, " per g".into()).unwrap();
        (input, top)
    }

    #[test]
    fn only_what_moves_is_put_out() {
        let (rows, mut top) = operator(Numbering::Row, 2, false, false);
        assert_eq!(top.to_string(), "group top-k: 2 per g");
        assert_eq!(step(&mut top, &[(&rows, "+1 a 1 1\n+1 b 5 2\n+1 a 3 3")]), "+1 a 1 1\n+1 a 3 3\n+1 b 5 2\n");
        assert_eq!(step(&mut top, &[(&rows, "+1 a 2 4")]), "-1 a 1 1\n+1 a 2 4\n");
        assert_eq!(step(&mut top, &[(&rows, "+1 a 0 5")]), "");
        assert_eq!(step(&mut top, &[(&rows, "-1 a 3 3\n+1 c null 6")]), "+1 a 1 1\n-1 a 3 3\n+1 c null 6\n");
        let (rows, mut top) = operator(Numbering::Rank, 2, true, false);
        assert_eq!(step(&mut top, &[(&rows, "+1 a 1 1\n+2 a 1 2\n+1 a 0 3")]), "+1 a 1 1 1\n+2 a 1 2 1\n");
        assert_eq!(
            step(&mut top, &[(&rows, "+1 a 2 4")]),
            "-1 a 1 1 1\n+1 a 1 1 2\n-2 a 1 2 1\n+2 a 1 2 2\n+1 a 2 4 1\n"
        );
    }

    #[test]
    fn an_append_only_input_is_kept_no_further_than_it_is_shown() {
        let (rows, mut top) = operator(Numbering::Row, 2, false, true);
        step(&mut top, &[(&rows, "+5 a 1 1\n+1 a 0 2\n+1 b 3 4")]);
        assert_eq!(top.state().unwrap().rows, 2);
        assert_eq!(step(&mut top, &[(&rows, "+1 a 7 1")]), "-1 a 1 1\n+1 a 7 1\n");
        assert_eq!(step(&mut top, &[(&rows, "+1 a 8 1")]), "-1 a 1 1\n+1 a 8 1\n");
        assert_eq!(top.state().unwrap().rows, 3);
    }

    #[test]
    fn group_top_reference() {
        let row = |random: &mut Random| {
            let (group, value) = (random.pick(&["a", "b", "null"]), random.pick(&["1", "2", "3", "4", "null"]));
            format!("{group} {value} {}", random.below(3))
        };
        for seed in 0..90 {
            let mut random = Random::new(seed);
            let append = seed % 3 == 0;
            let numbering = [Numbering::Row, Numbering::Rank, Numbering::Dense][random.below(3)];
            let (most, numbered) = (random.below(5) as i64, random.below(2) == 0);
            let (rows, mut top) = operator(numbering, most, numbered, append);
            let mut bag = Vec::new();
            let mut view = RowSet::new(top.schema(), None, false).unwrap();
            for number in 0..25 {
                let delta = parse(&rows, &change(&mut random, &mut bag, row, append)).unwrap();
                view.apply(&top.step(&[&delta], &Tick::default()).unwrap()).unwrap();
                let mut sorted: Vec<Vec<&str>> = bag.iter().map(|row| row.split(' ').collect()).collect();
                let value = |row: &[&str]| row[1].parse::<i64>().map_or(i64::MAX, |x| -x);
                sorted.sort_by(|a, b| a[0].cmp(b[0]).then(value(a).cmp(&value(b))).then(a[2].cmp(b[2])));
                let mut lines = String::new();
                for group in sorted.chunk_by(|a, b| a[0] == b[0]) {
                    for (at, row) in group.iter().enumerate() {
                        let before = group.iter().filter(|other| value(other) < value(row));
                        let mut values: Vec<i64> = before.map(|other| value(other)).collect();
                        let rank = values.len() + 1;
                        values.dedup();
                        let number = match numbering {
                            Numbering::Row => at + 1,
                            Numbering::Rank => rank,
                            Numbering::Dense => values.len() + 1,
                        };
                        if number as i64 <= most {
                            let number = if numbered { format!(" {number}") } else { String::new() };
                            lines.push_str(&format!("+1 {}{number}\n", row.join(" ")));
                        }
                    }
                }
                let expected = print(&parse(&top.schema(), &lines).unwrap()).unwrap();
                assert_eq!(contents(&mut view), expected, "seed {seed} step {number} {numbering:?} {most}");
            }
        }
    }
}
