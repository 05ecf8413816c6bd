//! Joins of two streams on an i64 key, one match a row, a text payload on each side, 1,000,000 rows a side.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::circuit::{Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::join::{Join, Kind, Spec};

const ROWS: usize = 1_000_000;
const STEP: usize = 100_000;

fn schema(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| match *name {
        "k" | "l" => Field::new(*name, DataType::Int64, true),
        _ => Field::new(*name, DataType::Utf8, true),
    };
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

/// Keys `start ..` in scattered order, the other side's in another one.
fn delta(schema: &SchemaRef, start: usize, stride: usize) -> Delta {
    let rows = start..start + STEP;
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| (row * stride % ROWS) as i64)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.map(|row| format!("payload {row:>12}"))));
    Delta::insert(RecordBatch::try_new(schema.clone(), vec![keys, texts]).expect("columns of the schema"))
}

fn joins(criterion: &mut Criterion) {
    let (left, right) = (schema(&["k", "x"]), schema(&["l", "y"]));
    let steps: Vec<(Delta, Delta)> =
        (0..ROWS).step_by(STEP).map(|start| (delta(&left, start, 7919), delta(&right, start, 104_729))).collect();
    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(2 * ROWS as u64)).sample_size(10);
    for (name, kind, append_only) in [
        ("append-only", Kind::Inner, true),
        ("retractable", Kind::Inner, false),
        ("left", Kind::Left, false),
        ("semi", Kind::Semi, true),
    ] {
        let output = match kind {
            Kind::Semi => left.clone(),
            _ => schema(&["k", "x", "l", "y"]),
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let append_only = (append_only, append_only);
                    let (on, output) = (vec![(0, 0)], output.clone());
                    let spec = Spec {
                        kind,
                        on,
                        nulls_equal: false,
                        condition: None,
                        append_only,
                        closing: (None, None),
                        output,
                    };
                    Join::new(left.clone(), right.clone(), spec).expect("a join")
                },
                |mut join| {
                    let tick = Tick::default();
                    let mut rows = 0;
                    for (l, r) in &steps {
                        let output = join.step(&[l, r], &tick).expect("a step");
                        rows += output.weights.to_vec(output.len()).iter().sum::<i64>();
                    }
                    assert_eq!(rows, ROWS as i64);
                    join
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, joins);
criterion_main!(benches);
