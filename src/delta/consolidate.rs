//! Consolidation: equal rows of a delta become one row with the sum of their weights, and none where it is zero.

use super::Delta;
use super::index::KeyIndex;
use super::values::Zeros;
use crate::error::Result;

/// The same change without rows that cancel out. Rows keep the order in which they first appear. A delta that only
/// inserts is returned as it is, since nothing can cancel.
///
/// # Errors
/// When a nested value cannot be encoded.
pub fn consolidate(delta: &Delta) -> Result<Delta> {
    if delta.weights.is_append() {
        return Ok(delta.clone());
    }
    let types: Vec<_> = delta.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    let mut index = KeyIndex::new(&types, Zeros::Kept)?;
    let mut ids = Vec::new();
    index.intern(delta.batch.columns(), delta.len(), &mut ids)?;
    let mut totals: Vec<(u32, i64)> = Vec::new();
    for (row, id) in ids.iter().enumerate() {
        let id = *id as usize;
        if id >= totals.len() {
            // Ids of an index that never forgets are dense and given in order.
            debug_assert_eq!(id, totals.len());
            totals.push((row as u32, 0));
        }
        totals[id].1 += delta.weights.get(row);
    }
    totals.retain(|(_, weight)| *weight != 0);
    let rows: Vec<u32> = totals.iter().map(|(row, _)| *row).collect();
    let weights: Vec<i64> = totals.iter().map(|(_, weight)| *weight).collect();
    let mut output = delta.take(&rows)?;
    output.weights = weights.into();
    output.errors = delta.errors.clone();
    Ok(output)
}
