//! A bag of rows kept by adding up deltas: the integral of a node.
//!
//! ```text
//! id       0    1    2    3  |   4    5 ...        chunks of ids, each with the batch last made of it;
//! row      a    b    .    c  |   d    e            a touched chunk is made anew when next asked for
//! weight   1    2    0    1  |   1    1
//! ```
//!
//! A row of weight n is listed n times. A row whose weight comes to zero gives its id back. A bag that is only ever
//! added to needs no index of its rows; optionally rows are also chained by some key columns.

mod lookup;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};

use super::Delta;
use super::chains::Chains;
use super::columns::Columns;
use super::index::KeyIndex;
use super::text::describe;
use super::values::Zeros;
use crate::error::{Error, Result};

/// Ids per chunk of a snapshot: small enough to make one anew in microseconds, large enough to scan at vector speed.
const CHUNK_IDS: usize = 1 << 10;

/// Rows that one chunk may list, counting repeated ones.
const CHUNK_ROWS_MAX: usize = 1 << 24;

/// A bag of rows.
pub struct RowSet {
    schema: SchemaRef,
    rows: Rows,
    weights: Vec<i64>,
    total: i64,
    chains: Option<Chains>,
    /// Chains by other columns, made when readers first ask for them.
    indexes: Vec<Chains>,
    chunks: Vec<Option<Arc<RecordBatch>>>,
    /// Bytes of the batches in `chunks`.
    chunk_bytes: usize,
    ids: Vec<u32>,
}

enum Rows {
    Appended(Columns),
    Indexed(KeyIndex),
}

