//! A sealed segment as Parquet: one file for each stream and table that has rows in it.
//!
//! ```text
//! <folder>/<first>-<last>.parquet.tmp  ── write, sync, rename ──  <folder>/<first>-<last>.parquet  ── sync folder
//! ```
//!
//! Rows keep the order of the log, so every file is sorted by `_offset`. The segment is streamed: what waits in
//! memory to become a row group is bounded, over all files together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::columns::{OFFSET_COLUMN, TIME_COLUMN, check_schema, stored, to_stored, with_ours};
use super::manifest::{DatasetEntry, FileEntry, Kind};
use crate::delta::added::Added;
use crate::error::{Error, Result};
use crate::log::{
    DiskFile, Group, ObjectId, Offset, Part, Record, Segment, create_folder, remove, rename, sync_folder,
};

/// Rows of a row group at most.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Memory that may wait to become row groups, over all files that are written at once.
const WRITE_BUFFER_BYTES: usize = 64 << 20;
/// Rows that are given to a Parquet writer at once.
const WRITE_ROWS: usize = 64 << 10;
/// What a name has until its file is complete.
pub(super) const UNFINISHED: &str = ".tmp";

/// What a segment becomes.
#[derive(Debug)]
pub(super) struct Written {
    /// The new file of each data set that has rows in the segment.
    pub(super) files: BTreeMap<ObjectId, FileEntry>,
    /// All that is no row: statements, and groups without their parts.
    pub(super) rest: Vec<Record>,
}

/// Writes the files of a segment into the folders of their data sets; they are durable when this returns.
pub(super) fn write_segment(archive: &Path, segment: &Arc<Segment>, datasets: &[DatasetEntry]) -> Result<Written> {
    let mut writers: BTreeMap<ObjectId, FileWriter> = BTreeMap::new();
    let mut rest = Vec::new();
    for record in segment.records(0, Offset::MAX) {
        match record? {
            Record::Statement(statement) => rest.push(Record::Statement(statement)),
            Record::Rows(group) => {
                for part in group.parts.iter().filter(|part| !part.is_empty()) {
                    let writer = match writers.entry(part.object) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => {
                            entry.insert(FileWriter::create(archive, known(datasets, part.object)?)?)
                        }
                    };
                    writer.write(&group, part)?;
                    flush_largest(&mut writers)?;
                }
                rest.push(Record::Rows(Group { parts: Vec::new(), ..group }));
            }
        }
    }
    let mut files = BTreeMap::new();
    for (id, writer) in writers {
        files.insert(id, writer.finish()?);
    }
    Ok(Written { files, rest })
}

fn known(datasets: &[DatasetEntry], id: ObjectId) -> Result<&DatasetEntry> {
    let dataset = datasets.iter().find(|dataset| dataset.id == id);
    dataset.ok_or_else(|| Error::Internal(format!("the log has rows of object {id}, which the catalog does not name")))
}

fn flush_largest(writers: &mut BTreeMap<ObjectId, FileWriter>) -> Result<()> {
    if writers.values().map(|w| w.writer.memory_size()).sum::<usize>() <= WRITE_BUFFER_BYTES {
        return Ok(());
    }
    let largest = writers.values_mut().max_by_key(|w| w.writer.memory_size()).expect("some writer holds memory");
    largest.writer.flush().map_err(|e| write_error(&largest.unfinished, &e))
}

struct FileWriter {
    folder: PathBuf,
    unfinished: PathBuf,
    declared: SchemaRef,
    added: Added,
    kind: Kind,
    stored: SchemaRef,
    writer: ArrowWriter<Output>,
    first: Option<Offset>,
    last: Offset,
    rows: u64,
}

impl FileWriter {
    fn create(archive: &Path, dataset: &DatasetEntry) -> Result<FileWriter> {
        check_schema(&dataset.schema)?;
        let folder = archive.join(&dataset.folder);
        create_folder(&folder)?;
        let unfinished = folder.join(format!("unfinished.parquet{UNFINISHED}"));
        remove(&unfinished)?;
        let stored = stored(&with_ours(&dataset.schema, dataset.kind));
        let properties = properties(&stored).map_err(|e| write_error(&unfinished, &e))?;
        let output = Output { file: DiskFile::create(&unfinished)?, bytes: 0, crc: 0 };
        let writer = ArrowWriter::try_new(output, stored.clone(), Some(properties));
        let writer = writer.map_err(|e| write_error(&unfinished, &e))?;
        let (declared, added, kind) = (dataset.schema.clone(), dataset.added.clone(), dataset.kind);
        Ok(FileWriter { folder, unfinished, declared, added, kind, stored, writer, first: None, last: 0, rows: 0 })
    }

    fn write(&mut self, group: &Group, part: &Part) -> Result<()> {
        let delta = part.delta(&self.declared, &self.added)?;
        let mut columns: Vec<ArrayRef> = delta.batch.columns().iter().map(to_stored).collect();
        let offsets = part.offsets(group);
        self.first.get_or_insert(offsets.value(0) as Offset);
        self.last = offsets.value(offsets.values().len() - 1) as Offset;
        self.rows += delta.len() as u64;
        columns.push(Arc::new(offsets));
        columns.push(Arc::new(part.times(group)));
        if self.kind == Kind::Table {
            columns.push(Arc::new(Int64Array::from(delta.weights.to_vec(delta.len()))));
        } else if delta.weights.as_slice().is_some_and(|weights| weights.iter().any(|weight| *weight != 1)) {
            return Err(Error::Internal(format!("stream {} has weights other than one", part.object)));
        }
        let batch = RecordBatch::try_new(self.stored.clone(), columns)?;
        for start in (0..batch.num_rows()).step_by(WRITE_ROWS) {
            let rows = batch.slice(start, WRITE_ROWS.min(batch.num_rows() - start));
            self.writer.write(&rows).map_err(|e| write_error(&self.unfinished, &e))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<FileEntry> {
        self.writer.finish().map_err(|e| write_error(&self.unfinished, &e))?;
        let output = self.writer.inner();
        output.file.sync()?;
        let first = self.first.expect("a file is begun with its first row");
        let name = format!("{first:020}-{:020}.parquet", self.last);
        rename(&self.unfinished, &self.folder.join(&name))?;
        sync_folder(&self.folder)?;
        Ok(FileEntry { name, first, last: self.last, rows: self.rows, bytes: output.bytes, crc32c: output.crc })
    }
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties, ParquetError> {
    // Sorting is declared by leaf, and a nested column has several.
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    let sorted = leaves.columns().iter().position(|column| column.path().parts() == [OFFSET_COLUMN]);
    let sorted = sorted.expect("every file has an offset column") as i32;
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: sorted, descending: false, nulls_first: false }]));
    for column in [OFFSET_COLUMN, TIME_COLUMN] {
        properties = properties
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    Ok(properties.build())
}

/// A file that computes its checksum while it is written.
struct Output {
    file: DiskFile,
    bytes: u64,
    crc: u32,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(self.bytes, bytes).map_err(io::Error::other)?;
        self.bytes += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_error(file: &Path, error: &ParquetError) -> Error {
    Error::Io { context: format!("writing {}", file.display()), message: error.to_string(), kind: io::ErrorKind::Other }
}
