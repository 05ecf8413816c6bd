//! Reading one row of a view by its key: prepared, executed by name, and planned each time.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use millstream::Database;

/// Rows of the view.
const POSTS: i64 = 100_000;

fn database() -> Database {
    let db = Database::in_memory().expect("a database in memory");
    for sql in [
        "CREATE STREAM likes (post BIGINT, who BIGINT)",
        "CREATE MATERIALIZED VIEW counts AS SELECT post, count(*) AS n FROM likes GROUP BY post",
        &format!("INSERT INTO likes SELECT i % {POSTS}, i FROM generate_series(1, {}) AS t(i)", POSTS * 3),
    ] {
        db.execute(sql).expect(sql);
    }
    db
}

/// Keys in no order, the same in every run.
fn keys() -> impl Iterator<Item = i64> {
    (0..).map(|read: i64| read * 7_919 % POSTS)
}

fn lookups(criterion: &mut Criterion) {
    let db = database();
    let mut group = criterion.benchmark_group("lookup");
    let count = db.prepare("SELECT n FROM counts WHERE post = $1").expect("a statement");
    let mut posts = keys();
    group.bench_function("prepared", |bench| {
        bench.iter(|| black_box(count.query(&[posts.next().expect("no end").into()]).expect("a row")));
    });
    let mut session = db.session();
    session.execute("PREPARE count_of AS SELECT n FROM counts WHERE post = $1").expect("a statement");
    group.bench_function("EXECUTE", |bench| {
        bench.iter(|| {
            let post = posts.next().expect("no end");
            black_box(session.execute(&format!("EXECUTE count_of({post})")).expect("a row"))
        });
    });
    group.bench_function("SELECT", |bench| {
        bench.iter(|| {
            let post = posts.next().expect("no end");
            black_box(session.execute(&format!("SELECT n FROM counts WHERE post = {post}")).expect("a row"))
        });
    });
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
