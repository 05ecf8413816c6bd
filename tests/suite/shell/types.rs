//! Every type that a column can have: in through INSERT, CSV and JSON, out through every format, the archive and back.

use super::Place;

const PLAIN: &str = "id INT PRIMARY KEY, i8 TINYINT, i16 SMALLINT, i64 BIGINT, u8 TINYINT UNSIGNED, u16 SMALLINT UNSIGNED, \
    u32 INT UNSIGNED, u64 BIGINT UNSIGNED, f REAL, d DOUBLE, n DECIMAL(20, 4), s TEXT, b BOOLEAN, day DATE, t TIME, \
    ts TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, x BYTEA";
const NESTED: &str = "iv INTERVAL, l INT[], lt TEXT[], st STRUCT<x INT, y TEXT>";

const PLAIN_NAMES: &str = "id,i8,i16,i64,u8,u16,u32,u64,f,d,n,s,b,day,t,ts,tz,x";
const PLAIN_VALUES: &str = "1, -128, -32768, -9223372036854775808, 255, 65535, 4294967295, 18446744073709551615, 1.5, \
    1e308, 1234567890123456.7891, 'hé \"q\", x', true, '2024-02-29', '23:59:59.123456', \
    '2024-02-29 12:34:56.789012', '2024-02-29T12:34:56+02:00', X'00FF41'";
const NESTED_VALUES: &str = "INTERVAL '1 month 2 days 3 hours', [1, NULL, 3], ['a', 'b,c'], {x: 1, y: 'why'}";

const PLAIN_ROWS: &str = "\
1,-128,-32768,-9223372036854775808,255,65535,4294967295,18446744073709551615,1.5,1e308,1234567890123456.7891,\
\"hé \"\"q\"\", x\",true,2024-02-29,23:59:59.123456,2024-02-29 12:34:56.789012,2024-02-29 10:34:56+00:00,00ff41";

fn setup() -> String {
    format!(
        "CREATE TABLE a ({PLAIN}); INSERT INTO a VALUES ({PLAIN_VALUES}); INSERT INTO a (id) VALUES (2);
         INSERT INTO a (id, f, d) VALUES (3, '-inf', 'NaN'), (4, 0.0, -0.0);
         CREATE TABLE b ({PLAIN}, {NESTED}); INSERT INTO b VALUES ({PLAIN_VALUES}, {NESTED_VALUES}); INSERT INTO b (id) VALUES (2);\n"
    )
}

fn plain() -> String {
    let nulls = |count| ",".repeat(count);
    format!(
        "{PLAIN_NAMES}\n{PLAIN_ROWS}\n2{}\n3{}-inf,NaN{}\n4{}0.0,-0.0{}\n",
        nulls(17),
        nulls(8),
        nulls(8),
        nulls(8),
        nulls(8)
    )
}

#[test]
fn csv_carries_every_plain_type() {
    let place = Place::new();
    let script = format!(
        "{}SELECT * FROM a ORDER BY id;\nCOPY (SELECT * FROM a ORDER BY id) TO 'a.csv';
         CREATE TABLE c ({PLAIN}) WITH (connector = 'file', path = 'a.csv');
         SELECT * FROM c ORDER BY id; SELECT count(*) AS refused FROM system.rejects",
        setup()
    );
    assert_eq!(place.sql(&script).ok(), format!("{0}{0}refused\n0\n", plain()));
}

#[test]
fn json_and_parquet_carry_every_type_that_they_have() {
    let place = Place::new();
    let script = format!(
        "{}COPY (SELECT * FROM b ORDER BY id) TO 'b.json'; COPY (SELECT * EXCLUDE (iv) FROM b ORDER BY id) TO 'b.parquet';
         CREATE TABLE j ({PLAIN}, {NESTED}) WITH (connector = 'file', path = 'b.json');
         CREATE STREAM p WITH (connector = 'file', path = 'b.parquet');
         SELECT count(*) AS refused FROM system.rejects;
         SELECT * FROM b ORDER BY id; SELECT * FROM j ORDER BY id; SELECT * FROM p ORDER BY id; SELECT * EXCLUDE (iv) FROM b ORDER BY id",
        setup()
    );
    let run = place.sql(&script);
    let text = run.ok().strip_prefix("refused\n0\n").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12, "{text}");
    assert_eq!(lines[0], format!("{PLAIN_NAMES},iv,l,lt,st"));
    let nested =
        "1 mon 2 days 03:00:00,\"[1,null,3]\",\"[\"\"a\"\",\"\"b,c\"\"]\",\"{\"\"x\"\":1,\"\"y\"\":\"\"why\"\"}\"";
    assert_eq!(lines[1], format!("{PLAIN_ROWS},{nested}"));
    assert_eq!(lines[3..6], lines[0..3], "json");
    assert_eq!(lines[6..9], lines[9..12], "parquet");
}

