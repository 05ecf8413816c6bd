//! The archive as a whole: what other readers find in it, and what happens to damaged ones.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal256Array, DurationMillisecondArray, FixedSizeBinaryArray, Float32Array, Int8Array,
    IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, LargeStringArray, NullArray, RecordBatch,
    Time32SecondArray, Time64NanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Field, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, Schema, SchemaRef, i256,
};
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use super::{Archive, Dataset, Kind, check_schema, register};
use crate::error::{Error, Result};
use crate::log::testing::{group, many_types, one, rows, schema, statement};
use crate::log::{Group, Log, Mark, Offset, PartRows, Record, Segment};

const STREAM: u32 = 1;
const TABLE: u32 = 2;

fn dataset(id: u32, name: &str, kind: Kind, schema: SchemaRef) -> Dataset {
    Dataset { id, name: name.into(), kind, schema, added: Default::default(), dropped: false }
}

fn catalog() -> Vec<Dataset> {
    vec![
        dataset(STREAM, "events", Kind::Stream, schema()),
        dataset(TABLE, "Plain Table", Kind::Table, schema()),
        dataset(3, "never used", Kind::Stream, schema()),
    ]
}

/// Rows of the stream and of the table in one group; the table's first row goes again.
fn both(first: Offset) -> Group {
    let mut record = group(first, &[(0, &[10, 11]), (1, &[20])]);
    let mut table = group(first, &[(0, &[1]), (1, &[1, 2])]).parts.remove(0);
    table.object = TABLE;
    let PartRows::Delta(delta) = &mut table.rows else { unreachable!() };
    delta.weights = vec![1, -1, 1].into();
    record.parts.push(table);
    record.marks.push(Mark { object: STREAM, value: format!("{first}") });
    record
}

/// Seals what the records make, as one segment of a log in memory.
fn segment(records: impl IntoIterator<Item = Record>) -> Arc<Segment> {
    segments([records.into_iter().collect()]).remove(0)
}

fn segments(parts: impl IntoIterator<Item = Vec<Record>>) -> Vec<Arc<Segment>> {
    let mut log = Log::in_memory();
    for part in parts {
        part.into_iter().for_each(|record| log.append(record).unwrap());
        log.seal().unwrap();
    }
    log.segments()
}

/// An archive of two segments: commits 1 to 4, and 5 to 6.
fn small(folder: &Path) -> Arc<Archive> {
    let archive = Archive::open(folder, false).unwrap();
    let parts = [vec![statement(1, "CREATE"), Record::Rows(both(2)), one(4, 40)], vec![Record::Rows(both(5))]];
    for segment in &segments(parts)[..2] {
        archive.add_segment(segment, &catalog()).unwrap();
    }
    Arc::new(archive)
}

fn scanned(archive: &Arc<Archive>, id: u32, from: Offset, to: Offset) -> Result<RecordBatch> {
    let scan = archive.scan(id, from, to).expect("the data set is there");
    let schema = scan.schema();
    Ok(concat_batches(&schema, &scan.collect::<Result<Vec<_>>>()?)?)
}

