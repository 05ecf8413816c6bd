//! The archive: sealed segments of the log as Parquet, for us and for any other tool.
//!
//! ```text
//! archive/MANIFEST                                what there is, with checksums
//! archive/<folder>/<first>-<last>.parquet         the rows of one stream or table from one segment
//!
//! add_segment: files ── folders ── manifest ── (the caller removes the segment from the log)
//! ```
//!
//! Each arrow is durable before the next begins, so a crash leaves either the old manifest with leftovers beside it,
//! or the new manifest with a segment too many in the log. Both are cleared by the next writer.

mod columns;
mod manifest;
mod moment;
mod offline;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use arrow::datatypes::SchemaRef;

pub use columns::{OFFSET_COLUMN, TIME_COLUMN, WEIGHT_COLUMN, check_schema};
pub use manifest::{DatasetEntry, FileEntry, Kind, MANIFEST_VERSION, Manifest};
pub use moment::Moment;
pub use offline::register;
pub use read::Scan;

use crate::delta::added::Added;
use crate::error::{Error, Result};
use crate::log::{Mark, ObjectId, Offset, Record, Segment, create_folder, list, remove, sync_folder};

/// A stream or a table, as the catalog has it when a segment is archived.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its number in the log.
    pub id: ObjectId,
    /// Its name in SQL.
    pub name: String,
    /// Stream or table.
    pub kind: Kind,
    /// Its declared columns.
    pub schema: SchemaRef,
    /// What rows from before a column was added have there.
    pub added: Added,
    /// Whether it has been dropped.
    pub dropped: bool,
}

/// An open archive. Shared by threads: one may add segments while others read.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    manifest: RwLock<Arc<Manifest>>,
    /// Held while a segment is added; `None` when the archive is open for reading only.
    writing: Option<Mutex<()>>,
    /// Files whose checksum this process has compared.
    checked: Mutex<BTreeSet<PathBuf>>,
}

impl Archive {
    /// Opens the archive in a folder. A writer creates it if need be and removes what a crash has left; a reader
    /// finds an archive that is not there to be empty.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the manifest is damaged, or missing though there are files.
    pub fn open(folder: &Path, read_only: bool) -> Result<Archive> {
        let found = Manifest::read(folder)?;
        if !read_only {
            create_folder(folder)?;
            match &found {
                Some(manifest) => remove_leftovers(folder, manifest)?,
                // Every archive begins with a manifest, so files without one have lost theirs.
                None if list(folder)?.iter().any(|path| path.is_dir()) => {
                    let reason = "the manifest is missing, and there are files";
                    return Err(Error::corrupt(&Manifest::path(folder), 0, reason));
                }
                None => Manifest::empty().write(folder)?,
            }
        }
        Ok(Archive {
            folder: folder.to_path_buf(),
            manifest: RwLock::new(Arc::new(found.unwrap_or_else(Manifest::empty))),
            writing: (!read_only).then(Mutex::default),
            checked: Mutex::default(),
        })
    }

    /// Opens, for reading only, the archive in a folder or in the database folder that holds it.
    ///
    /// # Errors
    /// [`Error::Input`] when there is none.
    pub fn find(folder: &Path) -> Result<Archive> {
        let candidates = [folder.to_path_buf(), folder.join("archive")];
        match candidates.iter().find(|folder| Manifest::path(folder).exists()) {
            Some(folder) => Archive::open(folder, true),
            None => Err(Error::Io {
                context: format!("no archive in {}", folder.display()),
                message: format!("there is no {}", Manifest::path(folder).display()),
                kind: std::io::ErrorKind::NotFound,
            }),
        }
    }

