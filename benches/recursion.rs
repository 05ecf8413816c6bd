//! Reachability from one node of a random graph of 100,000 edges: the fill, and one edge in and out again.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use millstream::circuit::{Circuit, Facts, NodeSpec, OWN_ROWS, Operator, Tick};
use millstream::delta::Delta;
use millstream::operators::join::{Join, Kind, Spec};
use millstream::operators::project::Project;
use millstream::operators::recursion::{ROUND, ROUNDS_MAX, Recursion, with_round};

const EDGES: usize = 100_000;
const NODES: i64 = 50_000;

fn schema(names: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect::<Vec<_>>()))
}

fn nodes() -> SchemaRef {
    schema(&[("node", DataType::Int64)])
}

fn edges() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

fn batch(schema: SchemaRef, columns: Vec<Vec<i64>>) -> Delta {
    let columns = columns.into_iter().map(|values| Arc::new(Int64Array::from(values)) as ArrayRef).collect();
    Delta::insert(RecordBatch::try_new(schema, columns).expect("columns of the schema"))
}

fn scatter(number: usize) -> i64 {
    (((number as i64).wrapping_mul(0x1e37_79b9_7f4a_7c15) >> 16) & i64::MAX) % NODES
}

/// `SELECT 0 AS node UNION SELECT b FROM rows JOIN edges ON a = node`
fn reach() -> Recursion {
    let mut circuit = Circuit::new();
    let own = circuit.input(OWN_ROWS, with_round(&nodes()), Facts::default());
    let other = circuit.input(1, edges(), Facts::default());
    let columns =
        [("node", DataType::Int64), (ROUND, DataType::UInt32), ("a", DataType::Int64), ("b", DataType::Int64)];
    let spec = Spec {
        kind: Kind::Inner,
        on: vec![(0, 0)],
        nulls_equal: false,
        condition: None,
        append_only: (false, false),
        closing: (None, None),
        output: schema(&columns),
    };
    let join = Join::new(with_round(&nodes()), edges(), spec);
    let mut add = |operator: Box<dyn Operator>, inputs| {
        let identity = operator.to_string();
        circuit.add(NodeSpec { operator, inputs, facts: Facts::default(), identity, every_tick: false, skips: false })
    };
    let joined = add(Box::new(join.expect("a join")), vec![own, other]);
    let column = |name, at| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>;
    let picked = Project::new(with_round(&nodes()), vec![column("b", 3), column(ROUND, 1)]);
    let root = add(Box::new(picked), vec![joined]);
    Recursion::new("reach".into(), nodes(), circuit, root, true, ROUNDS_MAX).expect("a recursion")
}

fn recursions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recursion");
    let tick = Tick::default();
    let base = batch(nodes(), vec![vec![0]]);
    let nothing = Delta::empty(nodes());
    let graph = batch(edges(), vec![(0..EDGES).map(scatter).collect(), (EDGES..2 * EDGES).map(scatter).collect()]);
    group.sample_size(10).bench_function("fill from 100k edges", |bencher| {
        bencher.iter(|| reach().step(&[&base, &graph], &tick).expect("a step"));
    });
    let mut filled = reach();
    filled.step(&[&base, &graph], &tick).expect("a step");
    let mut number = 2 * EDGES;
    group.sample_size(100).bench_function("one edge in, one edge out", |bencher| {
        bencher.iter(|| {
            number += 2;
            let edge = batch(edges(), vec![vec![scatter(number)], vec![scatter(number + 1)]]);
            filled.step(&[&nothing, &edge], &tick).expect("a step");
            filled.step(&[&nothing, &edge.negate()], &tick).expect("a step")
        });
    });
    group.finish();
}

criterion_group!(benches, recursions);
criterion_main!(benches);
