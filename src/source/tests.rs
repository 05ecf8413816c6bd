//! Whole files through [`open`]: the same rows and rejects wherever chunks end and however often it is resumed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use tempfile::TempDir;

use super::convert::timestamp;
use super::*;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Files { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> BTreeMap<String, String> {
        std::fs::write(self.path(name), content).unwrap();
        self.options(name)
    }

    fn options(&self, name: &str) -> BTreeMap<String, String> {
        let path = self.path(name).to_str().unwrap().to_owned();
        [("connector".into(), "file".into()), ("path".into(), path)].into()
    }
}

fn with(mut options: BTreeMap<String, String>, name: &str, value: &str) -> BTreeMap<String, String> {
    options.insert(name.into(), value.into());
    options
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// `a` BIGINT, `b` VARCHAR.
fn ab() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Utf8)])
}

fn show(chunk: &Chunk, rows: &mut Vec<String>, rejects: &mut Vec<String>) {
    for row in 0..chunk.batch.num_rows() {
        let value = |column: &ArrayRef| match column.is_null(row) {
            true => "NULL".to_owned(),
            false => array_value_to_string(column, row).unwrap(),
        };
        rows.push(chunk.batch.columns().iter().map(value).collect::<Vec<_>>().join(" "));
    }
    for reject in &chunk.rejects {
        rejects.push(format!("{}: {}: {}", reject.position, reject.reason, reject.text));
    }
}

/// All rows, then all rejects; checked to be the same for chunks of 1, 2 and 3 records, each resumed from the mark
/// (as it comes back from JSON) of the one before.
fn read(options: &BTreeMap<String, String>, schema: &SchemaRef) -> Vec<String> {
    let (mut rows, mut rejects) = (Vec::new(), Vec::new());
    let mut source = open(options, schema, None).unwrap();
    while let Some(chunk) = source.next().unwrap() {
        assert_eq!(chunk.batch.schema(), *schema);
        show(&chunk, &mut rows, &mut rejects);
    }
    for batch_rows in ["1", "2", "3"] {
        let options = with(options.clone(), "batch_rows", batch_rows);
        let (mut same_rows, mut same_rejects) = (Vec::new(), Vec::new());
        let mut mark: Option<Mark> = None;
        while let Some(chunk) = open(&options, schema, mark.as_ref()).unwrap().next().unwrap() {
            show(&chunk, &mut same_rows, &mut same_rejects);
            mark = Some(serde_json::from_str(&serde_json::to_string(&chunk.mark).unwrap()).unwrap());
        }
        assert_eq!((&same_rows, &same_rejects), (&rows, &rejects), "resumed after every {batch_rows} records");
    }
    rows.append(&mut rejects);
    rows
}

#[test]
fn csv_by_header_with_bad_rows() {
    let files = Files::new();
    let content = b"\xEF\xBB\xBFB,extra,a\r\n\"x,\ny\",0,1\r\n,0, 2 \r\n\"\",0,\r\n\r\nz,0,three\r\nz,0\r\n\"q\"r,0,4\nz\xFF,0,5\nlast,0,6";
    assert_eq!(
        read(&files.write("f.csv", content), &ab()),
        [
            "1 x,\ny",
            "2 NULL",
            "NULL ",
            "6 last",
            "7: column `a`: 'three' is not a BIGINT: z,0,three",
            "8: expected 3 fields and found 2: z,0",
            "9: text follows a closing quote: \"q\"r,0,4",
            "10: the text is not UTF-8: z\u{FFFD},0,5",
        ]
    );
}

#[test]
fn csv_options() {
    let files = Files::new();
    let options = with(with(files.write("f.txt", "1;'a;b'\nNA;'NA'\n2;NA\n"), "format", "csv"), "header", "false");
    let options = with(with(with(options, "delimiter", ";"), "quote", "'"), "null", "NA");
    assert_eq!(read(&options, &ab()), ["1 a;b", "NULL NA", "2 NULL"]);
    assert_eq!(read(&files.write("f.tsv", "a\tb\n1\tx,y\n"), &ab()), ["1 x,y"]);
}

#[test]
fn csv_of_one_column_keeps_empty_lines() {
    let files = Files::new();
    assert_eq!(read(&files.write("f.csv", "a\n1\n\n2\n"), &schema(&[("a", DataType::Int64)])), ["1", "NULL", "2"]);
}

