//! The limit as the program has it: `--memory-limit`, and exit code 4.

use std::process::Command;

/// Runs the program and gives its standard output, its errors and its exit code.
fn program(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_millstream")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[test]
fn queries_past_the_limit_are_refused_and_the_database_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = path.to_str().unwrap();
    let run = |sql: &str| program(&[db, "--memory-limit", "16MB", "--format", "csv", "-c", sql]);
    let made = "CREATE STREAM s (n BIGINT, t TEXT);
        INSERT INTO s SELECT value, 'a text of many letters, number ' || value FROM generate_series(1, 100000);
        CREATE MATERIALIZED VIEW tens AS SELECT n % 10 AS ten, count(*) AS c FROM s GROUP BY 1";
    let (_, errors, code) = run(made);
    assert_eq!((errors.as_str(), code), ("", 0));
    for query in [
        "SELECT a.n, b.t FROM s a CROSS JOIN s b",
        "SELECT a.n, a.t, b.t FROM s a, s b, s c WHERE a.t = b.t AND b.t = c.t ORDER BY a.t, b.n",
        "SELECT n % 3, array_agg(repeat(t, 12)) FROM s GROUP BY 1",
    ] {
        let (_, errors, code) = run(query);
        assert_eq!(code, 4, "{query}: {errors}");
        assert!(
            errors.contains("the memory limit of 16 MB (--memory-limit) is reached: the query asks for"),
            "{errors}"
        );
    }
    let (out, errors, code) = run("SELECT * FROM tens WHERE ten = 3; SELECT count(*) FROM s; VERIFY");
    assert_eq!((errors.as_str(), code), ("", 0));
    assert!(out.contains("3,10000\n") && out.contains("100000\n") && out.contains(",ok"), "{out}");

    let archive = path.join("archive");
    let everything =
        |limit: &str| program(&["query", archive.to_str().unwrap(), "SELECT * FROM s", "--memory-limit", limit]);
    let (_, errors, code) = everything("1MB");
    assert!(code == 4 && errors.contains("the memory limit of 1 MB (--memory-limit) is reached"), "{code} {errors}");
    assert_eq!(everything("256MiB").2, 0);
}
