//! ASOF JOIN against a look at every pair of rows, and with what is over left out.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::*;
use crate::delta::rows::RowSet;
use crate::delta::text::parse;
use crate::operators::testing::{Random, change, contents, schema};

const MICROS: DataType = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);

fn operator(nearest: Nearest, keep_left: bool, keyed: bool, closing: bool) -> (AsOf, RowSet, SchemaRef) {
    let side = schema(&[("k", DataType::Int64), ("x", DataType::Int64), ("ts", MICROS)]);
    let both = [("k", DataType::Int64), ("x", DataType::Int64), ("ts", MICROS)];
    let output = schema(&[both.clone(), both].concat());
    let keys = if keyed { (vec![0], vec![0]) } else { (Vec::new(), Vec::new()) };
    let spec = Spec { keys, times: (2, 2), nearest, keep_left };
    let bounds = if closing { (Some(Bound::Watermark(1)), Some(Bound::Watermark(2))) } else { (None, None) };
    let operator = AsOf::new((side.clone(), side.clone()), output.clone(), spec, bounds).unwrap();
    (operator, RowSet::new(output, None, false).unwrap(), side)
}

fn moment(time: i64) -> String {
    let micros = Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![time])) as ArrayRef;
    arrow::util::display::array_value_to_string(&micros, 0).unwrap()
}

type Row = [Option<i64>; 3];

fn read(line: &str) -> Row {
    let cells: Vec<&str> = line.split(' ').collect();
    let number = |text: &str| text.parse().ok();
    [number(cells[0]), number(cells[1]), (-1..60).find(|at| moment(*at) == cells[2])]
}

fn show(row: &Row) -> String {
    let number = |value: Option<i64>| value.map_or("null".to_string(), |value| value.to_string());
    format!("{} {} {}", number(row[0]), number(row[1]), row[2].map_or("null".to_string(), moment))
}

/// Every pair is looked at.
fn naive(left: &[Row], right: &[Row], nearest: Nearest, keep_left: bool, keyed: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for row in left {
        let fits = |other: &&Row| {
            let (Some(time), Some(of_other)) = (row[2], other[2]) else { return false };
            let in_time = match nearest {
                Nearest::NotAfter => time >= of_other,
                Nearest::Before => time > of_other,
                Nearest::NotBefore => time <= of_other,
                Nearest::After => time < of_other,
            };
            in_time && (!keyed || row[0].is_some() && row[0] == other[0])
        };
        let nearness = |other: &&Row| {
            let time = if nearest.looks_back() { other[2] } else { other[2].map(|time| -time) };
            // NULL is the greatest.
            (time, other[0].map_or(i64::MAX, |k| k), other[1].map_or(i64::MAX, |x| x))
        };
        match right.iter().filter(fits).max_by_key(nearness) {
            Some(other) => lines.push(format!("{} {}", show(row), show(other))),
            None if keep_left => lines.push(format!("{} null null null", show(row))),
            None => {}
        }
    }
    lines.sort();
    lines
}

fn found(shown: &mut RowSet) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in contents(shown).lines() {
        let (weight, row) = line.split_once(' ').unwrap();
        let weight: usize = weight.trim_start_matches('+').parse().unwrap();
        found.extend(std::iter::repeat_n(row.to_string(), weight));
    }
    found.sort();
    found
}

const ALL: [Nearest; 4] = [Nearest::NotAfter, Nearest::Before, Nearest::NotBefore, Nearest::After];

fn random_row(random: &mut Random, from: i64, width: usize) -> String {
    let number = |random: &mut Random, limit| match random.below(9) {
        0 => "null".to_string(),
        _ => random.below(limit).to_string(),
    };
    let time = match random.below(15) {
        0 => "null".to_string(),
        _ => moment(from + random.below(width) as i64),
    };
    format!("{} {} {time}", number(random, 2), number(random, 3))
}

#[test]
fn rows_are_those_of_all_pairs() {
    for seed in 0..240 {
        let mut random = Random::new(seed);
        let (nearest, keep_left, keyed) = (ALL[random.below(4)], random.below(2) == 0, random.below(3) > 0);
        let (mut operator, mut shown, side) = operator(nearest, keep_left, keyed, false);
        let (mut left, mut right, width) = (Vec::new(), Vec::new(), [4, 12, 50][random.below(3)]);
        for _ in 0..20 {
            let mut text = |bag: &mut Vec<String>| match random.below(4) {
                0 => String::new(),
                _ => change(&mut random, bag, |random| random_row(random, 0, width), false),
            };
            let deltas = [parse(&side, &text(&mut left)).unwrap(), parse(&side, &text(&mut right)).unwrap()];
            shown.apply(&operator.step(&deltas.iter().collect::<Vec<_>>(), &Tick::default()).unwrap()).unwrap();
            let rows = |bag: &[String]| bag.iter().map(|line| read(line)).collect::<Vec<_>>();
            let expected = naive(&rows(&left), &rows(&right), nearest, keep_left, keyed);
            assert_eq!(found(&mut shown), expected, "seed {seed} {nearest:?}");
        }
    }
}

#[test]
fn what_is_over_is_forgotten_and_changes_nothing() {
    for seed in 0..120 {
        let mut random = Random::new(seed);
        let (nearest, keep_left, keyed) = (ALL[random.below(4)], random.below(2) == 0, random.below(3) > 0);
        let (mut operator, mut shown, side) = operator(nearest, keep_left, keyed, true);
        let (mut left, mut right) = (Vec::<String>::new(), Vec::<String>::new());
        let mut watermarks = Watermarks::default();
        let mut bounds = [0, 0];
        for _ in 0..18 {
            let mut deltas = Vec::new();
            for (bag, bound) in [&mut left, &mut right].into_iter().zip(bounds) {
                let (mut open, over): (Vec<String>, Vec<String>) =
                    bag.drain(..).partition(|row| read(row)[2].is_none_or(|time| time >= bound));
                let text = change(&mut random, &mut open, |random| random_row(random, bound, 8), false);
                deltas.push(parse(&side, &text).unwrap());
                bag.extend(open.into_iter().chain(over));
            }
            shown.apply(&operator.step(&deltas.iter().collect::<Vec<_>>(), &Tick::default()).unwrap()).unwrap();
            let rows = |bag: &[String]| bag.iter().map(|line| read(line)).collect::<Vec<_>>();
            let expected = naive(&rows(&left), &rows(&right), nearest, keep_left, keyed);
            assert_eq!(found(&mut shown), expected, "seed {seed} {nearest:?}");
            for (stream, bound) in bounds.iter_mut().enumerate() {
                *bound += random.below(3) as i64;
                watermarks.raise(stream as u32 + 1, *bound);
            }
            operator.close(&watermarks).unwrap();
        }
        for stream in [1, 2] {
            watermarks.raise(stream, 1 << 40);
        }
        operator.close(&watermarks).unwrap();
        if nearest.looks_back() {
            assert_eq!(operator.left.places.len(), 0);
            let keys: BTreeSet<u32> = operator.right.places.iter().map(|place| place.0).collect();
            let newest = |key: &u32| {
                let all: Vec<&Place> = operator.right.places.iter().filter(|place| place.0 == *key).collect();
                all.iter().all(|place| place.1 == all[0].1)
            };
            assert!(keys.iter().all(newest), "of each key the last right rows stay, and no others");
        }
    }
}
