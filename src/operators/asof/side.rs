//! One side of the join: its rows, in the order of their keys and times.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute;
use arrow::datatypes::SchemaRef;

use crate::circuit::time::{Bound, Due, moments_of};
use crate::delta::index::KeyIndex;
use crate::delta::rows::RowSet;
use crate::delta::{Delta, Weights, consolidate};
use crate::error::Result;
use crate::operators::sessions::numbers;

/// Key, time and id of a row.
pub type Place = (u32, i64, u32);

/// The keys of both sides, each as long as a row has it.
pub struct Keys {
    pub index: KeyIndex,
    pub counts: Vec<usize>,
}

impl Keys {
    fn points(&mut self, delta: &Delta, keys: &[usize], time: usize) -> Result<Vec<(u32, i64)>> {
        let mut ids = vec![0; delta.len()];
        if !keys.is_empty() {
            let keys: Vec<ArrayRef> = keys.iter().map(|at| delta.column(*at).clone()).collect();
            self.index.intern(&keys, delta.len(), &mut ids)?;
        }
        let slots = ids.iter().max().map_or(0, |last| *last as usize + 1);
        self.counts.resize(self.counts.len().max(slots), 0);
        Ok(ids.into_iter().zip(numbers(delta.column(time))?.values().iter().copied()).collect())
    }

    fn let_go(&mut self, key: u32, has_keys: bool) {
        self.counts[key as usize] -= 1;
        if self.counts[key as usize] == 0 && has_keys {
            self.index.remove(key);
        }
    }
}

/// One side.
pub struct Side {
    pub rows: RowSet,
    pub keys: Vec<usize>,
    pub time: usize,
    pub places: BTreeSet<Place>,
    /// Key and time of a row, by its id.
    points: Vec<(u32, i64)>,
    pub closing: Option<Bound>,
    due: Due,
}

/// Rows of a delta with a key and a time: those that come and those that go.
pub struct Moved {
    pub plus: Delta,
    pub plus_points: Vec<(u32, i64)>,
    pub minus: Delta,
    pub minus_points: Vec<(u32, i64)>,
}

impl Side {
    pub fn new(schema: SchemaRef, keys: Vec<usize>, time: usize, closing: Option<Bound>) -> Result<Side> {
        let (rows, places, points, due) =
            (RowSet::new(schema, None, false)?, BTreeSet::new(), Vec::new(), Due::default());
        Ok(Side { rows, keys, time, places, points, closing, due })
    }

    /// The rows that can be beside others, and the rest: a key or a time of NULL is equal to none.
    pub fn moved(&self, delta: &Delta, keys: &mut Keys) -> Result<(Moved, Delta)> {
        let mut known = compute::is_not_null(delta.column(self.time))?;
        for key in &self.keys {
            known = compute::and(&known, &compute::is_not_null(delta.column(*key))?)?;
        }
        let rest = delta.filter(&compute::not(&known)?)?;
        let delta = consolidate(&delta.filter(&known)?)?;
        let comes: BooleanArray = (0..delta.len()).map(|row| Some(delta.weights.get(row) > 0)).collect();
        let (plus, minus) = (delta.filter(&comes)?, delta.filter(&compute::not(&comes)?)?);
        let plus_points = keys.points(&plus, &self.keys, self.time)?;
        let minus_points = keys.points(&minus, &self.keys, self.time)?;
        Ok((Moved { plus, plus_points, minus, minus_points }, rest))
    }

    /// Takes in the rows that come; their places.
    pub fn add(&mut self, moved: &Moved, keys: &mut Keys) -> Result<Vec<Place>> {
        if !moved.plus.has_rows() {
            return Ok(Vec::new());
        }
        self.rows.apply(&moved.plus)?;
        self.points.resize(self.rows.columns().slots(), (0, 0));
        let moments = self.closing.as_ref().map(|_| moments_of(moved.plus.column(self.time))).transpose()?;
        let mut places = Vec::with_capacity(moved.plus.len());
        for (row, (id, (key, time))) in self.rows.applied().iter().zip(&moved.plus_points).enumerate() {
            let place = (*key, *time, *id);
            places.push(place);
            self.points[*id as usize] = (*key, *time);
            if self.places.insert(place) {
                keys.counts[*key as usize] += 1;
                moments.iter().for_each(|moments| self.due.push(moments.value(row), *id));
            }
        }
        Ok(places)
    }

    /// Takes out the rows that go.
    pub fn take_out(&mut self, moved: &Moved, keys: &mut Keys) -> Result<()> {
        if !moved.minus.has_rows() {
            return Ok(());
        }
        self.rows.apply(&moved.minus)?;
        for (id, (key, time)) in self.rows.applied().iter().zip(&moved.minus_points) {
            if self.rows.weight(*id) == 0 && self.places.remove(&(*key, *time, *id)) {
                keys.let_go(*key, !self.keys.is_empty());
            }
        }
        Ok(())
    }

    /// Lets go of rows.
    pub fn forget(&mut self, gone: &BTreeSet<Place>, keys: &mut Keys) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let ids: Vec<u32> = gone.iter().map(|place| place.2).collect();
        let weights = Weights::new(ids.iter().map(|id| -self.rows.weight(*id)).collect());
        self.rows.apply(&Delta::new(self.rows.gather(&ids)?, weights))?;
        for place in gone {
            self.places.remove(place);
            keys.let_go(place.0, !self.keys.is_empty());
        }
        Ok(())
    }

    /// The rows before a moment that were not asked for before.
    pub fn due(&mut self, moment: i64, bound: i64) -> Vec<Place> {
        let mut due = Vec::new();
        for id in self.due.take_begun(moment) {
            let (key, time) = self.points[id as usize];
            if self.rows.weight(id) == 0 {
                continue;
            }
            match time < bound {
                true => due.push((key, time, id)),
                // Its neighbours in time are asked for together.
                false => self.due.push(moment, id),
            }
        }
        due
    }

    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.due.bytes() + self.places.len() * size_of::<Place>() * 3 / 2 + self.points.len() * 16
    }
}
