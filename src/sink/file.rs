//! COPY ... TO 'file': rows to CSV, JSON or Parquet.
//!
//! The file appears under its name once it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::sql::parser::CopyToStatement;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::text::{Delimited, Failure, Objects};
use crate::error::{Error, Result, nearest};

const FORMATS: [&str; 5] = ["csv", "tsv", "json", "ndjson", "parquet"];
const OPTIONS: [&str; 3] = ["format", "header", "delimiter"];

/// Where COPY writes to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    path: PathBuf,
    format: String,
    header: bool,
    delimiter: u8,
}

/// Writes one file.
pub struct Writer {
    target: PathBuf,
    temporary: PathBuf,
    format: Format,
}

enum Format {
    Delimited { file: BufWriter<File>, how: Delimited, schema: SchemaRef },
    Objects { file: BufWriter<File>, objects: Objects, is_array: bool, is_empty: bool },
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
}

impl Target {
    /// Reads the target and the options of a statement; the format is that of the file's ending, unless given.
    ///
    /// # Errors
    /// When an option or the format is unknown.
    pub fn new(copy: &CopyToStatement) -> Result<Self> {
        let path = PathBuf::from(&copy.target);
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        let mut format = copy.stored_as.as_ref().map(|f| f.to_lowercase()).or(ending);
        let (mut header, mut delimiter) = (true, None);
        for (key, value) in &copy.options {
            let key = key.to_lowercase();
            let key = key.strip_prefix("format.").unwrap_or(&key);
            let value = value.to_string().trim_matches('\'').to_string();
            match key {
                "format" => format = Some(value.to_lowercase()),
                "header" | "has_header" => header = parse_bool(key, &value)?,
                "delimiter" => match value.as_bytes() {
                    [byte] => delimiter = Some(*byte),
                    _ => return Err(Error::input(format!("COPY: the delimiter '{value}' is not one character"))),
                },
                _ => {
                    let error = Error::input(format!("COPY: no option `{key}`"));
                    return Err(match nearest(key, OPTIONS) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error.with_hint("the options are format, header and delimiter"),
                    });
                }
            }
        }
        let format = format.unwrap_or_default();
        if !FORMATS.contains(&format.as_str()) {
            return Err(Error::input(format!("COPY: no format `{format}` for '{}'", path.display()))
                .with_hint("the formats are csv, tsv, json (one array), ndjson (one object a line) and parquet"));
        }
        let delimiter = delimiter.unwrap_or(if format == "tsv" { b'\t' } else { b',' });
        Ok(Target { path, format, header, delimiter })
    }

    /// Opens the file for rows of these columns.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(&self, schema: &SchemaRef) -> Result<Writer> {
        self.check_types(schema)?;
        let mut name = self.path.file_name().map(|n| n.to_os_string()).unwrap_or_default();
        name.push(".partial");
        let temporary = self.path.with_file_name(name);
        let file = File::create(&temporary).map_err(|e| Error::io("writing", &self.path, &e))?;
        let mut file = BufWriter::new(file);
        let format = match self.format.as_str() {
            "csv" | "tsv" => {
                let how = Delimited::quoted(char::from(self.delimiter), "");
                if self.header {
                    how.header(&mut file, schema).map_err(|failure| text_error(&self.path, failure))?;
                }
                Format::Delimited { file, how, schema: schema.clone() }
            }
            format @ ("json" | "ndjson") => {
                Format::Objects { file, objects: Objects::new(schema), is_array: format == "json", is_empty: true }
            }
            _ => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                Format::Parquet(Box::new(
                    ArrowWriter::try_new(file, schema.clone(), Some(properties))
                        .map_err(|e| parquet_error(&self.path, &e))?,
                ))
            }
        };
        Ok(Writer { target: self.path.clone(), temporary, format })
    }
}

impl Target {
    /// Refuses the types that the format has no form for.
    fn check_types(&self, schema: &SchemaRef) -> Result<()> {
        let has_form = |data_type: &DataType| match self.format.as_str() {
            "csv" | "tsv" => !data_type.is_nested(),
            "parquet" => !holds_interval(data_type),
            _ => true,
        };
        match schema.fields().iter().find(|field| !has_form(field.data_type())) {
            None => Ok(()),
            Some(field) => {
                let what = if field.data_type().is_nested() { "a nested value" } else { "an interval" };
                Err(Error::unsupported(format!(
                    "COPY: column `{}` holds {what}, which {} has no form for",
                    field.name(),
                    self.format
                ))
                .with_hint("copy to json, or CAST it to text"))
            }
        }
    }
}

fn holds_interval(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(_) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            holds_interval(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| holds_interval(field.data_type())),
        _ => false,
    }
}

impl Writer {
    /// Writes some rows.
    ///
    /// # Errors
    /// When the disk is full, or the format has no form for a type.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.format {
            Format::Delimited { file, how, schema } => {
                how.rows(file, schema, batch).map_err(|failure| text_error(&self.target, failure))
            }
            Format::Objects { file, objects, is_array, is_empty } => {
                let written = objects.rows(batch, |object| {
                    let first = std::mem::replace(is_empty, false);
                    file.write_all(match (*is_array, first) {
                        (true, true) => b"[",
                        (true, false) => b",\n",
                        (false, true) => b"",
                        (false, false) => b"\n",
                    })?;
                    Ok(file.write_all(object)?)
                });
                written.map_err(|failure| text_error(&self.target, failure))
            }
            Format::Parquet(writer) => writer.write(batch).map_err(|e| parquet_error(&self.target, &e)),
        }
    }

    /// Leaves nothing behind.
    pub fn abandon(self) {
        // It is an error that led here; a file that stays is no second one.
        let _ = std::fs::remove_file(&self.temporary);
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(self) -> Result<()> {
        let target = self.target;
        let io = |e: std::io::Error| Error::io("writing", &target, &e);
        let buffer = match self.format {
            Format::Delimited { file, .. } => file,
            Format::Objects { mut file, is_array, is_empty, .. } => {
                let end: &[u8] = match (is_array, is_empty) {
                    (true, true) => b"[]\n",
                    (true, false) => b"]\n",
                    (false, true) => b"",
                    (false, false) => b"\n",
                };
                file.write_all(end).map_err(io)?;
                file
            }
            Format::Parquet(writer) => writer.into_inner().map_err(|e| parquet_error(&target, &e))?,
        };
        let mut file = buffer.into_inner().map_err(|e| io(e.into_error()))?;
        file.flush().map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&self.temporary, &target).map_err(io)
    }
}

fn parse_bool(key: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::input(format!("COPY: {key} is true or false, not '{value}'"))),
    }
}

fn text_error(path: &Path, failure: Failure) -> Error {
    match failure {
        Failure::Io(error) => Error::io("writing", path, &error),
        Failure::Value(error) => error,
    }
}

fn parquet_error(path: &Path, error: &parquet::errors::ParquetError) -> Error {
    Error::input(format!("writing {}: {error}", path.display()))
}
