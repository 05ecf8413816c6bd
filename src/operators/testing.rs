//! What the operators' tests share: random numbers from a seed, and running an operator in text notation.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::circuit::{Operator, Tick};
use crate::delta::Delta;
use crate::delta::rows::RowSet;
use crate::delta::text::{parse, print};

/// Xorshift (Marsaglia 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    pub fn pick<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.below(values.len())]
    }
}

/// A schema of nullable columns.
pub fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>()))
}

/// One step over deltas in text; the output as text.
pub fn step(operator: &mut dyn Operator, inputs: &[(&SchemaRef, &str)]) -> String {
    let deltas: Vec<Delta> = inputs.iter().map(|(schema, text)| parse(schema, text).unwrap()).collect();
    print(&operator.step(&deltas.iter().collect::<Vec<_>>(), &Tick::default()).unwrap()).unwrap()
}

/// The bag as text, each row with its weight.
pub fn contents(rows: &mut RowSet) -> String {
    let snapshot = rows.snapshot().unwrap();
    print(&Delta::insert(concat_batches(rows.schema(), snapshot.iter().map(Arc::as_ref)).unwrap())).unwrap()
}

/// A random change of a bag of text rows: inserts of `row()`, deletes of rows present, some rows twice, in any order.
pub fn change(random: &mut Random, bag: &mut Vec<String>, row: impl Fn(&mut Random) -> String, append: bool) -> String {
    let mut lines = Vec::new();
    for _ in 0..random.below(12) {
        if !append && !bag.is_empty() && random.below(5) < 2 {
            let row = bag.swap_remove(random.below(bag.len()));
            lines.push(format!("-1 {row}"));
        } else {
            let row = row(random);
            let times = 1 + random.below(2);
            bag.extend(std::iter::repeat_n(row.clone(), times));
            lines.push(format!("+{times} {row}"));
        }
    }
    // A delta may list a deletion before its insertion.
    for at in 1..lines.len() {
        lines.swap(at, random.below(at + 1));
    }
    lines.join("\n")
}
