//! GROUP BY an i64 key: count, sum, avg, min and max of an i64, 100,000 rows a step.
//!
//! The groups exist before the clock starts; `avg` reads the column cast to f64, as the planner gives it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::circuit::{Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::aggregate::{Aggregate, Call, Function};

const ROWS: usize = 100_000;

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>()))
}

fn input() -> SchemaRef {
    schema(&[("k", DataType::Int64), ("x", DataType::Int64), ("f", DataType::Float64)])
}

/// Rows with keys from a multiplicative sequence below `groups`.
fn delta(start: usize, rows: usize, groups: usize) -> Delta {
    let scatter = |row: usize| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % groups;
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values((start..start + rows).map(|row| scatter(row) as i64)));
    let values: Vec<i64> = (start..start + rows).map(|row| (row % 1009) as i64).collect();
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(values.iter().map(|v| *v as f64)));
    let columns = vec![keys, Arc::new(Int64Array::from(values)), floats];
    Delta::insert(RecordBatch::try_new(input(), columns).expect("columns of the schema"))
}

fn aggregate(append_only: bool) -> Aggregate {
    let call = |function, args: &[usize]| Call {
        function,
        args: args.to_vec(),
        filter: None,
        distinct: false,
        order: Vec::new(),
    };
    let calls = vec![
        call(Function::Count, &[]),
        call(Function::Sum, &[1]),
        call(Function::Avg, &[2]),
        call(Function::Min, &[1]),
        call(Function::Max, &[1]),
    ];
    let (int, float) = (DataType::Int64, DataType::Float64);
    let output =
        [("k", int.clone()), ("n", int.clone()), ("s", int.clone()), ("a", float), ("l", int.clone()), ("g", int)];
    Aggregate::new(input(), vec![0], calls, schema(&output), append_only).expect("supported calls")
}

fn aggregates(criterion: &mut Criterion) {
    for (name, groups, append_only, rows) in [
        ("1k groups", 1_000, true, ROWS),
        ("1M groups", 1_000_000, true, ROWS),
        ("1k groups, retractable", 1_000, false, ROWS),
        ("1M groups, retractable", 1_000_000, false, ROWS),
        ("1k groups, 1 row a step", 1_000, true, 1),
    ] {
        let mut group = criterion.benchmark_group("aggregate");
        group.throughput(Throughput::Elements(rows as u64)).sample_size(20);
        let mut operator = aggregate(append_only);
        let tick = Tick::default();
        for start in (0..4 * groups).step_by(ROWS) {
            operator.step(&[&delta(start, ROWS, groups)], &tick).expect("a step");
        }
        let mut start = 4 * groups;
        let deltas: Vec<Delta> = (0..16).map(|at| delta(start + at * ROWS, rows, groups)).collect();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    start += 1;
                    &deltas[start % 16]
                },
                |delta| operator.step(&[delta], &tick).expect("a step"),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, aggregates);
criterion_main!(benches);
