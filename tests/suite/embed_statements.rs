//! Statements that change rows: transactions, constraints, and every form of INSERT, UPDATE and DELETE.

use millstream::Database;

use crate::embed_support::{done, refused, rows, run, text, verify};

fn shop() -> Database {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE STREAM sales (item TEXT NOT NULL, price BIGINT CHECK (price >= 0))",
            "CREATE TABLE stock (item TEXT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 10, CONSTRAINT some CHECK (n >= 0))",
            "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS items, sum(n) AS n FROM stock",
            "CREATE MATERIALIZED VIEW income AS SELECT coalesce(sum(price), 0) AS n FROM sales",
            "INSERT INTO stock VALUES ('ax', 1), ('bolt', 20), ('chisel', 3)",
        ],
    );
    db
}

fn stock(db: &Database) -> String {
    rows(db, "SELECT item, n FROM stock ORDER BY item").join(" ")
}

#[test]
fn a_transaction_sees_its_own_changes_and_nobody_else_does() {
    let db = shop();
    let mut session = db.session();
    done(&mut session, "BEGIN");
    done(&mut session, "INSERT INTO stock VALUES ('drill', 4)");
    done(&mut session, "UPDATE stock SET n = n - 1 WHERE item IN ('drill', 'bolt')");
    done(&mut session, "DELETE FROM stock WHERE item = 'ax'");
    done(&mut session, "INSERT INTO stock SELECT 'copy of ' || item, n FROM stock WHERE n < 5");
    let millstream::Outcome::Rows(seen) = session.execute("SELECT item, n FROM stock ORDER BY item").unwrap() else {
        panic!("no rows")
    };
    let after = ["bolt|19", "chisel|3", "copy of chisel|3", "copy of drill|3", "drill|3"];
    assert_eq!(text(&seen.batches), after);
    assert_eq!(stock(&db), "ax|1 bolt|20 chisel|3");
    assert_eq!(rows(&db, "SELECT * FROM total"), ["3|24"]);
    let (before, _) = db.snapshot("total").unwrap();
    done(&mut session, "COMMIT");
    assert_eq!(stock(&db), after.join(" "));
    let (offset, total) = db.snapshot("total").unwrap();
    assert_eq!((offset, text(&total.batches)), (before + 1, vec!["5|31".to_string()]), "one commit");
    verify(&db);
}

#[test]
fn a_rollback_leaves_nothing() {
    let db = shop();
    let (before, _) = db.snapshot("total").unwrap();
    let mut session = db.session();
    done(&mut session, "BEGIN");
    done(&mut session, "DELETE FROM stock");
    done(&mut session, "INSERT INTO sales VALUES ('ax', 5)");
    done(&mut session, "ROLLBACK");
    assert!(session.execute("COMMIT").unwrap_err().to_string().contains("no transaction is open"));
    // Nor does one whose session is dropped.
    done(&mut session, "BEGIN");
    done(&mut session, "DELETE FROM stock");
    drop(session);
    let (after, total) = db.snapshot("total").unwrap();
    assert_eq!((after, text(&total.batches)), (before, vec!["3|24".to_string()]));
}

#[test]
fn a_commit_over_what_others_changed_is_refused() {
    let db = shop();
    let (mut first, mut second) = (db.session(), db.session());
    for session in [&mut first, &mut second] {
        done(session, "BEGIN");
        done(session, "UPDATE stock SET n = n - 1 WHERE item = 'ax'");
    }
    done(&mut first, "COMMIT");
    let error = second.execute("COMMIT").unwrap_err().to_string();
    assert!(error.contains("`stock` was changed by another commit") && error.contains("again"), "{error}");
    assert_eq!(stock(&db), "ax|0 bolt|20 chisel|3");
    // What only adds does not depend on what was there.
    done(&mut second, "BEGIN");
    done(&mut second, "INSERT INTO stock VALUES ('drill', 1)");
    run(&db, &["INSERT INTO stock VALUES ('ax', 7)"]);
    done(&mut second, "COMMIT");
    assert_eq!(stock(&db), "ax|7 bolt|20 chisel|3 drill|1");
    verify(&db);
}

