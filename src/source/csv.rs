//! CSV: records of fields between delimiters. Columns are found by the names of the header, else by their order.

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;

use super::convert::{can_convert, is_bytes, is_text, refuse, text_column};
use super::csv_header::{by_name, dialect, header};
use super::fields::{Cut, Dialect, Field};
use super::file::{Block, Reader};
use super::input::{CHUNK_BYTES, Input, RECORD_BYTES_MAX};
use super::options::{Format, Options};
use super::records::{Span, reject, rows};
use super::{Position, Reject, Target};
use crate::error::Result;

/// Reads one CSV file.
pub(super) struct CsvReader {
    path: String,
    input: Input,
    dialect: Dialect,
    null: String,
    /// For each declared column, its field in the file's records.
    columns: Vec<Option<usize>>,
    /// Fields of a record.
    width: usize,
    target: Target,
    batch_rows: usize,
    position: Position,
}

/// Records cut from the window: `width` fields each.
#[derive(Default)]
struct Records {
    fields: Vec<Field>,
    spans: Vec<Span>,
}

impl CsvReader {
    pub(super) fn open(
        path: &str,
        format: Format,
        options: &Options,
        target: &Target,
        from: Position,
    ) -> Result<CsvReader> {
        let schema = &target.schema;
        for field in schema.fields() {
            if !can_convert(&DataType::Utf8, field.data_type()) {
                return Err(refuse(field, format.name()));
            }
        }
        let (mut input, mut position) = (Input::open(path)?, Position::default());
        let dialect = dialect(format, options);
        let (columns, width) = if options.header {
            match header(path, &mut input, dialect, &mut position)? {
                Some(names) => (by_name(path, schema, &names)?, names.len()),
                None => (vec![None; schema.fields().len()], 0),
            }
        } else {
            let width = schema.fields().len();
            ((0..width).map(Some).collect(), width)
        };
        if from.bytes > position.bytes {
            input.skip_to(from.bytes)?;
            position = from;
        }
        let (path, null) = (path.to_owned(), options.null.clone());
        let (target, batch_rows) = (target.clone(), options.batch_rows);
        Ok(CsvReader { path, input, dialect, null, columns, width, target, batch_rows, position })
    }

    /// Cuts records from the window; returns them, the lines that are none, and how many bytes both take.
    fn cut(&mut self) -> Result<(Records, Vec<Reject>, usize)> {
        let mut wanted = CHUNK_BYTES;
        loop {
            self.input.ensure(wanted)?;
            let (mut records, mut rejects, mut at) = (Records::default(), Vec::new(), 0);
            let (bytes, ended) = (self.input.bytes(), self.input.ended());
            while at < bytes.len() && records.spans.len() + rejects.len() < self.batch_rows {
                let (line, before) = (self.position.lines + 1, records.fields.len());
                let (end, fault) = match self.dialect.cut(bytes, at, ended, &mut records.fields) {
                    Cut::Record { end, lines } => {
                        self.position.lines += lines;
                        let found = records.fields.len() - before;
                        let fault =
                            (found != self.width).then(|| format!("expected {} fields and found {found}", self.width));
                        (end, fault)
                    }
                    // In a file of one column an empty line is a NULL.
                    Cut::Blank { end } => {
                        self.position.lines += 1;
                        if self.width != 1 {
                            at = end;
                            continue;
                        }
                        let place = u32::try_from(at).expect("the window is smaller than 4 GiB");
                        records.fields.push(Field { start: place, end: place, quoted: false, doubled: false });
                        (end, None)
                    }
                    Cut::Fault { end, reason } => {
                        self.position.lines += 1;
                        (end, Some(reason.to_owned()))
                    }
                    Cut::More => {
                        records.fields.truncate(before);
                        break;
                    }
                };
                self.position.rows += 1;
                match fault {
                    None => records.spans.push(Span { start: at, end, place: line }),
                    Some(reason) => {
                        records.fields.truncate(before);
                        rejects.push(reject(&self.path, line, reason, &bytes[at..end]));
                    }
                }
                at = end;
            }
            if at > 0 || bytes.is_empty() {
                return Ok((records, rejects, at));
            }
            if bytes.len() >= RECORD_BYTES_MAX {
                let reject = self.give_up()?;
                return Ok((Records::default(), vec![reject], 0));
            }
            wanted = (bytes.len() * 2).min(RECORD_BYTES_MAX);
        }
    }

