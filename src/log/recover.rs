//! Opening the log after any end: the commits before the first damage, or a refusal.
//!
//! Every frame says how much of its file was durable when it was written, and the note beside the segments says it of
//! the last ones. So damage at position `p` is one of two:
//!
//! ```text
//! synced bytes were damaged   a later header or the note says synced_to > p, or the segment was closed after p,
//!                             or another segment follows: Error::Corrupt, and nothing is altered
//! the end was never synced    all else: nobody was told that those commits are durable; they are cut off
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, DiskFile};
use super::frame::{ALIGNMENT, HEADER_BYTES, Header, Kind, Place};
use super::record::Offset;
use super::segment::{
    FORMAT_VERSION, Found, FrameReader, SEGMENT_HEADER_BYTES, Segment, Shape, header_bytes, parse_header, segment_path,
};
use super::synced::{self, Synced};
use crate::error::{Error, Result};

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The last commit; the archive's last one where the log holds none.
    pub last_offset: Offset,
    /// The time of the log's last commit, in microseconds since 1970-01-01 UTC; `None` where the log holds none.
    pub last_time: Option<i64>,
    /// Bytes at the end that were never synced and are cut off (passed over, when reading only).
    pub cut_bytes: u64,
    /// The file that ended in those bytes.
    pub cut_file: Option<PathBuf>,
}

/// The first place of a file that holds no intact frame.
#[derive(Debug)]
struct Damage {
    position: u64,
    reason: String,
}

/// Opens the segments that hold commits after `from`, and removes older ones unless `read_only`.
pub(super) fn open_segments(folder: &Path, read_only: bool, from: Offset) -> Result<(Vec<Arc<Segment>>, Recovery)> {
    // Read before the files' lengths, which only grow: beside a writer, the note of now may be ahead of them.
    let note = Synced::read(folder)?;
    let files: Vec<(Offset, PathBuf)> =
        disk::list(folder)?.into_iter().filter_map(|path| Some((first_offset(&path)?, path))).collect();
    let mut segments = Vec::new();
    let mut recovery = Recovery { last_offset: from, ..Recovery::default() };
    let mut leftovers = Vec::new();
    for (i, (first, path)) in files.iter().enumerate() {
        let next = files.get(i + 1).map(|(next, _)| *next);
        if next.is_some_and(|next| next <= from + 1) {
            leftovers.push(path);
            continue;
        }
        if *first > recovery.last_offset + 1 {
            let reason = format!("commits {} to {} before it are missing", recovery.last_offset + 1, first - 1);
            return Err(Error::corrupt(path, 0, reason));
        }
        let segment = open_segment(path, *first, next, note, read_only, &mut recovery)?;
        if segment.last_offset() <= from && *first <= from {
            leftovers.push(path);
            continue;
        }
        recovery.last_offset = segment.last_offset();
        recovery.last_time = segment.last_time().or(recovery.last_time);
        segments.push(Arc::new(segment));
    }
    if let Some(note) = note.filter(|note| note.segment > recovery.last_offset && note.bytes > SEGMENT_HEADER_BYTES)
        && segments.iter().all(|segment| segment.first_offset() != note.segment)
    {
        let reason = format!("the file is gone, though {} bytes of it were durable", note.bytes);
        return Err(refused_by_note(&segment_path(folder, note.segment), 0, &reason));
    }
    if !read_only && !leftovers.is_empty() {
        leftovers.into_iter().try_for_each(|path| disk::remove(path))?;
        disk::sync_folder(folder)?;
    }
    Ok((segments, recovery))
}

fn refused_by_note(path: &Path, position: u64, reason: &str) -> Error {
    let note = synced::path(path.parent().unwrap_or(path));
    Error::corrupt(path, position, format!("{reason} (remove {} to open what is intact)", note.display()))
}

