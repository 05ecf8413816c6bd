//! Window functions: the input's columns, and one more for each function. `dQ(R) = Q(new) - Q(old)` of what a change
//! of a partition can reach.
//!
//! ```text
//! partition    ... | context | affected | changed rows | affected | context | ...
//!                    ------------------------------------------------------   evaluated, before and after the change
//!                              ----------------------------------             put out: -before +after
//! ```
//!
//! The rows of all partitions are kept in one total order, so that the functions, which are the batch engine's own, see
//! them as the batch query does. [`Reach`] says how far a change is felt and how much has to be seen for that: a
//! frame of ten rows takes ten rows to both sides, one of ten minutes the rows of ten minutes, a running sum everything
//! behind the change (before it, what was kept of it: see `running.rs`), and what is not known takes the partition.

mod distance;
mod edge;
mod evaluate;
mod reach;
mod running;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::ops::{Bound, Range};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::WindowExpr;

pub use reach::{Reach, Span};

use edge::Extent;
use running::{Function, SoFar};

use super::ordered::{Change, Entry, Key, Order, OrderedRows, by_partition};
use super::row_codec::SortKey;
use crate::circuit::time::Watermarks;
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::{Delta, RowError, consolidate};
use crate::error::{Error, Result};

/// Keeps rows by partition and evaluates window functions over them.
pub struct Window {
    schema: SchemaRef,
    /// How many of the input's columns are put out; the others are what the functions need.
    shown: usize,
    rows: OrderedRows,
    functions: Vec<Function>,
    reach: Reach,
    /// What the functions that do not run look back to, where running ones may begin from what was kept.
    resumes: Option<Span>,
    /// What the rows of a partition are ordered by, where that is one column.
    ordered_by: Option<SortKey>,
    /// What running functions kept, by the row that it is the state before.
    kept: BTreeMap<Key, SoFar>,
    kept_bytes: usize,
    /// Partitions in which a function fails, and how. Nothing of them is put out.
    failures: BTreeMap<Key, String>,
    text: String,
}

/// A window function.
#[derive(Clone)]
pub struct Call {
    /// What it is, over columns of the input.
    pub call: WindowFunction,
    /// The batch engine's evaluator.
    pub expr: Arc<dyn WindowExpr>,
    /// The rows that it takes, where it does not take all.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

/// Consecutive rows of one partition.
#[derive(Default)]
struct Slice {
    rows: Vec<(Key, Entry)>,
    /// The entries of `rows` whose results count.
    affected: Range<usize>,
    /// The entry from which running functions run, with what was kept there; at the start of a partition nothing is.
    start: usize,
    resume: Option<Key>,
}

/// The rows before those that are affected, the nearest first, how many of them running functions run through, and
/// where these begin.
type Context = (Vec<(Key, Entry)>, usize, Option<Key>);

/// A partition before and after a change.
struct Touched<'a> {
    partition: &'a [u8],
    changes: &'a [(Key, Change)],
    failed: Option<String>,
    before: Slice,
    after: Slice,
}

