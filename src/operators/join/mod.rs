//! Joins of every kind: pairs of rows that match, rows that match nothing, rows that match something.
//!
//! Two rows match when their keys are equal and the condition, if there is one, is true of them. Without keys every row
//! meets every other.
//!
//! ```text
//! d(L * R)       = L * dR  +  dL * (R + dR)                    pairs: weights multiply
//! d(L without R) = L * (z' - z)  +  dL * z'                    z(l) = 1 where l matches nothing, else 0
//!
//!   dR --probe--> L  --> pairs; rows of dR that match nothing; rows of L for which that changed.  Then R = R + dR
//!   dL --probe--> R  --> the same, the other way round.                                           Then L = L + dL
//! ```
//!
//! Without a condition, matching is a property of the key: a key that comes to a side or leaves it concerns the rows
//! of the other side that have it. With one, how often each row is matched is counted. Either way what changed is
//! seen once per step. A pair on which the condition fails is an error of the pair's weight and no match.
//!
//! A row with a NULL key matches nothing (unless NULLs are equal) and is not kept. Float keys are equal as DataFusion's
//! hash join has them: `-0.0` matches `0.0`, a NaN its own bits.

mod condition;
mod not_in;
mod pairs;
mod side;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, new_null_array};
use arrow::datatypes::SchemaRef;

pub use condition::{Condition, Place};
pub use not_in::NotIn;
pub use pairs::OUTPUT_ROWS_MAX;
use pairs::{Pairs, Probe, take_all};
use side::Side;

use super::project::batch;
use crate::circuit::time::{Closing, Watermarks};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::columns::ABSENT;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// What a join puts out. Where the right side is the preserved one, its inputs change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pairs.
    Inner,
    /// Pairs, and left rows that match nothing beside NULLs.
    Left,
    /// Pairs, and rows of both sides that match nothing beside NULLs.
    Full,
    /// Left rows that match something.
    Semi,
    /// Left rows that match nothing.
    Anti,
    /// Left rows, and whether they match something.
    Mark,
}

impl Kind {
    /// Whether it matters for a row of this side if it matches anything.
    fn tracks(self, right: bool) -> bool {
        match self {
            Kind::Inner => false,
            Kind::Full => true,
            Kind::Left | Kind::Semi | Kind::Anti | Kind::Mark => !right,
        }
    }

    fn has_pairs(self) -> bool {
        matches!(self, Kind::Inner | Kind::Left | Kind::Full)
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Inner => "join",
            Kind::Left => "left join",
            Kind::Full => "full join",
            Kind::Semi => "semi join",
            Kind::Anti => "anti join",
            Kind::Mark => "mark join",
        }
    }
}

/// What makes a join.
pub struct Spec {
    /// What it puts out.
    pub kind: Kind,
    /// Columns (left, right) that must be equal.
    pub on: Vec<(usize, usize)>,
    /// Whether a NULL key equals another.
    pub nulls_equal: bool,
    /// What else must hold of a pair.
    pub condition: Option<Condition>,
    /// Which inputs never delete.
    pub append_only: (bool, bool),
    /// The column of each input by which rows are known that meet no row to come of the other.
    pub closing: (Option<Closing>, Option<Closing>),
    /// The columns of the output: those of the left input, then those of the right for pairs, the mark for
    /// [`Kind::Mark`].
    pub output: SchemaRef,
}

/// Joins two inputs.
pub struct Join {
    left: Side,
    right: Side,
    kind: Kind,
    nulls_equal: bool,
    condition: Option<Condition>,
    /// How often each row of a side is matched, by its id; kept where a condition decides about that.
    counts: (Vec<i64>, Vec<i64>),
    output: SchemaRef,
}

impl Join {
    /// A join of rows of these columns.
    ///
    /// # Errors
    /// When a column cannot be kept, or two key columns differ in type.
    pub fn new(left: SchemaRef, right: SchemaRef, spec: Spec) -> Result<Self> {
        for (l, r) in &spec.on {
            let (l, r) = (left.field(*l), right.field(*r));
            if l.data_type() != r.data_type() {
                let types = format!("{} is {}, {} is {}", l.name(), l.data_type(), r.name(), r.data_type());
                return Err(Error::Internal(format!("join keys of different types: {types}")));
            }
        }
        let (left_keys, right_keys) = spec.on.into_iter().unzip();
        let (of_left, of_right) = spec.closing;
        let right = match spec.kind.has_pairs() || spec.condition.is_some() {
            true => Side::rows(right, right_keys, spec.append_only.1, of_right)?,
            false => Side::totals(right, right_keys, of_right)?,
        };
        Ok(Join {
            left: Side::rows(left, left_keys, spec.append_only.0, of_left)?,
            right,
            kind: spec.kind,
            nulls_equal: spec.nulls_equal,
            condition: spec.condition,
            counts: (Vec::new(), Vec::new()),
            output: spec.output,
        })
    }

