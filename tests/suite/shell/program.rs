//! Arguments, order, formats, exit codes.

use super::Place;

#[test]
fn exit_codes_tell_what_kind_of_error_it_was() {
    let place = Place::new();
    let code = |arguments: &[&str]| place.run(arguments).code;
    assert_eq!(code(&["-c", "SELECT 1"]), 0);
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["--version"]), 0);
    assert_eq!(code(&["run", "--help"]), 0);
    assert_eq!(code(&["query", "--help"]), 0);
    assert_eq!(code(&["-c", "SELECT x"]), 1);
    assert_eq!(code(&["-c", ".mode xml"]), 1);
    assert_eq!(code(&["--format", "xml"]), 2);
    assert_eq!(code(&["run"]), 2);
    assert_eq!(code(&["--readonly", "-c", "SELECT 1"]), 2);
    assert_eq!(code(&["-f", "missing.sql"]), 3);
    assert_eq!(code(&["--readonly", "missing", "-c", "SELECT 1"]), 3);
    assert_eq!(code(&["query", "missing", "SELECT 1"]), 3);
    assert_eq!(code(&["-c", "CREATE STREAM s WITH (connector = 'file', path = 'missing.csv')"]), 3);
    assert_eq!(code(&["-c", &format!("SELECT 1{}", "+1".repeat(2_000))]), 4);
}

#[test]
fn scripts_run_in_the_order_given_and_stop_at_the_first_error() {
    let place = Place::new();
    place.write("b.sql", "SELECT 2 AS b;");
    let run = place.run(&["--format", "csv", "-c", "SELECT 1 AS a", "-f", "b.sql", "-c", "SELECT 3 AS c"]);
    assert_eq!(run.ok(), "a\n1\nb\n2\nc\n3\n");
    let run = place.run(&["--format", "csv", "-c", "SELECT 1 AS a; SELECT x; SELECT 2 AS b", "-f", "b.sql"]);
    assert_eq!((run.out.as_str(), run.code), ("a\n1\n", 1));
    assert!(run.err.starts_with("error: no column `x`\n  --> -c:1:23\n"), "{}", run.err);
}

#[test]
fn with_bail_off_the_next_statement_runs_and_print_tells_results_apart() {
    let run = Place::new().sql(".bail off\nSELECT x;\n.print one two\nSELECT 1 AS a;\n.print\n.nope\nSELECT 2 AS b\n");
    assert_eq!((run.out.as_str(), run.code), ("one two\na\n1\n\nb\n2\n", 1));
    assert_eq!(run.err.matches("error: ").count(), 2, "{}", run.err);
}

#[test]
fn every_format_shows_the_rows() {
    let place = Place::new();
    let sql = "SELECT * FROM (VALUES (1, 'a,\"b\"'), (NULL, 'é|')) AS t (x, y) ORDER BY x";
    let show = |format| place.run(&["--format", format, "-c", sql]).ok().to_string();
    assert_eq!(show("csv"), "x,y\n1,\"a,\"\"b\"\"\"\n,é|\n");
    assert_eq!(show("tsv"), "x\ty\n1\ta,\"b\"\n\té|\n");
    assert_eq!(show("json"), "[{\"x\":1,\"y\":\"a,\\\"b\\\"\"},\n{\"x\":null,\"y\":\"é|\"}]\n");
    assert_eq!(show("ndjson"), "{\"x\":1,\"y\":\"a,\\\"b\\\"\"}\n{\"x\":null,\"y\":\"é|\"}\n");
    assert_eq!(show("line"), "x = 1\ny = a,\"b\"\n\nx = NULL\ny = é|\n");
    assert!(show("markdown").contains("| NULL | é\\| |"), "{}", show("markdown"));
    assert!(show("table").ends_with("│ NULL │ é|    │\n└──────┴───────┘\n(2 rows)\n"), "{}", show("table"));
    let run = place.run(&["--format", "csv", "--nullvalue", "-", "-c", sql]);
    assert_eq!(run.ok(), "x,y\n1,\"a,\"\"b\"\"\"\n-,é|\n");
}

