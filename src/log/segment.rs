//! One file of the log: written at its end by one thread, read by any number of others meanwhile.
//!
//! ```text
//! 0   magic "MILLSLOG"    8 version (4) zeros (4)    16 first offset (8)    24 zeros (4)    28 CRC-32C of 0..28
//! 32  frame  frame  frame ...  footer, once the segment is closed
//! ```
//!
//! Readers see the frames that [`Segment::push`] has announced and nothing behind them. The file stays open, so
//! that a reader can finish after the segment was archived and removed. An in-memory log has segments too; they hold
//! the records themselves.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::buffer::Buffer;

use super::disk::{self, DiskFile};
use super::frame::{self, HEADER_BYTES, Header, Kind, Place};
use super::record::{Offset, Record};
use crate::error::{Error, Result};

/// Version of the format that this program writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 32;

const MAGIC: &[u8; 8] = b"MILLSLOG";
/// A reader fetches this much at once, so that small frames do not cost a system call each.
const READ_AHEAD_BYTES: usize = 256 << 10;
/// Bytes between two entries of the index that lets a reader start in the middle.
const INDEX_STEP_BYTES: u64 = 64 << 10;

/// A run of consecutive commits of the log.
#[derive(Debug)]
pub struct Segment {
    first: Offset,
    store: Store,
    shape: Mutex<Shape>,
}

#[derive(Debug)]
enum Store {
    Memory(Mutex<Vec<Record>>),
    File(DiskFile),
}

/// How far a segment reaches at the moment.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The offset of the next commit.
    pub(super) next: Offset,
    /// Bytes of the header and the whole frames; a footer comes after them.
    pub(super) end: u64,
    /// The time of the last commit.
    pub(super) last_time: Option<i64>,
    pub(super) sealed: bool,
    /// First offset and position of a frame now and then.
    index: Vec<(Offset, u64)>,
}

impl Shape {
    pub(super) fn new(first: Offset) -> Shape {
        Shape { next: first, end: SEGMENT_HEADER_BYTES, last_time: None, sealed: false, index: Vec::new() }
    }

    /// Adds the frame that begins at the end.
    pub(super) fn push(&mut self, header: &Header) {
        if self.index.last().is_none_or(|(_, position)| self.end - position >= INDEX_STEP_BYTES) {
            self.index.push((header.first, self.end));
        }
        self.end += header.frame_bytes();
        self.next = header.next();
        self.last_time = Some(header.time);
    }
}

impl Segment {
    /// A segment that lives in memory.
    pub(super) fn in_memory(first: Offset) -> Segment {
        Segment { first, store: Store::Memory(Mutex::default()), shape: Mutex::new(Shape::new(first)) }
    }

    /// Creates the file of a segment; it is durable when this returns.
    pub(super) fn create(folder: &Path, first: Offset) -> Result<Segment> {
        let file = DiskFile::create(&segment_path(folder, first))?;
        file.write(0, &header_bytes(first))?;
        file.sync()?;
        disk::sync_folder(folder)?;
        Ok(Segment::of_file(first, file, Shape::new(first)))
    }

    /// A file whose frames have been checked.
    pub(super) fn of_file(first: Offset, file: DiskFile, shape: Shape) -> Segment {
        Segment { first, store: Store::File(file), shape: Mutex::new(shape) }
    }

    /// The offset of the first commit, which is yet to come while the segment is empty.
    pub fn first_offset(&self) -> Offset {
        self.first
    }

    /// The offset of the last commit; the one before the first while the segment is empty.
    pub fn last_offset(&self) -> Offset {
        self.shape().next - 1
    }

    /// The time of the last commit, in microseconds since 1970-01-01 UTC.
    pub fn last_time(&self) -> Option<i64> {
        self.shape().last_time
    }

    /// Whether the segment holds no commit.
    pub fn is_empty(&self) -> bool {
        self.shape().next == self.first
    }

    /// Whether the segment is complete.
    pub fn is_sealed(&self) -> bool {
        self.shape().sealed
    }