impl Window {
    /// Evaluates `functions` over rows of `input` in this order. Output: the first columns of the input, then one for each
    /// function, under `schema`. `text` says what it does, for `EXPLAIN`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(input: SchemaRef, schema: SchemaRef, order: &Order, functions: Vec<Call>, text: String) -> Result<Self> {
        let shown = schema.fields().len() - functions.len();
        let ordered_by = match order.keys.as_slice() {
            [key] if !order.partition.contains(&key.column) => Some(*key),
            _ => None,
        };
        let order_type = ordered_by.map(|key| input.field(key.column).data_type());
        let reach = Reach::of(functions.iter().map(|call| &call.call), order_type);
        let (calls, functions): (Vec<WindowFunction>, Vec<Function>) =
            functions.into_iter().map(|call| (call.call.clone(), Function::of(call))).unzip();
        let framed = calls.iter().zip(&functions).filter(|(_, function)| matches!(function, Function::Framed(_)));
        let back = Reach::of(framed.map(|(call, _)| call), order_type).back;
        let runs = functions.iter().any(|function| matches!(function, Function::Running(_)));
        let by_rows = !back.all && back.groups.is_none() && back.range.is_none();
        let resumes = (runs && by_rows).then_some(back);
        let rows = OrderedRows::new(input, order)?;
        let (kept, failures) = (BTreeMap::new(), BTreeMap::new());
        Ok(Window { schema, shown, rows, functions, reach, resumes, ordered_by, kept, kept_bytes: 0, failures, text })
    }

    /// The rows before `first` that have to be seen.
    fn context<'a>(
        &self,
        front: &mut Peekable<impl Iterator<Item = (&'a Key, Entry)>>,
        mut peers: &'a [u8],
        partition: &[u8],
        first: &Key,
        reach: &Reach,
    ) -> Result<Context> {
        let kept = self
            .kept
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(first.as_ref())))
            .next_back()
            .map(|(key, _)| key);
        let (Some(back), Some(kept)) = (self.resumes, kept.filter(|key| key.starts_with(partition))) else {
            let rows = take(front, &mut peers, &self.extent(partition, first, reach.back, true)?);
            let count = rows.len();
            return Ok((rows, count, None));
        };
        let mut rows = Vec::new();
        while let Some((key, entry)) = front.next_if(|(key, _)| *key >= kept) {
            rows.push((key.clone(), entry));
        }
        let (run, seen) = (rows.len(), rows.iter().map(|(_, entry)| entry.weight as usize).sum::<usize>());
        let missing = Span { rows: back.rows.saturating_sub(seen), ..back };
        rows.extend(take(front, &mut peers, &Extent::of(missing, true)));
        Ok((rows, run, Some(kept.clone())))
    }

    /// Forgets what was kept behind a row of a partition; without a row, all of the partition.
    fn forget(&mut self, partition: &[u8], row: Option<&Key>) {
        let start = row.map_or(Bound::Included(partition), |row| Bound::Excluded(row.as_ref()));
        let rest = self.kept.range::<[u8], _>((start, Bound::Unbounded));
        let void: Vec<Key> = rest.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(partition)).collect();
        for key in void {
            let so_far = self.kept.remove(&key).expect("just seen");
            self.kept_bytes -= so_far.bytes() + key.len();
        }
    }

    /// Finds what has to be evaluated of a partition whose changes have been applied.
    fn slice(&self, touched: &mut Touched, reach: &Reach) -> Result<()> {
        let (partition, changes) = (touched.partition, touched.changes);
        let (first, last) = (&changes[0], &changes[changes.len() - 1]);
        let mut reach = *reach;
        // Where the first row of the partition stays what it was, it is no more than seen.
        let head = self.rows.partition(partition).next().filter(|(key, _)| reach.first && **key < first.0);
        if reach.first && head.is_none() {
            reach = Reach { back: Span::ALL, ..reach };
        }
        // A row is affected where it looks ahead to a change, and then sees what it looks back to.
        let mut front = self.rows.before(partition, &first.0).peekable();
        let mut peers = &first.0[..first.1.peers];
        let affected_front = take(&mut front, &mut peers, &self.extent(partition, &first.0, reach.ahead, true)?);
        let start = affected_front.last().map_or(&first.0, |(key, _)| key);
        let (mut context_front, run, resume) = self.context(&mut front, peers, partition, start, &reach)?;
        let farthest = context_front.last().or(affected_front.last()).map(|(key, _)| key);
        if let Some((key, entry)) = head.filter(|(key, _)| farthest != Some(*key)) {
            context_front.push((key.clone(), entry));
        }
        let mut back = self.rows.after(partition, &last.0).peekable();
        let mut peers = &last.0[..last.1.peers];
        let affected_back = take(&mut back, &mut peers, &self.extent(partition, &last.0, reach.back, false)?);
        let end = affected_back.last().map_or(&last.0, |(key, _)| key);
        let context_back = take(&mut back, &mut peers, &self.extent(partition, end, reach.ahead, false)?);

        let inside = self.rows.from(partition, &first.0).take_while(|(key, _)| **key <= last.0);
        let after: BTreeMap<Key, Entry> = inside.map(|(key, entry)| (key.clone(), entry)).collect();
        let mut before = after.clone();
        for (key, change) in changes {
            let entry = before.entry(key.clone()).or_insert(Entry { weight: 0, peers: change.peers });
            entry.weight -= change.weight;
        }
        before.retain(|_, entry| entry.weight != 0);

        let join = |middle: BTreeMap<Key, Entry>| {
            let affected = affected_front.len() + middle.len() + affected_back.len();
            let front = context_front.iter().rev().chain(affected_front.iter().rev()).cloned();
            let rows = front.chain(middle).chain(affected_back.iter().chain(&context_back).cloned()).collect();
            let context = context_front.len();
            Slice { rows, affected: context..context + affected, start: context - run, resume: resume.clone() }
        };
        touched.after = join(after);
        // Of a partition that failed nothing was put out.
        touched.before = if touched.failed.is_some() { Slice::default() } else { join(before) };
        Ok(())
    }

    /// The change of the output of some partitions, or nothing where a function fails.
    fn change(&mut self, touched: &[Touched]) -> Result<Option<Delta>> {
        let before = self.evaluate(touched.iter().map(|t| &t.before))?;
        let after = self.evaluate(touched.iter().map(|t| &t.after))?;
        if !before.failures.is_empty() || !after.failures.is_empty() {
            return Ok(None);
        }
        self.keep(after.kept);
        self.difference(before.rows, after.rows).map(Some)
    }

    /// The change of the output where a function fails in some of the partitions. What fails for a part of a partition
    /// need not fail for the whole, where rows see all of their frames.
    fn change_with_failures(&mut self, touched: &mut [Touched], errors: &mut Vec<RowError>) -> Result<Delta> {
        for touched in touched.iter_mut() {
            self.forget(touched.partition, None);
            self.slice(touched, &Reach::PARTITION)?;
        }
        let after = self.evaluate(touched.iter().map(|t| &t.after))?;
        for (at, message) in after.failures {
            errors.push(RowError { message: message.clone(), weight: 1 });
            self.failures.insert(touched[at].partition.into(), message);
        }
        let before = self.evaluate(touched.iter().map(|t| &t.before))?;
        match before.failures.first() {
            Some((_, message)) => Err(Error::Internal(format!("{self}: failed for rows it took before: {message}"))),
            None => self.difference(before.rows, after.rows),
        }
    }

    fn keep(&mut self, kept: Vec<(Key, SoFar)>) {
        for (key, so_far) in kept {
            self.kept_bytes += so_far.bytes() + key.len();
            let length = key.len();
            if let Some(old) = self.kept.insert(key, so_far) {
                self.kept_bytes -= old.bytes() + length;
            }
        }
    }

    fn difference(&self, before: arrow::array::RecordBatch, after: arrow::array::RecordBatch) -> Result<Delta> {
        let before = Delta::insert(before).negate();
        consolidate(&Delta::concat(&self.schema, [&before, &Delta::insert(after)])?)
    }
}