impl RowSet {
    /// An empty bag. An `append_only` one takes no negative weight. With `key`, rows can be looked up by those columns.
    ///
    /// # Errors
    /// When a column is of a type that cannot be kept.
    pub fn new(schema: SchemaRef, key: Option<Vec<usize>>, append_only: bool) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        let rows = if append_only {
            Rows::Appended(Columns::new(&types, Zeros::Kept)?)
        } else {
            Rows::Indexed(KeyIndex::new(&types, Zeros::Kept)?)
        };
        let chains = key.map(|key| Chains::new(&types, key)).transpose()?;
        let (weights, chunks, ids) = (Vec::new(), Vec::new(), Vec::new());
        let indexes = Vec::new();
        Ok(RowSet { schema, rows, weights, total: 0, chains, indexes, chunks, chunk_bytes: 0, ids })
    }

    /// Adds a change. Weights may pass through negative totals on the way, but not end there.
    ///
    /// # Errors
    /// [`Error::Internal`] when more of a row is deleted than is there: the bag is then no longer valid.
    pub fn apply(&mut self, delta: &Delta) -> Result<()> {
        if delta.batch.num_rows() == 0 {
            return Ok(());
        }
        let mut ids = std::mem::take(&mut self.ids);
        let result = self.apply_rows(delta.batch.columns(), delta, &mut ids);
        self.ids = ids;
        result
    }

    fn apply_rows(&mut self, batch: &[ArrayRef], delta: &Delta, ids: &mut Vec<u32>) -> Result<()> {
        let fresh = match &mut self.rows {
            Rows::Appended(columns) => {
                if !delta.weights.is_append() {
                    return Err(Error::Internal("a row was deleted from an append-only input".into()));
                }
                ids.clear();
                let rows: Vec<u32> = (0..delta.len() as u32).collect();
                let readers = columns.read(batch)?;
                columns.append(&readers, &rows, ids)?;
                rows
            }
            Rows::Indexed(index) => index.intern(batch, delta.len(), ids)?.to_vec(),
        };
        self.weights.resize(self.columns().slots(), 0);
        self.chunks.resize(self.weights.len().div_ceil(CHUNK_IDS), None);
        for (row, id) in ids.iter().enumerate() {
            let weight = delta.weights.get(row);
            self.weights[*id as usize] += weight;
            self.total += weight;
            if let Some(old) = self.chunks[*id as usize / CHUNK_IDS].take() {
                self.chunk_bytes -= old.get_array_memory_size();
            }
        }
        if self.chains.is_some() || !self.indexes.is_empty() {
            let (rows, linked): (Vec<u32>, Vec<u32>) = fresh
                .iter()
                .map(|row| (*row, ids[*row as usize]))
                .filter(|(_, id)| self.weights[*id as usize] != 0)
                .unzip();
            for chains in self.chains.iter_mut().chain(&mut self.indexes) {
                chains.link(batch, delta.len(), &rows, &linked)?;
            }
        }
        self.forget_zeros(ids)
    }

    fn forget_zeros(&mut self, ids: &[u32]) -> Result<()> {
        let Rows::Indexed(index) = &mut self.rows else { return Ok(()) };
        let mut zeros = Vec::new();
        for id in ids {
            match self.weights[*id as usize] {
                0 => zeros.push(*id),
                1.. => {}
                weight => {
                    let row = describe(&index.gather(&[*id])?, 0)?;
                    return Err(Error::Internal(format!("row {row} is there {weight} times")));
                }
            }
        }
        zeros.sort_unstable();
        zeros.dedup();
        for id in zeros {
            index.remove(id);
            for chains in self.chains.iter_mut().chain(&mut self.indexes) {
                chains.unlink(id);
            }
        }
        Ok(())
    }

    /// All rows, as batches of whole chunks. Chunks that did not change since the last call are the same `Arc`s.
    ///
    /// # Errors
    /// [`Error::Limit`] when a chunk lists more than 2^24 rows or more than 2 GiB of text in a column.
    pub fn snapshot(&mut self) -> Result<Vec<Arc<RecordBatch>>> {
        for chunk in 0..self.chunks.len() {
            if self.chunks[chunk].is_none() {
                let made = self.chunk(chunk)?;
                self.chunk_bytes += made.get_array_memory_size();
                self.chunks[chunk] = Some(Arc::new(made));
            }
        }
        Ok(self.chunks.iter().flatten().filter(|batch| batch.num_rows() > 0).cloned().collect())
    }

    fn chunk(&self, chunk: usize) -> Result<RecordBatch> {
        let start = chunk * CHUNK_IDS;
        let end = (start + CHUNK_IDS).min(self.weights.len());
        let mut ids = Vec::with_capacity(end - start);
        for id in start..end {
            let weight = self.weights[id] as usize;
            if ids.len() + weight > CHUNK_ROWS_MAX {
                return Err(Error::Limit(format!("repeated rows come to more than {CHUNK_ROWS_MAX} in one batch")));
            }
            ids.resize(ids.len() + weight, id as u32);
        }
        self.gather(&ids)
    }

    /// The rows with these ids, each once, in that order.
    ///
    /// # Errors
    /// [`Error::Limit`] when the text of a column is past 2 GiB.
    pub fn gather(&self, ids: &[u32]) -> Result<RecordBatch> {
        let columns = self.columns().gather(ids)?;
        let options = RecordBatchOptions::new().with_row_count(Some(ids.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// The ids of the rows whose key equals the first row of `keys`; no row where the bag has no key.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn lookup(&self, keys: &[ArrayRef]) -> Result<Vec<u32>> {
        let Some(chains) = &self.chains else { return Ok(Vec::new()) };
        let mut key = Vec::new();
        chains.find(keys, 1, &mut key)?;
        Ok(chains.rows(key[0]).collect())
    }

    /// The chains by key, where the bag has a key.
    pub fn chains(&self) -> Option<&Chains> {
        self.chains.as_ref()
    }

    /// How often the row with this id is in the bag.
    #[inline]
    pub fn weight(&self, id: u32) -> i64 {
        self.weights[id as usize]
    }

    /// The ids of the rows of the change that was last applied, if it had any, in its order.
    pub fn applied(&self) -> &[u32] {
        &self.ids
    }

    /// The columns by id.
    pub fn columns(&self) -> &Columns {
        match &self.rows {
            Rows::Appended(columns) => columns,
            Rows::Indexed(index) => index.columns(),
        }
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows, counting repeated ones.
    pub fn len(&self) -> usize {
        self.total as usize
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Gives back memory that no row needs: the batches and indexes made for readers, and, where most rows have gone,
    /// their places. Ids change.
    ///
    /// # Errors
    /// As [`RowSet::snapshot`]; nothing is changed then.
    pub fn tidy(&mut self) -> Result<()> {
        if let Rows::Indexed(index) = &self.rows
            && index.columns().len() < self.weights.len() / 2
        {
            let key = self.chains.as_ref().map(|chains| chains.columns().to_vec());
            let mut fresh = RowSet::new(self.schema.clone(), key, false)?;
            for chunk in 0..self.chunks.len() {
                fresh.apply(&Delta::insert(self.chunk(chunk)?))?;
            }
            *self = fresh;
        }
        self.chunks.fill(None);
        self.chunk_bytes = 0;
        self.indexes.clear();
        Ok(())
    }

    /// Bytes of memory held. Costs no more for many rows than for few.
    pub fn bytes(&self) -> usize {
        let rows = match &self.rows {
            Rows::Appended(columns) => columns.bytes(),
            Rows::Indexed(index) => index.bytes(),
        };
        let chains: usize = self.chains.iter().chain(&self.indexes).map(Chains::bytes).sum();
        rows + self.weights.capacity() * 8 + chains + self.chunk_bytes
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::delta::text::{parse, print};

    fn schema() -> SchemaRef {
        let list = DataType::new_list(DataType::Int32, true);
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Float64, true),
            Field::new("c", DataType::Boolean, true),
            Field::new("d", list, true),
        ]))
    }

    fn delta(text: &str) -> Delta {
        let three = Arc::new(Schema::new(schema().fields()[..3].to_vec()));
        let delta = parse(&three, text).unwrap();
        let lists = delta.column(1).clone();
        let lists = arrow::compute::cast(&lists, &DataType::new_list(DataType::Int32, true)).unwrap();
        let mut columns = delta.batch.columns().to_vec();
        columns.push(lists);
        Delta::new(RecordBatch::try_new(schema(), columns).unwrap(), delta.weights)
    }

    fn show(rows: &mut RowSet) -> String {
        let snapshot = rows.snapshot().unwrap();
        let batch = concat_batches(&schema(), snapshot.iter().map(Arc::as_ref)).unwrap();
        assert_eq!(batch.num_rows(), rows.len());
        print(&Delta::insert(batch)).unwrap()
    }

    #[test]
    fn rows_come_and_go() {
        let mut rows = RowSet::new(schema(), Some(vec![0]), false).unwrap();
        rows.apply(&delta("-1 x 9 true\n+1 a 1 true\n+2 null 0 null\n+1 a -0 false\n+1 x 9 true")).unwrap();
        assert_eq!(show(&mut rows), "+1 a -0.0 false [0]\n+1 a 1.0 true [1]\n+2 null 0.0 null [0]\n");
        let key: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a"]));
        assert_eq!(rows.lookup(std::slice::from_ref(&key)).unwrap().len(), 2);
        rows.apply(&delta("-1 a 1 true\n-2 null 0 null\n+1 b 2 true")).unwrap();
        assert_eq!(show(&mut rows), "+1 a -0.0 false [0]\n+1 b 2.0 true [2]\n");
        assert_eq!(rows.lookup(&[key]).unwrap().len(), 1);
        let error = rows.apply(&delta("-1 a 0 false")).unwrap_err();
        assert_eq!(error.to_string(), "internal error: row (a, 0.0, false, [0]) is there -1 times");
    }

    #[test]
    fn memory_of_rows_that_have_gone_comes_back() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let rows_from = |range: std::ops::Range<i64>| {
            let values: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(range));
            Delta::insert(RecordBatch::try_new(schema.clone(), vec![values]).unwrap())
        };
        let mut rows = RowSet::new(schema.clone(), Some(vec![0]), false).unwrap();
        rows.apply(&rows_from(0..50_000)).unwrap();
        let bare = rows.bytes();
        rows.snapshot().unwrap();
        assert!(rows.bytes() > bare + 50_000 * 8);
        rows.apply(&rows_from(10..50_000).negate()).unwrap();
        assert!(rows.bytes() >= bare - 100, "places of rows are kept for others");
        rows.tidy().unwrap();
        assert!(rows.bytes() < bare / 100, "{} of {bare}", rows.bytes());
        let key: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![7]));
        assert_eq!((rows.len(), rows.lookup(&[key]).unwrap().len()), (10, 1));
        assert_eq!(rows.snapshot().unwrap()[0].num_rows(), 10);
    }

    #[test]
    fn untouched_chunks_are_shared() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let values: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..5000));
        let mut rows = RowSet::new(schema.clone(), None, true).unwrap();
        rows.apply(&Delta::insert(RecordBatch::try_new(schema.clone(), vec![values]).unwrap())).unwrap();
        let before = rows.snapshot().unwrap();
        rows.apply(&parse(&schema, "+1 7").unwrap()).unwrap();
        let after = rows.snapshot().unwrap();
        assert_eq!(after.len(), 5);
        assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
        assert_eq!(after[4].num_rows(), before[4].num_rows() + 1);
    }
}
