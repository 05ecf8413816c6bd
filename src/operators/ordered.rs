//! Rows kept in order, as bytes: one ordered map for all partitions of an operator.
//!
//! ```text
//! key      partition | order | everything else        arrow-row: bytes compare as the rows do
//!          ------------------ the same in all peers of a row
//!          ---------- the same in all rows of a partition, which so lie side by side
//! ```
//!
//! The encoding of a column says where it ends, so that a row belongs to a partition if and only if its key begins
//! with the bytes of the partition. Rows that are equal in all columns are one entry with a weight.

use std::collections::BTreeMap;
use std::ops::Bound as Edge;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::RowConverter;

use super::row_codec::{RowCodec, SortKey, converter};
use crate::circuit::Growth;
use crate::circuit::time::{Bound, Watermarks, moment_as};
use crate::delta::Delta;
use crate::error::{Error, Result};

/// A row as bytes.
pub type Key = Arc<[u8]>;

/// What an operator orders its rows by.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Columns whose values are equal in a partition.
    pub partition: Vec<usize>,
    /// The order in a partition; rows with equal keys are peers.
    pub keys: Vec<SortKey>,
    /// The order of peers. Columns that are not named come last, ascending.
    pub ties: Vec<SortKey>,
    /// Partitions change no more once the first of their columns is behind this.
    pub closing: Option<Bound>,
}

/// The net change of a row.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// How often more it is there.
    pub weight: i64,
    /// Bytes of the key that say the partition.
    pub partition: usize,
    /// Bytes of the key that say the partition and the peers.
    pub peers: usize,
}

/// A row that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How often.
    pub weight: i64,
    /// Bytes of the key that say the partition and the peers.
    pub peers: usize,
}

/// Rows in order.
pub struct OrderedRows {
    /// The first column of the partitions, where these change no more once it is behind a bound.
    closing: Option<(Bound, RowConverter, DataType)>,
    /// Where that bound was last.
    closed_at: Option<i64>,
    /// The columns of partition, order and the rest, and how each of the three is encoded.
    segments: [(Vec<usize>, RowConverter); 3],
    /// Decodes a whole key.
    codec: RowCodec,
    rows: BTreeMap<Key, Entry>,
    bytes: usize,
}

