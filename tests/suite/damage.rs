//! Damage to a whole database: flipped bits, cut files, failing writes. An error or the right rows, never others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use millstream::{Database, Error, Result};

use crate::embed_support::{copy, files, number, read_only, rows, run, small_segments, text, verify};

/// How long each kind of damage is tried. The places come in an order that spreads over the files, beginning anywhere.
const TRYING: Duration = Duration::from_secs(4);
const COMMITS: usize = 24;

/// All that can be read, in an order of its own.
fn content(db: &Database) -> Result<Vec<String>> {
    let mut all = text(&db.query("SELECT id, name, amount FROM sales ORDER BY id")?.batches);
    for kept in ["stock", "totals"] {
        let (_, rows) = db.snapshot(kept)?;
        let mut lines = text(&rows.batches);
        lines.sort();
        all.push(format!("{kept}:"));
        all.extend(lines);
    }
    Ok(all)
}

/// Fills a database with commits of both kinds; returns what was there after each.
fn fill(db: &Database) -> Vec<Vec<String>> {
    run(
        db,
        &[
            "CREATE STREAM sales (id BIGINT, name TEXT, amount DOUBLE)",
            "CREATE TABLE stock (name TEXT PRIMARY KEY, left BIGINT)",
            "CREATE MATERIALIZED VIEW totals AS \
             SELECT name, count(*) AS n, sum(amount) AS amount FROM sales GROUP BY name",
        ],
    );
    let mut states = vec![content(db).unwrap()];
    for i in 0..COMMITS {
        let name = ["ax", "bolt", "chisel"][i % 3];
        match i % 4 {
            0..3 => run(db, &[&format!("INSERT INTO sales VALUES ({i}, '{name}', {i}.25), (-{i}, NULL, {i}.5)")]),
            _ => run(db, &[&format!("INSERT INTO stock VALUES ('{name}', {i}), ('only {i}', NULL)")]),
        }
        states.push(content(db).unwrap());
    }
    states
}

/// Tries places of files for a bounded time; `check` is given the file and the place.
fn spread(paths: &[PathBuf], trying: Duration, mut check: impl FnMut(&Path, u64)) {
    let lengths: Vec<u64> = paths.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    let all: u64 = lengths.iter().sum();
    let stride = (1.max(all * 618 / 1000)..).find(|stride| gcd(*stride, all) == 1).unwrap();
    let (started, mut at, mut tried) = (Instant::now(), u64::from(std::process::id()) % all, 0);
    while tried < all && started.elapsed() < trying {
        at = (at + stride) % all;
        let (mut file, mut place) = (0, at);
        while place >= lengths[file] {
            place -= lengths[file];
            file += 1;
        }
        check(&paths[file], place);
        tried += 1;
    }
    println!("{tried} of {all} bytes tried");
    assert!(tried >= 20, "the machine is too slow for this test to say anything");
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Flips one bit of a file for as long as `during` runs.
fn flipped<T>(path: &Path, place: u64, during: impl FnOnce() -> T) -> T {
    let intact = fs::read(path).unwrap();
    let mut damaged = intact.clone();
    damaged[place as usize] ^= 1 << (place % 8);
    fs::write(path, damaged).unwrap();
    let result = during();
    fs::write(path, intact).unwrap();
    result
}

/// Rows as they were, or the name of the damaged file.
fn assert_refused_or(states: &[Vec<String>], found: Result<Vec<String>>, path: &Path, place: u64) {
    match found {
        Ok(found) => assert!(states.contains(&found), "{} byte {place}: wrong rows {found:#?}", path.display()),
        Err(Error::Corrupt { file, .. }) if file == path => {}
        Err(error) => panic!("{} byte {place}: {error:?}", path.display()),
    }
}

#[test]
fn a_flipped_bit_of_a_closed_database_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 2 << 10)).unwrap();
    let states = fill(&db);
    db.close().unwrap();
    let paths: Vec<PathBuf> = files(folder.path()).into_iter().filter(|path| !path.ends_with("LOCK")).collect();
    assert!(paths.iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")).count() > 4, "{paths:?}");
    let last = &states[states.len() - 1..];
    spread(&paths, TRYING, |path, place| {
        let found = flipped(path, place, || Database::open_with(read_only(folder.path())).and_then(|db| content(&db)));
        assert_refused_or(last, found, path, place);
    });
}

#[test]
fn a_flipped_bit_of_a_log_that_was_not_closed_is_refused_or_harmless() {
    let (image, states) = crashed(4 << 10);
    let last = &states[states.len() - 1..];
    let paths = files(&image.path().join("log"));
    spread(&paths, TRYING, |path, place| {
        let found = flipped(path, place, || Database::open_with(read_only(image.path())).and_then(|db| content(&db)));
        assert_refused_or(last, found, path, place);
    });
}