    /// Bytes of its file.
    pub fn bytes(&self) -> u64 {
        self.shape().end
    }

    /// The commits `from..=to` that are in this segment now, oldest first; groups are cut to those commits.
    pub fn records(self: &Arc<Self>, from: Offset, to: Offset) -> Records {
        let shape = self.shape();
        let to = to.min(shape.next - 1);
        let source = match &self.store {
            Store::Memory(_) => Source::Memory(0),
            Store::File(file) => {
                let before = shape.index.partition_point(|(offset, _)| *offset <= from);
                let start = before.checked_sub(1).map_or(SEGMENT_HEADER_BYTES, |i| shape.index[i].1);
                Source::File(FrameReader::new(file.path().clone(), self.first, start, shape.end))
            }
        };
        drop(shape);
        Records { segment: self.clone(), source, from, to }
    }

    pub(super) fn shape(&self) -> MutexGuard<'_, Shape> {
        self.shape.lock().expect("nothing panics while it holds a segment's shape")
    }

    pub(super) fn file(&self) -> Option<&DiskFile> {
        match &self.store {
            Store::Memory(_) => None,
            Store::File(file) => Some(file),
        }
    }

    /// Writes one record at the end, and shows it to readers. `scratch` is reused memory.
    pub(super) fn push(&self, record: Record, synced_to: u64, scratch: &mut Vec<u8>) -> Result<(), PushError> {
        match &self.store {
            Store::Memory(records) => {
                let mut records = records.lock().expect("nothing panics while it holds a segment's records");
                let mut shape = self.shape();
                shape.next = record.last_offset() + 1;
                shape.last_time = Some(record.last_time());
                records.push(record);
            }
            Store::File(file) => {
                let place = Place { segment: self.first, position: self.shape().end };
                scratch.clear();
                let header = frame::encode(&record, place, synced_to, scratch).map_err(PushError::Refused)?;
                file.write(place.position, scratch).map_err(PushError::Failed)?;
                self.shape().push(&header);
            }
        }
        Ok(())
    }

    /// Ends the segment for good. Everything before must be synced.
    pub(super) fn seal(&self) -> Result<()> {
        if let Store::File(file) = &self.store {
            let Shape { next, end: position, .. } = *self.shape();
            let footer = Header::footer(next, position).encode(Place { segment: self.first, position });
            file.write(position, &footer)?;
            file.sync()?;
        }
        self.shape().sealed = true;
        Ok(())
    }
}

/// Why a record was not appended.
#[derive(Debug)]
pub(super) enum PushError {
    /// Nothing was written: the record itself cannot be.
    Refused(Error),
    /// Something may have been written.
    Failed(Error),
}

/// The name of a segment's file.
pub(super) fn segment_path(folder: &Path, first: Offset) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

pub(super) fn header_bytes(first: Offset) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version and first offset that a file's header gives, if the header is intact.
pub(super) fn parse_header(bytes: &[u8]) -> Option<(u32, Offset)> {
    let bytes: &[u8; SEGMENT_HEADER_BYTES as usize] = bytes.try_into().ok()?;
    let crc = u32::from_le_bytes(bytes[28..].try_into().ok()?);
    if &bytes[..8] != MAGIC || crc != crc32c::crc32c(&bytes[..28]) {
        return None;
    }
    Some((u32::from_le_bytes(bytes[8..12].try_into().ok()?), u64::from_le_bytes(bytes[16..24].try_into().ok()?)))
}

/// Reads frame after frame.
#[derive(Debug)]
pub(super) struct FrameReader {
    path: Arc<Path>,
    segment: Offset,
    position: u64,
    end: u64,
    chunk: Buffer,
    chunk_start: u64,
}

/// What lies at a position of a segment.
pub(super) enum Found {
    Frame(Header, Buffer),
    Damage(&'static str),
    End,
}

impl FrameReader {
    pub(super) fn new(path: Arc<Path>, segment: Offset, position: u64, end: u64) -> FrameReader {
        FrameReader { path, segment, position, end, chunk: Buffer::default(), chunk_start: position }
    }

