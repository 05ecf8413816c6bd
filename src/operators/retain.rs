//! Retention: rows until a bound is so far past them.
//!
//! ```text
//! retention 7 days      bound of window_end at 10 March 11:00
//! window_end  n
//! 3 March 10:00  3   -->  -1
//! 3 March 11:00  5        stays
//! ```

use std::fmt;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;

use crate::circuit::time::{Closing, Due, Watermarks, moments_of, show_length};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::rows::RowSet;
use crate::delta::{Delta, Weights, consolidate};
use crate::error::Result;

/// Lets go of rows some time after they change no more.
pub struct Retain {
    closing: Closing,
    retention: i64,
    due: Due,
    rows: RowSet,
}

impl Retain {
    /// Rows of `schema`, each until the bound of a column is `retention` microseconds past it.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn new(schema: SchemaRef, closing: Closing, retention: i64) -> Result<Self> {
        Ok(Retain { closing, retention, due: Due::default(), rows: RowSet::new(schema, None, false)? })
    }

    /// The rows that are too old.
    fn old(&mut self, watermarks: &Watermarks) -> Result<Vec<u32>> {
        let Some(bound) = self.closing.bound.at(watermarks) else { return Ok(Vec::new()) };
        let bound = bound.saturating_sub(self.retention);
        let mut ids = self.due.take_begun(bound);
        // A place of one that is gone may have been given to another.
        ids.retain(|id| self.rows.weight(*id) > 0);
        let moments = moments_of(&self.rows.columns().gather_column(self.closing.column, &ids)?)?;
        let mut old = Vec::new();
        for (row, id) in ids.into_iter().enumerate().filter(|(row, _)| moments.is_valid(*row)) {
            match moments.value(row) {
                moment if moment < bound => old.push(id),
                moment => self.due.push(moment, id),
            }
        }
        Ok(old)
    }
}

impl Operator for Retain {
    fn schema(&self) -> SchemaRef {
        self.rows.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let delta = inputs[0];
        if delta.has_rows() {
            self.rows.apply(delta)?;
            let moments = moments_of(delta.column(self.closing.column))?;
            for (row, id) in self.rows.applied().iter().enumerate() {
                if moments.is_valid(row) && self.rows.weight(*id) > 0 {
                    self.due.push(moments.value(row), *id);
                }
            }
        }
        let ids = self.old(&tick.watermarks)?;
        if ids.is_empty() {
            return Ok(Delta::new(delta.batch.clone(), delta.weights.clone()));
        }
        let weights = Weights::new(ids.iter().map(|id| -self.rows.weight(*id)).collect());
        let gone = Delta::new(self.rows.gather(&ids)?, weights);
        self.rows.apply(&gone)?;
        consolidate(&Delta::concat(&self.schema(), [delta, &gone])?)
    }

    fn growth(&self) -> Growth {
        Growth::Closed(self.closing.bound.clone().shifted(-self.retention))
    }

    fn state(&self) -> Option<StateSize> {
        Some(StateSize { rows: self.rows.columns().len(), bytes: self.rows.bytes() + self.due.bytes() })
    }
}

impl fmt::Display for Retain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.rows.schema();
        write!(f, "retain {} by {}", show_length(self.retention), schema.field(self.closing.column).name())
    }
}
