//! Joins against a naive model over random histories.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_expr::create_physical_expr;

use super::{Condition, Join, Kind, NotIn, Place, Spec};
use crate::circuit::{Operator, Tick};
use crate::delta::Delta;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};
use crate::operators::testing::{Random, change, contents, schema, step};

const KINDS: [Kind; 6] = [Kind::Inner, Kind::Left, Kind::Full, Kind::Semi, Kind::Anti, Kind::Mark];

fn inputs() -> (SchemaRef, SchemaRef) {
    let left = [("a", DataType::Utf8), ("x", DataType::Float64)];
    let right = [("b", DataType::Utf8), ("y", DataType::Float64), ("z", DataType::Int64)];
    (schema(&left), schema(&right))
}

fn output(kind: Kind) -> SchemaRef {
    let left = [("a", DataType::Utf8), ("x", DataType::Float64)];
    let right = [("b", DataType::Utf8), ("y", DataType::Float64), ("z", DataType::Int64)];
    match kind {
        Kind::Inner | Kind::Left | Kind::Full => schema(&[left.as_slice(), right.as_slice()].concat()),
        Kind::Mark => schema(&[left.as_slice(), &[("mark", DataType::Boolean)]].concat()),
        Kind::Semi | Kind::Anti => schema(&left),
    }
}

fn condition(expr: &Expr) -> Condition {
    let (left, right) = inputs();
    let names = DFSchema::try_from(left.as_ref().clone()).unwrap();
    let names = names.join(&DFSchema::try_from(right.as_ref().clone()).unwrap()).unwrap();
    let place = |right| move |column| Place { right, column };
    let places: Vec<Place> = (0..2).map(place(false)).chain((0..3).map(place(true))).collect();
    let expr = create_physical_expr(expr, &names, &ExecutionProps::new(), &PhysicalPlanningContext::default()).unwrap();
    Condition::new(expr, &places, &left, &right).unwrap()
}

fn join(kind: Kind, on: &[(usize, usize)], nulls_equal: bool, expr: Option<&Expr>, append_only: (bool, bool)) -> Join {
    let (left, right) = inputs();
    let condition = expr.map(condition);
    let spec = Spec {
        kind,
        on: on.to_vec(),
        nulls_equal,
        condition,
        append_only,
        closing: (None, None),
        output: output(kind),
    };
    Join::new(left, right, spec).unwrap()
}

#[test]
fn rows_match_across_steps_and_weights_multiply() {
    let (left, right) = inputs();
    let mut join = join(Kind::Inner, &[(0, 0)], false, None, (false, false));
    assert_eq!(join.to_string(), "join on a = b");
    assert_eq!(step(&mut join, &[(&left, "+2 k 1\n+1 null 1"), (&right, "+1 null 5 5")]), "");
    assert_eq!(step(&mut join, &[(&left, "+1 k 2"), (&right, "+3 k 5 5")]), "+6 k 1.0 k 5.0 5\n+3 k 2.0 k 5.0 5\n");
    assert_eq!(step(&mut join, &[(&left, "-1 k 1"), (&right, "-3 k 5 5\n+1 k 6 6")]).lines().count(), 4);
    assert_eq!(step(&mut join, &[(&left, "-1 k 1\n-1 k 2"), (&right, "")]), "-1 k 1.0 k 6.0 6\n-1 k 2.0 k 6.0 6\n");
    assert_eq!(join.state().unwrap().rows, 1);
}

