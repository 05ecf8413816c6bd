//! Filter, project and union of rows of two i64 and a text, 100,000 rows a step.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::logical_expr::Operator as Symbol;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{binary, col, lit};
use millstream::circuit::{Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::filter::Filter;
use millstream::operators::project::Project;
use millstream::operators::union::UnionAll;

const ROWS: usize = 100_000;

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let fields = vec![field("k", DataType::Int64), field("x", DataType::Int64), field("t", DataType::Utf8)];
    Arc::new(Schema::new(fields))
}

fn delta() -> Delta {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| row % 1009)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("payload {row:>12}"))));
    Delta::insert(RecordBatch::try_new(schema(), vec![keys, values, texts]).expect("columns of the schema"))
}

fn compare(column: &str, symbol: Symbol, value: i64) -> Arc<dyn PhysicalExpr> {
    let column = col(column, &schema()).expect("a column of the schema");
    binary(column, symbol, lit(value), &schema()).expect("an expression over the schema")
}

fn linear(criterion: &mut Criterion) {
    let delta = delta();
    let half = Filter::new(schema(), compare("x", Symbol::Lt, 505));
    let columns: Vec<Arc<dyn PhysicalExpr>> = vec![
        col("k", &schema()).expect("a column of the schema"),
        compare("x", Symbol::Multiply, 2),
        col("t", &schema()).expect("a column of the schema"),
    ];
    let operators: [(&str, Box<dyn Operator>, usize); 3] = [
        ("filter, half of the rows", Box::new(half), 1),
        ("project, one product and two columns", Box::new(Project::new(schema(), columns)), 1),
        ("union of two", Box::new(UnionAll::new(schema())), 2),
    ];
    let mut group = criterion.benchmark_group("linear");
    for (name, mut operator, inputs) in operators {
        group.throughput(Throughput::Elements((inputs * ROWS) as u64)).sample_size(50);
        let inputs = vec![&delta; inputs];
        group.bench_function(name, |bencher| {
            bencher.iter(|| operator.step(&inputs, &Tick::default()).expect("a step"));
        });
    }
    group.finish();
}

criterion_group!(benches, linear);
criterion_main!(benches);
