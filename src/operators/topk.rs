//! ORDER BY .. LIMIT: the rows from position `skip` on, at most `fetch` of them.
//!
//! ```text
//! all rows in order   | before: skip rows | window: fetch rows | after: the rest |
//!                                          ^ the output         ^ empty for append-only input
//! ```
//!
//! Rows lie in three ordered maps from row-encoded bytes to weight. A change goes into the part where it belongs;
//! then rows move over the two borders until the parts are full again. Rows in or out of the window are the output.
//! Each costs O(log n). Rows that tie on the sort keys are in the order of all other columns, ascending with NULLs
//! last, so the window is a function of the bag alone. Floats are in IEEE total order.

use std::collections::BTreeMap;
use std::fmt;

use arrow::datatypes::SchemaRef;

use super::row_codec::{RowCodec, SortKey};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// Keeps a window of the ordered rows. Output: the columns of the input.
pub struct TopK {
    order: Vec<SortKey>,
    skip: i64,
    fetch: i64,
    append_only: bool,
    codec: RowCodec,
    before: Part,
    window: Part,
    after: Part,
}

/// Consecutive rows in order.
#[derive(Default)]
struct Part {
    rows: BTreeMap<Box<[u8]>, i64>,
    /// The sum of the weights.
    total: i64,
    /// Bytes of the keys.
    bytes: usize,
}

/// Net changes by encoded row.
type Changes = BTreeMap<Box<[u8]>, i64>;

impl TopK {
    /// Rows `skip` to `skip + fetch` in this order; all from `skip` on without `fetch`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(
        schema: SchemaRef,
        order: Vec<SortKey>,
        skip: usize,
        fetch: Option<usize>,
        append_only: bool,
    ) -> Result<Self> {
        let limit = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        Ok(TopK {
            codec: RowCodec::new(schema, order.iter().copied())?,
            order,
            skip: limit(skip),
            fetch: fetch.map_or(i64::MAX, limit),
            append_only,
            before: Part::default(),
            window: Part::default(),
            after: Part::default(),
        })
    }

    /// The net change of each row of a delta.
    fn changes(&self, delta: &Delta) -> Result<Changes> {
        let mut changes = Changes::new();
        if let Some(rows) = self.codec.encode(delta)? {
            let full = self.append_only && self.before.total >= self.skip && self.window.total >= self.fetch;
            let last = if full { self.window.last() } else { None };
            for (row, encoded) in rows.iter().enumerate() {
                // Behind a full window that only ever improves: of no use.
                if last.is_some_and(|last| encoded.data() >= last) {
                    continue;
                }
                let weight = delta.weights.get(row);
                match changes.get_mut(encoded.data()) {
                    Some(net) => *net += weight,
                    None => drop(changes.insert(encoded.data().into(), weight)),
                }
            }
        } else {
            let total = (0..delta.len()).map(|row| delta.weights.get(row)).sum();
            changes.insert(Box::default(), total);
        }
        changes.retain(|_, weight| *weight != 0);
        Ok(changes)
    }

    fn insert(&mut self, row: Box<[u8]>, weight: i64, moved: &mut Changes) {
        if self.before.last().is_some_and(|last| *row < *last) {
            self.before.add(row, weight);
        } else if self.window.last().is_some_and(|last| *row < *last) {
            note(moved, &row, weight);
            self.window.add(row, weight);
        } else if !self.append_only || self.window.total < self.fetch || self.before.total < self.skip {
            self.after.add(row, weight);
        }
    }

    fn delete(&mut self, row: Box<[u8]>, weight: i64, moved: &mut Changes) -> Result<()> {
        let left = weight - self.after.remove(&row, weight);
        let taken = self.window.remove(&row, left);
        note(moved, &row, -taken);
        let missing = left - taken - self.before.remove(&row, left - taken);
        if missing > 0 {
            return Err(Error::Internal(format!("{self}: a row was deleted {missing} times more than inserted")));
        }
        Ok(())
    }

    /// Moves rows over the borders until each part has its size.
    fn settle(&mut self, moved: &mut Changes) {
        while self.before.total > self.skip {
            let (row, weight) = self.before.pop_last(self.before.total - self.skip);
            note(moved, &row, weight);
            self.window.add(row, weight);
        }
        while self.before.total < self.skip && self.window.total + self.after.total > 0 {
            let wanted = self.skip - self.before.total;
            let (row, weight) = if self.window.total > 0 {
                let (row, weight) = self.window.pop_first(wanted);
                note(moved, &row, -weight);
                (row, weight)
            } else {
                self.after.pop_first(wanted)
            };
            self.before.add(row, weight);
        }
        while self.window.total > self.fetch {
            let (row, weight) = self.window.pop_last(self.window.total - self.fetch);
            note(moved, &row, -weight);
            self.after.add(row, weight);
        }
        while self.window.total < self.fetch && self.after.total > 0 {
            let (row, weight) = self.after.pop_first(self.fetch - self.window.total);
            note(moved, &row, weight);
            self.window.add(row, weight);
        }
        if self.append_only {
            self.after = Part::default();
        }
    }

    fn decode(&self, changes: &Changes) -> Result<Delta> {
        let batch = self.codec.decode(changes.keys().map(|row| row.as_ref()))?;
        Ok(Delta::new(batch, Weights::new(changes.values().copied().collect())))
    }
}