#[test]
fn a_row_stands_alone_while_nothing_matches_it() {
    let (left, right) = inputs();
    let mut full = join(Kind::Full, &[(0, 0)], false, None, (false, false));
    assert_eq!(
        step(&mut full, &[(&left, "+2 k 1\n+1 null 1"), (&right, "+1 l 2 2")]),
        "+2 k 1.0 null null null\n+1 null 1.0 null null null\n+1 null null l 2.0 2\n"
    );
    assert_eq!(
        step(&mut full, &[(&left, ""), (&right, "+1 k 3 3\n+1 k 4 4")]),
        "+2 k 1.0 k 3.0 3\n+2 k 1.0 k 4.0 4\n-2 k 1.0 null null null\n"
    );
    // One match takes the place of another: the row is never seen alone.
    assert_eq!(step(&mut full, &[(&left, ""), (&right, "-1 k 3 3")]), "-2 k 1.0 k 3.0 3\n");
    let swapped = step(&mut full, &[(&left, ""), (&right, "-1 k 4 4\n+1 k 5 5")]);
    assert_eq!(swapped, "-2 k 1.0 k 4.0 4\n+2 k 1.0 k 5.0 5\n");
    let gone = step(&mut full, &[(&left, "-2 k 1"), (&right, "-1 k 5 5")]);
    assert_eq!(gone, "-2 k 1.0 k 5.0 5\n");
}

#[test]
fn semi_joins_keep_only_the_keys_of_the_right_side() {
    let (left, right) = inputs();
    let mut semi = join(Kind::Semi, &[(0, 0)], false, None, (false, false));
    assert_eq!(semi.to_string(), "semi join on a = b");
    assert_eq!(step(&mut semi, &[(&left, "+1 k 1"), (&right, "+1 k 1 1\n+1 k 2 2\n+1 k 3 3")]), "+1 k 1.0\n");
    assert_eq!(semi.state().unwrap().rows, 2);
    assert_eq!(step(&mut semi, &[(&left, ""), (&right, "-1 k 1 1\n-1 k 2 2")]), "");
    assert_eq!(step(&mut semi, &[(&left, "+1 k 2"), (&right, "-1 k 3 3")]), "-1 k 1.0\n");
}

#[test]
fn a_condition_that_fails_is_an_error_of_the_pair() {
    let (left, right) = inputs();
    let expr = (lit(10_i64) / col("z")).gt(lit(3_i64));
    for kind in KINDS {
        let mut join = join(kind, &[(0, 0)], false, Some(&expr), (false, false));
        let output = step(&mut join, &[(&left, "+2 k 1"), (&right, "+3 k 5 0\n+1 l 5 0")]);
        assert!(output.contains("+6 !") && output.contains("(z = 0)"), "{kind:?}: {output}");
        let output = step(&mut join, &[(&left, "-1 k 1"), (&right, "")]);
        assert!(output.contains("-3 !"), "{kind:?}: {output}");
        let output = step(&mut join, &[(&left, ""), (&right, "-3 k 5 0\n+1 k 5 2")]);
        assert!(output.contains("-3 !"), "{kind:?}: {output}");
    }
    let mut nested = join(Kind::Left, &[], false, Some(&expr), (false, false));
    assert!(nested.to_string().starts_with("nested-loop left join: every change meets every row, where "));
    assert!(step(&mut nested, &[(&left, "+1 k 1"), (&right, "+1 l 5 0")]).contains("+1 !"));
}

/// What a join of these rows is, by looking at every pair.
fn naive(kind: Kind, lefts: &[String], rights: &[String], matches: impl Fn(&str, &str) -> bool) -> String {
    let mut lines = String::new();
    let mut push = |line: String| lines.push_str(&format!("+1 {line}\n"));
    for l in lefts {
        let any = rights.iter().any(|r| matches(l, r));
        match kind {
            Kind::Inner | Kind::Left | Kind::Full => {
                rights.iter().filter(|r| matches(l, r)).for_each(|r| push(format!("{l} {r}")));
                if kind != Kind::Inner && !any {
                    push(format!("{l} null null null"));
                }
            }
            Kind::Mark => push(format!("{l} {any}")),
            Kind::Semi | Kind::Anti => {
                if any == (kind == Kind::Semi) {
                    push(l.clone());
                }
            }
        }
    }
    if kind == Kind::Full {
        let alone = rights.iter().filter(|r| !lefts.iter().any(|l| matches(l, r)));
        alone.for_each(|r| push(format!("null null {r}")));
    }
    lines
}