fn open_segment(
    path: &Path,
    first: Offset,
    next: Option<Offset>,
    note: Option<Synced>,
    read_only: bool,
    recovery: &mut Recovery,
) -> Result<Segment> {
    let file = DiskFile::open(path, read_only)?;
    let length = file.len()?;
    let (shape, damage) = scan(&file, first, length)?;
    if let Some(next) = next {
        match damage {
            Some(damage) => return Err(Error::corrupt(path, damage.position, damage.reason)),
            None if !shape.sealed => {
                return Err(Error::corrupt(path, shape.end, "the segment has no end though another follows"));
            }
            None if shape.next != next => {
                let reason = format!("the segment ends with commit {}, the next begins with {next}", shape.next - 1);
                return Err(Error::corrupt(path, shape.end, reason));
            }
            None => {}
        }
    } else if let Some(note) = note.filter(|note| note.covers(first, damage.as_ref().map_or(length, |d| d.position))) {
        let (at, reason) = damage.map_or((length, "the file ends here".into()), |d| (d.position, d.reason));
        let reason = format!("{reason}, though {} bytes of it were durable", note.bytes);
        return Err(refused_by_note(path, at, &reason));
    } else if let Some(damage) = damage {
        if is_synced(&file, first, damage.position, length)? {
            return Err(Error::corrupt(path, damage.position, damage.reason));
        }
        (recovery.cut_bytes, recovery.cut_file) = (length - damage.position, Some(path.to_path_buf()));
        if !read_only {
            cut(&file, first, damage.position)?;
        }
    }
    Ok(Segment::of_file(first, file, shape))
}

/// The intact frames from the start, and what stopped the reading before the end of the file.
fn scan(file: &DiskFile, first: Offset, length: u64) -> Result<(Shape, Option<Damage>)> {
    let mut shape = Shape::new(first);
    match parse_header(&file.read(0, SEGMENT_HEADER_BYTES as usize)?) {
        Some((FORMAT_VERSION, found)) if found == first => {}
        Some((FORMAT_VERSION, found)) => {
            return Err(Error::corrupt(file.path(), 0, format!("the file's first commit is {found}")));
        }
        Some((version, _)) => {
            let message = format!("{} has version {version} of the log's format", file.path().display());
            return Err(Error::unsupported(message).with_hint(format!("this program reads version {FORMAT_VERSION}")));
        }
        None => return Ok((shape, Some(Damage { position: 0, reason: "the file's header is damaged".into() }))),
    }
    let mut reader = FrameReader::new(file.path().clone(), first, SEGMENT_HEADER_BYTES, length);
    loop {
        let position = reader.position();
        let damage = |reason: String| Some(Damage { position, reason });
        match reader.next(file)? {
            Found::End => return Ok((shape, None)),
            Found::Damage(reason) => return Ok((shape, damage(reason.into()))),
            Found::Frame(header, _) if header.first != shape.next => {
                let reason = format!("a frame begins with commit {} where {} is due", header.first, shape.next);
                return Err(Error::corrupt(file.path(), position, reason));
            }
            Found::Frame(header, _) if header.kind == Kind::Footer => {
                shape.sealed = true;
                if reader.position() < length {
                    return Err(Error::corrupt(file.path(), reader.position(), "bytes after the segment's end"));
                }
            }
            Found::Frame(header, _) => shape.push(&header),
        }
    }
}

/// Whether a later header testifies that the byte at `position` had been synced. Headers are found wherever they
/// are, so that a damaged length hides nothing.
fn is_synced(file: &DiskFile, first: Offset, position: u64, length: u64) -> Result<bool> {
    const CHUNK_BYTES: u64 = 1 << 20;
    let mut start = position.next_multiple_of(ALIGNMENT as u64);
    while start < length {
        // Chunks overlap by a header, so that one across the border is seen whole.
        let bytes = file.read(start, CHUNK_BYTES as usize + HEADER_BYTES)?;
        for at in (0..bytes.len().min(CHUNK_BYTES as usize)).step_by(ALIGNMENT) {
            let place = Place { segment: first, position: start + at as u64 };
            if Header::decode(&bytes[at..], place).is_some_and(|header| header.synced_to > position) {
                return Ok(true);
            }
        }
        start += CHUNK_BYTES;
    }
    Ok(false)
}

fn cut(file: &DiskFile, first: Offset, position: u64) -> Result<()> {
    if position >= SEGMENT_HEADER_BYTES {
        return file.truncate(position);
    }
    file.truncate(0)?;
    file.write(0, &header_bytes(first))?;
    file.sync()
}

/// The offset that a segment's file name gives.
fn first_offset(path: &Path) -> Option<Offset> {
    const DIGITS: usize = 20;
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (digits.len() == DIGITS).then(|| digits.parse().ok().filter(|offset| *offset > 0)).flatten()
}
