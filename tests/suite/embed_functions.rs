//! Rust functions that SQL calls, in queries and in views.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use millstream::{Database, Options};

use crate::embed_support::{refused, rows, run, verify};

/// `doubled(n)`: twice the number.
fn doubled(volatility: Volatility) -> ScalarUDF {
    let body = |arguments: &[ColumnarValue]| {
        let numbers = ColumnarValue::values_to_arrays(arguments)?.remove(0);
        let twice: Int64Array = numbers.as_primitive::<Int64Type>().unary(|n| n * 2);
        Ok(ColumnarValue::Array(Arc::new(twice)))
    };
    create_udf("doubled", vec![DataType::Int64], DataType::Int64, volatility, Arc::new(body))
}

#[test]
fn a_function_serves_queries_and_views() {
    let db = Database::in_memory().unwrap();
    run(&db, &["CREATE TABLE t (n BIGINT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)"]);
    assert!(refused(&db, "SELECT doubled(n) FROM t").to_lowercase().contains("doubled"));
    db.register_function(&doubled(Volatility::Immutable)).unwrap();
    assert!(db.functions().contains(&"doubled".to_string()));
    run(&db, &["CREATE MATERIALIZED VIEW v AS SELECT sum(doubled(n)) AS n FROM t", "INSERT INTO t VALUES (10)"]);
    run(&db, &["UPDATE t SET n = doubled(n) + 100 WHERE doubled(n) = 4"]);
    assert_eq!(rows(&db, "SELECT v.n, doubled(v.n) FROM v"), ["230|460"]);
    verify(&db);
    let again = db.register_function(&doubled(Volatility::Immutable)).unwrap_err().to_string();
    assert!(again.contains("there is a function `doubled` already"), "{again}");
    let other = Database::in_memory().unwrap();
    let volatile = other.register_function(&doubled(Volatility::Volatile)).unwrap_err().to_string();
    assert!(volatile.contains("must be immutable"), "{volatile}");
}

#[test]
fn a_view_needs_its_function_when_the_database_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = |functions| Options { path: Some(folder.path().to_path_buf()), functions, ..Options::default() };
    let with = || options(vec![doubled(Volatility::Immutable)]);
    let db = Database::open_with(with()).unwrap();
    run(
        &db,
        &[
            "CREATE STREAM s (n BIGINT)",
            "CREATE MATERIALIZED VIEW twice AS SELECT n, doubled(n) AS m FROM s",
            "CREATE MATERIALIZED VIEW over AS SELECT sum(m) AS m FROM twice",
            "CREATE MATERIALIZED VIEW plain AS SELECT sum(n) AS n FROM s",
            "INSERT INTO s VALUES (1), (2)",
        ],
    );
    db.close().unwrap();

    let db = Database::open(folder.path()).unwrap();
    for view in ["twice", "over"] {
        let error = refused(&db, &format!("SELECT * FROM {view}"));
        assert!(error.contains(view) && error.to_lowercase().contains("doubled"), "{error}");
        assert!(db.snapshot(view).is_err());
        assert!(db.subscribe(view).is_err());
    }
    run(&db, &["INSERT INTO s VALUES (3)"]);
    assert_eq!(rows(&db, "SELECT n, (SELECT count(*) FROM s) FROM plain"), ["6|3"]);
    assert!(db.verify("plain").unwrap());
    db.close().unwrap();

    let db = Database::open_with(with()).unwrap();
    assert_eq!(rows(&db, "SELECT m FROM over"), ["12"]);
    verify(&db);
    db.close().unwrap();

    // Without the function the views can still be dropped.
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["DROP MATERIALIZED VIEW twice CASCADE", "INSERT INTO s VALUES (4)"]);
    assert_eq!(rows(&db, "SELECT n FROM plain"), ["10"]);
    verify(&db);
}

/// `careful(n)`: the number, unless it is 13.
fn careful() -> ScalarUDF {
    let body = |arguments: &[ColumnarValue]| {
        let numbers = ColumnarValue::values_to_arrays(arguments)?.remove(0);
        assert!(!numbers.as_primitive::<Int64Type>().values().contains(&13), "thirteen");
        Ok(ColumnarValue::Array(numbers))
    };
    create_udf("careful", vec![DataType::Int64], DataType::Int64, Volatility::Immutable, Arc::new(body))
}

#[test]
fn a_function_that_panics_stops_what_uses_it_and_nothing_else() {
    let db = Database::in_memory().unwrap();
    db.register_function(&careful()).unwrap();
    run(
        &db,
        &[
            "CREATE TABLE t (n BIGINT PRIMARY KEY)",
            "CREATE MATERIALIZED VIEW plain AS SELECT count(*) AS n FROM t",
            "CREATE MATERIALIZED VIEW hurt AS SELECT careful(n) AS n FROM t",
            "INSERT INTO t VALUES (12), (13)",
        ],
    );
    for statement in [
        "SELECT * FROM hurt",
        "SELECT careful(n) FROM t",
        "SELECT careful(13)",
        "UPDATE t SET n = careful(n)",
        "UPDATE t SET n = careful(13)",
        "DELETE FROM t WHERE careful(n) = 1",
        "INSERT INTO t SELECT careful(n) + 10 FROM t",
        "CREATE MATERIALIZED VIEW never AS SELECT careful(13) AS n",
        "CREATE MATERIALIZED VIEW never AS SELECT careful(n) AS n FROM t",
        "EXPLAIN CREATE MATERIALIZED VIEW never AS SELECT careful(13) AS n FROM t",
    ] {
        let error = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| refused(&db, statement)));
        let error = error.unwrap_or_else(|_| panic!("{statement} panicked"));
        assert!(error.contains("panicked"), "{statement}: {error}");
    }
    run(&db, &["INSERT INTO t VALUES (14)"]);
    assert_eq!(rows(&db, "SELECT n FROM plain"), ["3"]);
    assert!(db.verify("plain").unwrap());
}
