//! The file connector: one file after another, each by the reader of its format.

use std::fs;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::csv::CsvReader;
use super::json::JsonReader;
use super::options::{Format, Options};
use super::parquet::ParquetReader;
use super::{Chunk, Mark, Position, Reject, Source, Target, csv_header, json_sample, parquet, paths};
use crate::error::{Error, Result};

/// Reads one file in one format.
pub(super) trait Reader: Send {
    /// The next rows, or `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Block>>;

    /// How many bytes of the file were read.
    fn consumed(&self) -> u64;
}

/// What a reader hands over at a time.
pub(super) struct Block {
    pub batch: RecordBatch,
    pub rejects: Vec<Reject>,
    /// How far the file has been read with it.
    pub position: Position,
}

/// The files of a path, in name order.
pub(super) struct FileSource {
    options: Options,
    format: Format,
    target: Target,
    files: Vec<String>,
    sizes: Vec<u64>,
    /// The file being read, and its reader once it is open.
    at: usize,
    reader: Option<Box<dyn Reader>>,
}

impl FileSource {
    pub(super) fn open(options: Options, target: Target, resume: Option<&Mark>) -> Result<FileSource> {
        let (files, format) = paths::resolve(&options)?;
        let sizes = files.iter().map(|file| size_of(file)).collect::<Result<Vec<u64>>>()?;
        let mut source = FileSource { options, format, target, files, sizes, at: 0, reader: None };
        source.begin(resume)?;
        Ok(source)
    }

    /// Opens the first file to read, so that what is wrong with it is told before any row is taken.
    fn begin(&mut self, resume: Option<&Mark>) -> Result<()> {
        let mut from = Position::default();
        if let Some(mark) = resume {
            let gone = || Error::input(format!("{} was being read and is not there any more", mark.file));
            self.at = self.files.iter().position(|file| *file == mark.file).ok_or_else(gone)?;
            let size = self.sizes[self.at];
            if size < mark.size {
                let message = format!("{} has become shorter: it had {} bytes and has {size}", mark.file, mark.size);
                return Err(Error::input(message).with_hint("a stream goes on reading the same file"));
            }
            if mark.format != self.format {
                let (was, is) = (mark.format.name(), self.format.name());
                return Err(Error::input(format!("{} was being read as {was}, not as {is}", mark.file)));
            }
            from = mark.position;
        }
        self.reader = Some(self.open_reader(from)?);
        Ok(())
    }

    fn open_reader(&self, from: Position) -> Result<Box<dyn Reader>> {
        let (file, options, target) = (&self.files[self.at], &self.options, &self.target);
        Ok(match self.format {
            Format::Csv | Format::Tsv => Box::new(CsvReader::open(file, self.format, options, target, from)?),
            Format::Json => Box::new(JsonReader::open(file, options, target, from)?),
            Format::Parquet => Box::new(ParquetReader::open(file, options, target, from)?),
        })
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Result<Option<Chunk>> {
        while self.at < self.files.len() {
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => self.open_reader(Position::default())?,
            };
            let Some(block) = reader.next()? else {
                self.at += 1;
                continue;
            };
            let bytes = self.sizes[..self.at].iter().sum::<u64>() + reader.consumed();
            self.reader = Some(reader);
            let (file, size) = (self.files[self.at].clone(), self.sizes[self.at]);
            let mark = Mark { file, format: self.format, size, position: block.position };
            return Ok(Some(Chunk { batch: block.batch, rejects: block.rejects, mark, bytes }));
        }
        Ok(None)
    }

    fn total_bytes(&self) -> Option<u64> {
        Some(self.sizes.iter().sum())
    }

    fn name(&self) -> &str {
        &self.options.path
    }
}

fn size_of(file: &str) -> Result<u64> {
    Ok(fs::metadata(file).map_err(|e| Error::io("opening", Path::new(file), &e))?.len())
}

/// The columns of the first file.
pub(super) fn infer(options: Options) -> Result<SchemaRef> {
    let (files, format) = paths::resolve(&options)?;
    let file = files.first().ok_or_else(|| Error::input(format!("there is no file {}", options.path)))?;
    match format {
        Format::Csv | Format::Tsv => csv_header::infer(file, format, &options),
        Format::Json => json_sample::infer(file),
        Format::Parquet => parquet::infer(file),
    }
}