impl Operator for TopK {
    fn schema(&self) -> SchemaRef {
        self.codec.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], _tick: &Tick) -> Result<Delta> {
        if self.append_only && !inputs[0].weights.is_append() {
            return Err(Error::Internal(format!("{self}: a row was deleted from an append-only input")));
        }
        let mut moved = Changes::new();
        let (inserted, deleted): (Changes, Changes) =
            self.changes(inputs[0])?.into_iter().partition(|(_, weight)| *weight > 0);
        for (row, weight) in inserted {
            self.insert(row, weight, &mut moved);
        }
        for (row, weight) in deleted {
            self.delete(row, -weight, &mut moved)?;
        }
        self.settle(&mut moved);
        moved.retain(|_, weight| *weight != 0);
        Ok(Delta { errors: inputs[0].errors.clone(), ..self.decode(&moved)? })
    }

    fn growth(&self) -> Growth {
        if self.append_only { Growth::Fixed } else { Growth::Open }
    }

    fn state(&self) -> Option<StateSize> {
        const ENTRY: usize = size_of::<(Box<[u8]>, i64)>();
        let parts = [&self.before, &self.window, &self.after];
        let rows = parts.iter().map(|part| part.rows.len()).sum();
        Some(StateSize { rows, bytes: rows * ENTRY + parts.iter().map(|part| part.bytes).sum::<usize>() })
    }
}

impl Part {
    fn last(&self) -> Option<&[u8]> {
        self.rows.last_key_value().map(|(row, _)| row.as_ref())
    }

    fn add(&mut self, row: Box<[u8]>, weight: i64) {
        self.total += weight;
        let bytes = row.len();
        let old = self.rows.entry(row).or_default();
        if *old == 0 {
            self.bytes += bytes;
        }
        *old += weight;
    }

    /// Takes up to `wanted` of a row; returns how many there were.
    fn remove(&mut self, row: &[u8], wanted: i64) -> i64 {
        let Some(weight) = self.rows.get_mut(row) else { return 0 };
        let taken = wanted.min(*weight);
        *weight -= taken;
        if *weight == 0 {
            self.rows.remove(row);
            self.bytes -= row.len();
        }
        self.total -= taken;
        taken
    }

    /// Takes up to `wanted` of the last row.
    fn pop_last(&mut self, wanted: i64) -> (Box<[u8]>, i64) {
        let row: Box<[u8]> = self.last().expect("a part with a weight has a row").into();
        let taken = self.remove(&row, wanted);
        (row, taken)
    }

    /// Takes up to `wanted` of the first row.
    fn pop_first(&mut self, wanted: i64) -> (Box<[u8]>, i64) {
        let row = self.rows.first_key_value().expect("a part with a weight has a row").0.clone();
        let taken = self.remove(&row, wanted);
        (row, taken)
    }
}

fn note(moved: &mut Changes, row: &[u8], weight: i64) {
    match moved.get_mut(row) {
        Some(net) => *net += weight,
        None => drop(moved.insert(row.into(), weight)),
    }
}

