//! The bytes of a frame: a header that can be trusted on its own, then the record.
//!
//! ```text
//! header   0 magic "MSFR"          4 kind (1 rows, 2 statement, 3 footer), three zeros
//!          8 payload length        12 commits
//!         16 first offset          24 synced_to: bytes of this file known durable when the frame was written
//!         32 time of the last commit, microseconds UTC
//!         40 CRC-32C of payload    44 CRC-32C of segment's first offset, frame's position, bytes 0..44
//! rows     times (8 each)  marks (4)  parts (4)  { object (4)  length (4)  text } per mark, then per part
//!          { object (4) runs (4) rows (4) weights (4: 0 all +1, 1 one byte each, 2 eight bytes each)
//!            message length (4) body length (4)  { commit (4) rows (4) } per run  weights
//!            pad  Arrow IPC record batch message  pad  Arrow IPC body  pad }
//! statement  text length (4)  text  pad
//! ```
//!
//! Numbers are little-endian. Frames, messages and bodies start at multiples of 16, so that columns can be used where
//! they lie. The header's checksum covers its place: a frame that is copied into a column is not taken for a frame.

use std::path::Path;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use super::record::{Encoded, Group, Mark, Offset, Part, PartRows, Record, Run, Statement};
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 48;
/// Frames, and the Arrow data in them, start at multiples of this.
pub(super) const ALIGNMENT: usize = 16;
/// The largest payload of a frame. A commit that needs more is refused.
pub const FRAME_BYTES_MAX: usize = 1 << 30;

const MAGIC: &[u8; 4] = b"MSFR";
const WEIGHTS_ONES: u32 = 0;
const WEIGHTS_BYTES: u32 = 1;
const WEIGHTS_WORDS: u32 = 2;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rows = 1,
    Statement = 2,
    /// The end of a segment that was closed in order.
    Footer = 3,
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) length: u32,
    pub(super) commits: u32,
    pub(super) first: Offset,
    pub(super) synced_to: u64,
    pub(super) time: i64,
    pub(super) payload_crc: u32,
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first offset of the segment.
    pub(super) segment: Offset,
    /// The frame's first byte in the file.
    pub(super) position: u64,
}

impl Place {
    fn crc(self, header: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.segment.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &self.position.to_le_bytes()), header)
    }
}

impl Header {
    pub(super) fn footer(next: Offset, position: u64) -> Header {
        Header { kind: Kind::Footer, length: 0, commits: 0, first: next, synced_to: position, time: 0, payload_crc: 0 }
    }

