//! What comes back after cuts, flipped bits and failed writes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};

use super::{SOME, file, open, open_read_only, up_to, write_some};
use crate::error::{Error, Result};
use crate::log::synced;
use crate::log::testing::{content, one, rows};
use crate::log::{DiskFile, Log, Offset, Record, Recovery, Segment};

#[test]
fn a_log_cut_anywhere_opens_with_the_whole_frames() {
    for closed in [false, true] {
        let written = tempfile::tempdir().unwrap();
        let (mut log, _) = open(written.path()).unwrap();
        let ends = write_some(&mut log, true);
        if closed {
            log.close().unwrap();
        }
        let bytes = fs::read(file(written.path(), 1)).unwrap();
        for length in 0..=bytes.len() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(file(folder.path(), 1), &bytes[..length]).unwrap();
            let last = ends.iter().rev().find(|(end, _)| *end <= length as u64).map_or(0, |(_, last)| *last);
            let (log, seen) = open_read_only(folder.path()).unwrap();
            assert_eq!((content(&log.segments()), seen.last_offset), (up_to(last), last), "read-only, {length} bytes");
            assert_eq!(fs::read(file(folder.path(), 1)).unwrap().len(), length, "a reader alters nothing");
            // Opening to write syncs several times, so it is tried at some of the lengths only.
            if length % 23 != 0 && ends.iter().all(|(end, _)| end.abs_diff(length as u64) > 1) {
                continue;
            }
            let (mut log, recovery) = open(folder.path()).unwrap();
            assert_eq!((content(&log.segments()), recovery.last_offset), (up_to(last), last), "{length} bytes");
            assert_eq!(recovery, seen);
            log.append(one(last + 1, 7)).unwrap();
            log.close().unwrap();
            let (log, recovery) = open(folder.path()).unwrap();
            assert_eq!(recovery.cut_bytes, 0);
            assert_eq!(content(&log.segments()).last(), Some(&(last as i64 + 1, 7)));
        }
    }
}

/// Opens copies of a log file with each bit flipped in turn.
fn for_each_flip(bytes: &[u8], mut check: impl FnMut(usize, Result<(Log, Recovery)>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 1);
    for position in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        check(position, open_read_only(folder.path()));
    }
}

#[test]
fn a_flipped_bit_in_a_closed_log_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let footer = write_some(&mut log, false).last().unwrap().0;
    log.close().unwrap();
    let bytes = fs::read(file(folder.path(), 1)).unwrap();
    for_each_flip(&bytes, |position, opened| match opened {
        Ok((log, _)) => {
            assert!(position as u64 >= footer, "byte {position} is covered");
            assert_eq!(content(&log.segments()), SOME);
        }
        Err(Error::Corrupt { file, position: at, .. }) => {
            assert!(file.ends_with("00000000000000000001.log"));
            assert!(at <= position as u64, "damage at {position} reported at {at}");
        }
        Err(other) => panic!("byte {position}: {other}"),
    });
}

#[test]
fn a_flipped_bit_in_an_unsynced_end_costs_only_that_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let ends = write_some(&mut log, true);
    // What was synced before the last frame was written is vouched for by that frame.
    let vouched = ends[ends.len() - 2].0;
    let bytes = fs::read(file(folder.path(), 1)).unwrap();
    for_each_flip(&bytes, |position, opened| match opened {
        Ok((log, recovery)) => {
            assert!(position as u64 >= vouched, "byte {position} was synced");
            assert_eq!(content(&log.segments()), up_to(5));
            assert_eq!(recovery.cut_bytes, bytes.len() as u64 - vouched);
        }
        Err(Error::Corrupt { .. }) => assert!((position as u64) < vouched, "byte {position} was not synced"),
        Err(other) => panic!("byte {position}: {other}"),
    });
}

#[test]
fn a_flipped_bit_anywhere_in_what_was_synced_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    write_some(&mut log, true);
    // As the program's crash leaves it.
    drop(log);
    let path = file(folder.path(), 1);
    let bytes = fs::read(&path).unwrap();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { file, .. } if *file == path), "byte {position}: {error}");
        assert_eq!(fs::read(&path).unwrap(), flipped, "byte {position}: altered");
    }
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { file, .. } if *file == path), "cut to {length}: {error}");
    }
    fs::remove_file(&path).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.log: damaged at byte 0: the file is gone"), "{error}");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(content(&open(folder.path()).unwrap().0.segments()), SOME);
}

