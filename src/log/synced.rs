//! How far the log is durable, noted beside its segments after each sync.
//!
//! ```text
//! log/SYNCED   0 magic "MILLSYNC"    8 first offset of the active segment    16 its durable bytes
//!              24 zeros (4)          28 CRC-32C of 0..28
//! ```
//!
//! A frame says what was durable before it, so nothing in a segment vouches for its last frame. The note does: it is
//! written after the sync and is never ahead of it, so damage before the noted place is damage to what was
//! acknowledged, and no torn write. The note itself is not synced: after a power cut it may be an older one, which
//! vouches for less. One that is gone or damaged vouches for nothing.

use std::path::{Path, PathBuf};

use super::disk::DiskFile;
use super::record::Offset;
use crate::error::{Error, Result};

const NAME: &str = "SYNCED";
const MAGIC: &[u8; 8] = b"MILLSYNC";
const BYTES: usize = 32;

/// The durable part of the log's active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Synced {
    pub(super) segment: Offset,
    pub(super) bytes: u64,
}

impl Synced {
    /// The note that a log's folder holds, if it is intact.
    pub(super) fn read(folder: &Path) -> Result<Option<Synced>> {
        let path = path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = match DiskFile::open(&path, true).and_then(|file| file.read(0, BYTES)) {
            Err(Error::Io { kind: std::io::ErrorKind::NotFound, .. }) => return Ok(None),
            read => read?,
        };
        Ok(Self::decode(&bytes))
    }

    fn decode(bytes: &[u8]) -> Option<Synced> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?));
        let crc = u32::from_le_bytes(bytes[28..].try_into().ok()?);
        let intact = &bytes[..8] == MAGIC && crc == crc32c::crc32c(&bytes[..28]);
        if intact { Some(Synced { segment: number(8)?, bytes: number(16)? }) } else { None }
    }

    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Whether the byte at `position` of a segment is vouched for.
    pub(super) fn covers(self, segment: Offset, position: u64) -> bool {
        self.segment == segment && position < self.bytes
    }
}

/// The file of the note, kept open by the log's writer.
#[derive(Debug)]
pub(super) struct SyncedFile(DiskFile);

impl SyncedFile {
    /// Opens the note for writing, which is created if need be.
    pub(super) fn open(folder: &Path) -> Result<SyncedFile> {
        let path = path(folder);
        let file = if path.exists() { DiskFile::open(&path, false) } else { DiskFile::create(&path) };
        Ok(SyncedFile(file?))
    }

    /// Notes what is durable, for whoever opens the log after a crash of the program.
    pub(super) fn write(&self, synced: Synced) -> Result<()> {
        self.0.write(0, &synced.encode())
    }
}

/// The file of the note.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
