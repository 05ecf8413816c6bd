//! GROUP BY: keys to groups, groups to aggregate values; also DISTINCT, which is groups without values.
//!
//! ```text
//! delta --keys--> group ids --+--> state of call 1 --+
//!                             +--> state of call 2 --+--> per touched group: -old row, +new row
//!                             +--> rows per group  --+    (nothing where old and new are the same bits)
//! ```
//!
//! A group without rows disappears, and its id is used again. Without keys there is one group, always, also before
//! any input. A group of which a value fails is left out and listed in [`Delta::errors`] until it heals.

mod bag;
mod batch;
mod bits;
mod call;
mod count;
mod distinct;
mod emit;
mod extreme;
mod float;
#[cfg(test)]
mod group_tests;
mod kept;
mod rows;
mod state;
mod statistics;
mod sum;
#[cfg(test)]
mod tests;

use std::fmt;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef};

pub use batch::{BatchCall, Part};
pub use call::{Call, Function};

use crate::circuit::time::{Closing, Due, Watermarks, moments_of};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::Delta;
use crate::delta::index::KeyIndex;
use crate::delta::text::describe;
use crate::delta::values::Zeros;
use crate::error::{Error, Result};
use emit::Outputs;
use kept::Kept;

/// Groups rows by key columns and keeps aggregates of each group.
///
/// Output: the key columns, then one column per call; one row of weight 1 per group.
pub struct Aggregate {
    input: SchemaRef,
    output: SchemaRef,
    keys: Vec<usize>,
    calls: Vec<Call>,
    index: KeyIndex,
    groups: Vec<Group>,
    kept: Kept,
    append_only: bool,
    epoch: u32,
    started: bool,
    ids: Vec<u32>,
    /// The key by which groups are known that change no more.
    closing: Option<(Closing, Due)>,
}

/// What is kept of each group beside its aggregates.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    rows: i64,
    /// The step that last touched the group.
    epoch: u32,
}

/// The groups that a step touches, and which of them had a row of output before.
#[derive(Default)]
struct Touched {
    groups: Vec<u32>,
    before: Vec<bool>,
}

impl Aggregate {
    /// An aggregate over `input`. With `append_only` input, MIN and MAX keep one value per group.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a call that [`Aggregate::supports`] denies, an argument or a key type that cannot be kept.
    pub fn new(
        input: SchemaRef,
        keys: Vec<usize>,
        calls: Vec<Call>,
        output: SchemaRef,
        append_only: bool,
    ) -> Result<Self> {
        let types = |columns: &[usize]| -> Vec<DataType> {
            columns.iter().map(|column| input.field(*column).data_type().clone()).collect()
        };
        let outputs: Vec<DataType> = output.fields()[keys.len()..].iter().map(|f| f.data_type().clone()).collect();
        let mut kept = Kept::new(&calls, &input, &outputs, append_only)?;
        let mut index = KeyIndex::new(&types(&keys), Zeros::Folded)?;
        let mut groups = Vec::new();
        let mut ids = Vec::new();
        if keys.is_empty() {
            index.intern(&[], 1, &mut ids)?;
            groups.push(Group::default());
            kept.grow(1);
        }
        Ok(Aggregate {
            input,
            output,
            keys,
            calls,
            index,
            groups,
            kept,
            append_only,
            epoch: 0,
            started: false,
            ids,
            closing: None,
        })
    }

    /// Lets go of groups once this one of the keys is behind its bound.
    #[must_use]
    pub fn closing(mut self, closing: Option<Closing>) -> Self {
        self.closing = closing.map(|closing| (closing, Due::default()));
        self
    }

    /// Whether a function with a state of its own takes these argument types. `output` is the call's type in DataFusion.
    pub fn supports(function: &Function, arguments: &[DataType], output: &DataType, distinct: bool) -> bool {
        let (function, args) = (function.clone(), (0..arguments.len()).collect());
        let call = Call { function, args, filter: None, distinct, order: Vec::new() };
        matches!(state::build(&call, arguments, output, false), Ok(Some(_)))
    }

