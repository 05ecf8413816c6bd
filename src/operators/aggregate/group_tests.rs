//! Functions over the rows of each group, bits and statistics: in text notation, and against a list of rows.

use std::collections::{BTreeMap, BTreeSet};

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::first_last::{first_value_udaf, last_value_udaf};
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

use super::*;
use crate::delta::rows::RowSet;
use crate::delta::text::parse;
use crate::operators::moments::Statistic;
use crate::operators::testing::{Random, change, contents, schema, step};

fn call(function: Function, args: &[usize]) -> Call {
    Call { function, args: args.to_vec(), filter: None, distinct: false, order: Vec::new() }
}

/// A call of a function of the batch engine over column `x`, which comes second, in the order of some columns.
fn batch(udaf: Arc<AggregateUDF>, input: &Schema, constant: Option<&str>, part: Part, order: &[(usize, bool)]) -> Call {
    let name = udaf.name().to_owned();
    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(input.field(1).name(), 1));
    let constant = constant.map(ScalarValue::from);
    let mut args = vec![column];
    args.extend(constant.iter().map(|value| Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>));
    let aggregate = AggregateExprBuilder::new(udaf, args).schema(Arc::new(input.clone())).alias("v").build().unwrap();
    let arguments = std::iter::once(None).chain(constant.map(Some)).collect();
    let function = Function::Batch(Arc::new(BatchCall::new(name, aggregate, arguments, part, false)));
    let options = |descending| SortOptions { descending, nulls_first: false };
    let order = order.iter().map(|(column, descending)| (*column, options(*descending))).collect();
    Call { order, ..call(function, &[1]) }
}

#[test]
fn rows_of_a_group_are_given_in_order() {
    let input = schema(&[("k", DataType::Utf8), ("x", DataType::Utf8), ("t", DataType::Int64)]);
    let text = DataType::Utf8;
    let output = schema(&[("k", text.clone()), ("all", text.clone()), ("first", text.clone()), ("last", text)]);
    let order = [(2, true), (1, false)];
    let calls = vec![
        batch(string_agg_udaf(), &input, Some("+"), Part::All, &order),
        batch(first_value_udaf(), &input, None, Part::First(1), &order),
        batch(last_value_udaf(), &input, None, Part::Last(1), &order),
    ];
    let mut aggregate = Aggregate::new(input.clone(), vec![0], calls, output, false).unwrap();
    assert_eq!(
        aggregate.to_string(),
        "aggregate by k: string_agg(x, '+' order by t desc, x), first_value(x order by t desc, x), \
         last_value(x order by t desc, x); keeps the rows of each group"
    );
    assert_eq!(
        step(&mut aggregate, &[(&input, "+1 a q 1\n+2 a p 2\n+1 b null 7")]),
        "+1 a p+p+q p q\n+1 b null null null\n"
    );
    let with_rows = aggregate.state().unwrap().bytes;
    // One row goes and another comes in its place; the rows of weight two lose one.
    assert_eq!(step(&mut aggregate, &[(&input, "-1 a p 2\n+1 a r 9\n-1 a q 1")]), "-1 a p+p+q p q\n+1 a r+p r p\n");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 a z 0\n-1 a z 0")]), "");
    assert_eq!(
        step(&mut aggregate, &[(&input, "-1 a p 2\n-1 a r 9\n-1 b null 7")]),
        "-1 a r+p r p\n-1 b null null null\n"
    );
    assert!(aggregate.state().unwrap().bytes < with_rows);
}

#[test]
fn a_function_that_fails_is_reported_and_heals() {
    let input = schema(&[("k", DataType::Int32), ("x", DataType::Int64)]);
    let output = schema(&[("k", DataType::Int32), ("v", DataType::Int64)]);
    let calls = vec![batch(Arc::new(AggregateUDF::from(picky::Picky::new())), &input, None, Part::All, &[])];
    let mut aggregate = Aggregate::new(input.clone(), vec![0], calls, output, false).unwrap();
    assert_eq!(step(&mut aggregate, &[(&input, "+1 1 3\n+2 1 4\n+1 2 1")]), "+1 1 11\n+1 2 1\n");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 1 13")]), "+1 !no thirteen, please: v of the group (1)\n-1 1 11\n");
    assert_eq!(
        step(&mut aggregate, &[(&input, "-1 1 13\n-1 2 1")]),
        "-1 !no thirteen, please: v of the group (1)\n+1 1 11\n-1 2 1\n"
    );
}

/// A sum of a user's own, which fails on one number.
mod picky {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use datafusion::common::Result;
    use datafusion::error::DataFusionError;
    use datafusion::logical_expr::function::AccumulatorArgs;
    use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

    use super::*;

    #[derive(Debug, PartialEq, Eq, Hash)]
    pub struct Picky(Signature);

    impl Picky {
        pub fn new() -> Self {
            Picky(Signature::exact(vec![DataType::Int64], Volatility::Immutable))
        }
    }

    impl AggregateUDFImpl for Picky {
        fn name(&self) -> &str {
            "picky"
        }
        fn signature(&self) -> &Signature {
            &self.0
        }
        fn return_type(&self, _: &[DataType]) -> Result<DataType> {
            Ok(DataType::Int64)
        }
        fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
            Ok(Box::new(Total(0)))
        }
    }

    #[derive(Debug)]
    struct Total(i64);

    impl Accumulator for Total {
        fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
            for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
                if value == 13 {
                    return Err(DataFusionError::Execution("no thirteen, please".into()));
                }
                self.0 += value;
            }
            Ok(())
        }
        fn evaluate(&mut self) -> Result<ScalarValue> {
            Ok(ScalarValue::from(self.0))
        }
        fn size(&self) -> usize {
            size_of::<Self>()
        }
        fn state(&mut self) -> Result<Vec<ScalarValue>> {
            Ok(vec![self.evaluate()?])
        }
        fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
            self.update_batch(states)
        }
    }
}

