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

mod average;
mod bag;
mod count;
mod distinct;
mod emit;
mod extreme;
mod float;
mod state;
mod sum;
#[cfg(test)]
mod tests;

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};

use crate::circuit::{Operator, StateSize, Tick};
use crate::delta::Delta;
use crate::delta::index::KeyIndex;
use crate::delta::text::describe;
use crate::delta::values::Zeros;
use crate::error::{Error, Result};
use emit::Outputs;
use state::{Change, State};

/// An aggregate function with an incremental state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Rows whose arguments are not NULL; all rows where there is no argument.
    Count,
    /// The sum.
    Sum,
    /// The average.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
}

/// One aggregate of an [`Aggregate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// Input columns of the arguments.
    pub args: Vec<usize>,
    /// A boolean input column: only rows where it is true count.
    pub filter: Option<usize>,
    /// Whether equal values count once.
    pub distinct: bool,
}

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
    states: Vec<Box<dyn State>>,
    append_only: bool,
    epoch: u32,
    started: bool,
    ids: Vec<u32>,
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
    /// [`Error::Unsupported`] for a call that [`Aggregate::supports`] denies or a key type that cannot be kept.
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
        let mut states = calls
            .iter()
            .zip(&output.fields()[keys.len()..])
            .map(|(call, field)| state::build(call, &types(&call.args), field.data_type(), append_only))
            .collect::<Result<Vec<_>>>()?;
        let mut index = KeyIndex::new(&types(&keys), Zeros::Folded)?;
        let mut groups = Vec::new();
        let mut ids = Vec::new();
        if keys.is_empty() {
            index.intern(&[], 1, &mut ids)?;
            groups.push(Group::default());
            states.iter_mut().for_each(|state| state.grow(1));
        }
        Ok(Aggregate { input, output, keys, calls, index, groups, states, append_only, epoch: 0, started: false, ids })
    }

    /// Whether a call of these argument types has an incremental state. `output` is the call's type in DataFusion.
    pub fn supports(function: Function, arguments: &[DataType], output: &DataType, distinct: bool) -> bool {
        let call = Call { function, args: (0..arguments.len()).collect(), filter: None, distinct };
        state::build(&call, arguments, output, false).is_ok()
    }

    fn touch(&mut self, delta: &Delta) -> Result<Touched> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|column| delta.column(*column).clone()).collect();
        self.index.intern(&keys, delta.len(), &mut self.ids)?;
        let slots = self.index.columns().slots();
        if slots > self.groups.len() {
            self.groups.resize(slots, Group::default());
            self.states.iter_mut().for_each(|state| state.grow(slots));
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

    fn update(&mut self, delta: &Delta) -> Result<()> {
        for (call, state) in self.calls.iter().zip(&mut self.states) {
            let arguments: Vec<ArrayRef> = call.args.iter().map(|column| delta.column(*column).clone()).collect();
            let Some(filter) = call.filter else {
                state.update(&Change::new(&self.ids, delta.weights.as_slice(), &arguments))?;
                continue;
            };
            let filter: &BooleanArray = delta.column(filter).as_boolean();
            let keep = filter.nulls().map_or(filter.values().clone(), |valid| filter.values() & valid.inner());
            let rows: Vec<usize> = keep.set_indices().collect();
            let keep = BooleanArray::new(keep, None);
            let groups: Vec<u32> = rows.iter().map(|row| self.ids[*row]).collect();
            let weights = delta.weights.as_slice().map(|w| rows.iter().map(|row| w[*row]).collect::<Vec<_>>());
            let arguments =
                arguments.iter().map(|array| compute::filter(array, &keep)).collect::<Result<Vec<_>, _>>()?;
            state.update(&Change::new(&groups, weights.as_deref(), &arguments))?;
        }
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Outputs> {
        let calls = self.states.iter().map(|state| state.output(groups)).collect::<Result<Vec<_>>>()?;
        Ok(Outputs::new(calls, groups.len()))
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
        self.update(delta)?;
        let after = self.after(&touched.groups)?;
        let new = if after.contains(&true) { Some(self.outputs(&touched.groups)?) } else { None };
        let mut output = emit::emit(&self.index, &self.output, &touched, &after, old.as_ref(), new.as_ref())?;
        output.errors.extend(delta.errors.iter().cloned());
        for (group, _) in touched.groups.iter().zip(&after).filter(|(_, after)| !**after) {
            self.index.remove(*group);
            self.states.iter_mut().for_each(|state| state.clear(*group));
        }
        Ok(output)
    }

    fn state(&self) -> Option<StateSize> {
        let states: usize = self.states.iter().map(|state| state.bytes()).sum();
        let groups = self.groups.capacity() * size_of::<Group>();
        Some(StateSize { rows: self.index.columns().len(), bytes: self.index.bytes() + groups + states })
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
            let function = match call.function {
                Function::Count => "count",
                Function::Sum => "sum",
                Function::Avg => "avg",
                Function::Min => "min",
                Function::Max => "max",
            };
            f.write_str(if position == 0 { ": " } else { ", " })?;
            let distinct = if call.distinct { "distinct " } else { "" };
            let arguments = if call.args.is_empty() { "*".to_owned() } else { names(&call.args) };
            write!(f, "{function}({distinct}{arguments})")?;
            if let Some(filter) = &call.filter {
                write!(f, " filter {}", name(filter))?;
            }
        }
        Ok(())
    }
}
