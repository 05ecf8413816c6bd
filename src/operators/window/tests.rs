//! Window functions against a naive model, over random histories.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::{first_value, lag, last_value, rank, row_number};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprFunctionExt, WindowFrame, WindowFrameBound, WindowFrameUnits, lit};
use datafusion::physical_planner::create_window_expr;

use super::*;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};
use crate::operators::row_codec::SortKey;
use crate::operators::testing::{Random, change, contents, schema, step};

const COLUMNS: [(&str, DataType); 3] = [("g", DataType::Utf8), ("x", DataType::Int64), ("y", DataType::Int64)];

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// The functions of `exprs`, each partitioned by `g` and ordered by `x`.
fn operator(exprs: &[Expr], result: DataType) -> (SchemaRef, Window) {
    let input = schema(&COLUMNS);
    let mut columns: Vec<(String, DataType)> = COLUMNS.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
    let logical = DFSchema::try_from(input.as_ref().clone()).unwrap();
    let mut functions = Vec::new();
    for expr in exprs {
        let Expr::WindowFunction(function) = expr else { panic!("{expr} is no window function") };
        let context = PhysicalPlanningContext::default();
        let evaluator = create_window_expr(expr, &logical, &ExecutionProps::new(), &context).unwrap();
        functions.push(Call { call: function.as_ref().clone(), expr: evaluator, filter: None });
        columns.push((format!("f{}", functions.len()), result.clone()));
    }
    let columns: Vec<(&str, DataType)> = columns.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let keys = vec![SortKey { column: 1, descending: false, nulls_first: false }];
    let order = Order { partition: vec![0], keys, ties: Vec::new(), closing: None };
    (input.clone(), Window::new(input, schema(&columns), &order, functions, "f".into()).unwrap())
}

fn over(expr: Expr) -> Expr {
    expr.partition_by(vec![column("g")]).order_by(vec![column("x").sort(true, false)]).build().unwrap()
}

/// Over what comes before the row, and its peers.
fn so_far(expr: Expr) -> Expr {
    let frame = WindowFrame::new(Some(false));
    let over = expr.partition_by(vec![column("g")]).order_by(vec![column("x").sort(true, false)]);
    over.window_frame(frame).build().unwrap()
}

fn sum_of(frame: WindowFrame) -> Expr {
    let sum = Expr::WindowFunction(Box::new(WindowFunction::new(sum_udaf(), vec![column("y")])));
    sum.partition_by(vec![column("g")])
        .order_by(vec![column("x").sort(true, false)])
        .window_frame(frame)
        .build()
        .unwrap()
}

fn rows(before: u64, behind: u64) -> WindowFrame {
    let bound = |rows| ScalarValue::UInt64(Some(rows));
    let (start, end) = (WindowFrameBound::Preceding(bound(before)), WindowFrameBound::Following(bound(behind)));
    WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end)
}

fn range(before: i64, behind: i64) -> WindowFrame {
    let bound = |distance| ScalarValue::Int64(Some(distance));
    let (start, end) = (WindowFrameBound::Preceding(bound(before)), WindowFrameBound::Following(bound(behind)));
    WindowFrame::new_bounds(WindowFrameUnits::Range, start, end)
}

#[test]
fn only_what_changes_is_put_out() {
    let (rows, mut window) = operator(&[over(row_number()), over(rank())], DataType::Int64);
    assert_eq!(
        step(&mut window, &[(&rows, "+1 a 1 0\n+1 a 3 0\n+1 b 9 0")]),
        "+1 a 1 0 1 1\n+1 a 3 0 2 2\n+1 b 9 0 1 1\n"
    );
    assert_eq!(step(&mut window, &[(&rows, "+1 a 2 0")]), "+1 a 2 0 2 2\n-1 a 3 0 2 2\n+1 a 3 0 3 3\n");
    assert_eq!(
        step(&mut window, &[(&rows, "-1 a 1 0\n+1 a 3 1")]),
        "-1 a 1 0 1 1\n+1 a 2 0 1 1\n-1 a 2 0 2 2\n+1 a 3 0 2 2\n-1 a 3 0 3 3\n+1 a 3 1 3 2\n"
    );
    assert_eq!(step(&mut window, &[(&rows, "+1 b 1 1\n-1 b 1 1")]), "");
}