    fn touch(&mut self, delta: &Delta) -> Result<Touched> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|column| delta.column(*column).clone()).collect();
        let fresh = self.index.intern(&keys, delta.len(), &mut self.ids)?;
        if let Some((closing, due)) = &mut self.closing {
            let moments = moments_of(&keys[closing.column])?;
            for row in fresh.iter().map(|row| *row as usize).filter(|row| moments.is_valid(*row)) {
                due.push(moments.value(row), self.ids[row]);
            }
        }
        let slots = self.index.columns().slots();
        if slots > self.groups.len() {
            self.groups.resize(slots, Group::default());
            self.kept.grow(slots);
        }
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.groups.iter_mut().for_each(|group| group.epoch = 0);
            self.epoch = 1;
        }
        let mut touched = Touched::default();
        let weights = delta.weights.as_slice();
        for (row, id) in self.ids.iter().enumerate() {
            let group = &mut self.groups[*id as usize];
            if group.epoch != self.epoch {
                group.epoch = self.epoch;
                touched.groups.push(*id);
                touched.before.push(group.rows > 0);
            }
            group.rows += weights.map_or(1, |w| w[row]);
        }
        if self.keys.is_empty() {
            let started = std::mem::replace(&mut self.started, true);
            touched.before = vec![started; touched.groups.len()];
            if !started && touched.groups.is_empty() {
                touched = Touched { groups: vec![0], before: vec![false] };
            }
        }
        Ok(touched)
    }

    fn outputs(&self, groups: &[u32]) -> Result<Outputs> {
        Ok(Outputs::new(self.kept.outputs(groups)?, groups.len()))
    }

    /// Which of the groups have rows now; fewer than none is a bug upstream.
    fn after(&self, groups: &[u32]) -> Result<Vec<bool>> {
        groups
            .iter()
            .map(|group| match self.groups[*group as usize].rows {
                rows if rows < 0 => {
                    let key = describe(&self.index.gather(&[*group])?, 0)?;
                    Err(Error::Internal(format!("{self}: group {key} has {rows} rows")))
                }
                rows => Ok(rows > 0 || self.keys.is_empty()),
            })
            .collect()
    }
}

impl Operator for Aggregate {
    fn schema(&self) -> SchemaRef {
        self.output.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _tick: &Tick) -> Result<Delta> {
        let delta = inputs[0];
        if self.append_only && !delta.weights.is_append() {
            return Err(Error::Internal(format!("{self}: a row was deleted from an append-only input")));
        }
        let touched = self.touch(delta)?;
        if touched.groups.is_empty() {
            return Ok(Delta { errors: delta.errors.clone(), ..Delta::empty(self.output.clone()) });
        }
        let old = if touched.before.contains(&true) { Some(self.outputs(&touched.groups)?) } else { None };
        self.kept.update(delta, &self.ids)?;
        let after = self.after(&touched.groups)?;
        let new = if after.contains(&true) { Some(self.outputs(&touched.groups)?) } else { None };
        let mut output = emit::emit(&self.index, &self.output, &touched, &after, old.as_ref(), new.as_ref())?;
        output.errors.extend(delta.errors.iter().cloned());
        for (group, _) in touched.groups.iter().zip(&after).filter(|(_, after)| !**after) {
            self.index.remove(*group);
            self.kept.clear(*group);
        }
        Ok(output)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let Some((closing, due)) = &mut self.closing else { return Ok(()) };
        let Some(bound) = closing.bound.at(watermarks) else { return Ok(()) };
        let mut groups = due.take(bound);
        // A place of one that is gone may have been given to another.
        groups.retain(|group| self.groups[*group as usize].rows > 0);
        let moments = moments_of(&self.index.columns().gather_column(closing.column, &groups)?)?;
        for (row, group) in groups.into_iter().enumerate() {
            if moments.is_valid(row) && moments.value(row) < bound {
                self.index.remove(group);
                self.kept.clear(group);
                self.groups[group as usize].rows = 0;
            }
        }
        Ok(())
    }

    fn growth(&self) -> Growth {
        let one_size = |call: &Call| match call.function {
            Function::Batch(_) => false,
            Function::Min | Function::Max => self.append_only,
            _ => !call.distinct,
        };
        match &self.closing {
            Some((closing, _)) => Growth::Closed(closing.bound.clone()),
            None if self.keys.is_empty() && self.calls.iter().all(one_size) => Growth::Fixed,
            None => Growth::Open,
        }
    }

    fn state(&self) -> Option<StateSize> {
        let due = self.closing.as_ref().map_or(0, |(_, due)| due.bytes());
        let groups = self.groups.capacity() * size_of::<Group>() + due;
        Some(StateSize { rows: self.index.columns().len(), bytes: self.index.bytes() + groups + self.kept.bytes() })
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |column: &usize| self.input.field(*column).name().as_str();
        let names = |columns: &[usize]| columns.iter().map(name).collect::<Vec<_>>().join(", ");
        f.write_str(if self.calls.is_empty() { "distinct" } else { "aggregate" })?;
        if !self.keys.is_empty() {
            write!(f, " by {}", names(&self.keys))?;
        }
        for (position, call) in self.calls.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { ", " })?;
            write!(f, "{}", call.show(&self.input))?;
        }
        if self.calls.iter().any(|call| matches!(call.function, Function::Batch(_))) {
            f.write_str("; keeps the rows of each group")?;
        }
        Ok(())
    }
}