    /// Takes in the change of one side, as the module's text says.
    fn half(&mut self, delta: &Delta, from_right: bool, out: &mut Out, tick: &Tick) -> Result<()> {
        if !delta.has_rows() {
            return Ok(());
        }
        let ((own, own_counts), (other, other_counts)) = match from_right {
            true => ((&mut self.right, &mut self.counts.1), (&self.left, &mut self.counts.0)),
            false => ((&mut self.left, &mut self.counts.0), (&self.right, &mut self.counts.1)),
        };
        let (own_tracked, other_tracked) = (self.kind.tracks(from_right), self.kind.tracks(!from_right));
        let parts = if self.nulls_equal { None } else { own.apart_from_nulls(delta)? };
        let delta = match &parts {
            None => delta,
            Some((delta, nulls)) => {
                if own_tracked {
                    out.rows(nulls, from_right, &vec![false; nulls.len()])?;
                }
                delta
            }
        };
        if !delta.has_rows() {
            return Ok(());
        }
        let keys = own.keys_of(delta);
        let found = other.find(&keys, delta.len())?;
        let mut probe = Probe {
            delta,
            from_right,
            other,
            condition: self.condition.as_ref(),
            wanted: self.kind.has_pairs(),
            counts: other_tracked.then_some(other_counts),
            pairs: Pairs::default(),
            met: Vec::new(),
            crossed: Vec::new(),
            errors: Vec::new(),
        };
        if self.kind.has_pairs() || self.condition.is_some() {
            probe.run(&found, out.rows, tick)?;
        }
        let Probe { pairs, met, crossed, errors, .. } = probe;
        out.errors.extend(errors);
        if !pairs.rows.is_empty() {
            let (mine, theirs) = (take_all(delta, &pairs.rows)?, other.bag().columns().gather(&pairs.ids)?);
            let columns = if from_right { [theirs, mine] } else { [mine, theirs] };
            out.part(columns.concat(), pairs.weights)?;
        }
        if own_tracked {
            let matched: Vec<bool> = match self.condition {
                Some(_) => met.iter().map(|count| *count > 0).collect(),
                None => found.iter().map(|id| *id != ABSENT).collect(),
            };
            out.rows(delta, from_right, &matched)?;
        }
        let was_here = own.has(&keys, delta.len())?;
        own.apply(delta)?;
        if self.condition.is_some() {
            if own_tracked {
                own_counts.resize(own.bag().columns().slots(), 0);
                for (id, count) in own.bag().applied().iter().zip(&met) {
                    own_counts[*id as usize] = *count;
                }
            }
            if other_tracked {
                let crossed = settled(crossed, other_counts);
                out.crossed(other, !from_right, &crossed)?;
            }
        } else if other_tracked {
            let is_here = own.has(&keys, delta.len())?;
            let crossed = concerned(&keys, &was_here, &is_here, other)?;
            out.crossed(other, !from_right, &crossed)?;
        }
        Ok(())
    }

    fn name(&self, error: Error) -> Error {
        match error {
            Error::Limit(message) => Error::Limit(format!("{self}: {message}")),
            other => other,
        }
    }
}

/// The rows whose count is on the other side of zero than it was before the first crossing, and where it was.
fn settled(mut crossed: Vec<(u32, bool)>, counts: &[i64]) -> Vec<(u32, bool)> {
    crossed.sort_by_key(|(id, _)| *id);
    crossed.dedup_by_key(|(id, _)| *id);
    crossed.retain(|(id, before)| (counts[*id as usize] > 0) != *before);
    crossed
}

/// The rows of a side whose keys came to the other side or left it, and whether the keys were there before.
fn concerned(keys: &[ArrayRef], before: &[bool], after: &[bool], side: &Side) -> Result<Vec<(u32, bool)>> {
    let rows: Vec<u32> = (0..before.len() as u32).filter(|row| before[*row as usize] != after[*row as usize]).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let indices = arrow::array::UInt32Array::from(rows.clone());
    let keys: Vec<ArrayRef> =
        keys.iter().map(|key| arrow::compute::take(key, &indices, None)).collect::<Result<_, _>>()?;
    let types: Vec<_> = keys.iter().map(|key| key.data_type().clone()).collect();
    let (mut index, mut ids) = (KeyIndex::new(&types, Zeros::Folded)?, Vec::new());
    let first = index.intern(&keys, rows.len(), &mut ids)?;
    let found = side.find(&keys, rows.len())?;
    let mut concerned = Vec::new();
    for at in first {
        let was = before[rows[*at as usize] as usize];
        concerned.extend(side.chain(found[*at as usize]).map(|id| (id, was)));
    }
    Ok(concerned)
}

/// The output of a step, put together.
struct Out<'a> {
    kind: Kind,
    schema: &'a SchemaRef,
    parts: Vec<Delta>,
    rows: usize,
    errors: Vec<crate::delta::RowError>,
}