#[test]
fn after_a_failed_statement_there_is_nothing_but_rollback() {
    let db = shop();
    let before = stock(&db);
    for wrong in [
        "INSERT INTO stock VALUES ('eraser', 1), ('file', -1)",
        "UPDATE stock SET n = n - 2",
        "UPDATE stock SET item = 'same'",
        "SELECT nothing FROM stock",
        "SELEC * FROM stock",
        "CREATE STREAM other (n BIGINT)",
        "BEGIN",
    ] {
        for end in ["COMMIT", "ROLLBACK"] {
            let mut session = db.session();
            done(&mut session, "BEGIN");
            done(&mut session, "INSERT INTO stock VALUES ('drill', 4)");
            assert!(session.execute(wrong).is_err(), "{wrong}");
            for next in ["INSERT INTO stock VALUES ('saw', 4)", "SELECT * FROM stock", "BEGIN"] {
                assert!(session.execute(next).unwrap_err().to_string().contains("aborted"), "{wrong}; {next}");
            }
            assert_eq!(session.execute(end).is_err(), end == "COMMIT", "{wrong}; {end}");
            assert!(!session.in_transaction());
            done(&mut session, "INSERT INTO stock VALUES ('saw', 1)");
            done(&mut session, "DELETE FROM stock WHERE item = 'saw'");
            assert_eq!(stock(&db), before, "{wrong}; {end}");
        }
    }
    verify(&db);
}

#[test]
fn broken_constraints_leave_nothing_behind() {
    let db = shop();
    let (before, _) = db.snapshot("total").unwrap();
    for (wrong, says) in [
        ("INSERT INTO sales VALUES ('ax', 1), ('bolt', -1)", "price"),
        ("INSERT INTO sales VALUES ('ax', 1), (NULL, 2)", "item"),
        ("INSERT INTO sales (price) VALUES (1)", "item"),
        ("INSERT INTO stock VALUES ('new', 1), ('old', -2)", "some"),
        ("INSERT INTO stock VALUES ('new', 1), (NULL, 2)", "item"),
        ("INSERT INTO stock VALUES ('new', NULL)", "n"),
        ("UPDATE stock SET n = n - 2", "some"),
        ("UPDATE stock SET n = NULL WHERE item = 'ax'", "n"),
        ("UPDATE stock SET item = 'bolt' WHERE item = 'ax'", "primary key"),
        ("UPDATE stock SET n = 1 / (n - 3)", "zero"),
        ("UPDATE sales SET price = 1", "stream"),
        ("DELETE FROM sales", "stream"),
        ("DELETE FROM total", "its query alone"),
        ("INSERT INTO stock VALUES ('x', 'y')", ""),
        ("INSERT INTO stock VALUES ('x', 1, 2)", ""),
        ("INSERT INTO stock (item, nn) VALUES ('x', 1)", "nn"),
        ("UPDATE stock SET nn = 1", "nn"),
        ("DELETE FROM stock WHERE nn = 1", "nn"),
        ("DELETE FROM stok", "did you mean `stock`"),
    ] {
        let error = refused(&db, wrong);
        assert!(error.contains(says), "{wrong}: {error}");
        assert!(!error.contains("internal"), "{wrong}: {error}");
    }
    assert_eq!(stock(&db), "ax|1 bolt|20 chisel|3");
    assert_eq!(rows(&db, "SELECT count(*) FROM sales"), ["0"]);
    assert_eq!(db.snapshot("total").unwrap().0, before, "nothing was committed");
    verify(&db);
}

