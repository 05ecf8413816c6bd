//! Texts that no one would write on purpose: each has an answer or an error, soon, and the program lives.

use std::fmt::Write as _;

use super::{Place, Run};

#[track_caller]
pub fn feed(text: impl AsRef<[u8]>) -> Run {
    let run = Place::new().feed(&["--format", "csv"], text.as_ref());
    assert!(!run.err.contains("panicked") && (0..=4).contains(&run.code), "{} {}", run.code, run.err);
    run
}

#[test]
fn chains_and_towers_end_in_a_limit_or_an_answer() {
    let many = 20_000;
    let towers = [
        format!("SELECT 1{}", "+1".repeat(many)),
        format!("SELECT 1 = 1{}", " OR 1 = 1".repeat(many)),
        format!("SELECT {}1{}", "(".repeat(many), ")".repeat(many)),
        format!("SELECT {}1{}", "abs(".repeat(many), ")".repeat(many)),
        format!("SELECT {}true", "NOT ".repeat(many)),
        format!("SELECT {}1", "- ".repeat(many)),
        format!("SELECT {}'1' DAY", "INTERVAL ".repeat(many)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(many)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(many), " END".repeat(many)),
        format!("SELECT {}1{}", "[".repeat(many), "]".repeat(many)),
        format!("SELECT 1{}", "::INT".repeat(many)),
        format!("SELECT x{} FROM (SELECT 1 AS x)", "[1]".repeat(many)),
        format!("CREATE TABLE t (a INT{})", "[]".repeat(many)),
        format!("CREATE TABLE t (a {}INT{})", "ARRAY<".repeat(many), ">".repeat(many)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(many), ")".repeat(many)),
        format!("SELECT * FROM (SELECT 1) t{}", " CROSS JOIN (SELECT 1) u".repeat(many)),
    ];
    for text in &towers {
        let run = feed(text);
        assert_eq!(run.code, 4, "{}...: {}", &text[..40], run.err);
        assert!(run.err.contains("limit"), "{}", run.err);
    }
}

#[test]
fn what_is_wide_but_not_deep_runs() {
    let list = (0..20_000).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(feed(format!("SELECT 19999 IN ({list}) AS found")).ok(), "found\ntrue\n");
    let rows = (0..20_000).map(|i| format!("({i})")).collect::<Vec<_>>().join(",");
    let run = feed(format!("CREATE STREAM s (a INT); INSERT INTO s VALUES {rows}; SELECT sum(a) AS s FROM s"));
    assert_eq!(run.ok(), "s\n199990000\n");
    let sum = format!("SELECT {} AS s", ["1"; 500].join("+"));
    assert_eq!(feed(sum).ok(), "s\n500\n");
    let long = "x".repeat(3_000_000);
    assert_eq!(feed(format!("SELECT length('{long}') AS n")).ok(), "n\n3000000\n");
    let mut view = String::from("CREATE STREAM s (a INT); CREATE MATERIALIZED VIEW v AS SELECT a FROM s WHERE ");
    let terms: Vec<String> = (0..300).map(|i| format!("a = {i}")).collect();
    write!(view, "{}; INSERT INTO s VALUES (299), (300); SELECT * FROM v; VERIFY v", terms.join(" OR ")).unwrap();
    assert!(feed(view).ok().starts_with("a\n299\nview,"), "a view of many terms");
}

#[test]
fn halves_and_bytes() {
    assert_eq!(feed(";;;\n ; -- nothing\n/* nothing */").ok(), "");
    assert_eq!(feed("").ok(), "");
    assert_eq!(feed("SELECT 1 AS a").ok(), "a\n1\n");
    assert_eq!(feed("SELECT 1 AS a;\r\n.mode tsv\r\nSELECT 2 AS b,\r\n 3 AS c;\r\n").ok(), "a\n1\nb\tc\n2\t3\n");
    assert_eq!(feed("\u{feff}SELECT 1 AS a;").ok(), "a\n1\n");
    let run = feed(b"SELECT 1 AS a;\nSELECT '\xff';\n");
    assert_eq!((run.err.as_str(), run.code), ("error: stdin is not UTF-8 at byte 23\n", 1));
    assert!(
        feed("SELECT 1 AS a; SELECT 'abc").err.starts_with("error: Unterminated string literal\n  --> stdin:1:23\n")
    );
    assert!(feed("SELECT (").err.contains("found the end of the statement"));
    assert!(feed("/* never").err.contains("multi-line comment"));
    assert_eq!(feed("SELECT 'a\0b' AS x").ok(), "x\na\0b\n");
    let run = feed("SELECT \0 2");
    assert!(run.err.starts_with("error: expected an expression, found \\0\n"), "{}", run.err);
    let wide = format!("SELECT '{}' AS a, {}, pirce", "é".repeat(10_000), "1 AS b");
    assert!(feed(wide).err.lines().all(|line| line.chars().count() < 250));
}

#[test]
fn any_text_can_be_a_name_and_an_archive_folder() {
    let place = Place::new();
    let names = [
        "a b/c",
        "../../etc/x",
        "q\"u'o",
        "Öñ 日本",
        "ORDERS",
        "orders",
        ".",
        "..",
        "con",
        "select",
        "MANIFEST",
        "manifest",
        "rejects",
        "system",
        "new\nline",
    ];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut script = String::new();
    for (at, name) in names.iter().enumerate() {
        let name = quoted(name);
        writeln!(script, "CREATE STREAM {name} (\"Ä \"\"b\" INT); INSERT INTO {name} VALUES ({at});").unwrap();
        writeln!(script, "CREATE MATERIALIZED VIEW \"v {at}\" AS SELECT \"Ä \"\"b\" + 1 AS \"x y\" FROM {name};")
            .unwrap();
    }
    place.feed(&["db"], script.as_bytes()).ok();
    place.run(&["db", "-c", "VERIFY"]).err.is_empty().then_some(()).unwrap();
    std::fs::rename(place.path().join("db/archive"), place.path().join("copied")).unwrap();
    for (at, name) in names.iter().enumerate() {
        let sql = format!("SELECT \"Ä \"\"b\" AS x FROM {}", quoted(name));
        assert_eq!(place.run(&["query", "copied", &sql, "--format", "csv"]).ok(), format!("x\n{at}\n"), "{name}");
    }
    let run = place.sql("CREATE STREAM \"\" (a INT)");
    assert!(run.err.starts_with("error: a name cannot be empty\n"), "{}", run.err);
}