#[test]
fn not_null_columns_and_missing_columns() {
    let files = Files::new();
    let fields = vec![Field::new("a", DataType::Int64, false), Field::new("c", DataType::Utf8, true)];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let missing = "column `a` is NOT NULL and the row has no value for it";
    assert_eq!(read(&files.write("f.csv", "a,b\n1,x\n,y\n"), &schema), ["1 NULL", &format!("3: {missing}: ,y")]);
    assert_eq!(
        read(&files.write("f.json", "{\"a\":1}\n{\"c\":\"y\"}"), &schema),
        ["1 NULL", &format!("2: {missing}: {{\"c\":\"y\"}}")]
    );
}

#[test]
fn empty_files_have_no_rows() {
    let files = Files::new();
    for (name, content) in [("a.csv", ""), ("b.csv", "a,b"), ("a.json", ""), ("b.json", " \n\n"), ("c.json", "[ ]\n")] {
        assert!(read(&files.write(name, content), &ab()).is_empty(), "{name}");
    }
}

#[test]
fn json_lines_with_bad_rows() {
    let files = Files::new();
    let content = b"{\"A\":1,\"b\":\"x\",\"more\":[1]}\r\n\n{\"b\":\"\\u00e9\",\"A\":\"2\"}\n{\"A\":1.5}\n{\"A\":3,\"b\":true}\n{\"A\":\n4}\n{\"A\":5}{\"A\":6}\n{\"A\":7,\"b\":{\"c\":1}}\n{\"A\":8,\"b\":\"\xFF\"}\n[9]\n{\"A\":1e1}";
    assert_eq!(
        read(&files.write("f.ndjson", content), &ab()),
        [
            "1 x",
            "2 é",
            "3 true",
            "10 NULL",
            "4: column `a`: '1.5' is not a BIGINT: {\"A\":1.5}",
            "6: not a whole JSON object: {\"A\":",
            "7: Encountered unexpected '}' whilst parsing value: 4}",
            "8: more than one JSON value: {\"A\":5}{\"A\":6}",
            "9: whilst decoding field 'b': expected string got {\"c\": 1}: {\"A\":7,\"b\":{\"c\":1}}",
            "10: Encountered non-UTF-8 data: {\"A\":8,\"b\":\"\u{FFFD}\"}",
            "11: expected { got [9]: [9]",
        ]
    );
}

#[test]
fn json_arrays() {
    let files = Files::new();
    let content = "[{\"a\":1,\"b\":\"]\"},\n {\"a\":2\n},{\"a\":3],\n{\"a\":4} , 5,{\"a\":6}]\n tail {}";
    assert_eq!(
        read(&files.write("f.json", content), &ab()),
        [
            "1 ]",
            "2 NULL",
            "4 NULL",
            "6 NULL",
            "3: the brackets do not match: {\"a\":3],",
            "5: not a whole JSON object: 5",
            "7: text follows the end of the array: tail {}",
        ]
    );
}

#[test]
fn json_lists_and_structs() {
    let files = Files::new();
    let list = DataType::new_list(DataType::Int64, true);
    let point = DataType::Struct(vec![Field::new("x", DataType::Float64, true)].into());
    let options = files.write("f.json", "{\"l\":[1,null],\"p\":{\"x\":0.5}}\n{\"l\":[\"a\"]}\n{\"p\":null}\n");
    let rows = read(&options, &schema(&[("l", list.clone()), ("p", point.clone())]));
    assert_eq!(rows[..2], ["[1, ] {x: 0.5}", "NULL NULL"]);
    assert!(rows[2].starts_with("2: "), "{}", rows[2]);
    let inferred = infer(&files.write("g.json", "{\"l\":[1],\"p\":{\"x\":0.5},\"n\":null}")).unwrap();
    let types: Vec<&DataType> = inferred.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(types, [&list, &point, &DataType::Utf8]);
}

#[test]
fn decimals_keep_their_digits() {
    let files = Files::new();
    let schema = schema(&[("a", DataType::Decimal128(38, 2))]);
    let long = "123456789012345678901234567890.12";
    assert_eq!(read(&files.write("f.json", format!("{{\"a\":{long}}}")), &schema), [long]);
    assert_eq!(read(&files.write("f.csv", format!("a\n{long}\n")), &schema), [long]);
}

