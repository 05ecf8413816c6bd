//! The log as a whole: what comes back of what was written.

mod damage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringDictionaryBuilder};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::segment::segment_path;
use super::testing::{content, group, many_types, one, rows, schema, statement};
use super::{Durability, Group, Log, LogOptions, Mark, Offset, PartRows, Record, Recovery};
use crate::delta::added::Added;
use crate::error::{Error, Result};

fn open(folder: &Path) -> Result<(Log, Recovery)> {
    Log::open(folder, LogOptions::default(), 0)
}

fn open_read_only(folder: &Path) -> Result<(Log, Recovery)> {
    Log::open(folder, LogOptions { read_only: true, ..LogOptions::default() }, 0)
}

fn file(folder: &Path, first: Offset) -> PathBuf {
    segment_path(folder, first)
}

/// A few frames of all kinds. Returns the file's length after each, with the last offset.
fn write_some(log: &mut Log, sync_each: bool) -> Vec<(u64, Offset)> {
    let mut records = vec![statement(1, "CREATE STREAM s"), one(2, 20)];
    records.push(Record::Rows(group(3, &[(0, &[30]), (2, &[50, 51])])));
    records.push(one(6, 60));
    let mut ends = Vec::new();
    for record in records {
        log.append(record).unwrap();
        if sync_each {
            log.sync().unwrap();
        }
        ends.push((log.segments().last().unwrap().bytes(), log.last_offset()));
    }
    ends
}

const SOME: [(i64, i64); 6] = [(1, -1), (2, 20), (3, 30), (5, 50), (5, 51), (6, 60)];

fn up_to(last: Offset) -> Vec<(i64, i64)> {
    SOME.into_iter().filter(|(offset, _)| *offset <= last as i64).collect()
}

#[test]
fn what_is_appended_comes_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, recovery) = open(folder.path()).unwrap();
    assert_eq!(recovery, Recovery::default());
    write_some(&mut log, true);
    log.seal().unwrap();
    log.seal().unwrap();
    log.append(one(7, 70)).unwrap();
    log.close().unwrap();
    let (mut log, recovery) = open(folder.path()).unwrap();
    assert_eq!((recovery.last_offset, recovery.last_time, recovery.cut_bytes), (7, Some(7000), 0));
    log.append(one(8, 80)).unwrap();
    let mut expected = SOME.to_vec();
    expected.extend([(7, 70), (8, 80)]);
    assert_eq!(content(&log.segments()), expected);
    let firsts: Vec<Offset> = log.segments().iter().map(|s| s.first_offset()).collect();
    assert_eq!(firsts, [1, 7, 8]);
}

#[test]
fn a_commit_of_marks_alone_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let mark = Mark { object: 1, value: "finished".into() };
    let alone = Group { first_offset: 1, times: vec![1000], parts: Vec::new(), marks: vec![mark.clone()] };
    log.append(Record::Rows(alone)).unwrap();
    log.append(one(2, 20)).unwrap();
    log.close().unwrap();
    let (log, recovery) = open_read_only(folder.path()).unwrap();
    assert_eq!(recovery.last_offset, 2);
    let first = log.segments()[0].records(1, 1).next().unwrap().unwrap();
    assert!(matches!(&first, Record::Rows(group) if group.marks == [mark] && group.parts.is_empty()), "{first:?}");
    assert_eq!(content(&log.segments()), [(2, 20)]);
}

#[test]
fn a_log_in_memory_is_a_log() {
    let mut log = Log::in_memory();
    write_some(&mut log, true);
    log.seal().unwrap();
    log.append(one(7, 70)).unwrap();
    let segments = log.segments();
    let middle: Vec<Record> = segments[0].records(4, 5).map(|r| r.unwrap()).collect();
    assert_eq!(middle.len(), 1);
    assert_eq!((middle[0].first_offset(), middle[0].last_offset()), (4, 5));
    log.remove(1).unwrap();
    assert_eq!(content(&segments[..1]), SOME);
    assert_eq!(content(&log.segments()), [(7, 70)]);
}

#[test]
fn readers_see_what_was_there_when_they_asked_and_can_start_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) =
        Log::open(folder.path(), LogOptions { segment_bytes: 300_000, ..LogOptions::default() }, 0).unwrap();
    for offset in 1..=2000 {
        log.append(one(offset, offset as i64)).unwrap();
    }
    log.sync().unwrap();
    let segments = log.segments();
    assert!(segments.len() > 1);
    let active = segments.last().unwrap();
    let records = active.records(1990, 3000);
    log.append(one(2001, 2001)).unwrap();
    assert_eq!(records.count(), 11);
    for from in [1, 2, 500, 999, 1500] {
        let offsets: Vec<Offset> =
            segments.iter().flat_map(|s| s.records(from, from + 100)).map(|r| r.unwrap().first_offset()).collect();
        assert_eq!(offsets, (from..=from + 100).collect::<Vec<_>>());
    }
    // A reader that holds a segment keeps it past its removal.
    let first = segments[0].clone();
    log.remove(1).unwrap();
    assert!(!file(folder.path(), 1).exists());
    assert_eq!(first.records(1, Offset::MAX).count() as u64, first.last_offset());
}

#[test]
fn leftovers_of_the_archive_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    write_some(&mut log, true);
    log.seal().unwrap();
    log.append(one(7, 70)).unwrap();
    log.close().unwrap();
    let (log, recovery) = Log::open(folder.path(), LogOptions::default(), 6).unwrap();
    assert!(!file(folder.path(), 1).exists());
    assert_eq!((content(&log.segments()), recovery.last_offset), (vec![(7, 70)], 7));
    drop(log);
    let (mut log, recovery) = Log::open(folder.path(), LogOptions::default(), 7).unwrap();
    assert_eq!((log.segments().len(), recovery.last_offset, recovery.last_time), (1, 7, None));
    log.append(one(8, 80)).unwrap();
    assert_eq!(content(&log.segments()), [(8, 80)]);
}

