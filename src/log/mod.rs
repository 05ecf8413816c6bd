//! The log: the totally ordered commits, and the only source of truth.
//!
//! ```text
//! log/00000000000000000001.log   sealed: may be archived, then removed
//! log/00000000000000004711.log   sealed
//! log/00000000000000009001.log   active: frames are appended here
//! log/SYNCED                     how much of the active one is durable
//!
//! append (one frame for a group of commits) ── sync (durable) ── ... ── seal ── archive ── remove
//! ```
//!
//! One thread appends. Readers take [`Log::segments`] and read them from any thread while the log grows.

mod disk;
mod frame;
mod record;
mod recover;
mod segment;
mod synced;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use frame::FRAME_BYTES_MAX;
pub use record::{Encoded, Group, Mark, ObjectId, Offset, Part, PartRows, Record, Run, Statement};
pub use recover::Recovery;
pub use segment::{FORMAT_VERSION, Records, Segment};

pub(crate) use disk::{DiskFile, create_folder, list, remove, rename, sync_folder};
use segment::PushError;
use synced::{Synced, SyncedFile};

use crate::error::{Error, Result};

/// A segment is sealed once it has this many bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// When a commit is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Each commit is synced on its own before it is acknowledged.
    Always,
    /// Commits that wait together are synced together before any is acknowledged.
    #[default]
    Group,
    /// The operating system writes when it likes: a power cut may lose acknowledged commits, a crash of the
    /// program does not.
    Os,
}

/// How to open a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Size at which a segment is sealed.
    pub segment_bytes: u64,
    /// When a commit is durable.
    pub durability: Durability,
    /// Alter nothing on disk: a writer may be at work beside us.
    pub read_only: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: SEGMENT_BYTES, durability: Durability::default(), read_only: false }
    }
}

/// The log, as its one writer sees it.
#[derive(Debug)]
pub struct Log {
    /// `None` in memory.
    folder: Option<PathBuf>,
    options: LogOptions,
    /// Oldest first. The last one is active, unless the log is read-only.
    segments: Vec<Arc<Segment>>,
    next: Offset,
    /// Bytes of the active segment's file that are known durable.
    synced: u64,
    /// Where that is noted; `None` in memory and when reading only.
    note: Option<SyncedFile>,
    /// Why nothing more is accepted.
    poison: Option<String>,
    scratch: Vec<u8>,
}

impl Log {
    /// Opens the log in a folder, which is created if need be. Everything up to `from` is in the archive: older
    /// segments are leftovers of a crash and are removed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when synced bytes are damaged or commits are missing; nothing is altered then. A reader
    /// beside a writer can also meet [`Error::Io`] (not found) or missing commits when segments move to the archive
    /// meanwhile: it reads the archive's manifest again and retries.
    pub fn open(folder: &Path, options: LogOptions, from: Offset) -> Result<(Log, Recovery)> {
        if !options.read_only {
            disk::create_folder(folder)?;
        }
        let (segments, recovery) = recover::open_segments(folder, options.read_only, from)?;
        let mut log = Log {
            folder: Some(folder.to_path_buf()),
            options,
            segments,
            next: recovery.last_offset + 1,
            synced: 0,
            note: None,
            poison: None,
            scratch: Vec::new(),
        };
        if !log.options.read_only {
            log.note = Some(SyncedFile::open(folder)?);
            log.activate()?;
        }
        Ok((log, recovery))
    }

    /// A log that is gone with the process.
    pub fn in_memory() -> Log {
        Log {
            folder: None,
            options: LogOptions { durability: Durability::Os, ..LogOptions::default() },
            segments: vec![Arc::new(Segment::in_memory(1))],
            next: 1,
            synced: 0,
            note: None,
            poison: None,
            scratch: Vec::new(),
        }
    }

    /// The offset of the last commit.
    pub fn last_offset(&self) -> Offset {
        self.next - 1
    }