    /// The folder of the manifest.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the archive holds at the moment.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.manifest.read().expect("nothing panics while it holds the manifest").clone()
    }

    /// The data set of a stream or table.
    pub fn dataset(&self, id: ObjectId) -> Option<DatasetEntry> {
        self.manifest().dataset(id).cloned()
    }

    /// Adds the rows and statements of a sealed segment, durably; the caller then removes it from the log. `catalog`
    /// names every stream and table, with those dropped that have rows in the segment. A segment that is in the archive
    /// already is passed over.
    ///
    /// # Errors
    /// [`Error::Io`] when writing fails: nothing was added, and it may be tried again.
    pub fn add_segment(&self, segment: &Arc<Segment>, catalog: &[Dataset]) -> Result<()> {
        let Some(writing) = &self.writing else {
            return Err(Error::input("the archive is open for reading only"));
        };
        let _held = writing.lock().expect("nothing panics while it adds a segment");
        let mut manifest = Manifest::clone(&self.manifest());
        if segment.last_offset() <= manifest.sealed_to {
            return Ok(());
        }
        if !segment.is_sealed() || segment.first_offset() != manifest.sealed_to + 1 {
            return Err(Error::Internal(format!(
                "the archive ends with commit {}, so it cannot take commits {} to {} now",
                manifest.sealed_to,
                segment.first_offset(),
                segment.last_offset()
            )));
        }
        catalog.iter().for_each(|dataset| declare(&mut manifest, dataset));
        let written = write::write_segment(&self.folder, segment, &manifest.datasets)?;
        // The folders that are new.
        sync_folder(&self.folder)?;
        for dataset in &mut manifest.datasets {
            dataset.files.extend(written.files.get(&dataset.id).cloned());
        }
        for record in written.rest {
            match record {
                Record::Statement(statement) => manifest.statements.push(statement),
                Record::Rows(group) => group.marks.into_iter().for_each(|mark| set_mark(&mut manifest.marks, mark)),
            }
        }
        (manifest.sealed_to, manifest.last_time) = (segment.last_offset(), segment.last_time());
        manifest.write(&self.folder)?;
        *self.manifest.write().expect("nothing panics while it holds the manifest") = Arc::new(manifest);
        Ok(())
    }

    /// Compares every file with its checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first that does not match.
    pub fn check_files(&self) -> Result<()> {
        let manifest = self.manifest();
        let mut files = manifest.datasets.iter().flat_map(|d| d.files.iter().map(move |file| (d, file)));
        files.try_for_each(|(dataset, file)| self.check_file(dataset, file))
    }
}

fn declare(manifest: &mut Manifest, dataset: &Dataset) {
    if let Some(known) = manifest.datasets.iter_mut().find(|known| known.id == dataset.id) {
        (known.name, known.dropped) = (dataset.name.clone(), dataset.dropped);
        known.altered |= known.schema != dataset.schema;
        (known.schema, known.added) = (dataset.schema.clone(), dataset.added.clone());
        return;
    }
    let mut folder = folder_name(&dataset.name);
    // Some file systems take names that differ by case for one.
    if manifest.datasets.iter().any(|known| known.folder.eq_ignore_ascii_case(&folder)) {
        folder = format!("{folder}.{}", dataset.id);
    }
    manifest.datasets.push(DatasetEntry {
        id: dataset.id,
        name: dataset.name.clone(),
        kind: dataset.kind,
        folder,
        dropped: dataset.dropped,
        schema: dataset.schema.clone(),
        altered: false,
        added: dataset.added.clone(),
        files: Vec::new(),
    });
}

/// A stream's name as the name of a folder: what is not a plain letter, digit, `-` or `_` becomes a point and two hexadecimal
/// digits. Tools pass over folders that begin with a point or `_`, so those get an `s` before; so does the manifest's name.
fn folder_name(name: &str) -> String {
    /// Most file systems allow 255 bytes.
    const FOLDER_BYTES_MAX: usize = 200;
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!(".{other:02x}"),
    };
    let mut folder: String = name.bytes().map(escape).collect();
    folder.truncate(FOLDER_BYTES_MAX);
    let taken = Manifest::path(Path::new("")).as_os_str().eq_ignore_ascii_case(&folder);
    if folder.starts_with(['.', '_']) || folder.is_empty() || taken { format!("s{folder}") } else { folder }
}

fn set_mark(marks: &mut Vec<Mark>, mark: Mark) {
    match marks.iter_mut().find(|known| known.object == mark.object) {
        Some(known) => *known = mark,
        None => marks.push(mark),
    }
}

/// Removes files that no manifest names. Only what we could have written is touched.
fn remove_leftovers(folder: &Path, manifest: &Manifest) -> Result<()> {
    for inner in list(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = inner.file_name().map(|name| name.to_string_lossy().into_owned());
        let dataset = manifest.datasets.iter().find(|dataset| Some(&dataset.folder) == name.as_ref());
        for path in list(&inner)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let known = dataset.is_some_and(|dataset| dataset.files.iter().any(|file| file.name == name));
            if !known && (is_file_name(&name) || name.ends_with(write::UNFINISHED)) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Whether a name is `<first>-<last>.parquet`.
fn is_file_name(name: &str) -> bool {
    let offset = |text: &str| text.len() == 20 && text.parse::<Offset>().is_ok();
    let range = name.strip_suffix(".parquet").and_then(|range| range.split_once('-'));
    range.is_some_and(|(first, last)| offset(first) && offset(last))
}