    /// The position of the next frame.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next frame; stays where it is on damage.
    pub(super) fn next(&mut self, file: &DiskFile) -> Result<Found> {
        if self.position >= self.end {
            return Ok(Found::End);
        }
        let place = Place { segment: self.segment, position: self.position };
        let bytes = self.fetch(file, self.position, HEADER_BYTES)?;
        if bytes.len() < HEADER_BYTES {
            return Ok(Found::Damage("the file ends within a frame's header"));
        }
        let Some(header) = Header::decode(&bytes, place) else {
            return Ok(Found::Damage("no frame header, or one with a wrong checksum"));
        };
        if self.end - self.position < header.frame_bytes() {
            return Ok(Found::Damage("the file ends within a frame"));
        }
        let length = header.length as usize;
        let payload = self.fetch(file, self.position + HEADER_BYTES as u64, length)?;
        if payload.len() < length {
            return Ok(Found::Damage("the file ends within a frame"));
        }
        if crc32c::crc32c(&payload) != header.payload_crc {
            return Ok(Found::Damage("the frame's checksum does not match"));
        }
        self.position += header.frame_bytes();
        Ok(Found::Frame(header, payload))
    }

    fn fetch(&mut self, file: &DiskFile, position: u64, length: usize) -> Result<Buffer> {
        let available = |this: &Self| {
            let start = usize::try_from(position.checked_sub(this.chunk_start)?).ok()?;
            Some((start, this.chunk.len().checked_sub(start)?))
        };
        if available(self).is_none_or(|(_, bytes)| bytes < length) {
            let wanted = (self.end - position).min(length.max(READ_AHEAD_BYTES) as u64) as usize;
            (self.chunk, self.chunk_start) = (file.read(position, wanted)?, position);
        }
        let (start, bytes) = available(self).expect("the chunk begins at or before the position");
        Ok(self.chunk.slice_with_length(start, bytes.min(length)))
    }
}

/// The records of a segment, one after another.
#[derive(Debug)]
pub struct Records {
    segment: Arc<Segment>,
    source: Source,
    from: Offset,
    to: Offset,
}

#[derive(Debug)]
enum Source {
    /// How many records were looked at.
    Memory(usize),
    File(FrameReader),
}

impl Records {
    fn read(&mut self) -> Result<Option<Record>> {
        match (&mut self.source, &self.segment.store) {
            (Source::Memory(seen), Store::Memory(records)) => {
                let records = records.lock().expect("nothing panics while it holds a segment's records");
                if *seen == 0 {
                    *seen = records.partition_point(|record| record.last_offset() < self.from);
                }
                *seen += 1;
                Ok(records.get(*seen - 1).cloned())
            }
            (Source::File(reader), Store::File(file)) => loop {
                let position = reader.position();
                let (header, payload) = match reader.next(file)? {
                    Found::Frame(header, payload) => (header, payload),
                    Found::End => return Ok(None),
                    Found::Damage(reason) => return Err(Error::corrupt(&reader.path, position, reason)),
                };
                if header.next() <= self.from {
                    continue;
                }
                if header.first > self.to || header.kind == Kind::Footer {
                    return Ok(None);
                }
                return match frame::decode(&header, &payload, &reader.path, position) {
                    Some(record) => Ok(Some(record)),
                    None => Err(Error::corrupt(&reader.path, position, "the frame's parts do not add up")),
                };
            },
            _ => unreachable!("a segment's records come from its own store"),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if self.from > self.to {
            return None;
        }
        let next = self.read().map(|record| record.and_then(|record| record.slice(self.from, self.to)));
        // After the last record, and after an error, nothing more comes.
        self.from = match &next {
            Ok(Some(record)) => record.last_offset() + 1,
            Ok(None) | Err(_) => Offset::MAX,
        };
        next.transpose()
    }
}
