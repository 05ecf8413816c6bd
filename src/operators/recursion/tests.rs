//! Reachability and paths over random graphs, against going round by round.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::{ROUNDS_MAX, Recursion, with_round};
use crate::circuit::{Circuit, Facts, NodeSpec, OWN_ROWS, Operator, StateSize, Tick};
use crate::delta::Delta;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};
use crate::error::{Error, Result};
use crate::operators::join::{Join, Kind, Spec};
use crate::operators::project::Project;
use crate::operators::testing::{Random, change, contents, schema, step};

fn pairs() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

/// Counts the rows that the step derives.
struct Counted(SchemaRef, Arc<AtomicUsize>);

impl Operator for Counted {
    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        self.1.fetch_add(inputs[0].len(), Ordering::Relaxed);
        Ok(inputs[0].clone())
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

/// `base UNION [ALL] SELECT rows.a, edges.b FROM rows JOIN edges ON rows.b = edges.a`
fn walk(is_distinct: bool, rounds_max: u32) -> (Recursion, Arc<AtomicUsize>) {
    let mut circuit = Circuit::new();
    let own = circuit.input(OWN_ROWS, with_round(&pairs()), Facts::default());
    let edges = circuit.input(1, pairs(), Facts::default());
    let node = |operator: Box<dyn Operator>, inputs| {
        let identity = operator.to_string();
        NodeSpec { operator, inputs, facts: Facts::default(), identity, every_tick: false, skips: false }
    };
    let columns = [("a", DataType::Int64), ("b", DataType::Int64), ("round", DataType::UInt32)];
    let joined = schema(&[columns.as_slice(), &[("c", DataType::Int64), ("d", DataType::Int64)]].concat());
    let spec = Spec {
        kind: Kind::Inner,
        on: vec![(1, 0)],
        nulls_equal: false,
        condition: None,
        append_only: (false, false),
        closing: (None, None),
        output: joined,
    };
    let join = Join::new(with_round(&pairs()), pairs(), spec).unwrap();
    let joined = circuit.add(node(Box::new(join), vec![own, edges]));
    let derived = Arc::new(AtomicUsize::new(0));
    let counted = circuit.add(node(Box::new(Counted(circuit.schema(joined), derived.clone())), vec![joined]));
    let column = |name, at| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>;
    let picked = Project::new(with_round(&pairs()), vec![column("a", 0), column("d", 4), column("round", 2)]);
    let root = circuit.add(node(Box::new(picked), vec![counted]));
    (Recursion::new("walk".into(), pairs(), circuit, root, is_distinct, rounds_max).unwrap(), derived)
}

type Bag = BTreeMap<(i64, i64), i64>;

fn pair(line: &str) -> (i64, i64) {
    let (a, b) = line.split_once(' ').unwrap();
    (a.parse().unwrap(), b.parse().unwrap())
}

/// The recursion as SQL says it; nothing where it goes past the last round.
fn naive(base: &[String], edges: &[String], is_distinct: bool, rounds_max: u32) -> Option<Bag> {
    let mut rows = Bag::new();
    base.iter().for_each(|line| *rows.entry(pair(line)).or_default() += 1);
    let mut all = Bag::new();
    for _ in 0..=rounds_max {
        if is_distinct {
            rows.retain(|row, weight| {
                *weight = 1;
                !all.contains_key(row)
            });
        }
        if rows.is_empty() {
            return Some(all);
        }
        rows.iter().for_each(|(row, weight)| *all.entry(*row).or_default() += weight);
        let mut next = Bag::new();
        for (row, weight) in rows {
            for (from, to) in edges.iter().map(|line| pair(line)) {
                if from == row.1 {
                    *next.entry((row.0, to)).or_default() += weight;
                }
            }
        }
        rows = next;
    }
    rows.retain(|row, _| !is_distinct || !all.contains_key(row));
    rows.is_empty().then_some(all)
}

#[test]
fn a_circle_goes_when_the_way_to_it_goes() {
    let (mut reach, _) = walk(true, ROUNDS_MAX);
    assert_eq!(reach.to_string(), "Recursion (union) of walk, at most 10000 rounds");
    let edges = "+1 1 2\n+1 2 3\n+1 3 1\n+1 3 3\n+2 3 4";
    let p = pairs();
    assert_eq!(step(&mut reach, &[(&p, "+2 0 1"), (&p, edges)]), "+1 0 1\n+1 0 2\n+1 0 3\n+1 0 4\n");
    assert_eq!(step(&mut reach, &[(&p, ""), (&p, "-1 3 4")]), "");
    assert_eq!(step(&mut reach, &[(&p, "-1 0 1"), (&p, "-1 3 4")]), "-1 0 4\n");
    assert_eq!(step(&mut reach, &[(&p, ""), (&p, "-1 1 2\n+1 1 3")]), "-1 0 2\n");
    assert_eq!(step(&mut reach, &[(&p, "-1 0 1"), (&p, "")]), "-1 0 1\n-1 0 3\n");
    assert_eq!(step(&mut reach, &[(&p, "+1 0 3"), (&p, "-1 3 1")]), "+1 0 3\n");
    assert_eq!(step(&mut reach, &[(&p, "-1 0 3"), (&p, "-1 2 3\n-1 3 3\n-1 1 3")]), "-1 0 3\n");
    assert_eq!(reach.state().unwrap().rows, 0);
}

#[test]
fn what_does_not_end_is_an_error_until_it_ends() {
    let p = pairs();
    let endless = "!\"the recursion of `walk` goes on past 10 rounds";
    for is_distinct in [false, true] {
        let (mut walk, _) = walk(is_distinct, 10);
        step(&mut walk, &[(&p, "+1 0 1"), (&p, "+1 1 2")]);
        let circle = match is_distinct {
            false => "+1 2 1".to_string(),
            true => (2..20).map(|n| format!("+1 {n} {}\n", n + 1)).collect(),
        };
        let said = step(&mut walk, &[(&p, ""), (&p, &circle)]);
        assert!(said.contains(&endless.replace("!\"", "+1 !")), "{said}");
        let said = step(&mut walk, &[(&p, "+1 0 3"), (&p, "+1 3 1")]);
        assert!(!said.contains('!'), "{said}");
        let said = step(&mut walk, &[(&p, "-1 0 3"), (&p, &circle.replace('+', "-"))]);
        assert!(said.contains(&endless.replace("!\"", "-1 !")), "{said}");
        let said = step(&mut walk, &[(&p, "-1 0 1"), (&p, "-1 1 2\n-1 3 1")]);
        assert_eq!(said, "-1 0 1\n-1 0 2\n");
        assert_eq!(walk.state().unwrap().rows, 0);
    }
}

#[test]
fn rows_that_double_with_each_round_are_an_error_and_no_overflow() {
    let (mut walk, _) = walk(false, 1000);
    let p = pairs();
    step(&mut walk, &[(&p, "+1 0 1"), (&p, "")]);
    let said = step(&mut walk, &[(&p, ""), (&p, "+3 1 1")]);
    assert!(said.contains("comes to more than 1099511627776 rows in round 26"), "{said}");
    let said = step(&mut walk, &[(&p, ""), (&p, "-1 1 1\n+1 2 2")]);
    assert!(said.contains("rows in round 41") && said.contains("-1 !the recursion"), "{said}");
    let said = step(&mut walk, &[(&p, ""), (&p, "-2 1 1")]);
    assert!(said.contains("-1 !the recursion") && !said.contains("+1 !"), "{said}");
    assert_eq!(step(&mut walk, &[(&p, "-1 0 1"), (&p, "")]), "-1 0 1\n");
}

#[test]
fn too_much_for_the_memory_is_a_limit() {
    let (mut walk, _) = walk(false, ROUNDS_MAX);
    let base = parse(&pairs(), "+1 0 1").unwrap();
    let edges = parse(&pairs(), "+1 1 2\n+1 2 1").unwrap();
    let tick = Tick { output_bytes_max: 100_000, ..Tick::default() };
    let error = walk.step(&[&base, &edges], &tick).unwrap_err();
    assert!(
        matches!(&error, Error::Limit(why) if why.contains("comes to round") && why.contains("(100000)")),
        "{error}"
    );
}

#[test]
fn recursion_reference() {
    for seed in 0..120 {
        let mut random = Random::new(seed);
        let is_distinct = seed % 2 == 0;
        let rounds_max = [ROUNDS_MAX, 4][random.below(2)];
        // Without an end UNION ALL is an error, which is looked at where it comes early.
        let circles = is_distinct || rounds_max == 4;
        let nodes = 3 + random.below(6);
        let edge = |random: &mut Random| {
            let (a, b) = (random.below(nodes), random.below(nodes));
            if circles { format!("{a} {b}") } else { format!("{} {}", a.min(b), a.max(b) + 1) }
        };
        let (mut recursion, _) = walk(is_distinct, rounds_max);
        let (mut bases, mut edges) = (Vec::new(), Vec::new());
        let mut view = RowSet::new(pairs(), None, false).unwrap();
        let (mut errors, mut size) = (0, StateSize::default());
        for number in 0..14 {
            let base = change(&mut random, &mut bases, |r| format!("{} {}", r.below(2), r.below(nodes)), false);
            let moved = change(&mut random, &mut edges, edge, false);
            let inputs = [base, moved].map(|text| parse(&pairs(), &text).unwrap());
            let output = recursion.step(&[&inputs[0], &inputs[1]], &Tick::default()).unwrap();
            errors += output.errors.iter().map(|e| e.weight).sum::<i64>();
            view.apply(&output).unwrap();
            let expected = naive(&bases, &edges, is_distinct, rounds_max);
            assert_eq!(errors == 0, expected.is_some(), "seed {seed} step {number}");
            if let Some(expected) = expected {
                let lines: String = expected.iter().map(|((a, b), weight)| format!("+{weight} {a} {b}\n")).collect();
                let expected = print(&parse(&pairs(), &lines).unwrap()).unwrap();
                let got = contents(&mut view);
                assert_eq!(sums(&got), sums(&expected), "seed {seed} step {number}");
            }
            size = recursion.state().unwrap();
        }
        let gone = [&bases, &edges].map(|bag| bag.iter().map(|line| format!("-1 {line}\n")).collect::<String>());
        step(&mut recursion, &[(&pairs(), &gone[0]), (&pairs(), &gone[1])]);
        assert_eq!(recursion.state().unwrap().rows, 0, "seed {seed}, of {} before", size.rows);
    }
}

/// The lines of a printed delta; a snapshot lists a repeated row once with its weight or as often as it is there.
fn sums(text: &str) -> Bag {
    let mut bag = Bag::new();
    for line in text.lines() {
        let (weight, row) = line.split_once(' ').unwrap();
        *bag.entry(pair(row)).or_default() += weight.parse::<i64>().unwrap();
    }
    bag
}

/// A long chain with a short cut from its middle to its end: what an edge at the end costs does not depend on the rest.
#[test]
fn a_change_costs_what_it_moves() {
    let derived_by_one_edge = |length: usize| {
        let (mut reach, derived) = walk(true, ROUNDS_MAX);
        let chain: String = (1..length).map(|n| format!("+1 {n} {}\n", n + 1)).collect();
        step(&mut reach, &[(&pairs(), "+1 0 1"), (&pairs(), &chain)]);
        derived.store(0, Ordering::Relaxed);
        let edge = format!("1 {} {}", length - 10, length - 2);
        for sign in ["+", "-"] {
            let said = step(&mut reach, &[(&pairs(), ""), (&pairs(), &format!("{sign}{edge}"))]);
            assert_eq!(said, "", "the nodes are reached either way");
        }
        derived.load(Ordering::Relaxed)
    };
    let short = derived_by_one_edge(20);
    assert!(short < 30, "{short} rows derived");
    assert_eq!(derived_by_one_edge(2000), short);
}
