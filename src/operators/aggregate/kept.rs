//! Which states the calls of an aggregate need: calls that can share one do.
//!
//! ```text
//! count(x)                            a state of its own
//! var(x), stddev(x)                   one set of sums
//! first_value(a order by t),
//! last_value(b order by t)            one ordered bag of rows
//! ```

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{self, SortOptions};
use arrow::datatypes::{DataType, Schema};
use arrow::row::SortField;

use super::distinct::Distinct;
use super::rows::{GroupRows, Reading};
use super::state::{self, Change, Output, State};
use super::statistics::Statistics;
use super::{Call, Function};
use crate::delta::Delta;
use crate::error::{Error, Result};

/// The states of some calls, and where each call finds its values.
#[derive(Default)]
pub struct Kept {
    states: Vec<Fed>,
    /// The state of each call, and which of the state's values are the call's.
    places: Vec<(usize, usize)>,
}

/// A state and what it is fed.
struct Fed {
    columns: Vec<usize>,
    filter: Option<usize>,
    /// Rows with a NULL in one of these do not count.
    needed: Vec<usize>,
    state: Box<dyn State>,
}

impl Kept {
    /// The states for calls over `input`, whose values are of the types `outputs`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a call that has no state.
    pub fn new(calls: &[Call], input: &Schema, outputs: &[DataType], append_only: bool) -> Result<Self> {
        let mut kept = Kept { states: Vec::new(), places: vec![(0, 0); calls.len()] };
        let mut done = vec![false; calls.len()];
        for first in 0..calls.len() {
            if done[first] {
                continue;
            }
            let together: Vec<usize> =
                (first..calls.len()).filter(|at| *at == first || calls[first].shares(&calls[*at])).collect();
            for (output, call) in together.iter().enumerate() {
                done[*call] = true;
                kept.places[*call] = (kept.states.len(), output);
            }
            let group: Vec<(&Call, &DataType)> = together.iter().map(|at| (&calls[*at], &outputs[*at])).collect();
            kept.states.push(Fed::new(&group, input, append_only)?);
        }
        Ok(kept)
    }

    /// Makes room for groups.
    pub fn grow(&mut self, groups: usize) {
        self.states.iter_mut().for_each(|fed| fed.state.grow(groups));
    }

    /// Takes a batch of changes; `groups` has the group of each row.
    ///
    /// # Errors
    /// As [`State::update`].
    pub fn update(&mut self, delta: &Delta, groups: &[u32]) -> Result<()> {
        self.states.iter_mut().try_for_each(|fed| fed.update(delta, groups))
    }

    /// The present values of some groups, for each call.
    ///
    /// # Errors
    /// As [`State::outputs`].
    pub fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let mut outputs = Vec::with_capacity(self.states.len());
        for fed in &self.states {
            outputs.push(fed.state.outputs(groups)?.into_iter().map(Some).collect::<Vec<_>>());
        }
        let mut take = |(state, output): &(usize, usize)| outputs[*state][*output].take();
        Ok(self.places.iter().map(|place| take(place).expect("each output belongs to one call")).collect())
    }

    /// Forgets a group.
    pub fn clear(&mut self, group: u32) {
        self.states.iter_mut().for_each(|fed| fed.state.clear(group));
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.states.iter().map(|fed| fed.state.bytes()).sum()
    }
}

impl Call {
    /// Whether two calls can be read from one state.
    fn shares(&self, other: &Call) -> bool {
        let same_rows = self.filter == other.filter && self.order == other.order;
        match (&self.function, &other.function) {
            (Function::Statistic(_), Function::Statistic(_)) => {
                same_rows && self.args == other.args && self.distinct == other.distinct
            }
            (Function::Batch(a), Function::Batch(b)) => {
                // With an order, most arguments are among its columns; without, each would make more rows differ.
                let same_columns = self.args == other.args || !self.order.is_empty();
                let skips = a.skips_nulls() || b.skips_nulls();
                same_rows && same_columns && (!skips || a.skips_nulls() && b.skips_nulls() && self.args == other.args)
            }
            _ => false,
        }
    }
}