/// The rows of a scan, one line each.
fn lines(batch: &RecordBatch) -> Vec<String> {
    let column = |i: usize, row: usize| arrow::util::display::array_value_to_string(batch.column(i), row).unwrap();
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).map(|i| column(i, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn rows_come_back_with_offset_time_and_weight() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let archive = Arc::new(Archive::open(folder.path(), true).unwrap());
    assert_eq!(
        lines(&scanned(&archive, TABLE, 0, Offset::MAX).unwrap()),
        [
            "1 2 1970-01-01T00:00:00.002Z 1",
            "1 3 1970-01-01T00:00:00.003Z -1",
            "2 3 1970-01-01T00:00:00.003Z 1",
            "1 5 1970-01-01T00:00:00.005Z 1",
            "1 6 1970-01-01T00:00:00.006Z -1",
            "2 6 1970-01-01T00:00:00.006Z 1",
        ]
    );
    let part = scanned(&archive, STREAM, 3, 5).unwrap();
    assert_eq!(part.column_by_name("n").unwrap().as_primitive::<Int64Type>().values(), &[20, 40, 10, 11]);
    assert_eq!(scanned(&archive, 3, 0, Offset::MAX).unwrap().num_rows(), 0);
    assert!(archive.scan(99, 0, 1).is_none());

    let manifest = archive.manifest();
    assert_eq!((manifest.sealed_to, manifest.last_time), (6, Some(6000)));
    assert_eq!(manifest.statements.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["CREATE"]);
    assert_eq!(manifest.marks, [Mark { object: STREAM, value: "5".into() }]);
    let folders: Vec<&str> = manifest.datasets.iter().map(|d| d.folder.as_str()).collect();
    assert_eq!(folders, ["events", "Plain.20Table", "never.20used"]);
    let files: Vec<&str> = manifest.datasets[0].files.iter().map(|f| f.name.as_str()).collect();
    let names =
        ["00000000000000000002-00000000000000000004.parquet", "00000000000000000005-00000000000000000006.parquet"];
    assert_eq!(files, names);
}

/// Beside the log's types, those that Parquet has to be told about.
fn more_types() -> RecordBatch {
    let interval = IntervalMonthDayNanoType::make_value(-1, 2, i64::MIN);
    let days = IntervalDayTimeType::make_value(-3, 4);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("interval".into(), Arc::new(IntervalMonthDayNanoArray::from(vec![Some(interval), None, Some(interval)]))),
        ("days".into(), Arc::new(IntervalDayTimeArray::from(vec![Some(days), None, Some(days)]))),
        ("months".into(), Arc::new(IntervalYearMonthArray::from(vec![Some(-7), None, Some(7)]))),
        ("big".into(), Arc::new(Decimal256Array::from(vec![Some(i256::MINUS_ONE), None, Some(i256::ONE)]))),
        ("unsigned".into(), Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
        ("small".into(), Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(0)]))),
        ("float32".into(), Arc::new(Float32Array::from(vec![Some(f32::INFINITY), None, Some(-0.0)]))),
        ("large".into(), Arc::new(LargeStringArray::from(vec![Some("ü"), None, Some("")]))),
        ("second".into(), Arc::new(Time32SecondArray::from(vec![Some(1), None, Some(86_399)]))),
        ("nano".into(), Arc::new(Time64NanosecondArray::from(vec![Some(1), None, Some(86_399)]))),
        ("stamp".into(), Arc::new(TimestampSecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("duration".into(), Arc::new(DurationMillisecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("null".into(), Arc::new(NullArray::new(3))),
        (
            "fixed".into(),
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1, 2]), None, Some([3, 4])].into_iter(), 2)
                    .unwrap(),
            ),
        ),
    ];
    let log_types = many_types();
    let names = log_types.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    columns.extend(names.into_iter().zip(log_types.columns().iter().cloned()));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

#[test]
fn every_type_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), false).unwrap());
    let batch = more_types();
    let segment = segment([rows(1, batch.clone()), rows(2, batch.slice(1, 2))]);
    archive.add_segment(&segment, &[dataset(STREAM, "t", Kind::Stream, batch.schema())]).unwrap();
    let read = scanned(&archive, STREAM, 0, 1).unwrap();
    let declared: Vec<usize> = (0..batch.num_columns()).collect();
    assert_eq!(read.project(&declared).unwrap().columns(), batch.columns());
    assert_eq!(
        scanned(&archive, STREAM, 2, 2).unwrap().project(&declared).unwrap().columns(),
        batch.slice(1, 2).columns()
    );
}

#[test]
fn columns_that_cannot_be_archived_are_refused() {
    let schema = |name: &str, data_type| Schema::new(vec![Field::new(name, data_type, true)]);
    let error = check_schema(&schema("_Offset", DataType::Int64)).unwrap_err();
    assert_eq!(error.to_string(), "a column cannot be named `_Offset`: the archive has one of that name");
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    assert!(matches!(check_schema(&schema("d", dictionary)), Err(Error::Unsupported(_))));
}

