//! The one place where log and archive touch the file system: plain `pread`, `pwrite`, `fdatasync`, and folders.
//!
//! A file's name is durable only once its folder is synced, and a write only once `fdatasync` has returned. A failed
//! `fdatasync` is never repeated: the kernel has dropped the pages by then and the second call would succeed for
//! nothing (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};

use crate::error::{Error, Result};

/// An open file that knows its name. Reading needs no seek, so any number of threads can.
#[derive(Debug)]
pub(crate) struct DiskFile {
    path: Arc<Path>,
    file: File,
}

impl DiskFile {
    /// Creates a file that must not exist.
    pub(crate) fn create(path: &Path) -> Result<DiskFile> {
        Self::with(path, "creating", OpenOptions::new().read(true).write(true).create_new(true))
    }

    /// Opens a file that exists.
    pub(crate) fn open(path: &Path, read_only: bool) -> Result<DiskFile> {
        Self::with(path, "opening", OpenOptions::new().read(true).write(!read_only))
    }

    fn with(path: &Path, doing: &str, options: &OpenOptions) -> Result<DiskFile> {
        let file = options.open(path).map_err(|e| Error::io(doing, path, &e))?;
        Ok(DiskFile { path: path.into(), file })
    }

    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The file itself, for a reader that brings its own buffers.
    pub(crate) fn handle(&self) -> &File {
        &self.file
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| self.error("reading the size of", &e))?.len())
    }

    /// Up to `length` bytes from `position`; fewer only at the end of the file. The memory suits Arrow's columns.
    pub(crate) fn read(&self, position: u64, length: usize) -> Result<Buffer> {
        let mut buffer = MutableBuffer::from_len_zeroed(length);
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error("reading", &e)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer.into())
    }

    pub(crate) fn write(&self, position: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, position).map_err(|e| self.error("writing", &e))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| self.error("syncing", &e))
    }

    /// Cuts the file to `length` bytes, durably.
    pub(crate) fn truncate(&self, length: u64) -> Result<()> {
        self.file.set_len(length).and_then(|()| self.file.sync_all()).map_err(|e| self.error("cutting", &e))
    }

    fn error(&self, doing: &str, error: &io::Error) -> Error {
        Error::io(doing, &self.path, error)
    }
}

/// Creates a folder, and those above it, if need be.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("creating folder", path, &e))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("syncing folder", path, &e))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", path, &e)),
        _ => Ok(()),
    }
}

/// Gives a file a new name; what had that name is replaced at once.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("renaming", from, &e))
}

/// What a folder holds, sorted by name. A folder that does not exist holds nothing.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("listing folder", path, &e)),
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|e| Error::io("listing folder", path, &e))?;
    paths.sort();
    Ok(paths)
}