impl fmt::Display for TopK {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("top-k")?;
        for (position, key) in self.order.iter().enumerate() {
            f.write_str(if position == 0 { " by " } else { ", " })?;
            f.write_str(self.codec.schema().field(key.column).name())?;
            f.write_str(if key.descending { " desc" } else { "" })?;
            // SQL's default: NULLs are the greatest.
            if key.nulls_first != key.descending {
                f.write_str(if key.nulls_first { " nulls first" } else { " nulls last" })?;
            }
        }
        if self.skip > 0 {
            write!(f, " skip {}", self.skip)?;
        }
        if self.fetch < i64::MAX {
            write!(f, " fetch {}", self.fetch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::delta::rows::RowSet;
    use crate::delta::text::{parse, print};
    use crate::operators::testing::{Random, change, contents, schema, step};

    fn descending(column: usize) -> SortKey {
        SortKey { column, descending: true, nulls_first: true }
    }

    #[test]
    fn only_what_moves_is_put_out() {
        let rows = schema(&[("k", DataType::Utf8), ("x", DataType::Int64)]);
        let mut top = TopK::new(rows.clone(), vec![descending(1)], 1, Some(2), false).unwrap();
        assert_eq!(top.to_string(), "top-k by x desc skip 1 fetch 2");
        assert_eq!(step(&mut top, &[(&rows, "+1 a 1")]), "");
        assert_eq!(step(&mut top, &[(&rows, "+1 b 2\n+2 c 3")]), "+1 b 2\n+1 c 3\n");
        assert_eq!(step(&mut top, &[(&rows, "+1 d 9\n-1 a 1")]), "-1 b 2\n+1 c 3\n");
        assert_eq!(step(&mut top, &[(&rows, "+1 e 0")]), "");
        assert_eq!(step(&mut top, &[(&rows, "-1 c 3\n+1 f null")]), "-1 c 3\n+1 d 9\n");
        assert_eq!(step(&mut top, &[(&rows, "-1 f null\n-1 d 9")]), "+1 b 2\n-1 c 3\n-1 d 9\n+1 e 0\n");
    }

    #[test]
    fn topk_reference() {
        let rows = schema(&[("k", DataType::Utf8), ("x", DataType::Float64)]);
        let row = |random: &mut Random| {
            let key = random.pick(&["a", "b", "c", "null"]);
            let number = random.pick(&["0.0", "-0.0", "NaN", "-inf", "1e300", "2.5", "3.5", "4.5", "null"]);
            format!("{key} {number}")
        };
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let append = seed % 3 == 0;
            let (skip, fetch) = (random.below(5), [None, Some(0), Some(1), Some(4), Some(9)][random.below(5)]);
            let key = SortKey { column: 1, descending: random.below(2) == 0, nulls_first: random.below(2) == 0 };
            let mut top = TopK::new(rows.clone(), vec![key], skip, fetch, append).unwrap();
            let mut bag = Vec::new();
            let mut view = RowSet::new(rows.clone(), None, false).unwrap();
            for number in 0..25 {
                let delta = parse(&rows, &change(&mut random, &mut bag, row, append)).unwrap();
                view.apply(&top.step(&[&delta], &Tick::default()).unwrap()).unwrap();
                let mut sorted: Vec<Vec<&str>> = bag.iter().map(|row| row.split(' ').collect()).collect();
                sorted.sort_by(|a, b| {
                    let null = |v: &[&str]| v[1] == "null";
                    let value = |v: &[&str]| v[1].parse::<f64>().unwrap_or(0.0);
                    let nulls = null(a).cmp(&null(b));
                    let values = value(a).total_cmp(&value(b));
                    let tie = (a[0] == "null").cmp(&(b[0] == "null")).then(a[0].cmp(b[0]));
                    let nulls = if key.nulls_first { nulls.reverse() } else { nulls };
                    nulls.then(if key.descending { values.reverse() } else { values }).then(tie)
                });
                let window = sorted.iter().skip(skip).take(fetch.unwrap_or(usize::MAX));
                let lines: String = window.map(|row| format!("+1 {}\n", row.join(" "))).collect();
                let expected = print(&parse(&rows, &lines).unwrap()).unwrap();
                assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
            }
        }
    }
}
