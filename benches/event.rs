//! One event at a time: appended, filtered, projected, aggregated, published and acknowledged, in memory.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::Database;

/// Groups that the view has before the clock starts.
const GROUPS: i64 = 1_000;

fn database() -> Database {
    let db = Database::in_memory().expect("a database in memory");
    db.execute("CREATE STREAM events (k BIGINT, v BIGINT)").expect("a stream");
    let view = "CREATE MATERIALIZED VIEW totals AS
        SELECT k, count(*) AS n, sum(twice) AS total FROM (SELECT k, v * 2 AS twice FROM events WHERE v > 0) GROUP BY k";
    db.execute(view).expect("a view");
    db.append("events", batch(0..GROUPS)).and_then(|t| t.wait()).expect("some groups");
    db
}

fn batch(keys: std::ops::Range<i64>) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Int64, true)]);
    let keys: Vec<i64> = keys.collect();
    let values = Int64Array::from(vec![7; keys.len()]);
    let columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(Int64Array::from(keys)), Arc::new(values)];
    RecordBatch::try_new(Arc::new(schema), columns).expect("two columns")
}

fn events(c: &mut Criterion) {
    let db = database();
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Elements(1));
    let mut key = 0;
    group.bench_function("append to acknowledged", |b| {
        b.iter(|| {
            key = (key + 1) % GROUPS;
            db.append("events", batch(key..key + 1)).and_then(|t| t.wait()).expect("a commit")
        });
    });
    group.bench_function("append and read the view", |b| {
        b.iter(|| {
            key = (key + 1) % GROUPS;
            db.append("events", batch(key..key + 1)).and_then(|t| t.wait()).expect("a commit");
            black_box(db.snapshot("totals").expect("the view"))
        });
    });
    group.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