impl Out<'_> {
    fn part(&mut self, columns: Vec<ArrayRef>, weights: Vec<i64>) -> Result<()> {
        self.rows += weights.len();
        let batch = batch(self.schema, columns, weights.len())?;
        let weights = if weights.iter().all(|w| *w == 1) { Weights::ones() } else { Weights::new(weights) };
        self.parts.push(Delta::new(batch, weights));
        Ok(())
    }

    /// Rows of a side of which it is known whether they match anything.
    fn rows(&mut self, delta: &Delta, right: bool, matched: &[bool]) -> Result<()> {
        for state in [false, true] {
            let rows: Vec<u32> = (0..delta.len() as u32).filter(|row| matched[*row as usize] == state).collect();
            if self.shows(state) && !rows.is_empty() {
                let weights = rows.iter().map(|row| delta.weights.get(*row as usize)).collect();
                self.alone(take_all(delta, &rows)?, weights, right, state)?;
            }
        }
        Ok(())
    }

    /// Rows of a side that matched something before the step and do no longer, or the other way round.
    fn crossed(&mut self, side: &Side, right: bool, crossed: &[(u32, bool)]) -> Result<()> {
        for before in [false, true] {
            let ids: Vec<u32> = crossed.iter().filter(|(_, was)| *was == before).map(|(id, _)| *id).collect();
            if ids.is_empty() {
                continue;
            }
            let columns = side.bag().columns().gather(&ids)?;
            for (state, sign) in [(before, -1), (!before, 1)] {
                if self.shows(state) {
                    let weights = ids.iter().map(|id| sign * side.bag().weight(*id)).collect();
                    self.alone(columns.clone(), weights, right, state)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a row shows by itself, beside its pairs, when it matches something, or when it matches nothing.
    fn shows(&self, matched: bool) -> bool {
        match self.kind {
            Kind::Inner => false,
            Kind::Left | Kind::Full | Kind::Anti => !matched,
            Kind::Semi => matched,
            Kind::Mark => true,
        }
    }

    fn alone(&mut self, columns: Vec<ArrayRef>, weights: Vec<i64>, right: bool, matched: bool) -> Result<()> {
        let rows = weights.len();
        let missing = self.schema.fields().len() - columns.len();
        let nulls = |fields: &[Arc<arrow::datatypes::Field>]| -> Vec<ArrayRef> {
            fields.iter().map(|field| new_null_array(field.data_type(), rows)).collect()
        };
        let fields = self.schema.fields();
        let columns = match self.kind {
            Kind::Mark => {
                let mark: ArrayRef = Arc::new(BooleanArray::from(vec![matched; rows]));
                columns.into_iter().chain([mark]).collect()
            }
            _ if right => [nulls(&fields[..missing]), columns].concat(),
            _ => {
                let nulls = nulls(&fields[columns.len()..]);
                [columns, nulls].concat()
            }
        };
        self.part(columns, weights)
    }
}

impl Operator for Join {
    fn schema(&self) -> SchemaRef {
        self.output.clone()
    }

    /// After an error the state is not that of any moment: the join must be made anew.
    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let schema = self.output.clone();
        let mut out = Out { kind: self.kind, schema: &schema, parts: Vec::new(), rows: 0, errors: Vec::new() };
        self.half(inputs[1], true, &mut out, tick).map_err(|e| self.name(e))?;
        self.half(inputs[0], false, &mut out, tick).map_err(|e| self.name(e))?;
        let mut output = Delta::concat(&schema, &out.parts)?;
        output.errors = out.errors;
        Ok(output)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        self.left.close(watermarks)?;
        self.right.close(watermarks)
    }

    fn growth(&self) -> Growth {
        match (self.left.bound(), self.right.bound()) {
            (Some(left), Some(right)) => Growth::Closed(left.clone().or(right.clone())),
            _ => Growth::Open,
        }
    }

    fn state(&self) -> Option<StateSize> {
        let (left, right) = (self.left.state(), self.right.state());
        let counts = (self.counts.0.capacity() + self.counts.1.capacity()) * 8;
        Some(StateSize { rows: left.rows + right.rows, bytes: left.bytes + right.bytes + counts })
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.kind.word();
        if self.left.keys.is_empty() {
            return match &self.condition {
                Some(condition) => write!(f, "nested-loop {word}: every change meets every row, where {condition}"),
                None if self.kind == Kind::Inner => f.write_str("cross join"),
                None => write!(f, "{word} on any row"),
            };
        }
        write!(f, "{word} on ")?;
        for (position, (left, right)) in self.left.keys.iter().zip(&self.right.keys).enumerate() {
            let (left, right) = (self.left.schema().field(*left), self.right.schema().field(*right));
            write!(f, "{}{} = {}", if position == 0 { "" } else { ", " }, left.name(), right.name())?;
        }
        match &self.condition {
            Some(condition) => write!(f, " where {condition}"),
            None => Ok(()),
        }
    }
}
