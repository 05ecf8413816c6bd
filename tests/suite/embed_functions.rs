//! Rust functions that SQL calls, in queries and in views.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, ColumnarValue, ScalarUDF, Volatility, create_udaf, create_udf,
};
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

#[test]
fn a_function_defined_in_sql_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(
        &db,
        &[
            "CREATE FUNCTION half(n BIGINT) RETURNS DOUBLE RETURN n / 2.0",
            "CREATE FUNCTION gone() RETURNS INT RETURN 1",
            "CREATE STREAM s (n BIGINT CHECK (half(n) < 100))",
            "CREATE MATERIALIZED VIEW v AS SELECT sum(half(n)) AS h FROM s",
            "DROP FUNCTION gone",
            "INSERT INTO s VALUES (3)",
        ],
    );
    db.close().unwrap();
    let db = Database::open(folder.path()).unwrap();
    run(&db, &["INSERT INTO s VALUES (4)"]);
    assert_eq!(rows(&db, "SELECT h, half(5) FROM v"), ["3.5|2.5"]);
    assert!(refused(&db, "INSERT INTO s VALUES (200)").contains("is not met"));
    assert!(refused(&db, "SELECT gone()").contains("no function `gone`"));
    assert!(refused(&db, "DROP FUNCTION half").contains("called by view `v`"));
    verify(&db);
    run(&db, &["DROP MATERIALIZED VIEW v", "DROP FUNCTION half"]);
    // The check has the body in it.
    assert!(refused(&db, "INSERT INTO s VALUES (200)").contains("is not met"));
}

/// `product(n)`: all numbers multiplied.
#[derive(Debug)]
struct Product(i64);

impl Accumulator for Product {
    fn update_batch(&mut self, values: &[ArrayRef]) -> datafusion::error::Result<()> {
        self.0 *= values[0].as_primitive::<Int64Type>().iter().flatten().product::<i64>();
        Ok(())
    }

    fn evaluate(&mut self) -> datafusion::error::Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> datafusion::error::Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.0))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> datafusion::error::Result<()> {
        self.update_batch(states)
    }
}

fn product() -> AggregateUDF {
    let number = DataType::Int64;
    let state = Arc::new(vec![number.clone()]);
    let accumulator = Arc::new(|_: AccumulatorArgs<'_>| Ok(Box::new(Product(1)) as Box<dyn Accumulator>));
    create_udaf("product", vec![number.clone()], Arc::new(number), Volatility::Immutable, accumulator, state)
}

#[test]
fn an_aggregate_in_rust_serves_queries_and_views() {
    let folder = tempfile::tempdir().unwrap();
    let options = |aggregates| Options { path: Some(folder.path().to_path_buf()), aggregates, ..Options::default() };
    let db = Database::open_with(options(vec![product()])).unwrap();
    run(
        &db,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, k INT, n BIGINT)",
            "CREATE MATERIALIZED VIEW v AS SELECT k, product(n) AS p FROM t GROUP BY k",
            "INSERT INTO t VALUES (1, 1, 2), (2, 1, 3), (3, 2, 5)",
            "DELETE FROM t WHERE id = 1",
            "UPDATE t SET k = 1 WHERE id = 3",
        ],
    );
    assert_eq!(rows(&db, "SELECT * FROM v"), ["1|15"]);
    assert_eq!(rows(&db, "SELECT product(n) FROM t"), ["15"]);
    verify(&db);
    assert!(db.register_aggregate(&product()).unwrap_err().to_string().contains("there is a function `product`"));
    db.close().unwrap();
    let db = Database::open_with(options(Vec::new())).unwrap();
    assert!(refused(&db, "SELECT * FROM v").contains("product"));
    db.close().unwrap();
    let db = Database::open_with(options(vec![product()])).unwrap();
    run(&db, &["INSERT INTO t VALUES (4, 1, 2)"]);
    assert_eq!(rows(&db, "SELECT * FROM v"), ["1|30"]);
    verify(&db);
}
