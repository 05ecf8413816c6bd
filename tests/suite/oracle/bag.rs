//! Rows as bags of texts, which can be compared and shown.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Rows as text, each with how often it is there. Text tells apart what bits tell apart, but for NaNs.
pub type Bag = BTreeMap<String, i64>;

/// Each row as text.
pub fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<ArrayFormatter> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| format!("{}\u{1f}", c.value(row))).collect::<String>())
        .collect()
}

/// Rows as a bag.
pub fn bag(batches: &[RecordBatch]) -> Bag {
    let mut bag = Bag::new();
    for batch in batches {
        for text in texts(batch) {
            *bag.entry(text).or_default() += 1;
        }
    }
    bag
}

/// What differs between two bags, a line each.
pub fn difference(expected: &Bag, got: &Bag) -> String {
    let mut lines = String::new();
    for row in expected.keys().chain(got.keys().filter(|r| !expected.contains_key(*r))) {
        let (e, g) = (expected.get(row).unwrap_or(&0), got.get(row).unwrap_or(&0));
        if e != g {
            lines.push_str(&format!(
                "  expected {e}, got {g} of ({})\n",
                row.trim_end_matches('\u{1f}').replace('\u{1f}', ", ")
            ));
        }
    }
    lines
}
