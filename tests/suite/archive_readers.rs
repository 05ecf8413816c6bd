//! The archive as others read it: Parquet's low-level reader, DuckDB or pyarrow where they are, and a copied folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use millstream::Database;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::embed_support::{copy, files, number, rows, run, small_segments, text};

/// Rows that are not easily written down twice alike are kept out: what is compared is text.
fn archived(folder: &Path) -> Vec<String> {
    let db = Database::open_with(small_segments(folder, 2 << 10)).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM \"Sales, all\" (id BIGINT, name TEXT, price DOUBLE, at TIMESTAMP, day DATE, cents DECIMAL(9, 2), \
             ok BOOLEAN)",
            "CREATE TABLE stock (name TEXT PRIMARY KEY, n BIGINT)",
        ],
    );
    for i in 0..60 {
        let null = i % 7 == 0;
        let value = |text: String| if null { "NULL".into() } else { text };
        run(
            &db,
            &[&format!(
                "INSERT INTO \"Sales, all\" VALUES ({i}, {}, {}, {}, {}, {}, {})",
                value(format!("'name \u{fc} {i}'")),
                value(format!("{i}.5")),
                value(format!("TIMESTAMP '2024-02-29 12:00:{i:02}.000001'")),
                value(format!("DATE '2024-01-{:02}'", 1 + i % 28)),
                value(format!("-{i}.25")),
                value(format!("{}", i % 2 == 0)),
            )],
        );
        run(&db, &[&format!("INSERT INTO stock VALUES ('{}', {i})", ["ax", "bolt"][i % 2])]);
    }
    run(&db, &["DELETE FROM stock WHERE name = 'bolt'"]);
    let sales = rows(&db, "SELECT id, name, price FROM \"Sales, all\" ORDER BY id");
    assert_eq!(rows(&db, "SELECT name, n FROM stock"), ["ax|58"]);
    db.close().unwrap();
    sales
}

fn parquet_files(folder: &Path, dataset: &str) -> Vec<PathBuf> {
    let all = files(&folder.join("archive"));
    let found: Vec<PathBuf> = all
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        .filter(|path| path.parent().and_then(Path::file_name).unwrap().to_str().unwrap().starts_with(dataset))
        .collect();
    assert!(found.len() > 1, "{dataset}: {found:?}");
    found
}

#[test]
fn the_low_level_reader_finds_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let sales = archived(folder.path());
    let (mut found, mut offsets) = (Vec::new(), Vec::new());
    for path in parquet_files(folder.path(), "Sales") {
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let group = reader.metadata().row_group(0);
        assert!(matches!(group.column(0).compression(), Compression::ZSTD(_)));
        assert!(group.columns().iter().all(|column| column.statistics().is_some()));
        assert!(group.sorting_columns().is_some());
        for row in reader.get_row_iter(None).unwrap() {
            let row: BTreeMap<String, Field> = row.unwrap().into_columns().into_iter().collect();
            let shown = |name: &str| match &row[name] {
                Field::Null => "NULL".to_string(),
                Field::Str(text) => text.clone(),
                Field::Long(n) => n.to_string(),
                Field::Double(x) => format!("{x:?}"),
                other => panic!("{name}: {other:?}"),
            };
            found.push(["id", "name", "price"].map(shown).join("|"));
            let Field::Long(offset) = row["_offset"] else { panic!("no offset") };
            offsets.push(offset);
            assert!(row.contains_key("_time") && !row.contains_key("_weight"));
        }
    }
    assert_eq!(found, sales);
    assert!(offsets.is_sorted_by(|a, b| a < b), "one row a commit, in order");

    // A table's rows with their weights come to its present rows.
    let mut left: BTreeMap<String, i64> = BTreeMap::new();
    for path in parquet_files(folder.path(), "stock") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap().build();
        for batch in reader.unwrap() {
            for line in text(&[batch.unwrap()]) {
                let cells: Vec<&str> = line.split('|').collect();
                *left.entry(format!("{}|{}", cells[0], cells[1])).or_insert(0) += cells[4].parse::<i64>().unwrap();
            }
        }
    }
    left.retain(|_, weight| *weight != 0);
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [("ax|58".to_string(), 1)]);
}

/// Prints id, name and price of every row in the files given; what is not installed ends it with code 77.
const PYTHON: &str = "
import sys
files = sys.argv[2:]
def show(row):
    print('|'.join('NULL' if v is None else str(v) for v in row))
try:
    if sys.argv[1] == 'duckdb':
        import duckdb
        rows = duckdb.sql(f'SELECT id, name, price FROM read_parquet({files!r}) ORDER BY _offset').fetchall()
    else:
        import pyarrow.parquet
        tables = [pyarrow.parquet.read_table(f) for f in files]
        rows = [tuple(r[c] for c in ('id', 'name', 'price')) for t in tables for r in t.to_pylist()]
except ImportError:
    sys.exit(77)
for row in rows:
    show(row)
";

#[test]
fn other_programs_find_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let sales = archived(folder.path());
    let paths = parquet_files(folder.path(), "Sales");
    for tool in ["duckdb", "pyarrow"] {
        let output = Command::new("python3").args(["-c", PYTHON, tool]).args(&paths).env("PYTHONUTF8", "1").output();
        match output {
            Ok(output) if output.status.success() => {
                let found = String::from_utf8(output.stdout).unwrap();
                assert_eq!(found.lines().collect::<Vec<_>>(), sales, "{tool}");
            }
            Ok(output) if output.status.code() == Some(77) => println!("skipped: {tool} is not installed"),
            Ok(output) => panic!("{tool}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => println!("skipped: python3 is not installed"),
        }
    }
}

#[test]
fn a_copied_archive_is_queried_alone() {
    let folder = tempfile::tempdir().unwrap();
    archived(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("a copy [1] of *");
    copy(&folder.path().join("archive"), &moved);
    // A writer at work on the original is no hindrance.
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["INSERT INTO stock VALUES ('new', 1)"]);
    let query = |archive: &Path, sql: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let output = program.arg("query").arg(archive).args([sql, "--format", "csv"]).output().unwrap();
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), out, error)
    };
    let counted = "SELECT count(*) AS n, max(id) AS top, sum(cents) AS cents FROM \"Sales, all\" WHERE ok";
    let expected = rows(&db, counted)[0].replace('|', ",");
    for archive in [&moved, &folder.path().join("archive"), &folder.path().to_path_buf()] {
        assert_eq!(query(archive, counted), (Some(0), format!("n,top,cents\n{expected}\n"), String::new()));
        let kept = "SELECT name, n FROM stock GROUP BY name, n HAVING sum(_weight) > 0";
        assert_eq!(query(archive, kept).1, "name,n\nax,58\n");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM stock"), 2);
    let (code, _, error) = query(&moved, "SELECT * FROM stok");
    assert!(code == Some(1) && error.contains("did you mean `stock`?"), "{error}");
    let (code, _, error) = query(elsewhere.path(), "SELECT 1");
    assert!(code.is_some_and(|code| code != 0) && error.contains("no archive in"), "{error}");
    let file = parquet_files_of(&moved).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let (code, out, error) = query(&moved, "SELECT count(*) FROM stock");
    assert!(code == Some(3) && out.is_empty() && error.contains("damaged"), "{error}");
}

fn parquet_files_of(archive: &Path) -> Vec<PathBuf> {
    files(archive).into_iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect()
}
