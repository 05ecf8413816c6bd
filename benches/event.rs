//! One event at a time through filter, project and aggregate to the view's rows: the work itself, and with the way to
//! the engine's thread and back, in memory.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::logical_expr::Operator as Symbol;
use datafusion::physical_expr::expressions::{binary, col, lit};
use millstream::Database;
use millstream::circuit::{Circuit, Facts, NodeId, NodeSpec, Operator, Outputs, Tick};
use millstream::delta::Delta;
use millstream::delta::rows::RowSet;
use millstream::operators::aggregate::{Aggregate, Call, Function};
use millstream::operators::filter::Filter;
use millstream::operators::project::Project;

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

/// The same view as a circuit of its own: its input, and its last operator.
fn circuit() -> (Circuit, NodeId, NodeId) {
    let schema = batch(0..0).schema();
    let output: SchemaRef = {
        let fields = ["k", "n", "total"].map(|name| Field::new(name, DataType::Int64, true));
        Arc::new(Schema::new(fields.to_vec()))
    };
    let column = |name: &str| col(name, &schema).expect("a column of the schema");
    let compare = |symbol, value: i64| binary(column("v"), symbol, lit(value), &schema).expect("an expression");
    let call = |function, args: &[usize]| Call {
        function,
        args: args.to_vec(),
        filter: None,
        distinct: false,
        order: Vec::new(),
    };
    let calls = vec![call(Function::Count, &[]), call(Function::Sum, &[1])];
    let project = Project::new(schema.clone(), vec![column("k"), compare(Symbol::Multiply, 2)]);
    let operators: [Box<dyn Operator>; 3] = [
        Box::new(Filter::new(schema.clone(), compare(Symbol::Gt, 0))),
        Box::new(project),
        Box::new(Aggregate::new(schema.clone(), vec![0], calls, output, true).expect("an aggregate")),
    ];
    let mut circuit = Circuit::new();
    let input = circuit.input(1, schema, Facts { append_only: true, ..Facts::default() });
    let root = operators.into_iter().fold(input, |below, operator| {
        let (identity, facts) = (operator.to_string(), Facts::default());
        circuit.add(NodeSpec { operator, inputs: vec![below], facts, identity, every_tick: false, skips: false })
    });
    circuit.publish(2, root);
    (circuit, input, root)
}

fn work(c: &mut Criterion) {
    let (mut circuit, input, root) = circuit();
    let mut rows = RowSet::new(circuit.schema(root), None, false).expect("rows that can be kept");
    let mut step = |delta: Delta| {
        let outputs = circuit.step(Outputs::from([(input, delta)]), &Tick::default());
        rows.apply(&outputs[&root]).expect("a change that adds up");
    };
    step(Delta::insert(batch(0..GROUPS)));
    let events: Vec<Delta> = (0..GROUPS).map(|key| Delta::insert(batch(key..key + 1))).collect();
    let mut at = 0;
    c.benchmark_group("event").throughput(Throughput::Elements(1)).bench_function("circuit and rows", |b| {
        b.iter(|| {
            at = (at + 1) % events.len();
            step(events[at].clone());
        });
    });
}

fn events(c: &mut Criterion) {
    let db = database();
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Elements(1));
    let mut key = 0;
    group.bench_function("a thousand on their way", |b| {
        b.iter_custom(|events| {
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
            let started = Instant::now();
            let mut tickets = VecDeque::new();
            for _ in 0..events {
                key = (key + 1) % GROUPS;
                tickets.push_back(db.append("events", batch(key..key + 1)).expect("an open database"));
                if tickets.len() > 1000 {
                    let first = tickets.pop_front().expect("more than one");
                    first.wait().expect("a commit");
                }
            }
            for ticket in tickets {
                ticket.wait().expect("a commit");
            }
            started.elapsed()
        });
    });
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

criterion_group!(benches, work, events);
criterion_main!(benches);
