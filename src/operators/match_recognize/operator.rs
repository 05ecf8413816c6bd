//! The operator: partitions by their keys.

use std::collections::HashMap;
use std::fmt;

use arrow::datatypes::SchemaRef;

use super::partition::{Difference, Partition, Shared};
use super::spec::Spec;
use crate::circuit::time::{Bound, Due, Watermarks};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::{Delta, RowError, consolidate};
use crate::error::{Error, Result};
use crate::operators::ordered::{Change, Key, Order, OrderedRows, by_partition};
use crate::operators::row_codec::RowCodec;

/// Keeps the rows of partitions in order, with the matches among them.
pub struct MatchRecognize {
    shared: Shared,
    closing: Option<Bound>,
    /// Where that bound was last.
    closed_at: Option<i64>,
    places: HashMap<Box<[u8]>, u32>,
    partitions: Vec<Option<(Box<[u8]>, Partition)>>,
    free: Vec<u32>,
    due: Due,
    rows: usize,
    bytes: usize,
    text: String,
}

impl MatchRecognize {
    /// Looks for matches in rows of `input` in this order. `closing` is the bound of the first column of the order, if
    /// that column is ascending with NULLs last. `text` says what it does, for `EXPLAIN`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(spec: Spec, input: SchemaRef, order: &Order, closing: Option<Bound>, text: String) -> Result<Self> {
        let time = order.keys.first().map(|key| key.column).filter(|_| closing.is_some());
        let within = spec.within_micros().filter(|_| !spec.looks_ahead());
        let rows = OrderedRows::new(input, order)?;
        let shown = RowCodec::new(spec.schema().clone(), [])?;
        Ok(MatchRecognize {
            shared: Shared { spec, rows, shown, time, within },
            closing,
            closed_at: None,
            places: HashMap::new(),
            partitions: Vec::new(),
            free: Vec::new(),
            due: Due::default(),
            rows: 0,
            bytes: 0,
            text,
        })
    }

    fn place(&mut self, partition: &[u8]) -> Result<u32> {
        if let Some(id) = self.places.get(partition) {
            return Ok(*id);
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.partitions.push(None);
                u32::try_from(self.partitions.len() - 1)
                    .map_err(|_| Error::Limit("MATCH_RECOGNIZE has too many partitions".into()))?
            }
        };
        self.places.insert(partition.into(), id);
        self.partitions[id as usize] = Some((partition.into(), Partition::default()));
        self.bytes += PARTITION + 2 * partition.len();
        Ok(id)
    }

    /// Does something to a partition, and keeps the books.
    fn with<T>(&mut self, id: u32, act: impl FnOnce(&mut Partition, &Shared) -> Result<T>) -> Result<Option<T>> {
        let Some((key, partition)) = self.partitions[id as usize].as_mut() else { return Ok(None) };
        let (rows, bytes, due) = (partition.rows(), partition.bytes(), partition.next_due(&self.shared));
        let result = act(partition, &self.shared)?;
        self.rows = self.rows + partition.rows() - rows;
        self.bytes = self.bytes + partition.bytes() - bytes;
        if partition.is_void(&self.shared) {
            self.bytes -= PARTITION + 2 * key.len();
            let key = std::mem::take(key);
            self.places.remove(&key);
            self.partitions[id as usize] = None;
            self.free.push(id);
        } else if self.closing.is_some() {
            let next = partition.next_due(&self.shared);
            if let Some(moment) = next.filter(|_| next != due || self.closed_at.is_some_and(|at| Some(at) > next)) {
                self.due.push(moment, id);
            }
        }
        Ok(Some(result))
    }
}

/// Bytes of a partition beside its rows.
const PARTITION: usize = 160;

impl Operator for MatchRecognize {
    fn schema(&self) -> SchemaRef {
        self.shared.spec.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let changes: Vec<(Key, Change)> = self.shared.rows.changes(inputs[0])?.into_iter().collect();
        let mut out = Difference::default();
        let mut errors = Vec::new();
        for (partition, changes) in by_partition(&changes) {
            let id = self.place(partition)?;
            let failures = self.with(id, |partition, shared| {
                let before = partition.failure.clone();
                partition.change(changes, shared, &mut out)?;
                Ok((before, partition.failure.clone()))
            })?;
            let (before, after) = failures.unwrap_or_default();
            errors.extend(before.map(|message| RowError { message, weight: -1 }));
            errors.extend(after.map(|message| RowError { message, weight: 1 }));
        }
        let shown = &self.shared.shown;
        let removed = Delta::insert(shown.decode(out.removed.iter().map(|key| key.as_ref()))?).negate();
        let added = Delta::insert(shown.decode(out.added.iter().map(|key| key.as_ref()))?);
        let mut output = consolidate(&Delta::concat(&self.schema(), [&removed, &added])?)?;
        output.errors = errors;
        Ok(output)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let at = self.closing.as_ref().and_then(|bound| bound.at(watermarks));
        let Some(bound) = at.filter(|_| at != self.closed_at) else { return Ok(()) };
        self.closed_at = Some(bound);
        for id in self.due.take(bound) {
            self.with(id, |partition, shared| {
                partition.close(bound, shared);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn growth(&self) -> Growth {
        match (&self.closing, self.shared.within) {
            (Some(bound), Some(within)) if !self.shared.spec.remembers() => {
                Growth::Closed(bound.clone().shifted(within.saturating_neg()))
            }
            _ => Growth::Open,
        }
    }

    fn state(&self) -> Option<StateSize> {
        Some(StateSize { rows: self.rows, bytes: self.bytes + self.due.bytes() })
    }
}

impl fmt::Display for MatchRecognize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "match {}: a change touches the searches that reach it", self.text)
    }
}