#[test]
fn another_reader_finds_the_same_rows_and_the_declared_order() {
    let folder = tempfile::tempdir().unwrap();
    let archive = small(folder.path());
    let entry = archive.dataset(TABLE).unwrap();
    let mut found = Vec::new();
    for file in &entry.files {
        let file = fs::File::open(folder.path().join(&entry.folder).join(&file.name)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let group = reader.metadata().row_group(0);
        let sorted = group.sorting_columns().unwrap()[0].column_idx as usize;
        assert_eq!(group.column(sorted).column_path().string(), "_offset");
        for row in reader.get_row_iter(None).unwrap().map(|row| row.unwrap()) {
            let time = row.get_timestamp_micros(2).unwrap();
            found.push((row.get_long(0).unwrap(), row.get_long(1).unwrap(), time, row.get_long(3).unwrap()));
        }
    }
    let expected =
        [(1, 2, 2000, 1), (1, 3, 3000, -1), (2, 3, 3000, 1), (1, 5, 5000, 1), (1, 6, 6000, -1), (2, 6, 6000, 1)];
    assert_eq!(found, expected);
}

#[test]
fn a_flipped_bit_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let archive = small(folder.path());
    let expected = scanned(&archive, STREAM, 0, Offset::MAX).unwrap();
    let file = folder.path().join("events").join(&archive.dataset(STREAM).unwrap().files[0].name);
    for path in [file, folder.path().join("MANIFEST")] {
        let bytes = fs::read(&path).unwrap();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            fs::write(&path, &flipped).unwrap();
            let opened = Archive::open(folder.path(), true).map(Arc::new);
            match opened.and_then(|archive| scanned(&archive, STREAM, 0, Offset::MAX)) {
                Ok(read) => assert_eq!(read, expected, "byte {position} of {}", path.display()),
                Err(Error::Corrupt { file, .. }) => assert_eq!(file, path),
                Err(other) => panic!("byte {position}: {other}"),
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn leftovers_are_passed_over_and_removed_by_the_next_writer() {
    let folder = tempfile::tempdir().unwrap();
    let archive = small(folder.path());
    let inner = folder.path().join("events");
    // As a crash before the manifest leaves them, in a known folder and in a new one.
    let leftovers = [
        inner.join("00000000000000000007-00000000000000000009.parquet"),
        inner.join("unfinished.parquet.tmp"),
        folder.path().join("new/00000000000000000007-00000000000000000009.parquet"),
    ];
    fs::create_dir(folder.path().join("new")).unwrap();
    leftovers.iter().for_each(|path| fs::write(path, "junk").unwrap());
    fs::write(inner.join("notes.txt"), "mine").unwrap();
    fs::write(folder.path().join("MANIFEST.tmp"), "junk").unwrap();
    let reader = Arc::new(Archive::open(folder.path(), true).unwrap());
    assert_eq!(reader.manifest(), archive.manifest());
    assert_eq!(scanned(&reader, STREAM, 0, Offset::MAX).unwrap().num_rows(), 7);
    assert!(leftovers.iter().all(|path| path.exists()));
    Archive::open(folder.path(), false).unwrap();
    assert!(!leftovers.iter().any(|path| path.exists()));
    assert!(inner.join("notes.txt").exists());
    assert_eq!(scanned(&reader, STREAM, 0, Offset::MAX).unwrap().num_rows(), 7);
    // A lost manifest must not make leftovers of everything.
    fs::remove_file(folder.path().join("MANIFEST")).unwrap();
    assert!(matches!(Archive::open(folder.path(), false), Err(Error::Corrupt { .. })));
}

#[test]
fn a_segment_is_added_once_and_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), false).unwrap();
    let segments = segments([vec![one(1, 10)], vec![one(2, 20)], vec![one(3, 30)]]);
    archive.add_segment(&segments[0], &catalog()).unwrap();
    let before = archive.manifest();
    archive.add_segment(&segments[0], &catalog()).unwrap();
    assert_eq!(archive.manifest(), before);
    assert!(matches!(archive.add_segment(&segments[2], &catalog()), Err(Error::Internal(_))));
    archive.add_segment(&segments[1], &catalog()).unwrap();
    let reader = Archive::open(folder.path(), true).unwrap();
    assert!(matches!(reader.add_segment(&segments[2], &catalog()), Err(Error::Input(_))));
}