#[test]
fn an_inserted_row_takes_the_place_of_the_one_with_its_key() {
    let db = shop();
    run(&db, &["INSERT INTO stock VALUES ('ax', 5), ('ax', 6), ('new', 1)"]);
    assert_eq!(stock(&db), "ax|6 bolt|20 chisel|3 new|1");
    run(&db, &["INSERT INTO stock (item) VALUES ('bolt'), ('new')"]);
    assert_eq!(stock(&db), "ax|6 bolt|10 chisel|3 new|10");
    // What changes nothing is no commit.
    let (before, _) = db.snapshot("total").unwrap();
    run(&db, &["INSERT INTO stock VALUES ('ax', 6)", "UPDATE stock SET n = n", "DELETE FROM stock WHERE n > 99"]);
    assert_eq!(db.snapshot("total").unwrap().0, before);
    verify(&db);
}

#[test]
fn updates_and_deletes_take_every_form() {
    let db = shop();
    run(&db, &["CREATE TABLE prices (item TEXT PRIMARY KEY, price BIGINT)"]);
    run(&db, &["INSERT INTO prices VALUES ('ax', 100), ('bolt', 2), ('none', 0)"]);
    let value = "(SELECT price FROM prices p WHERE p.item = stock.item)";
    run(&db, &[&format!("UPDATE stock SET n = {value} WHERE item IN (SELECT item FROM prices)")]);
    assert_eq!(stock(&db), "ax|100 bolt|2 chisel|3");
    run(&db, &["UPDATE stock SET n = n + 1, item = upper(item) WHERE n < (SELECT avg(price) FROM prices)"]);
    assert_eq!(stock(&db), "BOLT|3 CHISEL|4 ax|100");
    // Keys change places in one statement.
    run(&db, &["UPDATE stock SET item = CASE item WHEN 'ax' THEN 'BOLT' WHEN 'BOLT' THEN 'ax' ELSE item END"]);
    assert_eq!(stock(&db), "BOLT|100 CHISEL|4 ax|3");
    run(&db, &["UPDATE stock AS s SET n = s.n * 2 WHERE s.item = 'ax'"]);
    assert_eq!(stock(&db), "BOLT|100 CHISEL|4 ax|6");
    run(&db, &["DELETE FROM stock WHERE item IN (SELECT upper(item) FROM prices)"]);
    assert_eq!(stock(&db), "CHISEL|4 ax|6");
    run(&db, &["DELETE FROM stock WHERE EXISTS (SELECT 1 FROM prices p WHERE p.item = stock.item)"]);
    assert_eq!(stock(&db), "CHISEL|4");
    run(&db, &["DELETE FROM stock"]);
    assert_eq!(rows(&db, "SELECT * FROM total"), ["0|NULL"]);
    verify(&db);
}

#[test]
fn a_table_without_a_key_keeps_equal_rows() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &["CREATE TABLE t (n BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT n, count(*) AS times FROM t GROUP BY n"],
    );
    run(&db, &["INSERT INTO t VALUES (1), (1), (2), (NULL), (NULL)", "UPDATE t SET n = 2 WHERE n = 1"]);
    assert_eq!(rows(&db, "SELECT * FROM v ORDER BY n"), ["2|3", "NULL|2"]);
    run(&db, &["DELETE FROM t WHERE n IS NULL", "INSERT INTO t SELECT n + 1 FROM t"]);
    assert_eq!(rows(&db, "SELECT * FROM v ORDER BY n"), ["2|3", "3|3"]);
    verify(&db);
}

#[test]
fn what_is_inserted_may_come_from_the_same_place() {
    let db = shop();
    run(
        &db,
        &["INSERT INTO stock SELECT item || '2', n FROM stock", "INSERT INTO stock SELECT item, n + 1 FROM stock"],
    );
    assert_eq!(stock(&db), "ax|2 ax2|2 bolt|21 bolt2|21 chisel|4 chisel2|4");
    run(&db, &["INSERT INTO sales VALUES ('ax', 1)"]);
    for _ in 0..5 {
        run(&db, &["INSERT INTO sales SELECT item, price FROM sales"]);
    }
    assert_eq!(rows(&db, "SELECT n, (SELECT count(*) FROM sales) FROM income"), ["32|32"]);
    verify(&db);
}