#[test]
fn a_damaged_note_of_what_was_synced_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    write_some(&mut log, true);
    drop(log);
    let path = synced::path(folder.path());
    let bytes = fs::read(&path).unwrap();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        assert_eq!(content(&open_read_only(folder.path()).unwrap().0.segments()), SOME);
        fs::write(&path, &bytes[..position]).unwrap();
        assert_eq!(content(&open_read_only(folder.path()).unwrap().0.segments()), SOME);
    }
    // A writer makes a new one.
    let (log, _) = open(folder.path()).unwrap();
    drop(log);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn frames_behind_what_was_synced_may_be_torn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let ends = write_some(&mut log, true);
    log.append(one(7, 70)).unwrap();
    drop(log);
    let path = file(folder.path(), 1);
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    let (log, recovery) = open(folder.path()).unwrap();
    assert_eq!(content(&log.segments()), SOME);
    assert_eq!(recovery.cut_bytes, length - 1 - ends.last().unwrap().0);
}

#[test]
fn damage_that_comes_after_opening_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let second = write_some(&mut log, true)[1].0;
    let path = file(folder.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[second as usize + 60] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let read: Vec<Result<Record>> = log.segments()[0].records(0, Offset::MAX).collect();
    assert_eq!(read.len(), 3);
    assert!(matches!(read[2], Err(Error::Corrupt { position, .. }) if position == second));
}

#[test]
fn nothing_is_altered_when_the_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    write_some(&mut log, true);
    log.seal().unwrap();
    log.append(one(7, 70)).unwrap();
    log.close().unwrap();
    let path = file(folder.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { position, .. } if position == last as u64 - 47), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::remove_file(&path).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("00000000000000000007.log: damaged at byte 0: commits 1 to 6 before it are missing"),
        "{error}"
    );
}

#[test]
fn a_log_inside_a_column_is_not_taken_for_frames() {
    // A torn frame holds the bytes of another log, whose headers claim that all was synced.
    let inner = tempfile::tempdir().unwrap();
    let (mut log, _) = open(inner.path()).unwrap();
    write_some(&mut log, true);
    log.close().unwrap();
    let text = fs::read(file(inner.path(), 1)).unwrap().iter().map(|b| char::from(b & 0x7f)).collect::<String>();
    let column = Arc::new(BinaryArray::from_vec(vec![&fs::read(file(inner.path(), 1)).unwrap(), text.as_bytes()]));
    let batch = RecordBatch::try_from_iter([("b", column as ArrayRef)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    log.append(rows(1, batch)).unwrap();
    drop(log);
    let bytes = fs::read(file(folder.path(), 1)).unwrap();
    fs::write(file(folder.path(), 1), &bytes[..bytes.len() - 1]).unwrap();
    let (_, recovery) = open(folder.path()).unwrap();
    assert_eq!((recovery.last_offset, recovery.cut_bytes), (0, bytes.len() as u64 - 33));
}

/// A log of one commit whose active segment writes to another file.
#[cfg(target_os = "linux")]
fn log_onto(device: &str) -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    log.append(one(1, 10)).unwrap();
    log.sync().unwrap();
    let active = log.segments.pop().unwrap();
    let device = DiskFile::open(Path::new(device), false).unwrap();
    let shape = active.shape().clone();
    log.segments.push(Arc::new(Segment::of_file(1, device, shape)));
    (folder, log)
}

#[cfg(target_os = "linux")]
#[test]
fn a_failed_write_or_sync_poisons_the_log_and_reopening_recovers() {
    // /dev/full takes no byte; /dev/null takes all and cannot be synced.
    let (folder, mut log) = log_onto("/dev/full");
    let error = log.append(one(2, 20)).unwrap_err();
    assert!(matches!(error, Error::Io { kind: std::io::ErrorKind::StorageFull, .. }), "{error}");
    assert_poisoned(log, folder.path());

    let (folder, mut log) = log_onto("/dev/null");
    log.append(one(2, 20)).unwrap();
    let error = log.sync().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_poisoned(log, folder.path());
}

#[cfg(target_os = "linux")]
fn assert_poisoned(mut log: Log, folder: &Path) {
    // Whoever appends knows of the first commit alone.
    let next = 2;
    let errors = [log.append(one(next, 0)), log.sync(), log.seal(), log.close()].map(Result::unwrap_err);
    assert!(errors.iter().all(|error| matches!(error, Error::Poisoned(_))), "{errors:?}");
    let (log, _) = open(folder).unwrap();
    assert_eq!(content(&log.segments()), [(1, 10)]);
}
