//! ASOF JOIN: each left row with the right row of its key that is nearest in time.
//!
//! ```text
//! left.ts >= right.ts      right  10:01      10:05      10:09
//!                          left        10:04      10:07      10:12
//! + right 10:06            the left rows from 10:06 up to the next right row, 10:09, get another: that of 10:07 does
//! ```
//!
//! What left rows are beside is kept. A change of the right side touches the left rows between it and its right neighbour,
//! among the right rows before and after the change together.

mod side;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound as Edge;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};

use side::{Keys, Place, Side};

use super::project::batch;
use super::row_codec::{SortKey, converter};
use super::sessions::numbers;
use crate::circuit::time::{Bound, Watermarks, moment_as};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::delta::{Delta, Weights};
use crate::error::Result;

/// Which right row is the nearest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearest {
    /// `left >= right`: the last one.
    NotAfter,
    /// `left > right`: the last one.
    Before,
    /// `left <= right`: the first one.
    NotBefore,
    /// `left < right`: the first one.
    After,
}

impl Nearest {
    /// How the left time compares with the right one.
    pub fn sign(self) -> &'static str {
        match self {
            Nearest::NotAfter => ">=",
            Nearest::Before => ">",
            Nearest::NotBefore => "<=",
            Nearest::After => "<",
        }
    }

    fn looks_back(self) -> bool {
        matches!(self, Nearest::NotAfter | Nearest::Before)
    }
}

/// What rows are compared by.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The columns of keys, of the left side and of the right one.
    pub keys: (Vec<usize>, Vec<usize>),
    /// The columns of times.
    pub times: (usize, usize),
    /// Which right row it is.
    pub nearest: Nearest,
    /// Whether a left row without one stays.
    pub keep_left: bool,
}

/// The order of some rows by all their columns.
///
/// # Errors
/// When a column has no order.
pub fn ranks(rows: &RecordBatch) -> Result<Vec<u32>> {
    let fields = (0..rows.num_columns()).map(|at| SortKey::ascending(at).field(&rows.schema())).collect();
    if rows.num_columns() == 0 {
        return Ok(vec![0; rows.num_rows()]);
    }
    let encoded = converter(fields)?.convert_columns(rows.columns())?;
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(rank, row)| ranks[*row as usize] = rank as u32);
    Ok(ranks)
}

/// Puts left rows beside right ones.
pub struct AsOf {
    schema: SchemaRef,
    nearest: Nearest,
    keep_left: bool,
    keys: Keys,
    left: Side,
    right: Side,
    /// The right row that a left row is beside, by its id.
    beside: Vec<Option<u32>>,
    closed_at: Option<i64>,
}

impl AsOf {
    /// A join to rows of `schema`, whose columns are those of both sides. `closing`: behind these bounds of the times
    /// nothing changes.
    ///
    /// # Errors
    /// When a column cannot be kept or, of the right side, has no order.
    pub fn new(
        inputs: (SchemaRef, SchemaRef),
        schema: SchemaRef,
        spec: Spec,
        closing: (Option<Bound>, Option<Bound>),
    ) -> Result<Self> {
        let types: Vec<DataType> = spec.keys.0.iter().map(|at| inputs.0.field(*at).data_type().clone()).collect();
        let keys = Keys { index: KeyIndex::new(&types, Zeros::Folded)?, counts: Vec::new() };
        ranks(&RecordBatch::new_empty(inputs.1.clone()))?;
        let left = Side::new(inputs.0, spec.keys.0, spec.times.0, closing.0)?;
        let right = Side::new(inputs.1, spec.keys.1, spec.times.1, closing.1)?;
        let (nearest, keep_left) = (spec.nearest, spec.keep_left);
        Ok(AsOf { schema, nearest, keep_left, keys, left, right, beside: Vec::new(), closed_at: None })
    }

    /// Before this moment nothing changes on either side. Where left rows wait for a right one to come, nothing follows.
    pub fn bound(&self) -> Option<Bound> {
        let (left, right) = (self.left.closing.clone()?, self.right.closing.clone()?);
        self.nearest.looks_back().then(|| left.or(right))
    }