    /// The segments, oldest first; each can be read from any thread while the log grows.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.clone()
    }

    /// Appends one record. It is durable after the next [`Log::sync`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::Limit`] when the record cannot be written, and nothing was;
    /// [`Error::Io`] when writing failed, which poisons the log; [`Error::Poisoned`] from then on.
    ///
    /// # Panics
    /// When the record's offset is not the next one.
    pub fn append(&mut self, record: Record) -> Result<()> {
        // A poisoned log may hold a commit that nobody was told of, after which another one does not fit.
        self.check_writable()?;
        assert_eq!(record.first_offset(), self.next, "offsets are consecutive");
        if self.active().bytes() >= self.options.segment_bytes {
            self.seal()?;
        }
        let next = record.last_offset() + 1;
        let active = self.segments.last().expect("a log that is written to has an active segment");
        match active.push(record, self.synced, &mut self.scratch) {
            Ok(()) => {
                self.next = next;
                self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
                Ok(())
            }
            Err(PushError::Refused(error)) => Err(error),
            Err(PushError::Failed(error)) => Err(self.poisoned(error)),
        }
    }

    /// Makes every appended record durable. With [`Durability::Os`] the operating system does so in its own time.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn sync(&mut self) -> Result<()> {
        self.check_writable()?;
        if self.options.durability == Durability::Os {
            return Ok(());
        }
        self.sync_now()
    }

    /// Closes the active segment, durably in every mode, and starts a new one; does nothing to an empty one.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn seal(&mut self) -> Result<()> {
        self.check_writable()?;
        if self.active().is_empty() {
            return Ok(());
        }
        self.finish()?;
        self.activate().map_err(|error| self.poisoned(error))
    }

    /// Closes the log in order: damage to any of it will be found by whoever opens it next.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn close(mut self) -> Result<()> {
        if self.options.read_only {
            return Ok(());
        }
        self.check_writable()?;
        if self.active().is_empty() { Ok(()) } else { self.finish() }
    }

    /// Removes a sealed segment, by its first offset, once the archive holds its commits. Readers that have it
    /// keep it.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be removed. The log stays usable: opening it removes leftovers.
    pub fn remove(&mut self, first_offset: Offset) -> Result<()> {
        let found = self.segments.iter().position(|s| s.first_offset() == first_offset && s.is_sealed());
        let Some(index) = found else {
            return Err(Error::Internal(format!("no sealed segment of the log begins with commit {first_offset}")));
        };
        let segment = self.segments.remove(index);
        if let (Some(file), Some(folder)) = (segment.file(), &self.folder) {
            disk::remove(file.path())?;
            disk::sync_folder(folder)?;
        }
        Ok(())
    }

    fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log that is written to has an active segment")
    }

    fn check_writable(&self) -> Result<()> {
        match &self.poison {
            Some(reason) => Err(Error::Poisoned(format!("an earlier write to its log failed: {reason}"))),
            None if self.options.read_only => Err(Error::input("the log is open for reading only")),
            None => Ok(()),
        }
    }

    fn poisoned(&mut self, error: Error) -> Error {
        self.poison = Some(error.to_string());
        error
    }

    /// Makes the last segment one that can be appended to.
    fn activate(&mut self) -> Result<()> {
        if self.segments.last().is_none_or(|segment| segment.is_sealed()) {
            let segment = match &self.folder {
                Some(folder) => Segment::create(folder, self.next)?,
                None => Segment::in_memory(self.next),
            };
            self.segments.push(Arc::new(segment));
        } else if let Some(file) = self.active().file() {
            // Whole frames that a killed process left may not have reached the disk; from here on they are vouched for.
            file.sync()?;
        }
        self.note_synced(self.active().bytes())
    }

    fn note_synced(&mut self, bytes: u64) -> Result<()> {
        self.synced = bytes;
        match &self.note {
            Some(note) => note.write(Synced { segment: self.active().first_offset(), bytes }),
            None => Ok(()),
        }
    }

    fn sync_now(&mut self) -> Result<()> {
        let end = self.active().bytes();
        if self.synced == end {
            return Ok(());
        }
        let synced = self.active().file().map_or(Ok(()), DiskFile::sync);
        synced.and_then(|()| self.note_synced(end)).map_err(|error| self.poisoned(error))
    }

    fn finish(&mut self) -> Result<()> {
        self.sync_now()?;
        self.active().seal().map_err(|error| self.poisoned(error))
    }
}

/// Memory that is kept between appends.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;
