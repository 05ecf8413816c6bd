//! The rows that matches are shown as.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute;
use datafusion::common::DataFusionError;

use super::binding::Binding;
use super::formula::{Scratch, Seen, Source};
use super::search::{Fault, Stretch};
use super::spec::{Show, Shown, Spec};
use crate::operators::project;

/// A match in a stretch of rows.
pub struct Match {
    /// Its first row, or the one that it begins before.
    pub start: usize,
    /// The symbols of its rows.
    pub symbols: Vec<usize>,
    /// Its number in the partition, from one.
    pub number: i64,
}

impl Match {
    /// How many rows it is shown as.
    pub fn shown(&self, spec: &Spec) -> usize {
        match (spec.shape.show, self.symbols.len()) {
            (Show::Match, _) | (Show::Rows { empty: true }, 0) => 1,
            (Show::Rows { .. }, rows) => rows,
        }
    }
}

impl Stretch<'_> {
    /// The rows that matches are shown as, one match after the other.
    ///
    /// # Errors
    /// [`Fault`], where a measure fails.
    pub fn show(&self, spec: &Spec, matches: &[Match]) -> Result<RecordBatch, Fault> {
        let start = matches.first().map_or(0, |m| m.start);
        let fault = |error: DataFusionError| Fault::of(error, "a measure of the matches from", self.batch, start);
        let mut measures: Vec<Scratch> = spec.measures.iter().map(Scratch::new).collect();
        let has_whole = spec.measures.iter().flat_map(|measure| &measure.sources).any(is_whole);
        let mut rows: Vec<u32> = Vec::new();
        for found in matches {
            let mut whole = Binding::new(spec, found.start);
            if has_whole || spec.shape.show == Show::Match {
                found.symbols.iter().for_each(|symbol| whole.push(*symbol));
            }
            match spec.shape.show {
                Show::Match => self.measure(&mut measures, &whole, &whole, found.number).map_err(fault)?,
                Show::Rows { .. } => {
                    let mut running = Binding::new(spec, found.start);
                    for symbol in &found.symbols {
                        running.push(*symbol);
                        self.measure(&mut measures, &running, &whole, found.number).map_err(fault)?;
                    }
                    if found.symbols.is_empty() && found.shown(spec) > 0 {
                        self.measure(&mut measures, &running, &whole, found.number).map_err(fault)?;
                    }
                }
            }
            rows.extend((0..found.shown(spec)).map(|at| (found.start + at) as u32));
        }
        let rows = UInt32Array::from(rows);
        let measures = measures.into_iter().map(|measure| measure.evaluate(self.batch));
        let measures = measures.collect::<Result<Vec<ArrayRef>, _>>().map_err(fault)?;
        let columns = spec.shape.shown.iter().map(|shown| match shown {
            Shown::Column(column) => {
                compute::take(self.batch.column(*column), &rows, None).map_err(|e| fault(e.into()))
            }
            Shown::Measure(at) => Ok(measures[*at].clone()),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(project::batch(&spec.schema, columns, rows.len())?)
    }

    fn measure(
        &self,
        measures: &mut [Scratch],
        running: &Binding,
        whole: &Binding,
        number: i64,
    ) -> Result<(), DataFusionError> {
        let mut total = |at: usize, is_whole: bool| {
            let binding = if is_whole { whole } else { running };
            Ok(binding.total(at, self.batch)?.0)
        };
        let seen = Seen { running, whole, number };
        measures.iter_mut().try_for_each(|measure| measure.push(seen, self.batch.num_rows(), &mut total))
    }
}

fn is_whole(source: &Source) -> bool {
    matches!(source, Source::At { whole: true, .. } | Source::Total { whole: true, .. })
}