    /// The right row that is nearest to a left one.
    fn find(&self, (key, time): (u32, i64)) -> Result<Option<u32>> {
        let places = &self.right.places;
        let found = match self.nearest {
            Nearest::NotAfter => places.range(..=(key, time, u32::MAX)).next_back(),
            Nearest::Before => places.range(..(key, time, 0)).next_back(),
            Nearest::NotBefore => places.range((key, time, 0)..).next(),
            Nearest::After => places.range((Edge::Excluded((key, time, u32::MAX)), Edge::Unbounded)).next(),
        };
        let Some((_, time, id)) = found.filter(|place| place.0 == key) else { return Ok(None) };
        let ties = places.range((key, *time, 0)..=(key, *time, u32::MAX));
        let ties: Vec<u32> = ties.map(|place| place.2).collect();
        if ties.len() < 2 {
            return Ok(Some(*id));
        }
        let ranks = ranks(&self.right.rows.gather(&ties)?)?;
        Ok(ties.into_iter().zip(ranks).max_by_key(|(_, rank)| *rank).map(|(id, _)| id))
    }

    /// The left rows that a change of the right side at a place may put beside another row.
    fn touched(&self, (key, time, _): Place) -> impl Iterator<Item = Place> + '_ {
        let same = move |place: &&Place| place.0 == key;
        let after = || {
            let next = self.right.places.range((Edge::Excluded((key, time, u32::MAX)), Edge::Unbounded)).next();
            next.filter(same).map(|place| place.1)
        };
        let before = || self.right.places.range(..(key, time, 0)).next_back().filter(same).map(|place| place.1);
        let least = (key, i64::MIN, 0);
        let most = (key, i64::MAX, u32::MAX);
        let (from, to) = match self.nearest {
            Nearest::NotAfter => (
                Edge::Included((key, time, 0)),
                after().map_or(Edge::Included(most), |next| Edge::Excluded((key, next, 0))),
            ),
            Nearest::Before => (
                Edge::Excluded((key, time, u32::MAX)),
                Edge::Included(after().map_or(most, |next| (key, next, u32::MAX))),
            ),
            Nearest::NotBefore => (
                before().map_or(Edge::Included(least), |last| Edge::Excluded((key, last, u32::MAX))),
                Edge::Included((key, time, u32::MAX)),
            ),
            Nearest::After => (
                before().map_or(Edge::Included(least), |last| Edge::Included((key, last, 0))),
                Edge::Excluded((key, time, 0)),
            ),
        };
        self.left.places.range((from, to)).copied()
    }

    /// Rows that are put out: of two batches some rows of each, the right one perhaps NULLs.
    fn rows(&self, left: &RecordBatch, right: &RecordBatch, put: Vec<(u32, Option<u32>, i64)>) -> Result<Delta> {
        let lefts = UInt32Array::from_iter_values(put.iter().map(|row| row.0));
        let rights = UInt32Array::from_iter(put.iter().map(|row| row.1));
        let left = compute::take_record_batch(left, &lefts)?;
        let right = right.columns().iter().map(|column| compute::take(column, &rights, None));
        let right = right.collect::<Result<Vec<_>, _>>()?;
        let columns = left.columns().iter().cloned().chain(right).collect();
        let weights = Weights::new(put.iter().map(|row| row.2).collect());
        Ok(Delta::new(batch(&self.schema, columns, put.len())?, weights))
    }
}

