//! Window functions over parts of many partitions, with one decoding of all their rows.

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute;

use super::running::{Columns, Function, SoFar, run};
use super::{Slice, Window};
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::operators::ordered::{Entry, Key};
use crate::operators::project::batch;

/// What the functions gave.
pub(super) struct Evaluated {
    /// The affected rows with their results.
    pub rows: RecordBatch,
    /// The slices in which a function failed, and how; they have no rows above.
    pub failures: Vec<(usize, String)>,
    /// What running functions keep.
    pub kept: Vec<(Key, SoFar)>,
}

/// How many rows these are.
fn count(rows: &[(Key, Entry)]) -> usize {
    rows.iter().map(|(_, entry)| entry.weight as usize).sum()
}

impl Window {
    /// Evaluates each slice by itself.
    ///
    /// # Errors
    /// When memory or a limit is at its end.
    pub(super) fn evaluate<'a>(&self, slices: impl Iterator<Item = &'a Slice> + Clone) -> Result<Evaluated> {
        let rows = slices.clone().flat_map(|slice| &slice.rows);
        let input = self.rows.decode(rows.flat_map(|(key, entry)| std::iter::repeat_n(key, entry.weight as usize)))?;
        let mut results: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.functions.len()];
        let (mut indices, mut failures, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for (at, slice) in slices.enumerate() {
            let length = count(&slice.rows);
            let (first, affected) =
                (count(&slice.rows[..slice.affected.start]), count(&slice.rows[slice.affected.clone()]));
            if affected > 0 {
                let part = input.slice(start, length);
                match self.evaluate_part(slice, &part) {
                    Ok((columns, more)) => {
                        for (all, column) in results.iter_mut().zip(columns) {
                            // A column may lack rows at the front.
                            let missing = length - column.len();
                            all.push(column.slice(first - missing, affected));
                        }
                        kept.extend(more);
                        indices.extend((start + first) as u32..(start + first + affected) as u32);
                    }
                    Err(error @ (Error::Limit(_) | Error::Io { .. })) => return Err(error),
                    Err(error) => {
                        let row = show_row(&part.project(&(0..self.shown).collect::<Vec<_>>())?, 0);
                        failures.push((at, format!("{error}, in the partition of the row {row}")));
                    }
                }
            }
            start += length;
        }
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        let all = indices.len() == input.num_rows();
        let indices = UInt32Array::from(indices);
        for column in &input.columns()[..self.shown] {
            columns.push(if all { column.clone() } else { compute::take(column, &indices, None)? });
        }
        for (parts, field) in results.iter().zip(&self.schema.fields()[self.shown..]) {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            columns.push(match parts.as_slice() {
                [] => new_empty_array(field.data_type()),
                parts => compute::concat(parts)?,
            });
        }
        Ok(Evaluated { rows: batch(&self.schema, columns, indices.len())?, failures, kept })
    }

    /// A column for each function over the rows of one slice; those of running functions begin where these do.
    fn evaluate_part(&self, slice: &Slice, part: &RecordBatch) -> Result<Columns> {
        let running = self.functions.iter().filter_map(|function| match function {
            Function::Running(running) => Some(running),
            Function::Framed(_) => None,
        });
        let skipped = count(&slice.rows[..slice.start]);
        let rest = part.slice(skipped, part.num_rows() - skipped);
        let so_far = slice.resume.as_ref().and_then(|key| self.kept.get(key));
        let (columns, mut kept) = run(running, &rest, &slice.rows[slice.start..], so_far)?;
        if self.resumes.is_none() {
            kept.clear();
        }
        let mut columns = columns.into_iter();
        let columns = self.functions.iter().map(|function| match function {
            Function::Running(_) => Ok(columns.next().expect("each running function has a column")),
            Function::Framed(expr) => Ok(expr.evaluate(part)?),
        });
        Ok((columns.collect::<Result<_>>()?, kept))
    }
}