fn row(random: &mut Random, third: bool) -> String {
    let key = random.pick(&["k", "l", "null"]);
    let number = random.pick(&["0.0", "-0.0", "NaN", "1.5", "null"]);
    if third { format!("{key} {number} {}", random.pick(&["1", "null"])) } else { format!("{key} {number}") }
}

#[test]
fn join_reference() {
    let (left, right) = inputs();
    for seed in 0..240 {
        let mut random = Random::new(seed);
        let kind = KINDS[random.below(6)];
        let on = [vec![], vec![(0, 0)], vec![(1, 1)], vec![(0, 0), (1, 1)]][random.below(4)].clone();
        let nulls_equal = random.below(2) == 0;
        let with_condition = random.below(2) == 0;
        let expr = col("x").is_not_null().and(col("z").eq(lit(1_i64)));
        let append = (random.below(3) == 0, random.below(3) == 0);
        let mut join = join(kind, &on, nulls_equal, with_condition.then_some(&expr), append);
        let matches = |l: &str, r: &str| {
            let (ls, rs): (Vec<&str>, Vec<&str>) = (l.split(' ').collect(), r.split(' ').collect());
            let equal = on.iter().all(|(a, b)| {
                let (a, b) = (ls[*a].replace("-0.0", "0.0"), rs[*b].replace("-0.0", "0.0"));
                a == b && (nulls_equal || a != "null")
            });
            equal && (!with_condition || (ls[1] != "null" && rs[2] == "1"))
        };
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        let mut view = RowSet::new(output(kind), None, false).unwrap();
        for number in 0..9 {
            let l = parse(&left, &change(&mut random, &mut lefts, |r| row(r, false), append.0)).unwrap();
            let r = parse(&right, &change(&mut random, &mut rights, |r| row(r, true), append.1)).unwrap();
            // Sometimes one side alone, then the other.
            let nothing = (Delta::empty(left.clone()), Delta::empty(right.clone()));
            let steps = match random.below(3) {
                0 => vec![[&l, &nothing.1], [&nothing.0, &r]],
                _ => vec![[&l, &r]],
            };
            for inputs in steps {
                view.apply(&join.step(&inputs, &Tick::default()).unwrap()).unwrap();
            }
            let expected = naive(kind, &lefts, &rights, matches);
            let expected = print(&parse(&output(kind), &expected).unwrap()).unwrap();
            assert_eq!(contents(&mut view), expected, "seed {seed} step {number}: {join}");
        }
    }
}

#[test]
fn not_in_reference() {
    let (left, right) = inputs();
    for seed in 0..80 {
        let mut random = Random::new(seed);
        let mut not_in = NotIn::new(left.clone(), &right, (0, 0), false).unwrap();
        let (mut lefts, mut rights): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut view = RowSet::new(left.clone(), None, false).unwrap();
        for number in 0..12 {
            let l = change(&mut random, &mut lefts, |r| row(r, false), false);
            let mut r = change(&mut random, &mut rights, |r| row(r, true), false);
            // Now and then the right side loses its NULLs, or all of its rows.
            let clear = random.below(4);
            rights.retain(|row| {
                let goes = clear == 0 || (clear == 1 && row.starts_with("null"));
                if goes {
                    r.push_str(&format!("\n-1 {row}"));
                }
                !goes
            });
            let (l, r) = (parse(&left, &l).unwrap(), parse(&right, &r).unwrap());
            view.apply(&not_in.step(&[&l, &r], &Tick::default()).unwrap()).unwrap();
            let value = |row: &str| row.split(' ').next().unwrap().to_string();
            let has_null = rights.iter().any(|r| value(r) == "null");
            let kept = lefts.iter().filter(|l| {
                let among = rights.iter().any(|r| value(r) == value(l));
                rights.is_empty() || (!has_null && value(l) != "null" && !among)
            });
            let expected: String = kept.map(|row| format!("+1 {row}\n")).collect();
            let expected = print(&parse(&left, &expected).unwrap()).unwrap();
            assert_eq!(contents(&mut view), expected, "seed {seed} step {number}");
        }
    }
}
