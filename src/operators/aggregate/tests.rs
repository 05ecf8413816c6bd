//! Aggregates in text notation, and against a recomputation from the rows.

use std::collections::{BTreeMap, BTreeSet};

use arrow::compute;
use arrow::datatypes::TimeUnit;

use super::*;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};
use crate::operators::exact::ExactSum;
use crate::operators::testing::{Random, change, contents, schema, step};

fn call(function: Function, args: &[usize]) -> Call {
    Call { function, args: args.to_vec(), filter: None, distinct: false, order: Vec::new() }
}

fn distinct(function: Function, args: &[usize]) -> Call {
    Call { distinct: true, ..call(function, args) }
}

#[test]
fn groups_come_change_and_go() {
    let input = schema(&[("k", DataType::Utf8), ("x", DataType::Int64)]);
    let output = schema(&[("k", DataType::Utf8), ("n", DataType::Int64), ("s", DataType::Int64)]);
    let calls = vec![call(Function::Count, &[]), call(Function::Sum, &[1])];
    let mut aggregate = Aggregate::new(input.clone(), vec![0], calls, output, false).unwrap();
    assert_eq!(aggregate.to_string(), "aggregate by k: count(*), sum(x)");
    assert_eq!(step(&mut aggregate, &[(&input, "")]), "");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 a 1\n+2 a 5\n+1 null null")]), "+1 a 3 11\n+1 null 1 null\n");
    assert_eq!(step(&mut aggregate, &[(&input, "-1 a 1\n+1 a 1\n+1 b 7\n-1 b 7")]), "");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 !bad\n+1 b 7\n-1 b 7")]), "+1 !bad\n");
    assert_eq!(step(&mut aggregate, &[(&input, "-2 a 5\n+1 a 0")]), "+1 a 2 1\n-1 a 3 11\n");
    assert_eq!(step(&mut aggregate, &[(&input, "-1 a 0\n-1 a 1\n+1 c 9")]), "-1 a 2 1\n+1 c 1 9\n");
    assert_eq!(aggregate.state().unwrap().rows, 2);
    let delta = parse(&input, "-2 c 9").unwrap();
    let error = aggregate.step(&[&delta], &Tick::default()).unwrap_err();
    assert!(error.to_string().ends_with("group (c) has -1 rows"), "{error}");
}

#[test]
fn without_keys_there_is_one_row_from_the_start() {
    let input = schema(&[("x", DataType::Int64), ("f", DataType::Boolean)]);
    let output = schema(&[("n", DataType::Int64), ("m", DataType::Int64)]);
    let calls = vec![call(Function::Count, &[]), Call { filter: Some(1), ..call(Function::Max, &[0]) }];
    let mut aggregate = Aggregate::new(input.clone(), vec![], calls, output, false).unwrap();
    assert_eq!(step(&mut aggregate, &[(&input, "")]), "+1 0 null\n");
    assert_eq!(step(&mut aggregate, &[(&input, "")]), "");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 5 true\n+1 9 false\n+1 8 null")]), "-1 0 null\n+1 3 5\n");
    assert_eq!(step(&mut aggregate, &[(&input, "-1 5 true\n-1 9 false\n-1 8 null")]), "+1 0 null\n-1 3 5\n");
}

#[test]
fn no_calls_is_distinct_and_folds_the_sign_of_zero() {
    let input = schema(&[("x", DataType::Float64)]);
    let mut aggregate = Aggregate::new(input.clone(), vec![0], vec![], input.clone(), false).unwrap();
    assert_eq!(aggregate.to_string(), "distinct by x");
    assert_eq!(step(&mut aggregate, &[(&input, "+1 -0\n+1 0\n+1 NaN\n+3 1")]), "+1 0.0\n+1 1.0\n+1 NaN\n");
    assert_eq!(step(&mut aggregate, &[(&input, "-1 0\n-3 1")]), "-1 1.0\n");
}

#[test]
fn a_failing_average_is_reported_and_heals() {
    let decimal = |p, s| DataType::Decimal128(p, s);
    let input = schema(&[("k", DataType::Int32), ("d", decimal(38, 0))]);
    let output = schema(&[("k", DataType::Int32), ("a", decimal(38, 4))]);
    let mut aggregate = Aggregate::new(input.clone(), vec![0], vec![call(Function::Avg, &[1])], output, false).unwrap();
    assert_eq!(step(&mut aggregate, &[(&input, "+1 1 3\n+1 1 4\n+1 2 1")]), "+1 1 3.5000\n+1 2 1.0000\n");
    let large = "99999999999999999999999999999999999999";
    assert_eq!(
        step(&mut aggregate, &[(&input, &format!("+1 1 {large}"))]),
        "+1 !overflow: avg() is out of the range of DECIMAL(38, 4): a of the group (1)\n-1 1 3.5000\n"
    );
    assert_eq!(step(&mut aggregate, &[(&input, &format!("+1 1 {large}"))]), "");
    assert_eq!(
        step(&mut aggregate, &[(&input, &format!("-2 1 {large}"))]),
        "-1 !overflow: avg() is out of the range of DECIMAL(38, 4): a of the group (1)\n+1 1 3.5000\n"
    );
}