#[test]
fn a_change_reaches_as_far_as_its_frame() {
    let reach = |expr: Expr| match expr {
        Expr::WindowFunction(function) => Reach::of([function.as_ref()], Some(&DataType::Int64)).to_string(),
        other => panic!("{other} is no window function"),
    };
    assert_eq!(reach(sum_of(rows(1, 2))), "2 before and 1 behind it");
    assert_eq!(reach(over(lag(column("y"), Some(3), None))), "0 before and 3 behind it");
    assert_eq!(reach(over(rank())), "the rows behind it in its partition");
    assert_eq!(reach(sum_of(WindowFrame::new(Some(false)))), "the rows behind it in its partition");
    assert_eq!(reach(sum_of(WindowFrame::new(None))), "its partition");
    assert_eq!(reach(sum_of(range(1, 2))), "the rows within its range");
    let first = "0 before and 0 behind it, and its partition where it is the first";
    assert_eq!(reach(so_far(first_value(column("y")))), first);
    assert_eq!(reach(so_far(last_value(column("y")))), "its peers before and 0 behind it");
}

#[test]
fn a_partition_in_which_a_function_fails_heals() {
    let by_zero = over(lag(lit(1i64) / column("y"), Some(0), None));
    let (rows, mut window) = operator(&[by_zero], DataType::Int64);
    let failed = "division by zero, in the partition of the row (g = a, x = 1, y = 1)";
    assert_eq!(step(&mut window, &[(&rows, "+1 a 1 1\n+1 b 1 1")]), "+1 a 1 1 1\n+1 b 1 1 1\n");
    assert_eq!(step(&mut window, &[(&rows, "+1 a 2 0")]), format!("+1 !{failed}\n-1 a 1 1 1\n"));
    assert_eq!(step(&mut window, &[(&rows, "+1 a 3 1\n+1 b 2 1")]), "+1 b 2 1 1\n");
    assert_eq!(step(&mut window, &[(&rows, "-1 a 2 0")]), format!("-1 !{failed}\n+1 a 1 1 1\n+1 a 3 1 1\n"));
}

#[test]
fn window_reference() {
    let row = |random: &mut Random| {
        let (group, x) = (random.pick(&["a", "b", "null"]), random.pick(&["1", "2", "3", "4", "null"]));
        format!("{group} {x} {}", random.below(5))
    };
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (before, behind, back) = (random.below(3), random.below(3), random.below(4));
        let (running, numbers) = (seed % 3 != 0, seed % 3 == 2);
        let mut exprs = vec![
            sum_of(rows(before as u64, behind as u64)),
            over(lag(column("y"), Some(back as i64), Some(ScalarValue::Int64(Some(-1))))),
        ];
        if running {
            exprs.push(sum_of(WindowFrame::new(Some(false))));
        }
        if numbers {
            exprs = vec![over(row_number()), over(rank())];
        }
        let (rows, mut window) = operator(&exprs, DataType::Int64);
        let (mut bag, mut view) = (Vec::new(), RowSet::new(window.schema(), None, false).unwrap());
        for number in 0..25 {
            let delta = parse(&rows, &change(&mut random, &mut bag, row, false)).unwrap();
            view.apply(&window.step(&[&delta], &Tick::default()).unwrap()).unwrap();
            let mut sorted: Vec<Vec<&str>> = bag.iter().map(|row| row.split(' ').collect()).collect();
            let key = |row: &[&str]| row[1].parse::<i64>().unwrap_or(i64::MAX);
            sorted.sort_by(|a, b| a[0].cmp(b[0]).then(key(a).cmp(&key(b))).then(a[2].cmp(b[2])));
            let mut lines = String::new();
            for group in sorted.chunk_by(|a, b| a[0] == b[0]) {
                let y: Vec<i64> = group.iter().map(|row| row[2].parse().unwrap()).collect();
                for (at, row) in group.iter().enumerate() {
                    let frame = &y[at.saturating_sub(before)..(at + behind + 1).min(y.len())];
                    let lagged = at.checked_sub(back).map_or(-1, |at| y[at]);
                    let so_far = group.iter().zip(&y).filter(|(other, _)| key(other) <= key(row));
                    let rank = group.iter().filter(|other| key(other) < key(row)).count() + 1;
                    let results = match (numbers, running) {
                        (true, _) => format!("{} {rank}", at + 1),
                        (_, true) => {
                            let so_far = so_far.map(|(_, y)| y).sum::<i64>();
                            format!("{} {lagged} {so_far}", frame.iter().sum::<i64>())
                        }
                        _ => format!("{} {lagged}", frame.iter().sum::<i64>()),
                    };
                    let line = format!("+1 {} {results}", row.join(" "));
                    lines.push_str(&line);
                    lines.push('\n');
                }
            }
            let expected = print(&parse(&window.schema(), &lines).unwrap()).unwrap();
            assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
        }
    }
}

