//! `millstream query`: an archive folder, or a copy of it, on its own.

use super::Place;

fn filled() -> Place {
    let place = Place::new();
    let script = "
        CREATE STREAM s (a INT, b TEXT);
        CREATE TABLE t (id INT PRIMARY KEY, n INT);
        INSERT INTO s VALUES (1, 'x'), (2, 'y');
        INSERT INTO t VALUES (1, 10);
        UPDATE t SET n = 20 WHERE id = 1;
        CREATE STREAM gone (a INT); INSERT INTO gone VALUES (7); DROP STREAM gone;";
    place.feed(&["db"], script.as_bytes()).ok();
    place
}

#[test]
fn a_copied_archive_answers_without_the_database() {
    let place = filled();
    std::fs::rename(place.path().join("db/archive"), place.path().join("copy")).unwrap();
    std::fs::remove_dir_all(place.path().join("db")).unwrap();
    let query = |sql: &str| place.run(&["query", "copy", sql, "--format", "csv"]).ok().to_string();
    assert_eq!(query("SELECT a, b, _offset FROM s ORDER BY a"), "a,b,_offset\n1,x,3\n2,y,3\n");
    assert_eq!(
        query("SELECT id, n, _weight FROM t ORDER BY _offset, _weight"),
        "id,n,_weight\n1,10,1\n1,10,-1\n1,20,1\n"
    );
    assert_eq!(query("SELECT sum(n * _weight) AS now FROM t"), "now\n20\n");
    assert_eq!(query("SHOW TABLES"), "name\ns\nt\n");
    assert!(query("DESCRIBE t").starts_with("column,type\nid,INTEGER\nn,INTEGER\n_offset,BIGINT\n"));
    assert_eq!(
        query(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 2"
        ),
        "table_schema,table_name\npublic,s\npublic,t\n"
    );
}

#[test]
fn its_errors_name_the_place() {
    let place = filled();
    let query = |sql: &str| {
        let run = place.run(&["query", "db/archive", sql]);
        (run.err, run.code)
    };
    let (error, code) = query("SELECT c FROM s");
    assert_eq!(code, 1);
    assert!(error.contains("no column `c`\n  --> SQL:1:8\n   |\n 1 | SELECT c FROM s\n   |        ^\n"), "{error}");
    let (error, code) = query("SELECT * FROM st");
    assert!(code == 1 && error.ends_with("hint: did you mean `s`?\n"), "{error}");
    assert_eq!(query("DROP TABLE t").1, 1);
    assert_eq!(query("SELECT 1; SELECT 2").1, 1);
    let run = place.run(&["query", "nowhere", "SELECT 1"]);
    assert_eq!(run.code, 3);
    assert!(run.err.starts_with("error: no archive in nowhere: there is no nowhere/MANIFEST\n"), "{}", run.err);
}

#[test]
fn a_changed_file_is_refused() {
    let place = filled();
    let folder = place.path().join("db/archive/s");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let run = place.run(&["query", "db/archive", "SELECT a FROM s"]);
    assert_eq!((run.out.as_str(), run.code), ("", 3), "{}", run.err);
    assert!(run.err.contains("damaged at byte"), "{}", run.err);
}
