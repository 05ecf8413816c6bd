//! JSON: objects, one on each line or all in one array.
//!
//! A chunk is decoded whole by Arrow; where that fails it is halved until exactly the bad records are alone. Scalar
//! columns are decoded as text (numbers by their digits) and then converted as those of CSV are, so that both formats
//! accept the same values; lists and structs are decoded as declared.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;

use super::convert::{can_convert, refuse, shorten};
use super::csv::skip_line;
use super::elements::{Cut, Layout};
use super::file::{Block, Reader};
use super::infer::{no_column, position_of};
use super::input::{CHUNK_BYTES, Input, RECORD_BYTES_MAX};
use super::json_sample::{begin, sample};
use super::options::Options;
use super::records::{Span, reject, rows};
use super::{Position, Reject, Target};
use crate::error::Result;

/// Reads one JSON file.
pub(super) struct JsonReader {
    path: String,
    input: Input,
    layout: Layout,
    /// What is decoded: the declared columns as the file spells them, scalars as text.
    raw: SchemaRef,
    target: Target,
    batch_rows: usize,
    position: Position,
}

/// What a position counts as lines of an array, which has none, once the array's end was met.
const ENDED: u64 = 1;

impl JsonReader {
    pub(super) fn open(path: &str, options: &Options, target: &Target, from: Position) -> Result<JsonReader> {
        let mut input = Input::open(path)?;
        let layout = begin(path, &mut input)?;
        let raw = raw_schema(path, &target.schema, &sample(&input, layout).keys)?;
        let mut position = Position { rows: 0, bytes: input.position(), lines: 0 };
        if from.bytes > position.bytes {
            input.skip_to(from.bytes)?;
            position = from;
        }
        let (path, target, batch_rows) = (path.to_owned(), target.clone(), options.batch_rows);
        Ok(JsonReader { path, input, layout, raw, target, batch_rows, position })
    }

    /// Cuts records from the window; returns them, what is none, and how many bytes both take.
    fn cut(&mut self) -> Result<(Vec<Span>, Vec<Reject>, usize)> {
        let mut wanted = CHUNK_BYTES;
        loop {
            self.input.ensure(wanted)?;
            let (mut spans, mut rejects, mut at) = (Vec::new(), Vec::new(), 0);
            let (bytes, ended) = (self.input.bytes(), self.input.ended());
            while at < bytes.len() && spans.len() + rejects.len() < self.batch_rows {
                match self.layout.cut(bytes, at, ended) {
                    Cut::Record { start, end, next } => {
                        at = next;
                        spans.push(Span { start, end, place: self.position.step(self.layout) });
                    }
                    Cut::Blank { next } => {
                        at = next;
                        self.position.lines += u64::from(self.layout == Layout::Lines);
                    }
                    Cut::Fault { start, end, reason } => {
                        at = end;
                        let place = self.position.step(self.layout);
                        rejects.push(reject(&self.path, place, reason.to_owned(), &bytes[start..end]));
                    }
                    // The mark of the last records stays before the bracket, so that resuming meets it again.
                    Cut::Close { .. } if at > 0 => break,
                    Cut::Close { next } => {
                        let rejects = self.close(next)?;
                        return Ok((spans, rejects, 0));
                    }
                    Cut::More => break,
                }
            }
            if bytes.is_empty() && self.layout == Layout::Array && self.position.lines != ENDED {
                let place = self.position.step(self.layout);
                self.position.lines = ENDED;
                rejects.push(reject(&self.path, place, "the file ends within the array".to_owned(), b""));
            }
            if at > 0 || bytes.is_empty() {
                return Ok((spans, rejects, at));
            }
            if bytes.len() >= RECORD_BYTES_MAX {
                let reason = format!("the record is longer than {RECORD_BYTES_MAX} bytes");
                let place = self.position.step(self.layout);
                rejects.push(reject(&self.path, place, reason, bytes));
                skip_line(&mut self.input)?;
                return Ok((spans, rejects, 0));
            }
            wanted = (bytes.len() * 2).min(RECORD_BYTES_MAX);
        }
    }

    /// Goes to the end of the file from behind the array's bracket. Text that follows it is one reject.
    fn close(&mut self, bracket: usize) -> Result<Vec<Reject>> {
        self.input.advance(bracket);
        self.position.lines = ENDED;
        let mut rejects = Vec::new();
        while !self.input.bytes().is_empty() {
            let rest = self.input.bytes();
            if rejects.is_empty() && !rest.trim_ascii().is_empty() {
                let place = self.position.step(self.layout);
                rejects.push(reject(
                    &self.path,
                    place,
                    "text follows the end of the array".to_owned(),
                    rest.trim_ascii_start(),
                ));
            }
            self.input.advance(self.input.bytes().len());
            self.input.ensure(CHUNK_BYTES)?;
        }
        Ok(rejects)
    }
}

