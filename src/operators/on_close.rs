//! EMIT ON WINDOW CLOSE: rows once they can change no more.
//!
//! ```text
//! window_end  n        the watermark comes to 11:00
//! 10:00       3        out since 10:00
//! 11:00       5   -->  +1
//! 12:00       1        still kept here
//! ```
//!
//! Rows are kept until one of the columns that close is behind its bound. They leave in the order of that column, and
//! never come back.

use std::fmt;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;

use super::row_codec::{RowCodec, SortKey};
use crate::circuit::time::{Bound, Closing, Due, Watermarks, moments_of};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::rows::RowSet;
use crate::delta::{Delta, Weights};
use crate::error::Result;

/// Keeps rows until they can change no more.
pub struct OnClose {
    closing: Vec<(Closing, Due)>,
    waiting: RowSet,
    codec: RowCodec,
}

impl OnClose {
    /// Rows of `schema`, each of which changes no more once one of these columns is behind its bound.
    ///
    /// # Errors
    /// When a column cannot be kept or has no order.
    pub fn new(schema: SchemaRef, closing: Vec<Closing>) -> Result<Self> {
        let columns = closing.iter().map(|closing| SortKey::ascending(closing.column));
        let all = columns.chain((0..schema.fields().len()).map(SortKey::ascending));
        let codec = RowCodec::new(schema.clone(), all)?;
        let closing = closing.into_iter().map(|closing| (closing, Due::default())).collect();
        Ok(OnClose { closing, waiting: RowSet::new(schema, None, false)?, codec })
    }

    /// Notes when rows of the change that was just taken in are due.
    fn note(&mut self, delta: &Delta) -> Result<()> {
        for (closing, due) in &mut self.closing {
            let moments = moments_of(delta.column(closing.column))?;
            for (row, id) in self.waiting.applied().iter().enumerate() {
                if moments.is_valid(row) && self.waiting.weight(*id) > 0 {
                    due.push(moments.value(row), *id);
                }
            }
        }
        Ok(())
    }

    /// The rows that are closed.
    fn closed(&mut self, watermarks: &Watermarks) -> Result<Vec<u32>> {
        let mut closed = Vec::new();
        for (closing, due) in &mut self.closing {
            let Some(bound) = closing.bound.at(watermarks) else { continue };
            let mut ids = due.take_begun(bound);
            // A place of one that is gone may have been given to another.
            ids.retain(|id| self.waiting.weight(*id) > 0);
            let moments = moments_of(&self.waiting.columns().gather_column(closing.column, &ids)?)?;
            for (row, id) in ids.into_iter().enumerate().filter(|(row, _)| moments.is_valid(*row)) {
                match moments.value(row) {
                    moment if moment < bound => closed.push(id),
                    moment => due.push(moment, id),
                }
            }
        }
        closed.sort_unstable();
        closed.dedup();
        Ok(closed)
    }
}

impl Operator for OnClose {
    fn schema(&self) -> SchemaRef {
        self.waiting.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        if inputs[0].has_rows() {
            self.waiting.apply(inputs[0])?;
            self.note(inputs[0])?;
        }
        let ids = self.closed(&tick.watermarks)?;
        if ids.is_empty() {
            return Ok(Delta::empty(self.schema()));
        }
        let rows = self.waiting.gather(&ids)?;
        let weights = Weights::new(ids.iter().map(|id| self.waiting.weight(*id)).collect());
        let closed = Delta::new(rows, weights);
        let mut order: Vec<u32> = (0..closed.len() as u32).collect();
        if let Some(encoded) = self.codec.encode(&closed)? {
            order.sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
        }
        self.waiting.apply(&closed.negate())?;
        let mut output = closed.take(&order)?;
        if output.weights.as_slice().is_some_and(|weights| weights.iter().all(|weight| *weight == 1)) {
            output.weights = Weights::ones();
        }
        Ok(output)
    }

    fn growth(&self) -> Growth {
        let bounds = self.closing.iter().map(|(closing, _)| closing.bound.clone());
        bounds.reduce(Bound::or).map_or(Growth::Open, Growth::Closed)
    }

    fn state(&self) -> Option<StateSize> {
        let due: usize = self.closing.iter().map(|(_, due)| due.bytes()).sum();
        Some(StateSize { rows: self.waiting.columns().len(), bytes: self.waiting.bytes() + due })
    }
}

impl fmt::Display for OnClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("emit on window close, by ")?;
        for (at, (closing, _)) in self.closing.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " or " })?;
            f.write_str(self.waiting.schema().field(closing.column).name())?;
        }
        Ok(())
    }
}
