//! Reading the archive: files are checked before their first use, then read batch by batch.
//!
//! Parquet's own pages have no checksum here, and a flipped bit in one would mostly give wrong rows in silence. So the
//! checksum of the whole file is compared with the manifest's, once per process, through the handle that is then read.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::Archive;
use super::columns::{OFFSET_COLUMN, from_stored, stored, with_ours};
use super::manifest::{DatasetEntry, FileEntry};
use crate::delta::added::Added;
use crate::error::{Error, Result};
use crate::log::{DiskFile, ObjectId, Offset};

/// Rows of a batch at most.
const READ_ROWS: usize = 8192;
/// Bytes that are fetched at once to compute a checksum.
const CHECK_BYTES: usize = 1 << 20;

/// The rows of one data set in the order of their offsets, with `_offset`, `_time` and, for a table, `_weight`.
pub struct Scan {
    archive: Arc<Archive>,
    folder: PathBuf,
    schema: SchemaRef,
    /// The columns that were declared, before ours.
    declared: usize,
    added: Added,
    files: VecDeque<FileEntry>,
    from: Offset,
    to: Offset,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Archive {
    /// The rows of a stream or table from the commits `from..=to`, without reading the files of others.
    pub fn scan(self: &Arc<Self>, id: ObjectId, from: Offset, to: Offset) -> Option<Scan> {
        let manifest = self.manifest();
        let dataset = manifest.dataset(id)?;
        let files = dataset.files.iter().filter(|file| file.last >= from && file.first <= to).cloned();
        Some(Scan {
            archive: self.clone(),
            folder: self.folder().join(&dataset.folder),
            schema: with_ours(&dataset.schema, dataset.kind),
            declared: dataset.schema.fields().len(),
            added: dataset.added.clone(),
            files: files.collect(),
            from,
            to,
            current: None,
        })
    }

    /// Compares a file with its checksum, if this process has not yet.
    pub(super) fn check_file(&self, dataset: &DatasetEntry, file: &FileEntry) -> Result<()> {
        self.open_checked(&self.folder().join(&dataset.folder).join(&file.name), file).map(drop)
    }

    /// The columns of a file.
    pub(super) fn columns(&self, dataset: &DatasetEntry, file: &FileEntry) -> Result<SchemaRef> {
        let path = self.folder().join(&dataset.folder).join(&file.name);
        let handle = self.open_checked(&path, file)?;
        let handle = handle.handle().try_clone().map_err(|e| Error::io("opening", &path, &e))?;
        guard(&path, || {
            let builder = ParquetRecordBatchReaderBuilder::try_new(handle).map_err(|e| e.to_string())?;
            Ok(builder.schema().clone())
        })
    }

    pub(super) fn open_checked(&self, path: &Path, entry: &FileEntry) -> Result<DiskFile> {
        let file = DiskFile::open(path, true)?;
        let mut checked = self.checked.lock().expect("nothing panics while it holds the set of checked files");
        if !checked.contains(path) {
            check(&file, entry)?;
            checked.insert(path.to_path_buf());
        }
        Ok(file)
    }
}

fn check(file: &DiskFile, entry: &FileEntry) -> Result<()> {
    let length = file.len()?;
    if length != entry.bytes {
        let reason = format!("the file has {length} bytes, the manifest says {}", entry.bytes);
        return Err(Error::corrupt(file.path(), length.min(entry.bytes), reason));
    }
    let (mut crc, mut position) = (0, 0);
    while position < length {
        let bytes = file.read(position, CHECK_BYTES)?;
        if bytes.is_empty() {
            return Err(Error::corrupt(file.path(), position, "the file became shorter"));
        }
        crc = crc32c::crc32c_append(crc, &bytes);
        position += bytes.len() as u64;
    }
    if crc != entry.crc32c {
        return Err(Error::corrupt(file.path(), 0, "the file's checksum is not that of the manifest"));
    }
    Ok(())
}

impl Scan {
    /// The columns: those declared, then ours.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((path, reader)) = &mut self.current {
                let next = guard(path, || reader.next().transpose().map_err(|e| e.to_string()))?;
                if let Some(batch) = next {
                    let found = of_file(&self.schema, self.declared, batch.num_columns());
                    let batch = found
                        .and_then(|found| from_stored(&batch, &found))
                        .ok_or_else(|| Error::corrupt(path, 0, "the file has other columns than its data set"))?;
                    let batch = widened(&batch, &self.schema, self.declared, &self.added)?;
                    let batch = within(&batch, self.from, self.to);
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                    continue;
                }
                self.current = None;
            }
            let Some(entry) = self.files.pop_front() else { return Ok(None) };
            let path = self.folder.join(&entry.name);
            let file = self.archive.open_checked(&path, &entry)?;
            let handle = file.handle().try_clone().map_err(|e| Error::io("opening", &path, &e))?;
            let reader = guard(&path, || self.open(handle))?;
            self.current = Some((path, reader));
        }
    }

    /// A reader of the row groups that can hold commits `from..=to`.
    fn open(&self, handle: std::fs::File) -> Result<ParquetRecordBatchReader, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(handle).map_err(|e| e.to_string())?;
        let found = builder.schema();
        // A column may have been renamed since.
        let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        let expected = of_file(&self.schema, self.declared, found.fields().len());
        if expected.is_none_or(|expected| types(&stored(&expected)) != types(found)) {
            return Err(format!("the file's columns are {found}"));
        }
        let groups = builder.metadata().row_groups();
        let offsets = StatisticsConverter::try_new(OFFSET_COLUMN, found, builder.parquet_schema());
        let offsets = offsets.map_err(|e| e.to_string())?;
        let first = offsets.row_group_mins(groups).map_err(|e| e.to_string())?;
        let last = offsets.row_group_maxes(groups).map_err(|e| e.to_string())?;
        let (first, last) = (first.as_primitive::<Int64Type>(), last.as_primitive::<Int64Type>());
        let overlaps = |i: &usize| last.value(*i) as Offset >= self.from && first.value(*i) as Offset <= self.to;
        let wanted = (0..groups.len()).filter(overlaps).collect();
        builder.with_row_groups(wanted).with_batch_size(READ_ROWS).build().map_err(|e| e.to_string())
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let next = self.read().transpose();
        if matches!(next, Some(Err(_))) {
            self.files.clear();
            self.current = None;
        }
        next
    }
}