impl Fed {
    fn new(calls: &[(&Call, &DataType)], input: &Schema, append_only: bool) -> Result<Self> {
        let (call, output) = calls[0];
        let types = |columns: &[usize]| -> Vec<DataType> {
            columns.iter().map(|column| input.field(*column).data_type().clone()).collect()
        };
        let filter = call.filter;
        if matches!(call.function, Function::Batch(_)) {
            return Fed::rows(calls, input);
        }
        let columns = call.args.clone();
        let statistics: Vec<_> = calls.iter().filter_map(|(call, _)| call.function.statistic()).collect();
        let arguments = types(&columns);
        let state = match state::build(call, &arguments, output, append_only)? {
            None => return Err(Error::unsupported(format!("{} of {arguments:?}", call.show(input)))),
            Some(_) if statistics.len() > 1 => {
                let state: Box<dyn State> = Box::new(Statistics::new(statistics));
                if call.distinct { Box::new(Distinct::new(&arguments, state)?) } else { state }
            }
            Some(state) => state,
        };
        Ok(Fed { needed: columns.clone(), columns, filter, state })
    }

    /// The state of functions that need the rows themselves.
    fn rows(calls: &[(&Call, &DataType)], input: &Schema) -> Result<Self> {
        let order = &calls[0].0.order;
        let mut columns: Vec<(usize, SortOptions)> = order.clone();
        let mut place = |column: usize| {
            columns.iter().position(|(kept, _)| *kept == column).unwrap_or_else(|| {
                columns.push((column, SortOptions::default()));
                columns.len() - 1
            })
        };
        let mut needed = Vec::new();
        let mut readings = Vec::new();
        for (call, output) in calls {
            let Function::Batch(function) = &call.function else { continue };
            let args = call.args.iter().map(|column| place(*column)).collect();
            if function.skips_nulls() {
                needed = call.args.iter().take(1).copied().collect();
            }
            readings.push(Reading { call: function.clone(), args, output: (*output).clone() });
        }
        let data_type = |column: usize| input.field(column).data_type().clone();
        let fields = columns.iter().map(|(column, options)| SortField::new_with_options(data_type(*column), *options));
        let types = columns.iter().map(|(column, _)| data_type(*column)).collect();
        let state = GroupRows::new(fields.collect(), types, order.len(), readings)?;
        let columns = columns.into_iter().map(|(column, _)| column).collect();
        Ok(Fed { columns, filter: calls[0].0.filter, needed, state: Box::new(state) })
    }

    fn update(&mut self, delta: &Delta, groups: &[u32]) -> Result<()> {
        let of = |columns: &[usize]| -> Vec<ArrayRef> { columns.iter().map(|c| delta.column(*c).clone()).collect() };
        let (columns, needed) = (of(&self.columns), of(&self.needed));
        let weights = delta.weights.as_slice();
        let Some(filter) = self.filter else {
            return self.state.update(&Change::counting(groups, weights, &columns, &needed));
        };
        let filter: &BooleanArray = delta.column(filter).as_boolean();
        let keep = filter.nulls().map_or(filter.values().clone(), |valid| filter.values() & valid.inner());
        let rows: Vec<usize> = keep.set_indices().collect();
        let keep = BooleanArray::new(keep, None);
        let groups: Vec<u32> = rows.iter().map(|row| groups[*row]).collect();
        let weights = weights.map(|w| rows.iter().map(|row| w[*row]).collect::<Vec<_>>());
        let kept = |columns: &[ArrayRef]| -> Result<Vec<ArrayRef>> {
            Ok(columns.iter().map(|array| compute::filter(array, &keep)).collect::<Result<_, _>>()?)
        };
        let (columns, needed) = (kept(&columns)?, kept(&needed)?);
        self.state.update(&Change::counting(&groups, weights.as_deref(), &columns, &needed))
    }
}