impl Reader for JsonReader {
    fn next(&mut self) -> Result<Option<Block>> {
        loop {
            let (spans, mut rejects, length) = self.cut()?;
            let bytes = &self.input.bytes()[..length];
            let mut decoded = Decoded {
                path: &self.path,
                raw: &self.raw,
                batches: Vec::new(),
                spans: Vec::new(),
                rejects: Vec::new(),
            };
            decoded.records(bytes, &spans)?;
            rejects.append(&mut decoded.rejects);
            let batch = compute::concat_batches(&self.raw, &decoded.batches)?;
            let columns: Vec<Option<ArrayRef>> = batch.columns().iter().cloned().map(Some).collect();
            let (batch, rejects) = rows(&self.path, &columns, (bytes, &decoded.spans), &self.target, rejects)?;
            self.input.advance(length);
            self.position.bytes = self.input.position();
            if batch.num_rows() > 0 || !rejects.is_empty() {
                return Ok(Some(Block { batch, rejects, position: self.position }));
            }
            if self.input.ended() && self.input.bytes().is_empty() {
                return Ok(None);
            }
        }
    }

    fn consumed(&self) -> u64 {
        self.input.consumed()
    }
}

impl Position {
    /// Counts a record; returns its line, or its number in an array.
    fn step(&mut self, layout: Layout) -> u64 {
        self.rows += 1;
        match layout {
            Layout::Array => self.rows,
            Layout::Lines => {
                self.lines += 1;
                self.lines
            }
        }
    }
}

/// What became of the records of a chunk.
struct Decoded<'a> {
    path: &'a str,
    raw: &'a SchemaRef,
    batches: Vec<RecordBatch>,
    /// The records in `batches`.
    spans: Vec<Span>,
    rejects: Vec<Reject>,
}

impl Decoded<'_> {
    /// Decodes records, halving them where that fails. The depth is the logarithm of their number.
    fn records(&mut self, bytes: &[u8], spans: &[Span]) -> Result<()> {
        if spans.is_empty() {
            return Ok(());
        }
        match decode(&mut decoder(self.raw, spans.len())?, bytes, spans) {
            Ok(batch) => {
                self.batches.push(batch);
                self.spans.extend_from_slice(spans);
            }
            Err(reason) => match spans {
                [span] => {
                    let record = &bytes[span.start..span.end];
                    self.rejects.push(reject(self.path, span.place, reason, record));
                }
                _ => {
                    let (left, right) = spans.split_at(spans.len() / 2);
                    self.records(bytes, left)?;
                    self.records(bytes, right)?;
                }
            },
        }
        Ok(())
    }
}

fn decoder(raw: &SchemaRef, records: usize) -> Result<Decoder> {
    // One more than there are: a full decoder would leave the end of the last record unread.
    Ok(ReaderBuilder::new(raw.clone()).with_coerce_primitive(true).with_batch_size(records + 1).build_decoder()?)
}

fn decode(decoder: &mut Decoder, bytes: &[u8], spans: &[Span]) -> Result<RecordBatch, String> {
    let plain = |error: arrow::error::ArrowError| {
        let message = error.to_string();
        shorten(message.strip_prefix("Json error: ").unwrap_or(&message))
    };
    for (done, span) in spans.iter().enumerate() {
        decoder.decode(&bytes[span.start..span.end]).map_err(plain)?;
        if decoder.has_partial_record() {
            return Err("not a whole JSON object".into());
        }
        if decoder.len() != done + 1 {
            return Err("more than one JSON value".into());
        }
    }
    decoder.flush().map_err(plain)?.ok_or_else(|| "no JSON value".into())
}

/// The declared columns as they are decoded. Names are those of the file, where it has them.
fn raw_schema(path: &str, schema: &SchemaRef, keys: &[String]) -> Result<SchemaRef> {
    let places: Vec<_> = schema.fields().iter().map(|field| position_of(field.name(), keys)).collect();
    if !keys.is_empty() && places.iter().all(Option::is_none) {
        return Err(no_column(path, schema, keys));
    }
    let field = |(field, place): (&Arc<Field>, &Option<usize>)| {
        let name = place.map_or(field.name(), |place| &keys[place]);
        if field.data_type().is_nested() {
            return Ok(Field::new(name, field.data_type().clone(), true));
        }
        if !can_convert(&DataType::Utf8, field.data_type()) {
            return Err(refuse(field, "JSON text"));
        }
        Ok(Field::new(name, DataType::Utf8, true))
    };
    let fields = schema.fields().iter().zip(&places).map(field).collect::<Result<Vec<_>>>()?;
    let raw = Arc::new(Schema::new(fields));
    decoder(&raw, 0)?;
    Ok(raw)
}