/// The columns of a file that has this many: the first of those declared, then ours. Nothing where it has too many.
pub(super) fn of_file(schema: &SchemaRef, declared: usize, columns: usize) -> Option<SchemaRef> {
    let missing = schema.fields().len().checked_sub(columns)?;
    let kept = declared.checked_sub(missing)?;
    let fields = schema.fields()[..kept].iter().chain(&schema.fields()[declared..]).cloned();
    Some(if missing == 0 { schema.clone() } else { Arc::new(Schema::new(fields.collect::<Vec<_>>())) })
}

/// The rows of a file with the columns that were added since.
fn widened(batch: &RecordBatch, schema: &SchemaRef, declared: usize, added: &Added) -> Result<RecordBatch> {
    let missing = schema.fields().len() - batch.num_columns();
    if missing == 0 {
        return Ok(batch.clone());
    }
    let (first, ours) = batch.columns().split_at(declared - missing);
    let all: SchemaRef = Arc::new(Schema::new(schema.fields()[..declared].to_vec()));
    let mut columns = added.widen(first.to_vec(), batch.num_rows(), &all)?;
    columns.extend(ours.iter().cloned());
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The rows of a sorted batch whose offsets are `from..=to`.
fn within(batch: &RecordBatch, from: Offset, to: Offset) -> RecordBatch {
    let column = batch.column_by_name(OFFSET_COLUMN).expect("every archive file has an offset column");
    let offsets = column.as_primitive::<Int64Type>().values();
    let start = offsets.partition_point(|offset| (*offset as Offset) < from);
    let end = offsets.partition_point(|offset| (*offset as Offset) <= to);
    batch.slice(start, end - start)
}

/// What Parquet returns, or the reason why a file cannot be read; its reader panics on some damage.
pub(super) fn guard<T>(path: &Path, read: impl FnOnce() -> Result<T, String>) -> Result<T> {
    let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the Parquet reader panicked".into()));
    read.map_err(|reason| Error::corrupt(path, 0, format!("the file cannot be read: {reason}")))
}