/// The rows that lie in a span, from the row with these `peers` on. Leaves `peers` at those of the last one.
fn take<'a>(
    rows: &mut Peekable<impl Iterator<Item = (&'a Key, Entry)>>,
    peers: &mut &'a [u8],
    extent: &Extent,
) -> Vec<(Key, Entry)> {
    let mut taken = Vec::new();
    let (mut count, mut group) = (0, 0);
    while let Some((key, entry)) = rows.peek() {
        let same = key.starts_with(peers);
        let group_of_key = if same { group } else { group + 1 };
        if !extent.holds(key, entry, count, group_of_key) {
            break;
        }
        if !same {
            *peers = &key[..entry.peers];
        }
        group = group_of_key;
        count = count.saturating_add(entry.weight as usize);
        taken.push(((*key).clone(), *entry));
        rows.next();
    }
    taken
}

impl Operator for Window {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let changes: Vec<(Key, Change)> = self.rows.changes(inputs[0])?.into_iter().collect();
        for (key, change) in &changes {
            self.rows.apply(key, change)?;
        }
        let mut errors = Vec::new();
        let mut touched = Vec::new();
        for (partition, changes) in by_partition(&changes) {
            self.forget(partition, Some(&changes[0].0));
            let failed = self.failures.remove(partition);
            errors.extend(failed.iter().map(|message| RowError { message: message.clone(), weight: -1 }));
            let (before, after) = (Slice::default(), Slice::default());
            let mut partition = Touched { partition, changes, failed, before, after };
            let reach = if partition.failed.is_some() { &Reach::PARTITION } else { &self.reach };
            self.slice(&mut partition, reach)?;
            touched.push(partition);
        }
        let mut output = match self.change(&touched)? {
            Some(change) => change,
            None => self.change_with_failures(&mut touched, &mut errors)?,
        };
        output.errors = errors;
        Ok(output)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let Some(end) = self.rows.close(watermarks)? else { return Ok(()) };
        while let Some(first) = self.kept.first_entry().filter(|entry| entry.key().as_ref() < end.as_slice()) {
            self.kept_bytes -= first.get().bytes() + first.key().len();
            first.remove();
        }
        // A failure in a partition that changes no more stays.
        self.failures.retain(|partition, _| partition.as_ref() >= end.as_slice());
        Ok(())
    }

    fn growth(&self) -> Growth {
        self.rows.growth()
    }

    fn state(&self) -> Option<StateSize> {
        Some(StateSize { rows: self.rows.len(), bytes: self.rows.bytes() + self.kept_bytes })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window of {}: a change touches {}", self.text, self.reach)
    }
}
