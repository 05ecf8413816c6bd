//! The top of groups against sorting them anew.

use arrow::datatypes::DataType;

use super::*;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};
use crate::operators::row_codec::SortKey;
use crate::operators::testing::{Random, change, contents, schema, step};

const COLUMNS: [(&str, DataType); 3] = [("g", DataType::Utf8), ("x", DataType::Int64), ("id", DataType::Int64)];

fn operator(numbering: Numbering, most: i64, numbered: bool, append_only: bool) -> (SchemaRef, GroupTop) {
    let input = schema(&COLUMNS);
    let mut columns = COLUMNS.to_vec();
    if numbered {
        columns.push(("number", DataType::Int64));
    }
    let keys = vec![SortKey { column: 1, descending: true, nulls_first: false }];
    let order = Order { partition: vec![0], keys, ties: Vec::new(), closing: None };
    let best = Best { numbering, most, numbered };
    let top = GroupTop::new(input.clone(), schema(&columns), &order, best, append_only, " per g".into()).unwrap();
    (input, top)
}

#[test]
fn only_what_moves_is_put_out() {
    let (rows, mut top) = operator(Numbering::Row, 2, false, false);
    assert_eq!(top.to_string(), "group top-k: 2 per g");
    assert_eq!(step(&mut top, &[(&rows, "+1 a 1 1\n+1 b 5 2\n+1 a 3 3")]), "+1 a 1 1\n+1 a 3 3\n+1 b 5 2\n");
    assert_eq!(step(&mut top, &[(&rows, "+1 a 2 4")]), "-1 a 1 1\n+1 a 2 4\n");
    assert_eq!(step(&mut top, &[(&rows, "+1 a 0 5")]), "");
    assert_eq!(step(&mut top, &[(&rows, "-1 a 3 3\n+1 c null 6")]), "+1 a 1 1\n-1 a 3 3\n+1 c null 6\n");
    let (rows, mut top) = operator(Numbering::Rank, 2, true, false);
    assert_eq!(step(&mut top, &[(&rows, "+1 a 1 1\n+2 a 1 2\n+1 a 0 3")]), "+1 a 1 1 1\n+2 a 1 2 1\n");
    assert_eq!(step(&mut top, &[(&rows, "+1 a 2 4")]), "-1 a 1 1 1\n+1 a 1 1 2\n-2 a 1 2 1\n+2 a 1 2 2\n+1 a 2 4 1\n");
}

#[test]
fn an_append_only_input_is_kept_no_further_than_it_is_shown() {
    let (rows, mut top) = operator(Numbering::Row, 2, false, true);
    step(&mut top, &[(&rows, "+5 a 1 1\n+1 a 0 2\n+1 b 3 4")]);
    assert_eq!(top.state().unwrap().rows, 2);
    assert_eq!(step(&mut top, &[(&rows, "+1 a 7 1")]), "-1 a 1 1\n+1 a 7 1\n");
    assert_eq!(step(&mut top, &[(&rows, "+1 a 8 1")]), "-1 a 1 1\n+1 a 8 1\n");
    assert_eq!(top.state().unwrap().rows, 3);
}

#[test]
fn group_top_reference() {
    let row = |random: &mut Random| {
        let (group, value) = (random.pick(&["a", "b", "null"]), random.pick(&["1", "2", "3", "4", "null"]));
        format!("{group} {value} {}", random.below(3))
    };
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let append = seed % 3 == 0;
        let numbering = [Numbering::Row, Numbering::Rank, Numbering::Dense][random.below(3)];
        let (most, numbered) = (random.below(7) as i64, random.below(2) == 0);
        let (rows, mut top) = operator(numbering, most, numbered, append);
        let mut bag = Vec::new();
        let mut view = RowSet::new(top.schema(), None, false).unwrap();
        for number in 0..25 {
            let delta = parse(&rows, &change(&mut random, &mut bag, row, append)).unwrap();
            view.apply(&top.step(&[&delta], &Tick::default()).unwrap()).unwrap();
            let mut sorted: Vec<Vec<&str>> = bag.iter().map(|row| row.split(' ').collect()).collect();
            let value = |row: &[&str]| row[1].parse::<i64>().map_or(i64::MAX, |x| -x);
            sorted.sort_by(|a, b| a[0].cmp(b[0]).then(value(a).cmp(&value(b))).then(a[2].cmp(b[2])));
            let mut lines = String::new();
            for group in sorted.chunk_by(|a, b| a[0] == b[0]) {
                for (at, row) in group.iter().enumerate() {
                    let before = group.iter().filter(|other| value(other) < value(row));
                    let mut values: Vec<i64> = before.map(|other| value(other)).collect();
                    let rank = values.len() + 1;
                    values.dedup();
                    let number = match numbering {
                        Numbering::Row => at + 1,
                        Numbering::Rank => rank,
                        Numbering::Dense => values.len() + 1,
                    };
                    if number as i64 <= most {
                        let number = if numbered { format!(" {number}") } else { String::new() };
                        lines.push_str(&format!("+1 {}{number}\n", row.join(" ")));
                    }
                }
            }
            let expected = print(&parse(&top.schema(), &lines).unwrap()).unwrap();
            assert_eq!(contents(&mut view), expected, "seed {seed} step {number} {numbering:?} {most}");
        }
    }
}
