//! The first 100 of a stream of rows by an i64, 10,000 rows a step: append-only, and with a deletion for each insertion;
//! and the first 10 of each of 1,000 groups, and the first 100 of each, an event a step, where the number is shown (each
//! step reads the group's top) and where it is not (each step moves its end).

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::circuit::{Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::group_top::{Best, GroupTop, Numbering};
use millstream::operators::ordered::Order;
use millstream::operators::row_codec::SortKey;
use millstream::operators::topk::TopK;

const STEP: usize = 10_000;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("x", DataType::Int64, true)]))
}

fn delta(start: usize) -> Delta {
    let rows = start..start + STEP;
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row as i64)));
    let scatter = |row: usize| (row as i64).wrapping_mul(0x1e37_79b9_7f4a_7c15) >> 16;
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.map(scatter)));
    Delta::insert(RecordBatch::try_new(schema(), vec![keys, values]).expect("columns of the schema"))
}

fn tops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topk");
    let order = vec![SortKey { column: 1, descending: true, nulls_first: true }];
    let tick = Tick::default();
    for (name, append_only) in [("append-only", true), ("1M rows, insert and delete", false)] {
        let mut top = TopK::new(schema(), order.clone(), 0, Some(100), append_only).expect("a top-k");
        let mut start = 0;
        if !append_only {
            while start < 1_000_000 {
                top.step(&[&delta(start)], &tick).expect("a step");
                start += STEP;
            }
        }
        group.throughput(Throughput::Elements(if append_only { STEP } else { 2 * STEP } as u64)).sample_size(20);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let new = delta(start);
                    let old = if append_only { None } else { Some(delta(start - 1_000_000).negate()) };
                    start += STEP;
                    Delta::concat(&schema(), [Some(new), old].iter().flatten()).expect("two small deltas")
                },
                |delta| top.step(&[&delta], &tick).expect("a step"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Rows whose first column is one of 1,000 groups.
fn grouped(start: usize) -> Delta {
    let delta = delta(start);
    let groups: ArrayRef =
        Arc::new(Int64Array::from_iter_values((start..start + STEP).map(|row| (row * 7 % 1000) as i64)));
    let columns = vec![groups, delta.column(1).clone()];
    Delta::insert(RecordBatch::try_new(schema(), columns).expect("columns of the schema"))
}

fn tops_of_groups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topk of groups");
    let keys = vec![SortKey { column: 1, descending: true, nulls_first: true }];
    let order = Order { partition: vec![0], keys, ties: Vec::new(), closing: None };
    let best = Best { numbering: Numbering::Row, most: 10, numbered: false };
    for (name, append_only) in [("append-only", true), ("growing", false)] {
        let mut top = GroupTop::new(schema(), schema(), &order, best, append_only, String::new()).expect("a top-k");
        let mut start = 0;
        group.throughput(Throughput::Elements(STEP as u64)).sample_size(20);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    start += STEP;
                    grouped(start)
                },
                |delta| top.step(&[&delta], &Tick::default()).expect("a step"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn one_event_of_a_group(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("first 100 of groups, an event a step");
    let keys = vec![SortKey { column: 1, descending: true, nulls_first: true }];
    let order = Order { partition: vec![0], keys, ties: Vec::new(), closing: None };
    for (name, numbered) in [("numbered", true), ("not numbered", false)] {
        let best = Best { numbering: Numbering::Row, most: 100, numbered };
        let mut fields = schema().fields().to_vec();
        fields.extend(numbered.then(|| Arc::new(Field::new("number", DataType::UInt64, true))));
        let output = Arc::new(Schema::new(fields));
        let mut top = GroupTop::new(schema(), output, &order, best, false, String::new()).expect("a top-k");
        for step in 0..30 {
            top.step(&[&grouped(step * STEP)], &Tick::default()).expect("a step");
        }
        let more = grouped(30 * STEP);
        let mut row = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    row += 1;
                    Delta::insert(more.batch.slice(row % STEP, 1))
                },
                |delta| top.step(&[&delta], &Tick::default()).expect("a step"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, tops, tops_of_groups, one_event_of_a_group);
criterion_main!(benches);