    /// Rejects the line at the start of the window: its record is too long.
    fn give_up(&mut self) -> Result<Reject> {
        let bytes = self.input.bytes();
        let reason = match bytes.contains(&b'\n') {
            true => format!("a quote is not closed within {RECORD_BYTES_MAX} bytes"),
            false => format!("the line is longer than {RECORD_BYTES_MAX} bytes"),
        };
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let reject = reject(&self.path, self.position.lines + 1, reason, line);
        skip_line(&mut self.input)?;
        self.position.rows += 1;
        self.position.lines += 1;
        Ok(reject)
    }

    /// The text of each declared column.
    fn columns(&self, text: &str, records: &Records) -> Vec<Option<ArrayRef>> {
        let column = |(field, declared): (&Option<usize>, &DataType)| {
            let field = (*field)?;
            let mut builder = StringBuilder::with_capacity(records.spans.len(), text.len() / self.width.max(1));
            for row in 0..records.spans.len() {
                self.append(&mut builder, text, records.fields[row * self.width + field], declared);
            }
            Some(text_column(builder.finish()))
        };
        let declared = self.target.schema.fields().iter().map(|field| field.data_type());
        self.columns.iter().zip(declared).map(column).collect()
    }

    fn append(&self, builder: &mut StringBuilder, text: &str, field: Field, declared: &DataType) {
        let value = &text[field.start as usize..field.end as usize];
        // White space and quotes around a number mean nothing; in text they do, and "" is no bytes rather than NULL.
        let (value, quoted) = match declared {
            declared if is_text(declared) => (value, field.quoted),
            declared => (value.trim_ascii(), field.quoted && is_bytes(declared)),
        };
        if !quoted && value == self.null {
            builder.append_null();
        } else {
            builder.append_value(self.dialect.undouble(value, field));
        }
    }
}

impl Reader for CsvReader {
    fn next(&mut self) -> Result<Option<Block>> {
        loop {
            let (mut records, mut rejects, length) = self.cut()?;
            let mut repaired = Vec::new();
            let bytes = &self.input.bytes()[..length];
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => {
                    repaired.extend_from_slice(bytes);
                    self.reject_invalid(&mut repaired, &mut records, &mut rejects);
                    std::str::from_utf8(&repaired).expect("the invalid records were blanked")
                }
            };
            let raw = self.columns(text, &records);
            let (batch, rejects) = rows(&self.path, &raw, (bytes, &records.spans), &self.target, rejects)?;
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

impl CsvReader {
    /// Rejects the records that are not UTF-8, and overwrites what is not UTF-8 in `bytes` byte by byte.
    fn reject_invalid(&self, bytes: &mut [u8], records: &mut Records, rejects: &mut Vec<Reject>) {
        let (spans, fields) = (std::mem::take(&mut records.spans), std::mem::take(&mut records.fields));
        for (row, span) in spans.into_iter().enumerate() {
            let record = &bytes[span.start..span.end];
            if std::str::from_utf8(record).is_ok() {
                records.fields.extend_from_slice(&fields[row * self.width..(row + 1) * self.width]);
                records.spans.push(span);
            } else {
                rejects.push(reject(&self.path, span.place, "the text is not UTF-8".into(), record));
            }
        }
        let mut at = 0;
        while let Err(error) = std::str::from_utf8(&bytes[at..]) {
            let start = at + error.valid_up_to();
            at = error.error_len().map_or(bytes.len(), |length| start + length);
            bytes[start..at].fill(b'?');
        }
    }
}

/// Goes behind the next line end.
pub(super) fn skip_line(input: &mut Input) -> Result<()> {
    loop {
        if let Some(length) = input.bytes().iter().position(|b| *b == b'\n') {
            input.advance(length + 1);
            return Ok(());
        }
        input.advance(input.bytes().len());
        input.ensure(CHUNK_BYTES)?;
        if input.bytes().is_empty() {
            return Ok(());
        }
    }
}