impl OrderedRows {
    /// No rows yet.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(schema: SchemaRef, order: &Order) -> Result<Self> {
        let mut seen: Vec<usize> = Vec::new();
        let partition: Vec<SortKey> = order.partition.iter().copied().map(SortKey::ascending).collect();
        let columns = (0..schema.fields().len()).map(SortKey::ascending);
        let rest = order.ties.iter().copied().chain(columns).collect::<Vec<_>>();
        let mut segment = |keys: &[SortKey]| {
            let (mut columns, mut fields) = (Vec::new(), Vec::new());
            for key in keys {
                if !seen.contains(&key.column) {
                    seen.push(key.column);
                    columns.push(key.column);
                    fields.push(key.field(&schema));
                }
            }
            converter(fields).map(|converter| (columns, converter))
        };
        let segments = [segment(&partition)?, segment(&order.keys)?, segment(&rest)?];
        let first = order.partition.first().filter(|_| order.closing.is_some());
        let closing = order.closing.clone().zip(first).map(|(bound, first)| -> Result<_> {
            let field = SortKey::ascending(*first).field(&schema);
            Ok((bound, converter(vec![field])?, schema.field(*first).data_type().clone()))
        });
        let closing = closing.transpose()?;
        let codec = RowCodec::new(schema, partition.into_iter().chain(order.keys.iter().copied()).chain(rest))?;
        Ok(OrderedRows { closing, closed_at: None, segments, codec, rows: BTreeMap::new(), bytes: 0 })
    }

    /// The net change of each row of a delta, in order.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn changes(&self, delta: &Delta) -> Result<BTreeMap<Key, Change>> {
        let mut encoded = Vec::with_capacity(3);
        for (columns, converter) in &self.segments {
            let arrays: Vec<ArrayRef> = columns.iter().map(|column| delta.column(*column).clone()).collect();
            encoded.push(if arrays.is_empty() { None } else { Some(converter.convert_columns(&arrays)?) });
        }
        let mut changes: BTreeMap<Key, Change> = BTreeMap::new();
        let mut key = Vec::new();
        for row in 0..delta.len() {
            key.clear();
            let mut lengths = [0; 3];
            for (rows, length) in encoded.iter().zip(&mut lengths) {
                if let Some(rows) = rows {
                    key.extend_from_slice(rows.row(row).data());
                }
                *length = key.len();
            }
            let weight = delta.weights.get(row);
            match changes.get_mut(key.as_slice()) {
                Some(change) => change.weight += weight,
                None => {
                    let change = Change { weight, partition: lengths[0], peers: lengths[1] };
                    changes.insert(key.as_slice().into(), change);
                }
            }
        }
        changes.retain(|_, change| change.weight != 0);
        Ok(changes)
    }

    /// Adds a net change.
    ///
    /// # Errors
    /// [`Error::Internal`] when more of a row is deleted than is there.
    pub fn apply(&mut self, key: &Key, change: &Change) -> Result<()> {
        let bytes = key.len();
        let entry = self.rows.entry(key.clone()).or_insert_with(|| {
            self.bytes += bytes;
            Entry { weight: 0, peers: change.peers }
        });
        entry.weight += change.weight;
        match entry.weight {
            0 => self.forget(key),
            1.. => {}
            weight => return Err(Error::Internal(format!("an ordered row is there {weight} times"))),
        }
        Ok(())
    }

    /// How often a row is there.
    pub fn weight(&self, key: &Key) -> i64 {
        self.rows.get(key).map_or(0, |entry| entry.weight)
    }

    /// Sets how often a row that is there is there; at zero it is not.
    pub fn set(&mut self, key: &Key, weight: i64) {
        match self.rows.get_mut(key) {
            Some(_) if weight == 0 => self.forget(key),
            Some(entry) => entry.weight = weight,
            None => {}
        }
    }

    fn forget(&mut self, key: &Key) {
        if self.rows.remove(key).is_some() {
            self.bytes -= key.len();
        }
    }

    /// How far the rows can grow.
    pub fn growth(&self) -> Growth {
        self.closing.as_ref().map_or(Growth::Open, |(bound, ..)| Growth::Closed(bound.clone()))
    }

    /// Lets go of the partitions that change no more, and returns the bytes before which they were.
    ///
    /// # Errors
    /// When a moment cannot be encoded.
    pub fn close(&mut self, watermarks: &Watermarks) -> Result<Option<Vec<u8>>> {
        let Some((bound, converter, data_type)) = &self.closing else { return Ok(None) };
        let Some(moment) = bound.at(watermarks).filter(|moment| Some(*moment) != self.closed_at) else {
            return Ok(None);
        };
        self.closed_at = Some(moment);
        let Some(value) = moment_as(moment, data_type) else { return Ok(None) };
        // NULLs come last: they are behind every moment.
        let end = converter.convert_columns(&[value])?.row(0).data().to_vec();
        while let Some(first) = self.rows.first_entry().filter(|entry| entry.key().as_ref() < end.as_slice()) {
            self.bytes -= first.key().len();
            first.remove();
        }
        Ok(Some(end))
    }

    /// The rows of a partition in order.
    pub fn partition<'a>(&'a self, partition: &'a [u8]) -> impl Iterator<Item = (&'a Key, Entry)> {
        self.range(partition, Edge::Included(partition))
    }

    /// The rows of a partition from a key on.
    pub fn from<'a>(&'a self, partition: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = (&'a Key, Entry)> {
        self.range(partition, Edge::Included(key))
    }

    /// The rows of a partition behind a key.
    pub fn after<'a>(&'a self, partition: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = (&'a Key, Entry)> {
        self.range(partition, Edge::Excluded(key))
    }

    fn range<'a>(&'a self, partition: &'a [u8], start: Edge<&'a [u8]>) -> impl Iterator<Item = (&'a Key, Entry)> {
        let rows = self.rows.range::<[u8], _>((start, Edge::Unbounded));
        rows.take_while(|(key, _)| key.starts_with(partition)).map(|(key, entry)| (key, *entry))
    }

    /// The rows of a partition before a key, the nearest first.
    pub fn before<'a>(&'a self, partition: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = (&'a Key, Entry)> {
        let rows = self.rows.range::<[u8], _>((Edge::Unbounded, Edge::Excluded(key)));
        rows.rev().take_while(|(key, _)| key.starts_with(partition)).map(|(key, entry)| (key, *entry))
    }

    /// The rows of these keys.
    ///
    /// # Errors
    /// When the text of a column is past 2 GiB.
    pub fn decode<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<RecordBatch> {
        self.codec.decode(keys.into_iter().map(|key| key.as_ref()))
    }

    /// The bytes of a place in a partition, of rows that are ordered by one column.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn place(&self, partition: &[u8], value: &ArrayRef) -> Result<Vec<u8>> {
        let encoded = self.segments[1].1.convert_columns(std::slice::from_ref(value))?;
        Ok([partition, encoded.row(0).data()].concat())
    }

    /// How many different rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        // The map's own entry, and the two counters in front of the shared bytes.
        const ENTRY: usize = size_of::<(Key, Entry)>() + 16;
        self.rows.len() * ENTRY + self.bytes
    }
}

/// The changes of each partition, in order: the bytes of the partition and where its changes are.
pub fn by_partition(changes: &[(Key, Change)]) -> impl Iterator<Item = (&[u8], &[(Key, Change)])> {
    changes
        .chunk_by(|(a, change), (b, _)| b.starts_with(&a[..change.partition]))
        .map(|group| (&group[0].0[..group[0].1.partition], group))
}
