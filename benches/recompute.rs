//! A view that runs its batch plan again at each step: a window function over 100,000 rows, 1,000 new rows a step.
//!
//! The rows are deleted again, so that every step has the same work.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::Database;

const ROWS: usize = 100_000;
const STEP: usize = 1_000;

fn database() -> Database {
    let db = Database::in_memory().expect("a database in memory");
    for statement in [
        "CREATE TABLE t (id BIGINT PRIMARY KEY, k BIGINT, x BIGINT)",
        "CREATE MATERIALIZED VIEW ranked AS SELECT id, k, rank() OVER (PARTITION BY k ORDER BY x) AS r FROM t",
        &format!("INSERT INTO t SELECT value, value % 1000, value % 1009 FROM generate_series(1, {ROWS})"),
    ] {
        db.execute(statement).expect(statement);
    }
    db
}

fn recompute(criterion: &mut Criterion) {
    let db = database();
    let insert = format!(
        "INSERT INTO t SELECT value, value % 1000, value % 1009 FROM generate_series({}, {})",
        ROWS + 1,
        ROWS + STEP
    );
    let delete = format!("DELETE FROM t WHERE id > {ROWS}");
    let mut group = criterion.benchmark_group("recompute");
    group.throughput(Throughput::Elements(2 * STEP as u64)).sample_size(10);
    group.bench_function("window function over 100k rows", |bencher| {
        bencher.iter(|| {
            db.execute(&insert).expect("new rows");
            db.execute(&delete).expect("rows that were there");
        });
    });
    group.finish();
}

criterion_group!(benches, recompute);
criterion_main!(benches);
