//! A file as a window of bytes that moves forward, decompressed where its name ends in `.gz`.
//!
//! ```text
//!            advance ->          ensure ->
//! file  .....|=========window=========|..............
//!            position
//! ```
//!
//! Memory is that of the window: what the caller asks [`Input::ensure`] to hold.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// How many bytes a text chunk is cut from, at least, unless the file ends or the chunk is full of rows.
pub(super) const CHUNK_BYTES: usize = 2 << 20;

/// How far the window is filled when it is. More than a chunk, so that its bytes are moved less often than read.
const WINDOW_BYTES: usize = 2 * CHUNK_BYTES;

/// The longest record of a text file, in bytes. A longer one is rejected.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;

/// What some editors write at the start of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) struct Input {
    path: String,
    reader: Reader,
    window: Vec<u8>,
    /// Where in `window` the unread bytes begin.
    start: usize,
    /// Position of the first unread byte, after decompression.
    position: u64,
    ended: bool,
}

enum Reader {
    Plain(File),
    Gzip(Box<MultiGzDecoder<Counted>>, Arc<AtomicU64>),
}

/// Counts the compressed bytes as they go by.
struct Counted(File, Arc<AtomicU64>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    /// Opens a file at its start, behind a byte order mark.
    pub(super) fn open(path: &str) -> Result<Input> {
        let file = File::open(path).map_err(|e| Error::io("opening", Path::new(path), &e))?;
        let reader = if path.ends_with(".gz") {
            let count = Arc::new(AtomicU64::new(0));
            Reader::Gzip(Box::new(MultiGzDecoder::new(Counted(file, count.clone()))), count)
        } else {
            Reader::Plain(file)
        };
        let mut input =
            Input { path: path.to_owned(), reader, window: Vec::new(), start: 0, position: 0, ended: false };
        input.ensure(BYTE_ORDER_MARK.len())?;
        if input.bytes().starts_with(BYTE_ORDER_MARK) {
            input.advance(BYTE_ORDER_MARK.len());
        }
        Ok(input)
    }

    /// The unread bytes that are in the window.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.window[self.start..]
    }

    /// Whether the window reaches to the end of the file.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Position of the first unread byte, after decompression.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the file itself that were read, for progress.
    pub(super) fn consumed(&self) -> u64 {
        match &self.reader {
            Reader::Plain(_) => self.position,
            Reader::Gzip(_, count) => count.load(Ordering::Relaxed),
        }
    }

    /// Reads on until the window holds at least `wanted` unread bytes or the file ends.
    pub(super) fn ensure(&mut self, wanted: usize) -> Result<()> {
        if self.bytes().len() >= wanted || self.ended {
            return Ok(());
        }
        self.window.drain(..self.start);
        self.start = 0;
        let missing = wanted.max(WINDOW_BYTES) - self.window.len();
        let read = match &mut self.reader {
            Reader::Plain(file) => file.take(missing as u64).read_to_end(&mut self.window),
            Reader::Gzip(decoder, _) => decoder.take(missing as u64).read_to_end(&mut self.window),
        };
        self.ended = read.map_err(|e| Error::io("reading", Path::new(&self.path), &e))? < missing;
        Ok(())
    }

    /// Marks bytes of the window as read.
    pub(super) fn advance(&mut self, bytes: usize) {
        debug_assert!(self.start + bytes <= self.window.len());
        self.start += bytes;
        self.position += bytes as u64;
    }

    /// Goes forward to a position, after decompression. What lies before the present one is not read again.
    pub(super) fn skip_to(&mut self, position: u64) -> Result<()> {
        let distance = position.saturating_sub(self.position);
        if distance <= self.bytes().len() as u64 {
            self.advance(usize::try_from(distance).expect("shorter than the window"));
            return Ok(());
        }
        let beyond = distance - self.bytes().len() as u64;
        let skipped = match &mut self.reader {
            Reader::Plain(file) => file.seek(SeekFrom::Start(position)).map(|_| beyond),
            Reader::Gzip(decoder, _) => io::copy(&mut decoder.take(beyond), &mut io::sink()),
        };
        let skipped = skipped.map_err(|e| Error::io("reading", Path::new(&self.path), &e))?;
        if skipped < beyond {
            return Err(Error::input(format!("{} has become shorter: it ends before byte {position}", self.path)));
        }
        self.window.clear();
        self.start = 0;
        self.position = position;
        Ok(())
    }
}