#[test]
fn a_writer_alters_nothing_of_a_damaged_database() {
    let (image, states) = crashed(4 << 10);
    let mut refused = 0;
    spread(&files(&image.path().join("log")), Duration::from_secs(2), |path, place| {
        let copied = tempfile::tempdir().unwrap();
        copy(image.path(), copied.path());
        let damaged = copied.path().join(path.strip_prefix(image.path()).unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        bytes[place as usize] ^= 1 << (place % 8);
        fs::write(&damaged, &bytes).unwrap();
        match Database::open(copied.path()) {
            Ok(db) => assert_refused_or(&states[states.len() - 1..], content(&db), path, place),
            Err(_) => {
                refused += 1;
                assert_eq!(fs::read(&damaged).unwrap(), bytes, "{} byte {place}: altered", path.display());
                let error = Database::open(copied.path()).map(drop).unwrap_err();
                assert!(matches!(error, Error::Corrupt { file, .. } if file == damaged));
            }
        }
    });
    assert!(refused > 0);
}

#[test]
fn a_log_cut_anywhere_is_a_prefix_of_the_commits() {
    let (image, states) = crashed(64 << 20);
    let path = only_segment(&image);
    let intact = fs::read(&path).unwrap();
    let note = image.path().join("log/SYNCED");
    let synced = fs::read(&note).unwrap();
    spread(std::slice::from_ref(&path), TRYING, |path, length| {
        fs::write(path, &intact[..length as usize]).unwrap();
        // All of it was synced, and the log knows.
        fs::write(&note, &synced).unwrap();
        let error = Database::open_with(read_only(image.path())).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { file, .. } if file == path), "cut to {length}: {error}");
        // A power cut that took the bytes took the note of them too.
        fs::remove_file(&note).unwrap();
        let db = Database::open_with(read_only(image.path())).unwrap_or_else(|e| panic!("cut to {length}: {e}"));
        // Not even the streams may be left.
        if db.relations().len() == 3 {
            let found = content(&db).unwrap();
            assert!(states.contains(&found), "cut to {length}: {found:#?}");
        }
        if length % 4 == 0 {
            verify(&db);
        }
        fs::write(path, &intact).unwrap();
    });
}

#[test]
fn a_cut_log_takes_new_commits() {
    let (image, states) = crashed(64 << 20);
    let path = only_segment(&image);
    fs::remove_file(image.path().join("log/SYNCED")).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
    let db = Database::open(image.path()).unwrap();
    assert_eq!(content(&db).unwrap(), states[states.len() - 2]);
    run(&db, &["INSERT INTO sales VALUES (100, 'new', 1)"]);
    verify(&db);
    db.close().unwrap();
    let db = Database::open(image.path()).unwrap();
    assert_eq!(rows(&db, "SELECT * FROM sales WHERE id = 100"), ["100|new|1.0"]);
    verify(&db);
}

#[test]
fn a_lost_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open_with(small_segments(folder.path(), 2 << 10)).unwrap();
    fill(&db);
    db.close().unwrap();
    for path in files(&folder.path().join("archive")) {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let found = Database::open(folder.path()).and_then(|db| content(&db));
        let error = found.unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{} is gone: {error}", path.display());
        fs::write(&path, bytes).unwrap();
    }
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(number(&db, "SELECT count(*) FROM sales"), 36);
}

#[test]
fn the_program_says_what_is_damaged_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    fill(&db);
    let told = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let output = program.arg(folder.path()).args(["-c", "SELECT count(*) FROM sales"]).args(arguments).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, out, error) = told(&[]);
    assert!(code == Some(3) && out.is_empty() && error.contains("--readonly"), "{error}");
    let (code, out, error) = told(&["--readonly", "--format", "csv"]);
    assert!(code == Some(0) && out.ends_with("36\n") && error.is_empty(), "{error}");
    db.close().unwrap();
    for path in files(&folder.path().join("archive")) {
        let length = fs::metadata(&path).unwrap().len();
        let (code, out, error) = flipped(&path, length / 2, || told(&[]));
        // What the statement does not need, it does not read.
        let needed = !path.to_str().unwrap().contains("stock") && !path.to_str().unwrap().contains("totals");
        if needed || code != Some(0) {
            assert!(code == Some(3) && out.is_empty() && error.starts_with("error: "), "{out}{error}");
            assert!(error.contains(path.to_str().unwrap()) && error.contains("damaged"), "{error}");
        }
    }
    let (code, out, error) = told(&["--format", "csv"]);
    assert!(code == Some(0) && out.ends_with("36\n") && error.is_empty(), "{error}");
}

fn only_segment(image: &tempfile::TempDir) -> PathBuf {
    image.path().join("log/00000000000000000001.log")
}

/// The files of a database as a crash leaves them, and what was there after each commit.
fn crashed(segment_bytes: u64) -> (tempfile::TempDir, Vec<Vec<String>>) {
    let (folder, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // In the way of the archive's folders, so that sealed segments stay in the log.
    fs::create_dir(folder.path().join("archive")).unwrap();
    let db = Database::open_with(small_segments(folder.path(), segment_bytes)).unwrap();
    for name in ["sales", "stock"] {
        fs::write(folder.path().join("archive").join(name), "").unwrap();
    }
    let states = fill(&db);
    for part in ["log", "archive"] {
        copy(&folder.path().join(part), &image.path().join(part));
    }
    for name in ["sales", "stock"] {
        fs::remove_file(image.path().join("archive").join(name)).unwrap();
        fs::remove_file(folder.path().join("archive").join(name)).unwrap();
    }
    db.close().unwrap();
    let db = Database::open(folder.path()).unwrap();
    assert_eq!(&content(&db).unwrap(), states.last().unwrap(), "what could not be archived was archived on closing");
    (image, states)
}
