//! From the values of the touched groups before and after a step to the step's delta.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};

use super::Touched;
use super::state::Output;
use crate::delta::index::KeyIndex;
use crate::delta::text::describe;
use crate::delta::values::{Layout, Reader, Zeros, converter, mark_changes};
use crate::delta::{Delta, RowError, Weights};
use crate::error::Result;

/// The values of some groups at one moment.
pub struct Outputs {
    calls: Vec<Output>,
    /// Groups of which a value fails.
    failed: Option<Vec<bool>>,
}

impl Outputs {
    /// The values of each call for the same groups.
    pub fn new(calls: Vec<Output>, groups: usize) -> Self {
        let mut failed = None;
        for (position, _) in calls.iter().flat_map(|call| &call.failures) {
            failed.get_or_insert_with(|| vec![false; groups])[*position] = true;
        }
        Outputs { calls, failed }
    }

    fn failed(&self, position: usize) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed[position])
    }
}

/// The delta of a step: `-old` for the groups that had a row and change, `+new` for those that have one now.
/// Without `old` no touched group had a row; without `new` none has.
pub fn emit(
    index: &KeyIndex,
    schema: &SchemaRef,
    touched: &Touched,
    after: &[bool],
    old: Option<&Outputs>,
    new: Option<&Outputs>,
) -> Result<Delta> {
    let changed = changed(old, new, after.len())?;
    let (mut deleted, mut inserted) = (Vec::new(), Vec::new());
    for (position, changed) in changed.into_iter().enumerate() {
        let before = touched.before[position] && !old.is_some_and(|old| old.failed(position));
        let after = after[position] && !new.is_some_and(|new| new.failed(position));
        if before && after && !changed {
            continue;
        }
        if before {
            deleted.push(position as u32);
        }
        if after {
            inserted.push(position as u32);
        }
    }
    let groups: Vec<u32> = deleted.iter().chain(&inserted).map(|p| touched.groups[*p as usize]).collect();
    let mut columns = index.gather(&groups)?;
    for (call, field) in schema.fields()[columns.len()..].iter().enumerate() {
        let values = |outputs: Option<&Outputs>| outputs.map(|outputs| outputs.calls[call].values.clone());
        columns.push(join(values(old), &deleted, values(new), &inserted, after.len(), field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let weights = if deleted.is_empty() {
        Weights::ones()
    } else {
        Weights::new([vec![-1; deleted.len()], vec![1; inserted.len()]].concat())
    };
    let errors = errors(index, schema, touched, after, old, new)?;
    Ok(Delta { batch, weights, errors })
}

fn changed(old: Option<&Outputs>, new: Option<&Outputs>, groups: usize) -> Result<Vec<bool>> {
    let (Some(old), Some(new)) = (old, new) else { return Ok(vec![true; groups]) };
    let mut changed = vec![false; groups];
    for (old, new) in old.calls.iter().zip(&new.calls) {
        let data_type = old.values.data_type();
        let converter = if Layout::of(data_type) == Layout::Encoded { Some(converter(data_type)?) } else { None };
        let old = Reader::new(&old.values, converter.as_ref(), Zeros::Kept)?;
        let new = Reader::new(&new.values, converter.as_ref(), Zeros::Kept)?;
        mark_changes(&old, &new, &mut changed);
    }
    Ok(changed)
}

/// The deleted rows of `old`, then the inserted rows of `new`.
fn join(
    old: Option<ArrayRef>,
    deleted: &[u32],
    new: Option<ArrayRef>,
    inserted: &[u32],
    rows: usize,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let part = |array: &ArrayRef, wanted: &[u32]| -> Result<ArrayRef> {
        if wanted.len() == rows {
            return Ok(array.clone());
        }
        Ok(compute::take(array, &UInt32Array::from(wanted.to_vec()), None)?)
    };
    Ok(match (&old, &new) {
        (Some(old), Some(new)) if !deleted.is_empty() && !inserted.is_empty() => {
            compute::concat(&[part(old, deleted)?.as_ref(), part(new, inserted)?.as_ref()])?
        }
        (Some(old), _) if inserted.is_empty() => part(old, deleted)?,
        (_, Some(new)) => part(new, inserted)?,
        _ => new_empty_array(data_type),
    })
}

/// Failures that came, and those that went.
fn errors(
    index: &KeyIndex,
    schema: &SchemaRef,
    touched: &Touched,
    after: &[bool],
    old: Option<&Outputs>,
    new: Option<&Outputs>,
) -> Result<Vec<RowError>> {
    let mut net: BTreeMap<String, i64> = BTreeMap::new();
    for (outputs, present, weight) in [(old, touched.before.as_slice(), -1), (new, after, 1)] {
        let calls = outputs.iter().flat_map(|outputs| outputs.calls.iter().enumerate());
        for (call, output) in calls {
            for (position, failure) in output.failures.iter().filter(|(position, _)| present[*position]) {
                let key = index.gather(&[touched.groups[*position]])?;
                let name = schema.field(key.len() + call).name();
                let message = match key.as_slice() {
                    [] => format!("{failure}: {name}"),
                    key => format!("{failure}: {name} of the group {}", describe(key, 0)?),
                };
                *net.entry(message).or_default() += weight;
            }
        }
    }
    let errors = net.into_iter().filter(|(_, weight)| *weight != 0);
    Ok(errors.map(|(message, weight)| RowError { message, weight }).collect())
}