#[test]
fn every_type_comes_back_and_lies_where_the_frame_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let whole = many_types();
    let batches = [whole.clone(), whole.slice(1, 2), whole.slice(0, 0)];
    for (i, batch) in batches.iter().enumerate() {
        log.append(rows(i as Offset + 1, batch.clone())).unwrap();
    }
    let no_columns = RecordBatchOptions::new().with_row_count(Some(2));
    let no_columns = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &no_columns).unwrap();
    log.append(rows(4, no_columns.clone())).unwrap();
    for (record, batch) in log.segments()[0].records(1, 4).zip(batches.iter().chain([&no_columns])) {
        let Record::Rows(group) = record.unwrap() else { panic!("rows were written") };
        let PartRows::Encoded(encoded) = &group.parts[0].rows else { panic!("rows are read as they lie") };
        let read = group.parts[0].delta(&batch.schema(), &Added::default()).unwrap().batch;
        assert_eq!(&read, batch);
        for buffer in read.columns().iter().flat_map(|column| column.to_data().buffers().to_vec()) {
            let shared = encoded.body.as_ptr_range().contains(&buffer.as_ptr());
            assert!(shared || buffer.is_empty(), "{} bytes were copied", buffer.len());
        }
    }
}

#[test]
fn weights_and_marks_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let mark = Mark { object: 9, value: r#"{"line":7}"#.into() };
    let weights = [vec![1, -1, 1], vec![1, i64::MIN, 300], vec![1, 1, 1]];
    for (i, weights) in weights.iter().enumerate() {
        let mut group = group(2 * i as Offset + 1, &[(0, &[1, 2]), (1, &[3])]);
        let PartRows::Delta(delta) = &mut group.parts[0].rows else { unreachable!() };
        delta.weights = weights.clone().into();
        group.marks.push(mark.clone());
        log.append(Record::Rows(group)).unwrap();
    }
    for (record, weights) in log.segments()[0].records(1, 6).zip(&weights) {
        let Record::Rows(group) = record.unwrap() else { unreachable!() };
        assert_eq!(&group.parts[0].delta(&schema(), &Added::default()).unwrap().weights.to_vec(3), weights);
        assert_eq!(group.marks, std::slice::from_ref(&mark));
    }
    let records: Vec<Record> = log.segments()[0].records(4, 4).map(|r| r.unwrap()).collect();
    let [Record::Rows(group)] = records.as_slice() else { panic!("one group") };
    assert_eq!(group.parts[0].delta(&schema(), &Added::default()).unwrap().weights.to_vec(1), [300]);
}

#[test]
fn rows_of_another_schema_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    log.append(rows(1, many_types())).unwrap();
    let record = log.segments()[0].records(1, 1).next().unwrap().unwrap();
    let Record::Rows(group) = record else { unreachable!() };
    let other = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8View, false)]));
    let error = group.parts[0].delta(&other, &Added::default()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { position: 32, .. }), "{error}");
}

#[test]
fn a_record_that_cannot_be_written_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let mut column = StringDictionaryBuilder::<Int32Type>::new();
    column.append_value("a");
    let batch = RecordBatch::try_from_iter([("d", Arc::new(column.finish()) as ArrayRef)]).unwrap();
    let error = log.append(rows(1, batch)).unwrap_err();
    assert_eq!(error.to_string(), "column `d` is a dictionary: the log stores its values");
    log.append(one(1, 10)).unwrap();
    log.sync().unwrap();
    assert_eq!(content(&log.segments()), [(1, 10)]);
}

#[test]
fn a_reader_takes_no_record_and_needs_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, recovery) = open_read_only(&folder.path().join("none")).unwrap();
    assert_eq!((recovery.last_offset, log.segments().len()), (0, 0));
    assert!(matches!(log.append(one(1, 1)), Err(Error::Input(_))));
    assert!(!folder.path().join("none").exists());
}

#[test]
fn without_syncs_a_segment_is_still_durable_once_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { durability: Durability::Os, ..LogOptions::default() };
    let (mut log, _) = Log::open(folder.path(), options, 0).unwrap();
    write_some(&mut log, true);
    assert_eq!(log.synced, 32, "nothing is claimed that was not synced");
    log.seal().unwrap();
    let (log, _) = open(folder.path()).unwrap();
    assert_eq!(content(&log.segments()), SOME);
}

/// A log that version 1 of the format wrote; `UPDATE=1` writes it where there is none.
#[test]
fn version_1_of_the_format_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-v1");
    if std::env::var_os("UPDATE").is_some() && !folder.exists() {
        let (mut log, _) = open(&folder).unwrap();
        write_some(&mut log, true);
        log.append(rows(7, many_types())).unwrap();
        log.close().unwrap();
    }
    let (log, recovery) = open_read_only(&folder).unwrap();
    assert_eq!((recovery.last_offset, recovery.last_time, recovery.cut_bytes), (7, Some(5), 0));
    let segments = log.segments();
    let old: Vec<Record> = segments[0].records(1, 6).map(|r| r.unwrap()).collect();
    assert_eq!(old.iter().flat_map(super::testing::numbers).collect::<Vec<_>>(), SOME[1..]);
    assert!(matches!(&old[0], Record::Statement(s) if s.text == "CREATE STREAM s" && s.time == 1000));
    let Some(Ok(Record::Rows(group))) = segments[0].records(7, 7).next() else { panic!("commit 7 has rows") };
    assert_eq!(group.parts[0].delta(&many_types().schema(), &Added::default()).unwrap().batch, many_types());
}
