//! COPY ... TO 'file': rows to CSV, JSON lines or Parquet.
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
    Csv(Box<arrow::csv::Writer<BufWriter<File>>>),
    Lines(arrow::json::LineDelimitedWriter<BufWriter<File>>),
    Array(arrow::json::ArrayWriter<BufWriter<File>>),
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
            return Err(Error::input(format!("COPY: no format `{format}` for {}", path.display()))
                .with_hint("the formats are csv, tsv, json (one object a line), ndjson and parquet"));
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
        let file = BufWriter::new(file);
        let format = match self.format.as_str() {
            "csv" | "tsv" => {
                let writer = arrow::csv::WriterBuilder::new().with_header(self.header).with_delimiter(self.delimiter);
                let mut writer = writer.build(file);
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Format::Csv(Box::new(writer))
            }
            "json" => Format::Array(arrow::json::ArrayWriter::new(file)),
            "ndjson" => Format::Lines(arrow::json::LineDelimitedWriter::new(file)),
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
            Format::Csv(writer) => Ok(writer.write(batch)?),
            Format::Lines(writer) => Ok(writer.write(batch)?),
            Format::Array(writer) => Ok(writer.write(batch)?),
            Format::Parquet(writer) => writer.write(batch).map_err(|e| parquet_error(&self.target, &e)),
        }
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(self) -> Result<()> {
        let target = self.target;
        let io = |e: std::io::Error| Error::io("writing", &target, &e);
        let buffer = match self.format {
            Format::Csv(writer) => writer.into_inner(),
            Format::Lines(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Format::Array(mut writer) => {
                writer.finish()?;
                writer.into_inner()
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

fn parquet_error(path: &Path, error: &parquet::errors::ParquetError) -> Error {
    Error::input(format!("writing {}: {error}", path.display()))
}