#[test]
fn copy_tells_null_from_empty_and_keeps_what_is_no_number() {
    let place = Place::new();
    let rows = "VALUES (1, '', 'NaN'), (2, NULL, '-inf')";
    let script = format!(
        "CREATE TABLE t (id INT PRIMARY KEY, a TEXT, f DOUBLE); INSERT INTO t {rows};
         COPY t TO 't.csv'; COPY t TO 't.ndjson'; COPY (SELECT * FROM t WHERE id > 5) TO 'none.json'; COPY t TO 't.json';
         CREATE TABLE c (id INT, a TEXT, f DOUBLE) WITH (connector = 'file', path = 't.csv');
         CREATE TABLE j (id INT, a TEXT, f DOUBLE) WITH (connector = 'file', path = 't.json');
         SELECT * FROM c EXCEPT SELECT * FROM t; SELECT * FROM j EXCEPT SELECT * FROM t;
         SELECT a IS NULL AS n FROM c ORDER BY id"
    );
    assert_eq!(place.sql(&script).ok(), "id,a,f\nid,a,f\nn\nfalse\ntrue\n");
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    assert_eq!(read("t.csv"), "id,a,f\n1,\"\",NaN\n2,,-inf\n");
    assert_eq!(read("t.ndjson"), "{\"id\":1,\"a\":\"\",\"f\":\"NaN\"}\n{\"id\":2,\"a\":null,\"f\":\"-Infinity\"}\n");
    assert_eq!(read("none.json"), "[]\n");
}

#[test]
fn the_archive_carries_every_type_back() {
    let place = Place::new();
    let read = "SELECT * FROM a ORDER BY id; SELECT * FROM b ORDER BY id; DESCRIBE b";
    let before = place.feed(&["db", "--format", "csv"], format!("{}{read}", setup()).as_bytes()).ok().to_string();
    let again = place.run(&["db", "--format", "csv", "-c", read]);
    assert_eq!(again.ok(), before);
    for line in ["tz,TIMESTAMP WITH TIME ZONE,", "n,\"DECIMAL(20, 4)\",", "l,INTEGER[],", "iv,INTERVAL,"] {
        assert!(before.contains(line), "{line}: {before}");
    }
    let query = format!("SELECT {PLAIN_NAMES} FROM a ORDER BY id");
    assert_eq!(place.run(&["query", "db", &query, "--format", "csv"]).ok(), plain());
    let interval = "SELECT iv, iv + INTERVAL '1 day' AS later FROM b WHERE iv IS NOT NULL";
    let text = "iv,later\n1 mon 2 days 03:00:00,1 mon 3 days 03:00:00\n";
    assert_eq!(place.run(&["query", "db", interval, "--format", "csv"]).ok(), text);
}

#[test]
fn what_a_format_has_no_form_for_is_said() {
    let place = Place::new();
    let run = place.sql(&format!("{}.bail off\nCOPY b TO 'b.csv'; COPY b TO 'b.parquet'; COPY b TO 'b.xyz'", setup()));
    assert_eq!(run.code, 1);
    let errors: Vec<&str> = run.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: COPY: column `l` holds a nested value, which csv has no form for",
            "error: COPY: column `iv` holds an interval, which parquet has no form for",
            "error: COPY: no format `xyz` for 'b.xyz'",
        ]
    );
}

#[test]
fn a_views_column_keeps_its_type() {
    let script = format!(
        "{}CREATE MATERIALIZED VIEW v AS SELECT * FROM b; CREATE MATERIALIZED VIEW g AS SELECT tz, n, x, l, st, iv, count(*) AS c FROM b GROUP BY tz, n, x, l, st, iv;
         SELECT * FROM v EXCEPT ALL SELECT * FROM b; VERIFY v; VERIFY g",
        setup()
    );
    let run = Place::new().sql(&script);
    assert!(run.ok().starts_with(&format!("{PLAIN_NAMES},iv,l,lt,st\nview,")), "{}", run.out);
    assert_eq!(run.out.matches(",ok\n").count(), 2);
}