#[test]
fn dot_commands_change_what_follows() {
    let place = Place::new();
    place.write("more.sql", "SELECT 3 AS c;");
    let script = "\
.mode csv
CREATE TABLE t (a INT PRIMARY KEY);
.tables
.schema t
.output out.csv
SELECT 1 AS a;
.output
.nullvalue nix
SELECT NULL AS b;
.read more.sql
.mode
.quit
SELECT 4;
";
    let run = place.feed(&[], script.as_bytes());
    assert_eq!(run.ok(), "name,kind\nt,table\nCREATE TABLE t (a INT PRIMARY KEY);\nb\nnix\nc\n3\ncsv\n");
    assert_eq!(place.read("out.csv"), "a\n1\n");
}

#[test]
fn changes_of_a_subscribed_view_come_in_order() {
    let run = Place::new().sql(
        "CREATE STREAM s (k TEXT, x INT);
         INSERT INTO s VALUES ('a', 1);
         CREATE MATERIALIZED VIEW v AS SELECT k, sum(x) AS total FROM s GROUP BY k;
         SUBSCRIBE v;
         INSERT INTO s VALUES ('a', 2);
         .print here
         INSERT INTO s VALUES ('b', 5);",
    );
    assert_eq!(
        run.ok().lines().filter(|l| !l.starts_with("_offset")).collect::<Vec<_>>(),
        ["3,1,a,1", "4,-1,a,1", "4,1,a,3", "here", "5,1,b,5"]
    );
}

#[test]
fn finite_sources_are_waited_for_and_read_once() {
    let place = Place::new();
    let rows: String = (0..20_000).map(|i| format!("{i},{}\n", i % 7)).collect();
    place.write("in.csv", format!("id,k\n{rows}"));
    let script = "
        CREATE STREAM s WITH (connector = 'file', path = 'in.csv');
        CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM s GROUP BY k;
        SELECT count(*) AS n, sum(n) AS rows FROM v;";
    place.write("a.sql", script);
    place.write("b.sql", "SELECT max(id) AS last FROM s;");
    let run = place.run(&["run", "a.sql", "b.sql", "--db", "db", "--format", "csv"]);
    assert_eq!(run.ok(), "n,rows\n7,20000\nlast\n19999\n");
    // Also when nothing but the declaration runs, the program ends when the file has.
    let declared = place.run(&["db2", "-c", "CREATE STREAM s WITH (connector = 'file', path = 'in.csv')"]);
    assert_eq!(declared.ok(), "");
    for database in ["db", "db2"] {
        for _ in 0..2 {
            let again = place.run(&[database, "--format", "csv", "-c", "SELECT count(*) AS n FROM s; VERIFY"]);
            assert!(again.ok().starts_with("n\n20000\n"), "{}", again.out);
        }
    }
    let memory = place.run(&["run", "a.sql", "--format", "csv"]);
    assert_eq!(memory.ok(), "n,rows\n7,20000\n");
}

#[test]
fn durability_is_chosen_and_what_was_committed_is_there_again() {
    let place = Place::new();
    for mode in ["always", "group", "os"] {
        let write = "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1), (2); UPDATE t SET a = 3 WHERE a = 2";
        place.run(&[mode, "--durability", mode, "-c", write]).ok();
        let run = place.run(&[mode, "--readonly", "--format", "csv", "-c", "SELECT a FROM t ORDER BY a"]);
        assert_eq!(run.ok(), "a\n1\n3\n");
    }
    let run = place.run(&["always", "--readonly", "-c", "INSERT INTO t VALUES (9)"]);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("error: the database was opened for reading only\n"), "{}", run.err);
}

#[test]
fn one_program_writes_and_others_read_beside_it() {
    let place = Place::new();
    // Within the first program's script, `.output` stands for being alive: it holds the lock until its input ends.
    let mut holder = std::process::Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["db", "--format", "csv"])
        .current_dir(place.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"CREATE STREAM s (a INT); INSERT INTO s VALUES (1);\n.print ready\n")
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    let second = place.run(&["db", "-c", "SELECT 1"]);
    assert_eq!(second.code, 3);
    assert!(second.err.contains("another process is writing to it; open it with --readonly"), "{}", second.err);
    let reader = place.run(&["db", "--readonly", "--format", "csv", "-c", "SELECT a FROM s"]);
    assert_eq!(reader.ok(), "a\n1\n");
    drop(input);
    assert!(holder.wait().unwrap().success());
    place.run(&["db", "-c", "INSERT INTO s VALUES (2)"]).ok();
}
