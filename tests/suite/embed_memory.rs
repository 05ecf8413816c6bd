//! Memory stays flat while a large file is ingested into a view with small state.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;

use millstream::{Cancel, Database};

use crate::embed_support::{child, rows, run, small_segments, told};

/// Bytes of the file.
const FILE_BYTES: usize = 256 << 20;
/// What reading it may add to the memory of a process that has the database open.
const GROWTH_BYTES_MAX: usize = 144 << 20;

#[test]
fn a_file_larger_than_memory_is_no_matter() {
    let folder = tempfile::tempdir().unwrap();
    let output = child("embed_memory::memory_child", folder.path().to_str().unwrap()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{told}");
}

/// The child: its own memory is not that of the other tests.
#[test]
fn memory_child() {
    let Some(folder) = told() else { return };
    let file = Path::new(&folder).join("events.csv");
    let rows_written = write_file(&file);
    let db = Database::open_with(small_segments(&Path::new(&folder).join("db"), 8 << 20)).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM warm (id BIGINT, kind BIGINT, text TEXT)",
            "CREATE MATERIALIZED VIEW seen AS SELECT kind, count(*) AS n, max(id) AS top FROM warm GROUP BY kind",
            "INSERT INTO warm VALUES (1, 1, 'x')",
        ],
    );
    let before = peak_bytes();
    let source = format!("WITH (connector = 'file', path = '{}', format = 'csv')", file.display());
    run(
        &db,
        &[
            &format!("CREATE STREAM events (id BIGINT, kind BIGINT, text TEXT) {source}"),
            "CREATE MATERIALIZED VIEW counted AS SELECT kind, count(*) AS n, max(id) AS top FROM events GROUP BY kind",
        ],
    );
    db.wait_for_sources(&Cancel::default()).unwrap();
    let grown = peak_bytes() - before;
    assert_eq!(
        rows(&db, "SELECT sum(n), max(top), count(*) FROM counted"),
        [format!("{rows_written}|{rows_written}|10")]
    );
    db.close().unwrap();
    let grown_closed = peak_bytes() - before;
    println!("{FILE_BYTES} bytes read, memory grew by {grown}, on closing by {grown_closed}");
    assert!(grown_closed < GROWTH_BYTES_MAX, "memory grew by {grown} bytes, on closing by {grown_closed}");
}

fn write_file(path: &Path) -> usize {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let text = "a text that takes its room so that rows are not too many for a test. ".repeat(6);
    writeln!(file, "id,kind,text").unwrap();
    let rows = FILE_BYTES / (text.len() + 12);
    for id in 1..=rows {
        writeln!(file, "{id},{},{text}{id}", id % 10).unwrap();
    }
    rows
}

/// The most memory that this process ever had.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