impl Operator for AsOf {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let (of_left, alone) = self.left.moved(inputs[0], &mut self.keys)?;
        let (of_right, _) = self.right.moved(inputs[1], &mut self.keys)?;
        // Where all that comes is there and what goes is not gone yet.
        let mut changed = self.right.add(&of_right, &mut self.keys)?;
        let going = of_right.minus_points.iter().map(|(key, time)| (*key, *time, 0));
        changed.extend(going);
        let came = self.left.add(&of_left, &mut self.keys)?;
        let mut affected: BTreeSet<Place> = came.iter().copied().collect();
        for place in changed {
            affected.extend(self.touched(place));
        }
        // A row that goes is known by its point alone until it is gone.
        for (key, time) in &of_left.minus_points {
            affected.extend(self.left.places.range((*key, *time, 0)..=(*key, *time, u32::MAX)).copied());
        }
        let affected: Vec<Place> = affected.into_iter().collect();
        self.beside.resize(self.left.rows.columns().slots(), None);
        let mut before: Vec<i64> = affected.iter().map(|place| self.left.rows.weight(place.2)).collect();
        for (at, place) in came.iter().enumerate() {
            if let Ok(found) = affected.binary_search(place) {
                before[found] -= of_left.plus.weights.get(at);
            }
        }
        let ids: Vec<u32> = affected.iter().map(|place| place.2).collect();
        let lefts = self.left.rows.gather(&ids)?;
        let was: Vec<Option<u32>> =
            ids.iter().zip(&before).map(|(id, had)| self.beside[*id as usize].filter(|_| *had != 0)).collect();
        let old: Vec<u32> = was.iter().flatten().copied().collect();
        let old = self.right.rows.gather(&old)?;
        self.right.take_out(&of_right, &mut self.keys)?;
        self.left.take_out(&of_left, &mut self.keys)?;
        let (mut put, mut put_new, mut new) = (Vec::new(), Vec::new(), Vec::new());
        let mut of_old = 0;
        for (at, place) in affected.iter().enumerate() {
            let (weight, found) = match self.left.rows.weight(place.2) {
                0 => (0, None),
                weight => (weight, self.find((place.0, place.1))?),
            };
            let (had, row) = (before[at], at as u32);
            let old_row = was[at].map(|_| {
                of_old += 1;
                of_old - 1
            });
            let mut show = |weight: i64| {
                if weight != 0 && (found.is_some() || self.keep_left) {
                    put_new.push((row, found.map(|_| new.len() as u32), weight));
                    new.extend(found);
                }
            };
            if had != 0 && was[at] == found && weight != 0 {
                show(weight - had);
            } else {
                show(weight);
                if had != 0 && (old_row.is_some() || self.keep_left) {
                    put.push((row, old_row, -had));
                }
            }
            self.beside[place.2 as usize] = found;
        }
        let new = self.right.rows.gather(&new)?;
        let mut parts = vec![self.rows(&lefts, &old, put)?, self.rows(&lefts, &new, put_new)?];
        if self.keep_left && alone.has_rows() {
            let rows = (0..alone.len()).map(|row| (row as u32, None, alone.weights.get(row))).collect();
            parts.push(self.rows(&alone.batch, &RecordBatch::new_empty(self.right.rows.schema().clone()), rows)?);
        }
        Delta::concat(&self.schema, &parts)
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let Some(bound) = self.bound() else { return Ok(()) };
        let Some(moment) = bound.at(watermarks).filter(|moment| self.closed_at != Some(*moment)) else { return Ok(()) };
        self.closed_at = Some(moment);
        let time = self.left.rows.schema().field(self.left.time).data_type().clone();
        let Some(value) = moment_as(moment, &time) else { return Ok(()) };
        let bound = numbers(&value)?.value(0);
        // A left row before both bounds neither goes nor gets another right one: what is before it is over.
        let gone = self.left.due(moment, bound).into_iter().collect();
        self.left.forget(&gone, &mut self.keys)?;
        // The left rows that are kept, and those to come, look back past the bound at the last right row before it alone.
        let mut gone = BTreeSet::new();
        for (key, time, _) in self.right.due(moment, bound) {
            gone.extend(self.right.places.range((key, i64::MIN, 0)..(key, time, 0)).copied());
        }
        self.right.forget(&gone, &mut self.keys)
    }

    fn growth(&self) -> Growth {
        // Of each key a row stays.
        self.bound().filter(|_| self.left.keys.is_empty()).map_or(Growth::Open, Growth::Closed)
    }

    fn state(&self) -> Option<StateSize> {
        let rows = self.left.rows.columns().len() + self.right.rows.columns().len();
        let bytes = self.left.bytes()
            + self.right.bytes()
            + self.keys.index.bytes()
            + self.keys.counts.len() * 8
            + self.beside.len() * 8;
        Some(StateSize { rows, bytes })
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |side: &Side, at: usize| side.rows.schema().field(at).name().clone();
        let (left, right) = (name(&self.left, self.left.time), name(&self.right, self.right.time));
        f.write_str(if self.keep_left { "left asof join" } else { "asof join" })?;
        write!(f, " by {left} {} {right}", self.nearest.sign())?;
        for (left, right) in self.left.keys.iter().zip(&self.right.keys) {
            write!(f, ", {} = {}", name(&self.left, *left), name(&self.right, *right))?;
        }
        Ok(())
    }
}