    pub(super) fn encode(&self, place: Place) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = self.kind as u8;
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.commits.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced_to.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.time.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = place.crc(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if one was written at that place.
    pub(super) fn decode(bytes: &[u8], place: Place) -> Option<Header> {
        let mut input = Input { bytes: bytes.get(..HEADER_BYTES)?, at: 0 };
        if input.take(4)? != MAGIC {
            return None;
        }
        let kind = match input.u32()? {
            1 => Kind::Rows,
            2 => Kind::Statement,
            3 => Kind::Footer,
            _ => return None,
        };
        let header = Header {
            kind,
            length: input.u32()?,
            commits: input.u32()?,
            first: input.u64()?,
            synced_to: input.u64()?,
            time: input.u64()? as i64,
            payload_crc: input.u32()?,
        };
        let whole = (header.length as usize).is_multiple_of(ALIGNMENT) && header.length as usize <= FRAME_BYTES_MAX;
        (whole && input.u32()? == place.crc(&bytes[..44])).then_some(header)
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }

    /// The offset after the frame's last commit.
    pub(super) fn next(&self) -> Offset {
        self.first.saturating_add(u64::from(self.commits))
    }
}

/// Writes a frame to the empty `out`. `synced_to` is how much of the file is known durable.
pub(super) fn encode(record: &Record, place: Place, synced_to: u64, out: &mut Vec<u8>) -> Result<Header> {
    out.resize(HEADER_BYTES, 0);
    let (kind, commits) = match record {
        Record::Rows(group) => {
            encode_group(group, out)?;
            (Kind::Rows, group.times.len() as u32)
        }
        Record::Statement(statement) => {
            put_text(out, &statement.text);
            pad(out);
            (Kind::Statement, 1)
        }
    };
    let payload = &out[HEADER_BYTES..];
    if payload.len() > FRAME_BYTES_MAX {
        return Err(Error::Limit(format!(
            "a commit of {} bytes is larger than the log takes at once ({FRAME_BYTES_MAX} bytes); split it",
            payload.len()
        )));
    }
    let header = Header {
        kind,
        length: payload.len() as u32,
        commits,
        first: record.first_offset(),
        synced_to,
        time: record.last_time(),
        payload_crc: crc32c::crc32c(payload),
    };
    out[..HEADER_BYTES].copy_from_slice(&header.encode(place));
    Ok(header)
}

fn encode_group(group: &Group, out: &mut Vec<u8>) -> Result<()> {
    group.times.iter().for_each(|time| out.extend(time.to_le_bytes()));
    put(out, group.marks.len());
    put(out, group.parts.len());
    for mark in &group.marks {
        put(out, mark.object as usize);
        put_text(out, &mark.value);
    }
    group.parts.iter().try_for_each(|part| encode_part(part, out))?;
    // A group may hold marks alone.
    pad(out);
    Ok(())
}

fn encode_part(part: &Part, out: &mut Vec<u8>) -> Result<()> {
    let PartRows::Delta(delta) = &part.rows else {
        return Err(Error::Internal("rows that were read from a log cannot be appended to one".into()));
    };
    refuse_dictionaries(delta.batch.schema_ref())?;
    if delta.len() > FRAME_BYTES_MAX {
        return Err(Error::Limit(format!("a commit of {} rows is larger than the log takes at once", delta.len())));
    }
    // Sixteen is the largest alignment that an Arrow type asks for (128-bit decimals).
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    let (mut tracker, mut context) = (DictionaryTracker::new(true), IpcWriteContext::default());
    let (_, encoded) = IpcDataGenerator::default().encode(&delta.batch, &mut tracker, &options, &mut context)?;
    put(out, part.object as usize);
    put(out, part.runs.len());
    put(out, delta.len());
    put(out, weights_kind(delta) as usize);
    put(out, encoded.ipc_message.len());
    put(out, encoded.arrow_data.len().min(u32::MAX as usize));
    for run in &part.runs {
        put(out, run.commit as usize);
        put(out, run.rows as usize);
    }
    let weights = delta.weights.as_slice().unwrap_or_default();
    match weights_kind(delta) {
        WEIGHTS_BYTES => out.extend(weights.iter().map(|w| *w as i8 as u8)),
        WEIGHTS_WORDS => weights.iter().for_each(|w| out.extend(w.to_le_bytes())),
        _ => {}
    }
    pad(out);
    out.extend_from_slice(&encoded.ipc_message);
    pad(out);
    out.extend_from_slice(&encoded.arrow_data);
    pad(out);
    Ok(())
}

fn weights_kind(delta: &Delta) -> u32 {
    match delta.weights.as_slice() {
        None => WEIGHTS_ONES,
        Some(weights) if weights.iter().all(|w| *w == 1) => WEIGHTS_ONES,
        Some(weights) if weights.iter().all(|w| i8::try_from(*w).is_ok()) => WEIGHTS_BYTES,
        Some(_) => WEIGHTS_WORDS,
    }
}

/// A frame stands alone, and dictionaries do not: their columns have to be cast to their values first.
fn refuse_dictionaries(schema: &Schema) -> Result<()> {
    match schema.flattened_fields().iter().find(|field| matches!(field.data_type(), DataType::Dictionary(..))) {
        None => Ok(()),
        Some(field) => {
            Err(Error::unsupported(format!("column `{}` is a dictionary: the log stores its values", field.name())))
        }
    }
}

fn put(out: &mut Vec<u8>, number: usize) {
    // Larger numbers come with more than FRAME_BYTES_MAX bytes, which is refused as a whole.
    out.extend((number as u32).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

/// The record of a frame whose checksums hold; `None` where its structure is off.
pub(super) fn decode(header: &Header, payload: &Buffer, file: &Arc<Path>, position: u64) -> Option<Record> {
    let mut input = Input { bytes: payload, at: 0 };
    match header.kind {
        Kind::Footer => None,
        Kind::Statement => {
            let text = input.text()?;
            Some(Record::Statement(Statement { offset: header.first, time: header.time, text }))
        }
        Kind::Rows => {
            let times = (0..header.commits).map(|_| Some(input.u64()? as i64)).collect::<Option<Vec<_>>>()?;
            let (marks, parts) = (input.u32()?, input.u32()?);
            let marks =
                (0..marks).map(|_| Some(Mark { object: input.u32()?, value: input.text()? })).collect::<Option<_>>()?;
            let parts = (0..parts)
                .map(|_| decode_part(&mut input, payload, header.commits, file, position))
                .collect::<Option<_>>()?;
            (!times.is_empty()).then_some(Record::Rows(Group { first_offset: header.first, times, parts, marks }))
        }
    }
}

fn decode_part(input: &mut Input, payload: &Buffer, commits: u32, file: &Arc<Path>, position: u64) -> Option<Part> {
    let (object, runs, rows, kind) = (input.u32()?, input.u32()?, input.u32()? as usize, input.u32()?);
    let (message_bytes, body_bytes) = (input.u32()? as usize, input.u32()? as usize);
    let runs = (0..runs).map(|_| Some(Run { commit: input.u32()?, rows: input.u32()? })).collect::<Option<Vec<_>>>()?;
    let ascending = runs.is_sorted_by_key(|run| run.commit) && runs.iter().all(|run| run.commit < commits);
    let complete = runs.iter().map(|run| u64::from(run.rows)).sum::<u64>() == rows as u64;
    if !ascending || !complete {
        return None;
    }
    let weights = match kind {
        WEIGHTS_ONES => Weights::ones(),
        WEIGHTS_BYTES => Weights::new(input.take(rows)?.iter().map(|b| i64::from(*b as i8)).collect()),
        WEIGHTS_WORDS => {
            let words = input.take(rows.checked_mul(8)?)?.chunks_exact(8);
            Weights::new(words.map(|w| i64::from_le_bytes(w.try_into().expect("eight bytes"))).collect())
        }
        _ => return None,
    };
    let mut slice = |length| {
        input.align();
        let start = input.at;
        input.take(length).map(|_| payload.slice_with_length(start, length))
    };
    let (message, body) = (slice(message_bytes)?, slice(body_bytes)?);
    input.align();
    let file = file.clone();
    let rows = Encoded { message, body, weights, total: rows, start: 0, length: rows, file, position };
    Some(Part { object, runs, rows: PartRows::Encoded(rows) })
}

/// Reads numbers and texts one after another; `None` past the end.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(ALIGNMENT);
    }
}
