//! Sources: what reads events from outside and hands them to the engine, a chunk at a time.
//!
//! ```text
//! WITH (connector = 'file', path = 'f.csv')
//!   options            what was asked for, checked
//!   paths              the files, in name order
//!   input              a file (perhaps .gz) as a window of bytes that moves forward
//!   fields, elements   records cut from the window (CSV; JSON)
//!   csv, json, parquet records as raw columns
//!   records            cut records as rows or rejects
//!   csv_header, json_sample, infer   names and types, from the start of a file
//!   convert            raw columns as the declared types
//!   file               Chunk: rows, rejects, and the mark to resume after it
//! ```
//!
//! Law: the rows and the rejects of a source, one chunk after another, do not depend on where chunks end, nor on
//! how often the source was stopped and opened again at a mark. Each record becomes either one row or one reject.

mod convert;
mod csv;
mod csv_header;
mod elements;
mod fields;
mod file;
mod infer;
mod input;
mod json;
mod json_sample;
mod options;
mod parquet;
mod paths;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use options::Format;
use options::{Connector, Options};

/// The rows that a source is to give: their columns, and what a row must satisfy beside.
#[derive(Clone)]
pub struct Target {
    /// The columns. One that is not nullable refuses rows without a value.
    pub schema: SchemaRef,
    /// The rows of a batch that are refused, each with the reason.
    pub refused: Refused,
}

/// Tells which rows of a batch are refused, each once, with the reason.
pub type Refused = Arc<dyn Fn(&RecordBatch) -> Result<Vec<(usize, String)>> + Send + Sync>;

impl From<&SchemaRef> for Target {
    /// Every row that has the columns.
    fn from(schema: &SchemaRef) -> Target {
        Target { schema: schema.clone(), refused: Arc::new(|_| Ok(Vec::new())) }
    }
}

/// What a source hands over at a time.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The accepted rows, in the order of the input, with exactly the columns of the schema the source was opened with.
    pub batch: RecordBatch,
    /// The records that are no rows, in the order of the input.
    pub rejects: Vec<Reject>,
    /// Where to resume so that the next row read is the one after this chunk.
    pub mark: Mark,
    /// Bytes of the input read so far, of [`Source::total_bytes`].
    pub bytes: u64,
}

/// A record that could not become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file it is in.
    pub file: String,
    /// Where in the file, from 1: the line for CSV and newline-delimited JSON, else the number of the row.
    pub position: u64,
    /// What was wrong, naming the column.
    pub reason: String,
    /// The record as it stands in the input, cut to [`REJECT_TEXT_BYTES_MAX`].
    pub text: String,
}

/// The longest text kept of a rejected record, in bytes.
pub const REJECT_TEXT_BYTES_MAX: usize = 4096;

/// Where a source stands after a chunk. It is stored with the chunk's commit, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The file being read.
    pub file: String,
    /// How it is read.
    pub format: Format,
    /// The file's size in bytes when its reading began: it must not become shorter.
    pub size: u64,
    /// How far the file has been read.
    #[serde(flatten)]
    pub position: Position,
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Records read, accepted or rejected.
    pub rows: u64,
    /// Bytes read, after decompression; 0 for Parquet.
    pub bytes: u64,
    /// Lines read; 0 for Parquet.
    pub lines: u64,
}

/// Reads events from outside. Each source is read on a thread of its own.
pub trait Source: Send {
    /// The next rows, or `None` at the end of the input. A chunk is never empty of both rows and rejects.
    ///
    /// # Errors
    /// When the input cannot be read any further. Bad records are no errors: they are [`Chunk::rejects`].
    fn next(&mut self) -> Result<Option<Chunk>>;

    /// How many bytes the input has, where that is known.
    fn total_bytes(&self) -> Option<u64>;

    /// What is read, for messages: the path.
    fn name(&self) -> &str;
}

/// Opens the source that `options` describe, for rows of `target`, at its start or after `resume`.
///
/// # Errors
/// Options that [`check`] refuses, an input that is not there, has become shorter than it was at `resume` or has
/// none of the columns, and columns of a type that the format cannot give.
pub fn open(
    options: &BTreeMap<String, String>,
    target: impl Into<Target>,
    resume: Option<&Mark>,
) -> Result<Box<dyn Source>> {
    let options = Options::parse(options)?;
    match options.connector {
        Connector::File => Ok(Box::new(file::FileSource::open(options, target.into(), resume)?)),
    }
}

/// The columns of the input, all nullable, for a stream declared without a column list.
///
/// # Errors
/// As [`open`], and an input with no record to infer from.
pub fn infer(options: &BTreeMap<String, String>) -> Result<SchemaRef> {
    let options = Options::parse(options)?;
    match options.connector {
        Connector::File => file::infer(options),
    }
}

/// Checks the options alone, without touching the input.
///
/// # Errors
/// An option that is missing, unknown, not for this format, or has a value it cannot have.
pub fn check(options: &BTreeMap<String, String>) -> Result<()> {
    Options::parse(options).map(|_| ())
}

/// The start of a rejected record's text.
fn reject_text(bytes: &[u8]) -> String {
    if bytes.len() <= REJECT_TEXT_BYTES_MAX {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut text = String::from_utf8_lossy(&bytes[..REJECT_TEXT_BYTES_MAX]).into_owned();
    text.push('…');
    text
}