#[test]
fn every_scalar_type_has_its_extremes() {
    let types = [
        (DataType::Int8, "-3", "4"),
        (DataType::UInt64, "0", "18446744073709551615"),
        (DataType::Float32, "-0.0", "0.0"),
        (DataType::Float64, "-inf", "NaN"),
        (DataType::Boolean, "false", "true"),
        (DataType::Utf8, "", "é"),
        (DataType::LargeUtf8, "a", "b"),
        (DataType::Utf8View, "a rather long text", "a rather long text, and more"),
        (DataType::Date32, "1999-01-01", "2026-01-01"),
        (DataType::Timestamp(TimeUnit::Microsecond, None), "1999-01-01T00:00:00", "2026-01-01T00:00:00"),
        (DataType::Decimal256(50, 2), "-1.00", "1.00"),
    ];
    for (data_type, least, greatest) in types {
        let input = schema(&[("x", data_type.clone())]);
        let output = schema(&[("min", data_type.clone()), ("max", data_type.clone())]);
        let calls = vec![call(Function::Min, &[0]), call(Function::Max, &[0])];
        for append_only in [true, false] {
            let mut aggregate =
                Aggregate::new(input.clone(), vec![], calls.clone(), output.clone(), append_only).unwrap();
            let text = format!("+1 \"{greatest}\"\n+2 null\n+1 \"{least}\"\n+3 \"{greatest}\"");
            let row = aggregate.step(&[&parse(&input, &text).unwrap()], &Tick::default()).unwrap();
            let expected = parse(&output, &format!("+1 \"{least}\" \"{greatest}\"")).unwrap();
            assert_eq!(print(&row).unwrap(), print(&expected).unwrap(), "{data_type}");
        }
    }
    assert!(!Aggregate::supports(&Function::Min, &[DataType::new_list(DataType::Int8, true)], &DataType::Int8, false));
    assert!(!Aggregate::supports(&Function::Sum, &[DataType::Utf8], &DataType::Utf8, false));
    assert!(!Aggregate::supports(&Function::Count, &[DataType::Utf8, DataType::Utf8], &DataType::Int64, true));
}

#[test]
fn sums_leave_their_range_and_come_back() {
    let duration = DataType::Duration(TimeUnit::Second);
    let input = schema(&[("i", DataType::Int64), ("d", duration.clone())]);
    let output = schema(&[("i", DataType::Int64), ("d", duration.clone()), ("a", duration)]);
    let calls = vec![call(Function::Sum, &[0]), call(Function::Sum, &[1]), call(Function::Avg, &[1])];
    let mut aggregate = Aggregate::new(input.clone(), vec![], calls, output, false).unwrap();
    let numbers = |text: &str| {
        let numbers = schema(&[("i", DataType::Int64), ("d", DataType::Int64)]);
        let delta = parse(&numbers, text).unwrap();
        let columns = delta.batch.columns().iter().zip(input.fields());
        let columns = columns.map(|(c, field)| compute::cast(c, field.data_type()).unwrap()).collect();
        Delta::new(arrow::array::RecordBatch::try_new(input.clone(), columns).unwrap(), delta.weights)
    };
    let tick = Tick::default();
    let first = aggregate.step(&[&numbers("+1 9223372036854775807 5\n+1 1 -2")], &tick).unwrap();
    let overflow = "!overflow: sum() is out of the range of BIGINT: i";
    assert!(print(&first).unwrap().contains(&format!("+1 {overflow}")), "{}", print(&first).unwrap());
    let second = aggregate.step(&[&numbers("-1 9223372036854775807 5")], &tick).unwrap();
    assert!(print(&second).unwrap().contains("+1 1 -PT2S -PT2S"), "{}", print(&second).unwrap());
    assert!(print(&second).unwrap().contains(&format!("-1 {overflow}")), "{}", print(&second).unwrap());
}

const COLUMNS: [(&str, DataType); 6] = [
    ("k", DataType::Utf8),
    ("z", DataType::Float64),
    ("i", DataType::Int64),
    ("f", DataType::Float64),
    ("t", DataType::Utf8View),
    ("b", DataType::Boolean),
];