fn write_parquet(files: &Files, name: &str) -> BTreeMap<String, String> {
    let columns: [(&str, ArrayRef); 3] = [
        ("A", Arc::new(Float64Array::from(vec![Some(1.0), Some(2.5), None, Some(4.0), Some(5.0)]))),
        ("skipped", Arc::new(Int64Array::from(vec![0; 5]))),
        ("b", Arc::new(StringArray::from(vec!["v", "w", "x", "y", "z"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(files.path(name)).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch.slice(0, 3)).unwrap();
    writer.flush().unwrap();
    writer.write(&batch.slice(3, 2)).unwrap();
    writer.close().unwrap();
    files.options(name)
}

#[test]
fn parquet_columns_are_converted() {
    let files = Files::new();
    let options = write_parquet(&files, "f.parquet");
    assert_eq!(
        read(&options, &ab()),
        ["1 v", "NULL x", "4 y", "5 z", "2: column `a`: '2.5' is not a BIGINT: {A: 2.5, b: w}"]
    );
    let inferred = infer(&options).unwrap();
    assert_eq!(inferred, schema(&[("A", DataType::Float64), ("skipped", DataType::Int64), ("b", DataType::Utf8)]));
}

#[test]
fn damaged_parquet_is_an_error_and_no_panic() {
    let files = Files::new();
    write_parquet(&files, "f.parquet");
    let sound = std::fs::read(files.path("f.parquet")).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        let options = files.write("damaged.parquet", damaged);
        if let Ok(mut source) = open(&options, &ab(), None) {
            while let Ok(Some(_)) = source.next() {}
        }
    }
    let error = open(&files.write("cut.parquet", &sound[..sound.len() / 2]), &ab(), None).err().unwrap();
    assert!(error.to_string().contains("cut.parquet cannot be read as Parquet: "), "{error}");
}

#[test]
fn folders_and_patterns_are_read_in_name_order() {
    let files = Files::new();
    files.write("b.csv", "a,b\n2,x\n");
    files.write("a.csv", "b,a\nw,1\n");
    files.write("c.txt", "not read");
    assert_eq!(read(&files.options(""), &ab()), ["1 w", "2 x"]);
    assert_eq!(read(&files.options("?.csv"), &ab()), ["1 w", "2 x"]);
    let error = open(&files.options("*.json"), &ab(), None).err().unwrap();
    assert!(error.to_string().starts_with("there is no file to read at "), "{error}");
}

#[test]
fn gzip_is_read_and_resumed() {
    let files = Files::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"a,b\n1,x\n2,y\n3,z\n4,\"\n\"\n").unwrap();
    let options = files.write("f.csv.gz", encoder.finish().unwrap());
    assert_eq!(read(&options, &ab()), ["1 x", "2 y", "3 z", "4 \n"]);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let files = Files::new();
    let message = |options, schema| open(&options, &schema, None).err().unwrap().to_string();
    let missing = message(files.options("none.csv"), ab());
    assert!(missing.starts_with("opening ") && missing.contains("none.csv: No such file"), "{missing}");
    let strange = message(files.write("f.csv", "x,y\n"), ab());
    assert!(strange.ends_with("f.csv has none of the columns `a`, `b`\nhint: it has `x`, `y`"), "{strange}");
    let nested = message(files.write("f.csv", "a\n"), schema(&[("a", DataType::new_list(DataType::Int64, true))]));
    assert!(nested.starts_with("column `a`: csv cannot be read as the type List"), "{nested}");
}

#[test]
fn a_file_that_became_shorter_is_refused() {
    let files = Files::new();
    for (name, content) in [("f.csv", "a,b\n1,x\n2,y\n"), ("f.json", "{\"a\":1}\n{\"a\":2}\n")] {
        let options = with(files.write(name, content), "batch_rows", "1");
        let mark = open(&options, &ab(), None).unwrap().next().unwrap().unwrap().mark;
        files.write(name, &content[..content.len() - 1]);
        let error = open(&options, &ab(), Some(&mark)).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} has become shorter: it had {} bytes", content.len())), "{error}");
    }
}

#[test]
fn files_longer_than_the_window() {
    let files = Files::new();
    let (mut csv, mut json) = ("a,b\n".to_owned(), "[".to_owned());
    let filler = "\n\"\"".repeat(20_000);
    for n in 0..300 {
        csv.push_str(&format!("{n},\"{filler}\"\n"));
        json.push_str(&format!("{}{{\"a\":{n},\"b\":\"{}\"}}", if n > 0 { "," } else { "" }, "]}".repeat(20_000)));
    }
    json.push(']');
    for options in [files.write("f.csv", csv), files.write("f.json", json)] {
        let mut source = open(&options, &ab(), None).unwrap();
        let (mut numbers, mut chunks, mut bytes) = (Vec::new(), 0, 0);
        while let Some(chunk) = source.next().unwrap() {
            assert_eq!(chunk.rejects, []);
            numbers.extend_from_slice(chunk.batch.column(0).as_primitive::<Int64Type>().values());
            chunks += 1;
            bytes = chunk.bytes;
        }
        assert_eq!(numbers, (0..300).collect::<Vec<i64>>());
        assert!(chunks > 2);
        assert!(source.total_bytes().unwrap() - bytes <= 1);
    }
}

#[test]
fn overlong_records_are_rejected() {
    let files = Files::new();
    let long = "x".repeat(input::RECORD_BYTES_MAX + 10);
    let rows = |options| {
        let (mut rows, mut rejects) = (Vec::new(), Vec::new());
        let mut source = open(&options, &ab(), None).unwrap();
        while let Some(chunk) = source.next().unwrap() {
            show(&chunk, &mut rows, &mut rejects);
        }
        rows.extend(rejects.iter().map(|reject| reject.chars().take(50).collect()));
        rows
    };
    assert_eq!(
        rows(files.write("f.csv", format!("a,b\n1,x\n2,{long}\n3,z\n"))),
        ["1 x", "3 z", "3: the line is longer than 16777216 bytes: 2,xxxxx"]
    );
    assert_eq!(
        rows(files.write("f.csv", format!("a,b\n1,\"x\n2,y\n3,{long}\n4,z\n"))),
        [
            "2 y",
            "4 z",
            "2: a quote is not closed within 16777216 bytes: 1,",
            "4: the line is longer than 16777216 bytes: 3,xxxxx"
        ]
    );
    assert_eq!(
        rows(files.write("f.json", format!("{{\"a\":1}}\n{{\"b\":\"{long}\"}}\n{{\"a\":3}}\n"))),
        ["1 NULL", "3 NULL", "2: the record is longer than 16777216 bytes: {\"b\":"]
    );
}

#[test]
fn the_real_data() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
    let options = |name: &str| -> BTreeMap<String, String> {
        [("connector".into(), "file".into()), ("path".into(), data.join(name).to_str().unwrap().into())].into()
    };
    let (text, whole, float) = (DataType::Utf8, DataType::Int64, DataType::Float64);
    let flights = schema(&[
        ("date", timestamp()),
        ("delay", whole.clone()),
        ("distance", whole.clone()),
        ("origin", text.clone()),
        ("destination", text.clone()),
    ]);
    let names = ["iata", "name", "city", "state", "country"];
    let mut airports: Vec<(&str, DataType)> = names.iter().map(|name| (*name, text.clone())).collect();
    airports.extend([("latitude", float.clone()), ("longitude", float.clone())]);
    let mut weather = vec![("date", DataType::Date32)];
    weather.extend(["precipitation", "temp_max", "temp_min", "wind"].map(|name| (name, float.clone())));
    weather.push(("weather", text));
    for (name, expected, rows) in [
        ("flights.json", flights, 20_000),
        ("airports.csv", schema(&airports), 3_376),
        ("weather.csv", schema(&weather), 1_461),
    ] {
        let options = options(name);
        let inferred = infer(&options).unwrap();
        assert_eq!(inferred, expected, "{name}");
        let mut source = open(&options, &inferred, None).unwrap();
        let mut found = 0;
        while let Some(chunk) = source.next().unwrap() {
            assert_eq!(chunk.rejects, [], "{name}");
            found += chunk.batch.num_rows();
        }
        assert_eq!(found, rows, "{name}");
    }
}
