//! What the archive holds: one JSON file, replaced as a whole.
//!
//! ```text
//! {"crc32c": 1234567890, "manifest": { version, sealed_to, last_time, datasets, statements, marks }}
//! ```
//!
//! The checksum is that of the text of `manifest`. A file that the manifest does not name is a leftover of a crash:
//! it is passed over, and the next writer removes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::delta::added::Added;
use crate::error::{Error, Result};
use crate::log::{DiskFile, Mark, ObjectId, Offset, Statement, remove, rename, sync_folder};

/// Version of the manifest that this program writes, and the only one it reads.
pub const MANIFEST_VERSION: u32 = 1;

const MANIFEST: &str = "MANIFEST";

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Every commit up to this one is in the archive.
    pub sealed_to: Offset,
    /// The time of that commit, in microseconds since 1970-01-01 UTC.
    pub last_time: Option<i64>,
    /// Streams and tables, in the order in which the archive met them.
    pub datasets: Vec<DatasetEntry>,
    /// The DDL among the archived commits, in order.
    pub statements: Vec<Statement>,
    /// How far each source has been read, as of `sealed_to`.
    pub marks: Vec<Mark>,
}

/// A stream or a table, with its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// Its number in the log.
    pub id: ObjectId,
    /// Its name in SQL.
    pub name: String,
    /// Stream or table.
    pub kind: Kind,
    /// The folder of its files, inside the archive.
    pub folder: String,
    /// Whether it was dropped; another may have its name now.
    pub dropped: bool,
    /// The declared columns: an Arrow IPC schema message, in hexadecimal.
    #[serde(serialize_with = "write_schema", deserialize_with = "read_schema")]
    pub schema: SchemaRef,
    /// Whether columns were added or renamed: files may have fewer columns, or others' names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub altered: bool,
    /// What rows of files without a column have there.
    #[serde(default, skip_serializing_if = "Added::is_empty")]
    pub added: Added,
    /// Its files, in the order of their offsets.
    pub files: Vec<FileEntry>,
}

/// Whether rows can go again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Rows only come.
    Stream,
    /// Rows come and go: files have a weight column.
    Table,
}

/// A Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the folder of its data set.
    pub name: String,
    /// The offset of its first row.
    pub first: Offset,
    /// The offset of its last row.
    pub last: Offset,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The checksum of all its bytes.
    pub crc32c: u32,
}

#[derive(Serialize, Deserialize)]
struct Checked<'a> {
    crc32c: u32,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

impl Manifest {
    /// The manifest of an archive that holds nothing.
    pub fn empty() -> Manifest {
        Manifest {
            version: MANIFEST_VERSION,
            sealed_to: 0,
            last_time: None,
            datasets: Vec::new(),
            statements: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// The data set of a stream or table.
    pub fn dataset(&self, id: ObjectId) -> Option<&DatasetEntry> {
        self.datasets.iter().find(|dataset| dataset.id == id)
    }

    /// Where an archive has its manifest.
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join(MANIFEST)
    }

    /// Reads the manifest of an archive; `None` where there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Manifest>> {
        let path = Manifest::path(folder);
        let file = match DiskFile::open(&path, true) {
            Err(Error::Io { kind: std::io::ErrorKind::NotFound, .. }) => return Ok(None),
            file => file?,
        };
        let bytes = file.read(0, file.len()? as usize)?;
        let corrupt = |e: serde_json::Error| Error::corrupt(&path, 0, format!("the manifest cannot be read: {e}"));
        let checked: Checked = serde_json::from_slice(&bytes).map_err(corrupt)?;
        let text = checked.manifest.get();
        if crc32c::crc32c(text.as_bytes()) != checked.crc32c {
            return Err(Error::corrupt(&path, 0, "the manifest's checksum does not match"));
        }
        let version = serde_json::from_str::<Version>(text).map_err(corrupt)?.version;
        if version != MANIFEST_VERSION {
            let message = format!("{} has version {version} of the archive's format", path.display());
            let hint = format!("this program reads version {MANIFEST_VERSION}");
            return Err(Error::unsupported(message).with_hint(hint));
        }
        serde_json::from_str(text).map_err(corrupt).map(Some)
    }

    /// Puts this manifest in the place of the one before, durably and at once.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let internal = |e: serde_json::Error| Error::Internal(format!("the manifest cannot be written as JSON: {e}"));
        let manifest = serde_json::value::to_raw_value(self).map_err(internal)?;
        let crc32c = crc32c::crc32c(manifest.get().as_bytes());
        let text = serde_json::to_string(&Checked { crc32c, manifest: &manifest }).map_err(internal)?;
        let new = folder.join(format!("{MANIFEST}.tmp"));
        remove(&new)?;
        let file = DiskFile::create(&new)?;
        file.write(0, text.as_bytes())?;
        file.sync()?;
        rename(&new, &Manifest::path(folder))?;
        sync_folder(folder)
    }
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn write_schema<S: Serializer>(schema: &SchemaRef, serializer: S) -> Result<S::Ok, S::Error> {
    let mut tracker = DictionaryTracker::new(true);
    let generator = IpcDataGenerator::default();
    let options = IpcWriteOptions::default();
    let message = generator.schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options).ipc_message;
    serializer.collect_str(&message.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn read_schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SchemaRef, D::Error> {
    let text = String::deserialize(deserializer)?;
    schema_of(&text).ok_or_else(|| serde::de::Error::custom("a schema is no Arrow IPC message in hexadecimal"))
}

fn schema_of(text: &str) -> Option<SchemaRef> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()?;
    let schema: Schema = fb_to_schema(root_as_message(&bytes).ok()?.header_as_schema()?);
    Some(Arc::new(schema))
}