#[test]
fn ranges_and_ends_reference() {
    let row = |random: &mut Random| {
        let x = random.pick(&["1", "2", "4", "7", "11", "-9223372036854775808", "9223372036854775800", "null"]);
        format!("{} {x} {}", random.pick(&["a", "b"]), random.below(5))
    };
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (before, behind) = (random.below(4) as i64, random.below(4) as i64);
        let mut exprs = vec![so_far(first_value(column("y"))), so_far(last_value(column("y")))];
        if seed % 3 != 0 {
            exprs.push(sum_of(range(before, behind)));
        }
        if seed % 3 == 2 {
            exprs.remove(0);
        }
        let (rows, mut window) = operator(&exprs, DataType::Int64);
        let (mut bag, mut view) = (Vec::new(), RowSet::new(window.schema(), None, false).unwrap());
        for number in 0..25 {
            let delta = parse(&rows, &change(&mut random, &mut bag, row, false)).unwrap();
            view.apply(&window.step(&[&delta], &Tick::default()).unwrap()).unwrap();
            let mut sorted: Vec<Vec<&str>> = bag.iter().map(|row| row.split(' ').collect()).collect();
            let key = |row: &[&str]| row[1].parse::<i64>().ok();
            let place = |row: &[&str]| key(row).map_or((1, 0), |key| (0, key));
            sorted.sort_by(|a, b| a[0].cmp(b[0]).then(place(a).cmp(&place(b))).then(a[2].cmp(b[2])));
            let mut lines = String::new();
            for group in sorted.chunk_by(|a, b| a[0] == b[0]) {
                for row in group {
                    let y = |row: &[&str]| row[2].parse::<i64>().unwrap();
                    let in_range = |other: &&Vec<&str>| match (key(row), key(other)) {
                        (Some(x), Some(other)) => {
                            (x.saturating_sub(before)..=x.saturating_add(behind)).contains(&other)
                        }
                        (x, other) => x == other,
                    };
                    let sum: i64 = group.iter().filter(in_range).map(|row| y(row)).sum();
                    let last = group.iter().rfind(|other| key(other) == key(row)).map_or(0, |row| y(row));
                    let results = match seed % 3 {
                        0 => format!("{} {last}", y(&group[0])),
                        1 => format!("{} {last} {sum}", y(&group[0])),
                        _ => format!("{last} {sum}"),
                    };
                    lines.push_str(&format!("+1 {} {results}\n", row.join(" ")));
                }
            }
            let expected = print(&parse(&window.schema(), &lines).unwrap()).unwrap();
            assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
        }
    }
}
