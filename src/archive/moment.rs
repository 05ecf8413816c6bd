//! Which commit was the last one at a moment, as far as the archive goes.
//!
//! Offsets and times rise together, in each file and from file to file: the last row at a moment lies in the last row group
//! that begins before it, so of each data set one row group is read, and of that the two columns.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::Archive;
use super::columns::{OFFSET_COLUMN, TIME_COLUMN};
use super::manifest::DatasetEntry;
use super::read::guard;
use crate::error::{Error, Result};
use crate::log::Offset;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Behind this commit.
    Offset(Offset),
    /// Behind the last commit of this time, in microseconds since 1970-01-01 UTC.
    Time(i64),
}

impl Moment {
    /// Whether a commit is not behind the moment.
    pub fn has(self, offset: Offset, time: i64) -> bool {
        match self {
            Moment::Offset(last) => offset <= last,
            Moment::Time(last) => time <= last,
        }
    }
}

impl Archive {
    /// The last commit at a moment, with its time, among those that have rows in the archive or are statements. Nothing, where
    /// none was.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a file is damaged.
    pub fn last_commit(&self, moment: Moment) -> Result<Option<(Offset, i64)>> {
        let manifest = self.manifest();
        let end = (manifest.sealed_to, manifest.last_time.unwrap_or(0));
        if manifest.sealed_to > 0 && moment.has(end.0, end.1) {
            return Ok(Some(end));
        }
        let statements = manifest.statements.iter().map(|statement| (statement.offset, statement.time));
        let mut last = statements.filter(|(offset, time)| moment.has(*offset, *time)).max();
        for dataset in &manifest.datasets {
            last = last.max(self.last_row(dataset, moment)?);
        }
        Ok(last)
    }

    /// The times of the commits `from..=to` that have rows in the archive or are statements.
    ///
    /// # Errors
    /// As [`Archive::last_commit`].
    pub fn commit_times(&self, from: Offset, to: Offset) -> Result<BTreeMap<Offset, i64>> {
        let manifest = self.manifest();
        let within = |offset: Offset| (from..=to).contains(&offset);
        let statements = manifest.statements.iter().filter(|statement| within(statement.offset));
        let mut times: BTreeMap<Offset, i64> = statements.map(|statement| (statement.offset, statement.time)).collect();
        for dataset in &manifest.datasets {
            for file in dataset.files.iter().filter(|file| file.last >= from && file.first <= to) {
                let path = self.folder().join(&dataset.folder).join(&file.name);
                let handle = self.open_checked(&path, file)?;
                let handle = handle.handle().try_clone().map_err(|e| Error::io("opening", &path, &e))?;
                guard(&path, || {
                    for batch in commits(ParquetRecordBatchReaderBuilder::try_new(handle).map_err(text)?, None)? {
                        let batch = batch.map_err(text)?;
                        times.extend(rows_in(&batch).filter(|(offset, _)| within(*offset)));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(times)
    }

    /// The last commit of a data set's rows at a moment.
    fn last_row(&self, dataset: &DatasetEntry, moment: Moment) -> Result<Option<(Offset, i64)>> {
        for file in dataset.files.iter().rev() {
            if matches!(moment, Moment::Offset(offset) if file.first > offset) {
                continue;
            }
            let path = self.folder().join(&dataset.folder).join(&file.name);
            let handle = self.open_checked(&path, file)?;
            let handle = handle.handle().try_clone().map_err(|e| Error::io("opening", &path, &e))?;
            let found = guard(&path, || last_of(handle, moment))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The last commit of a file at a moment.
fn last_of(file: File, moment: Moment) -> Result<Option<(Offset, i64)>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(text)?;
    let begins = |column: &str| {
        let found = StatisticsConverter::try_new(column, builder.schema(), builder.parquet_schema());
        found.and_then(|found| found.row_group_mins(builder.metadata().row_groups())).map_err(text)
    };
    let (offsets, times) = (begins(OFFSET_COLUMN)?, begins(TIME_COLUMN)?);
    let (offsets, times) = (offsets.as_primitive::<Int64Type>(), times.as_primitive::<TimestampMicrosecondType>());
    let began = |group: &usize| moment.has(offsets.value(*group) as Offset, times.value(*group));
    let Some(group) = (0..builder.metadata().num_row_groups()).rev().find(began) else { return Ok(None) };
    let mut last = None;
    for batch in commits(builder, Some(group))? {
        let batch = batch.map_err(text)?;
        last = last.max(rows_in(&batch).take_while(|(offset, time)| moment.has(*offset, *time)).last());
    }
    Ok(last)
}

/// The commits of a file's rows, or of those of one row group.
fn commits(
    builder: ParquetRecordBatchReaderBuilder<File>,
    group: Option<usize>,
) -> Result<ParquetRecordBatchReader, String> {
    let columns = ProjectionMask::columns(builder.parquet_schema(), [OFFSET_COLUMN, TIME_COLUMN]);
    let builder = match group {
        Some(group) => builder.with_row_groups(vec![group]),
        None => builder,
    };
    builder.with_projection(columns).build().map_err(text)
}

/// The commit of each row, with its time.
fn rows_in(batch: &RecordBatch) -> impl Iterator<Item = (Offset, i64)> {
    let offsets = batch.column(0).as_primitive::<Int64Type>().values();
    let times = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
    offsets.iter().zip(times).map(|(offset, time)| (*offset as Offset, *time))
}

fn text(error: impl Display) -> String {
    error.to_string()
}
