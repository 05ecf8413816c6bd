//! The options of `CREATE STREAM ... WITH (...)`, checked.
//!
//! | option | formats | meaning | default |
//! |---|---|---|---|
//! | `connector` | | `file` | none |
//! | `path` | | a file, a folder, or a pattern with `*` and `?` in its last part | none |
//! | `format` | | `csv`, `tsv`, `json` (or `ndjson`), `parquet` | by the extension |
//! | `batch_rows` | | rows of a chunk, at most | [`CHUNK_ROWS_MAX`] |
//! | `header` | csv | the first line names the columns | `true` |
//! | `delimiter` | csv | one byte between fields | `,` or tab |
//! | `quote` | csv | one byte around fields; empty for none | `"` |
//! | `null` | csv | the text of an unquoted field that reads as NULL | empty |

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, list, nearest};

/// Rows of a chunk, at most and by default.
pub(super) const CHUNK_ROWS_MAX: usize = 65_536;

const GENERAL: [&str; 4] = ["connector", "path", "format", "batch_rows"];
const CSV_ONLY: [&str; 4] = ["header", "delimiter", "quote", "null"];
const CONNECTORS: [&str; 1] = ["file"];
const FORMATS: [&str; 6] = ["csv", "tsv", "json", "ndjson", "jsonl", "parquet"];

/// What brings the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connector {
    File,
}

/// How the bytes of a file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Fields between commas (or another delimiter).
    Csv,
    /// Fields between tabs: CSV with another default.
    Tsv,
    /// Objects, one on each line or all in one array.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub connector: Connector,
    pub path: String,
    /// As declared or as the path's extension says; `None` for a folder, until its files are known.
    pub format: Option<Format>,
    pub batch_rows: usize,
    pub header: bool,
    pub delimiter: Option<u8>,
    pub quote: Option<u8>,
    pub null: String,
}

impl Format {
    fn parse(name: &str) -> Option<Format> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" => Some(Format::Tsv),
            "json" | "ndjson" | "jsonl" => Some(Format::Json),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }

    /// The format that a path's extension names; `.gz` is looked through.
    pub(super) fn of_path(path: &str) -> Option<Format> {
        let path = path.strip_suffix(".gz").unwrap_or(path);
        Format::parse(Path::new(path).extension()?.to_str()?)
    }

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Parquet => "parquet",
        }
    }
}

impl Options {
    pub(super) fn parse(given: &BTreeMap<String, String>) -> Result<Options> {
        for name in given.keys() {
            if !GENERAL.contains(&name.as_str()) && !CSV_ONLY.contains(&name.as_str()) {
                return Err(unknown("option", name, &[&GENERAL[..], &CSV_ONLY[..]].concat()));
            }
        }
        let required = |name: &str, hint: &str| {
            let value = given.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| Error::input(format!("the option `{name}` is missing")).with_hint(hint))
        };
        let connector = match required("connector", "write WITH (connector = 'file', path = '...')")?.as_str() {
            "file" => Connector::File,
            other => return Err(unknown("connector", other, &CONNECTORS)),
        };
        let path = required("path", "name a file: path = '...'")?.clone();
        let format = match given.get("format") {
            None => Format::of_path(&path),
            Some(name) => Some(Format::parse(name).ok_or_else(|| unknown("format", name, &FORMATS))?),
        };
        if let Some(format @ (Format::Json | Format::Parquet)) = format
            && let Some(name) = CSV_ONLY.iter().find(|name| given.contains_key(**name))
        {
            return Err(Error::input(format!(
                "the option `{name}` is for csv and tsv, and the format is {}",
                format.name()
            )));
        }
        Ok(Options {
            connector,
            path,
            format,
            batch_rows: batch_rows(given.get("batch_rows"))?,
            header: boolean("header", given.get("header"), true)?,
            delimiter: given.get("delimiter").map(|value| delimiter(value)).transpose()?,
            quote: match given.get("quote") {
                None => Some(b'"'),
                Some(value) if value.is_empty() => None,
                Some(value) => Some(one_byte("quote", value)?),
            },
            null: given.get("null").cloned().unwrap_or_default(),
        })
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let error = Error::input(format!("there is no {what} `{name}` for a stream"));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known are {}", list(known))),
    }
}

fn bad_value(name: &str, value: &str, expected: &str) -> Error {
    Error::input(format!("the option `{name}` is {expected}, not '{value}'"))
}

fn boolean(name: &str, value: Option<&String>, default: bool) -> Result<bool> {
    match value.map(|value| value.to_ascii_lowercase()).as_deref() {
        None => Ok(default),
        Some("true" | "on" | "yes" | "1") => Ok(true),
        Some("false" | "off" | "no" | "0") => Ok(false),
        Some(other) => Err(bad_value(name, other, "true or false")),
    }
}

fn batch_rows(value: Option<&String>) -> Result<usize> {
    let Some(value) = value else {
        return Ok(CHUNK_ROWS_MAX);
    };
    let rows = value.parse().ok().filter(|rows| (1..=CHUNK_ROWS_MAX).contains(rows));
    rows.ok_or_else(|| bad_value("batch_rows", value, &format!("a number from 1 to {CHUNK_ROWS_MAX}")))
}

fn delimiter(value: &str) -> Result<u8> {
    match value {
        "\\t" | "tab" => Ok(b'\t'),
        other => one_byte("delimiter", other),
    }
}

fn one_byte(name: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(bad_value(name, value, "one ASCII character")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[(&str, &str)]) -> Result<Options> {
        Options::parse(&given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn formats_come_from_the_extension() {
        for (path, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.TSV", Some(Format::Tsv)),
            ("d/*.ndjson.gz", Some(Format::Json)),
            ("a.b.parquet", Some(Format::Parquet)),
            ("folder", None),
        ] {
            assert_eq!(parse(&[("connector", "file"), ("path", path)]).unwrap().format, format, "{path}");
        }
    }

    #[test]
    fn wrong_options_say_what_would_be_right() {
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[], "the option `connector` is missing\nhint: write WITH (connector = 'file', path = '...')"),
            (&[("connector", "file")], "the option `path` is missing\nhint: name a file: path = '...'"),
            (
                &[("connector", "fil"), ("path", "a")],
                "there is no connector `fil` for a stream\nhint: did you mean `file`?",
            ),
            (&[("pth", "a")], "there is no option `pth` for a stream\nhint: did you mean `path`?"),
            (
                &[("connector", "file"), ("path", "a"), ("format", "pq")],
                "there is no format `pq` for a stream\nhint: known are `csv`, `tsv`, `json`, `ndjson`, `jsonl`, `parquet`",
            ),
            (
                &[("connector", "file"), ("path", "a.json"), ("header", "true")],
                "the option `header` is for csv and tsv, and the format is json",
            ),
            (
                &[("connector", "file"), ("path", "a.csv"), ("header", "maybe")],
                "the option `header` is true or false, not 'maybe'",
            ),
            (
                &[("connector", "file"), ("path", "a.csv"), ("delimiter", "::")],
                "the option `delimiter` is one ASCII character, not '::'",
            ),
            (
                &[("connector", "file"), ("path", "a.csv"), ("batch_rows", "0")],
                "the option `batch_rows` is a number from 1 to 65536, not '0'",
            ),
        ];
        for (given, message) in cases {
            assert_eq!(parse(given).unwrap_err().to_string(), message);
        }
    }
}