fn row(random: &mut Random) -> String {
    let key = random.pick(&["a", "b", "null"]);
    let zero = random.pick(&["0.0", "-0.0", "NaN", "null"]);
    let integer = random.pick(&["1", "2", "-5", "1000000000000000", "-1000000000000000", "null"]);
    let float = random.pick(&["0.1", "0.2", "-0.0", "0.0", "1e300", "-1e300", "NaN", "inf", "-inf", "5e-324", "null"]);
    let text = random.pick(&["x", "yy", "a text that is not inlined", "null", "w"]);
    let flag = random.pick(&["true", "false", "null"]);
    format!("{key} {zero} {integer} {float} \"{text}\" {flag}").replace("\"null\"", "null")
}

/// The same aggregates from the list of rows.
fn recompute(rows: &[String], keys: bool) -> BTreeSet<String> {
    let mut groups: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    if !keys {
        groups.insert(String::new(), Vec::new());
    }
    for row in rows {
        let values: Vec<String> = row
            .replace("\"a text that is not inlined\"", "a_text")
            .replace('"', "")
            .split(' ')
            .map(Into::into)
            .collect();
        let key = if keys { format!("{} {} ", values[0], values[1].replace("-0.0", "0.0")) } else { String::new() };
        groups.entry(key).or_default().push(values);
    }
    let show = |value: Option<String>| value.unwrap_or("null".into());
    let mut lines = BTreeSet::new();
    for (key, rows) in groups {
        let integers = |flagged: bool| {
            let rows = rows.iter().filter(move |row| !flagged || row[5] == "true");
            rows.filter_map(|row| row[2].parse::<i64>().ok()).collect::<Vec<_>>()
        };
        let mut floats: Vec<f64> = rows.iter().filter_map(|row| row[3].parse().ok()).collect();
        floats.sort_by(f64::total_cmp);
        let float_sum = |floats: &[f64]| {
            let mut sum = ExactSum::default();
            floats.iter().for_each(|f| sum.add(*f, 1));
            (!floats.is_empty()).then(|| sum.value())
        };
        let mut texts: Vec<&str> = rows.iter().map(|row| row[4].as_str()).filter(|t| *t != "null").collect();
        texts.sort_unstable();
        let mut unique = floats.clone();
        unique.dedup_by_key(|f| f.to_bits());
        let sum = |values: Vec<i64>| values.iter().copied().reduce(i64::wrapping_add).map(|s| s.to_string());
        let average = float_sum(&floats).map(|s| s / floats.len() as f64);
        let text = |text: Option<&&str>| text.map(|t| t.replace("a_text", "\"a text that is not inlined\""));
        let values = [
            Some(rows.len().to_string()),
            sum(integers(false)),
            sum(integers(true)),
            integers(false).iter().min().map(ToString::to_string),
            float_sum(&floats).map(|f| format!("{f:?}")),
            average.map(|f| format!("{f:?}")),
            floats.last().map(|f| format!("{f:?}")),
            text(texts.first()),
            text(texts.last()),
            Some(unique.len().to_string()),
            float_sum(&unique).map(|s| format!("{:?}", s / unique.len() as f64)),
        ];
        lines.insert(format!("+1 {key}{}", values.map(show).join(" ")));
    }
    lines
}

#[test]
fn aggregate_reference() {
    let input = schema(&COLUMNS);
    let calls = vec![
        call(Function::Count, &[]),
        call(Function::Sum, &[2]),
        Call { filter: Some(5), ..call(Function::Sum, &[2]) },
        call(Function::Min, &[2]),
        call(Function::Sum, &[3]),
        call(Function::Avg, &[3]),
        call(Function::Max, &[3]),
        call(Function::Min, &[4]),
        distinct(Function::Max, &[4]),
        distinct(Function::Count, &[3]),
        distinct(Function::Avg, &[3]),
    ];
    let (int, float, text) = (DataType::Int64, DataType::Float64, DataType::Utf8View);
    let types = [&int, &int, &int, &int, &float, &float, &float, &text, &text, &int, &float];
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (keys, append_only) = (seed % 3 != 0, seed % 4 == 1);
        let mut fields = if keys { COLUMNS[..2].to_vec() } else { Vec::new() };
        fields.extend(types.iter().map(|t| ("v", (*t).clone())));
        let output = schema(&fields);
        let columns = if keys { vec![0, 1] } else { vec![] };
        let mut aggregate = Aggregate::new(input.clone(), columns, calls.clone(), output.clone(), append_only).unwrap();
        let mut bag = Vec::new();
        let mut view = RowSet::new(output, None, false).unwrap();
        for number in 0..25 {
            let text = change(&mut random, &mut bag, row, append_only);
            let delta = parse(&input, &text).unwrap();
            view.apply(&aggregate.step(&[&delta], &Tick::default()).unwrap()).unwrap();
            let lines = contents(&mut view);
            let lines: BTreeSet<String> = lines.lines().map(Into::into).collect();
            assert_eq!(lines, recompute(&bag, keys), "seed {seed} step {number}");
        }
    }
}