const COLUMNS: [(&str, DataType); 5] = [
    ("k", DataType::Utf8),
    ("x", DataType::Int64),
    ("t", DataType::Int64),
    ("f", DataType::Float64),
    ("b", DataType::Boolean),
];

fn row(random: &mut Random) -> String {
    let key = random.pick(&["a", "b", "null"]);
    let x = random.pick(&["1", "2", "-5", "12", "null"]);
    let t = random.pick(&["1", "2", "3", "null"]);
    let float = random.pick(&["0.1", "0.25", "-7.5", "1e300", "5e-324", "null"]);
    let flag = random.pick(&["true", "false", "null"]);
    format!("{key} {x} {t} {float} {flag}")
}

/// The same aggregates from the list of rows.
fn recompute(rows: &[String]) -> BTreeSet<String> {
    let mut groups: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for row in rows {
        let values: Vec<&str> = row.split(' ').collect();
        groups.entry(values[0]).or_default().push(values);
    }
    let mut lines = BTreeSet::new();
    for (key, mut rows) in groups {
        let integers = |row: &Vec<&str>, at: usize| row[at].parse::<i64>().ok();
        // By t, the greatest first, then x; NULL last.
        let last = |value: Option<i64>, sign: i64| value.map_or((1, 0), |value| (0, sign * value));
        rows.sort_by_key(|row| (last(integers(row, 2), -1), last(integers(row, 1), 1)));
        let values: Vec<i64> = rows.iter().filter_map(|row| integers(row, 1)).collect();
        let listed = rows.iter().map(|row| row[1]).collect::<Vec<_>>().join(", ");
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let middle = sorted.len() / 2;
        let median = (!sorted.is_empty())
            .then(|| if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2 });
        let flags: Vec<&str> = rows.iter().map(|row| row[4]).filter(|flag| *flag != "null").collect();
        let flag = |value: bool| (!flags.is_empty()).then(|| value.to_string());
        let bits = |combine: fn(i64, i64) -> i64| values.iter().copied().reduce(combine).map(|bits| bits.to_string());
        let unique: BTreeSet<i64> = values.iter().copied().collect();
        let mut moments = crate::operators::moments::Moments::default();
        rows.iter().filter_map(|row| row[3].parse().ok()).for_each(|float| moments.add(float, 1));
        let show = |value: Option<String>| value.unwrap_or("null".into());
        let values = [
            if rows.len() > 1 { format!("\"[{listed}]\"") } else { format!("[{listed}]") },
            rows[0][1].to_owned(),
            show(median.map(|median| median.to_string())),
            show(flag(flags.iter().all(|flag| *flag == "true"))),
            show(flag(flags.contains(&"true"))),
            show(bits(|a, b| a & b)),
            show(bits(|a, b| a | b)),
            show(unique.into_iter().reduce(|a, b| a ^ b).map(|bits| bits.to_string())),
            show(moments.value(Statistic::Variance).map(|value| format!("{value:?}"))),
            show(moments.value(Statistic::DeviationPopulation).map(|value| format!("{value:?}"))),
        ];
        lines.insert(format!("+1 {key} {}", values.join(" ")));
    }
    lines
}

#[test]
fn group_reference() {
    let input = schema(&COLUMNS);
    let order = [(2, true), (1, false)];
    let calls = vec![
        batch(array_agg_udaf(), &input, None, Part::All, &order),
        batch(first_value_udaf(), &input, None, Part::First(1), &order),
        batch(median_udaf(), &input, None, Part::All, &[]),
        call(Function::BoolAnd, &[4]),
        call(Function::BoolOr, &[4]),
        call(Function::BitAnd, &[1]),
        call(Function::BitOr, &[1]),
        Call { distinct: true, ..call(Function::BitXor, &[1]) },
        call(Function::Statistic(Statistic::Variance), &[3]),
        call(Function::Statistic(Statistic::DeviationPopulation), &[3]),
    ];
    let (int, float, flag) = (DataType::Int64, DataType::Float64, DataType::Boolean);
    let list = DataType::new_list(int.clone(), true);
    let types = [&list, &int, &int, &flag, &flag, &int, &int, &int, &float, &float];
    let fields: Vec<_> = std::iter::once(COLUMNS[0].clone()).chain(types.iter().map(|t| ("v", (*t).clone()))).collect();
    let output = schema(&fields);
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let append_only = seed % 4 == 1;
        let mut aggregate = Aggregate::new(input.clone(), vec![0], calls.clone(), output.clone(), append_only).unwrap();
        let (mut bag, mut view) = (Vec::new(), RowSet::new(output.clone(), None, false).unwrap());
        for number in 0..25 {
            let text = change(&mut random, &mut bag, row, append_only);
            let delta = parse(&input, &text).unwrap();
            view.apply(&aggregate.step(&[&delta], &Tick::default()).unwrap()).unwrap();
            let lines: BTreeSet<String> = contents(&mut view).lines().map(Into::into).collect();
            assert_eq!(lines, recompute(&bag), "seed {seed} step {number}");
        }
    }
}
