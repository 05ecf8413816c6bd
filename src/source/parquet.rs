//! Parquet: columns are found by name and converted to the declared types.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::convert::{Faults, can_convert, conform, refuse};
use super::file::{Block, Reader};
use super::infer::{no_column, position_of, refuse_misspelt, schema_of};
use super::options::Options;
use super::{Position, Reject, Target, reject_text};
use crate::error::{Error, Result};

/// How many bytes of decoded columns a chunk has, about, unless one row is longer.
const CHUNK_BYTES: u64 = 16 << 20;

/// Reads one Parquet file.
pub(super) struct ParquetReader {
    path: String,
    reader: ParquetRecordBatchReader,
    /// For each declared column, its place among the columns read.
    columns: Vec<Option<usize>>,
    target: Target,
    rows_total: u64,
    size: u64,
    position: Position,
}

impl ParquetReader {
    pub(super) fn open(path: &str, options: &Options, target: &Target, from: Position) -> Result<ParquetReader> {
        let file = open_file(path)?;
        let size = file.metadata().map_err(|e| Error::io("reading", Path::new(path), &e))?.len();
        let builder = guard(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
        let (columns, wanted) = by_name(path, &target.schema, builder.schema())?;
        let (mut rows_total, mut bytes_total) = (0_u64, 0_u64);
        for group in builder.metadata().row_groups() {
            rows_total += u64::try_from(group.num_rows()).unwrap_or(0);
            bytes_total += u64::try_from(group.total_byte_size()).unwrap_or(0);
        }
        if from.rows > rows_total {
            return Err(Error::input(format!(
                "{path} has become shorter: it has {rows_total} rows of {} read",
                from.rows
            )));
        }
        let row_bytes = (bytes_total / rows_total.max(1)).max(1);
        let batch_rows = usize::try_from(CHUNK_BYTES / row_bytes).unwrap_or(usize::MAX).clamp(1, options.batch_rows);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let skipped = usize::try_from(from.rows).map_err(|_| Error::Limit(format!("{path} has too many rows")))?;
        let builder = builder.with_batch_size(batch_rows).with_projection(mask).with_offset(skipped);
        let reader = guard(path, || builder.build())?;
        let position = Position { rows: from.rows, bytes: 0, lines: 0 };
        Ok(ParquetReader { path: path.to_owned(), reader, columns, target: target.clone(), rows_total, size, position })
    }
}

impl Reader for ParquetReader {
    fn next(&mut self) -> Result<Option<Block>> {
        let Some(batch) = guard(&self.path, || self.reader.next().transpose())? else {
            return Ok(None);
        };
        let raw: Vec<Option<ArrayRef>> =
            self.columns.iter().map(|place| place.map(|place| batch.column(place).clone())).collect();
        let (rows, faults) = conform(&raw, batch.num_rows(), &self.target)?;
        let rejects = self.rejects(batch.clone(), faults)?;
        self.position.rows += batch.num_rows() as u64;
        Ok(Some(Block { batch: rows, rejects, position: self.position }))
    }

    fn consumed(&self) -> u64 {
        let (rows, total) = (u128::from(self.position.rows), u128::from(self.rows_total.max(1)));
        u64::try_from(u128::from(self.size) * rows / total).unwrap_or(self.size)
    }
}

impl ParquetReader {
    fn rejects(&self, batch: RecordBatch, faults: Faults) -> Result<Vec<Reject>> {
        let rows = StructArray::from(batch);
        let (options, mut rejects) = (FormatOptions::default(), Vec::with_capacity(faults.len()));
        let formatter = ArrayFormatter::try_new(&rows, &options)?;
        for (row, reason) in faults {
            let text = reject_text(formatter.value(row).to_string().as_bytes());
            rejects.push(Reject {
                file: self.path.clone(),
                position: self.position.rows + row as u64 + 1,
                reason,
                text,
            });
        }
        Ok(rejects)
    }
}

fn open_file(path: &str) -> Result<File> {
    File::open(path).map_err(|e| Error::io("opening", Path::new(path), &e))
}

/// For each declared column its place among the columns read, and those columns' places in the file.
fn by_name(path: &str, schema: &SchemaRef, found: &SchemaRef) -> Result<(Vec<Option<usize>>, Vec<usize>)> {
    let names: Vec<String> = found.fields().iter().map(|field| field.name().clone()).collect();
    let places: Vec<_> = schema.fields().iter().map(|field| position_of(field.name(), &names)).collect();
    let mut wanted: Vec<usize> = places.iter().flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Err(no_column(path, schema, &names));
    }
    refuse_misspelt(path, schema, &names, &places)?;
    for (field, place) in schema.fields().iter().zip(&places) {
        if let Some(place) = place
            && !can_convert(found.field(*place).data_type(), field.data_type())
        {
            return Err(refuse(field, &format!("the column's {} in {path}", found.field(*place).data_type())));
        }
    }
    let columns = places.iter().map(|place| place.and_then(|place| wanted.binary_search(&place).ok())).collect();
    Ok((columns, wanted))
}

/// Names and types as the file declares them, in the forms that SQL's types have here.
pub(super) fn infer(path: &str) -> Result<SchemaRef> {
    let file = open_file(path)?;
    let builder = guard(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
    let fields = builder.schema().fields().iter();
    schema_of(path, fields.map(|field| (field.name().clone(), plain(field.data_type()))).collect())
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

/// Runs the Parquet reader: on a damaged file it may panic, which is an error here.
fn guard<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    path: &str,
    read: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    let damaged = |reason: String| Error::input(format!("{path} cannot be read as Parquet: {reason}"));
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|e| damaged(e.into().to_string())),
        Err(panic) => Err(damaged(panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the reader failed").to_owned()
}
