//! Window functions over 100,000 rows in 100 partitions: 100 rows a step, somewhere and at the end of their partitions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::common::{Column, DFSchema};
use datafusion::execution::context::ExecutionProps;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::lag;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprFunctionExt};
use datafusion::physical_planner::create_window_expr;
use millstream::circuit::{Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::ordered::Order;
use millstream::operators::row_codec::SortKey;
use millstream::operators::window::{Call, Window};

const ROWS: usize = 100_000;
const STEP: usize = 100;

fn schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
}

/// Rows of one of 100 groups, an order and a value.
fn delta(rows: impl Iterator<Item = usize> + Clone, order: impl Fn(usize) -> i64) -> Delta {
    let column =
        |value: &dyn Fn(usize) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.clone().map(value))) };
    let columns = vec![column(&|row| row as i64 % 100), column(&order), column(&|row| row as i64)];
    Delta::insert(RecordBatch::try_new(schema(&["g", "x", "y"]), columns).expect("columns of the schema"))
}

fn operator(function: Expr) -> Window {
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let by = vec![column("x").sort(true, false)];
    let expr = function.partition_by(vec![column("g")]).order_by(by).build().expect("a window function");
    let Expr::WindowFunction(call) = &expr else { panic!("{expr} is no window function") };
    let input = schema(&["g", "x", "y"]);
    let logical = DFSchema::try_from(input.as_ref().clone()).expect("names differ");
    let context = PhysicalPlanningContext::default();
    let evaluator = create_window_expr(&expr, &logical, &ExecutionProps::new(), &context).expect("an evaluator");
    let call = Call { call: call.as_ref().clone(), expr: evaluator, filter: None };
    let keys = vec![SortKey { column: 1, descending: false, nulls_first: false }];
    let order = Order { partition: vec![0], keys, ties: Vec::new(), closing: None };
    Window::new(input, schema(&["g", "x", "y", "f"]), &order, vec![call], String::new()).expect("a window")
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    let y = || Expr::Column(Column::from_name("y"));
    let sum = || Expr::WindowFunction(Box::new(WindowFunction::new(sum_udaf(), vec![y()])));
    let scatter = |row: usize| (row as i64).wrapping_mul(0x1e37_79b9_7f4a_7c15) >> 16;
    for (name, function, at_end) in [
        ("lag, somewhere", lag(y(), None, None), false),
        ("running sum, somewhere", sum(), false),
        ("running sum, at the end", sum(), true),
    ] {
        let mut window = operator(function);
        let order = move |row: usize| if at_end { row as i64 } else { scatter(row) };
        window.step(&[&delta(0..ROWS, order)], &Tick::default()).expect("a step");
        let mut start = ROWS;
        group.throughput(Throughput::Elements(STEP as u64)).sample_size(20);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    start += STEP;
                    delta(start..start + STEP, order)
                },
                |delta| window.step(&[&delta], &Tick::default()).expect("a step"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