async fn query(ctx: &SessionContext, sql: &str) -> String {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn a_copied_archive_answers_sql() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("db/archive");
    drop(small(&original));
    let copy = folder.path().join("a *[b]? %41~ü");
    fs::rename(folder.path().join("db"), &copy).unwrap();
    for place in [copy.clone(), copy.join("archive")] {
        let archive = Archive::find(&place).unwrap();
        let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        register(&ctx, &archive, ("system", &[])).await.unwrap();
        assert_eq!(
            query(&ctx, "SELECT n, _offset, _time FROM events WHERE _offset >= 4 ORDER BY _offset, n").await,
            "\
+----+---------+--------------------------+
| n  | _offset | _time                    |
+----+---------+--------------------------+
| 40 | 4       | 1970-01-01T00:00:00.004Z |
| 10 | 5       | 1970-01-01T00:00:00.005Z |
| 11 | 5       | 1970-01-01T00:00:00.005Z |
| 20 | 6       | 1970-01-01T00:00:00.006Z |
+----+---------+--------------------------+"
        );
        let sum = query(&ctx, r#"SELECT n, sum(_weight) AS w FROM "Plain Table" GROUP BY n ORDER BY n"#).await;
        assert!(sum.contains("| 1 | 0 |") && sum.contains("| 2 | 2 |"), "{sum}");
        assert!(query(&ctx, r#"SELECT count(*) AS c FROM "never used""#).await.contains("| 0 |"));
        let plan = query(&ctx, "EXPLAIN SELECT * FROM events ORDER BY _offset").await;
        assert!(!plan.contains("SortExec"), "{plan}");
    }
    let error = Archive::find(&folder.path().join("none")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_is_used_again_is_another_table() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), false).unwrap();
    let segments = segments([
        vec![one(1, 10)],
        vec![{
            let mut again = group(2, &[(0, &[20])]);
            again.parts[0].object = 7;
            Record::Rows(again)
        }],
    ]);
    let mut catalog = vec![dataset(STREAM, "s", Kind::Stream, schema())];
    archive.add_segment(&segments[0], &catalog).unwrap();
    catalog[0].dropped = true;
    catalog.push(dataset(7, "s", Kind::Stream, schema()));
    archive.add_segment(&segments[1], &catalog).unwrap();
    let ctx = SessionContext::new();
    register(&ctx, &archive, ("system", &[])).await.unwrap();
    assert!(query(&ctx, "SELECT n FROM s").await.contains("| 20 |"));
    let old = &archive.dataset(STREAM).unwrap().folder;
    assert!(query(&ctx, &format!("SELECT n FROM dropped.\"{old}\"")).await.contains("| 10 |"));
}

/// An archive that version 1 of the format wrote; `UPDATE=1` writes it where there is none.
#[test]
fn version_1_of_the_format_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive-v1");
    if std::env::var_os("UPDATE").is_some() && !folder.exists() {
        drop(small(&folder));
    }
    let written = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(&folder, true).unwrap());
    let now = small(written.path());
    assert_eq!(archive.manifest().statements, now.manifest().statements);
    for id in [STREAM, TABLE, 3] {
        let read = scanned(&archive, id, 0, Offset::MAX).unwrap();
        assert_eq!(read, scanned(&now, id, 0, Offset::MAX).unwrap());
    }
}
