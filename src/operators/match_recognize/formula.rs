//! Expressions over items: conditions and measures.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;

use super::binding::Binding;
use super::spec::Variable;

/// Where a column of an expression comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    At { of: Variable, first: bool, skip: usize, shift: i64, column: usize, whole: bool },
    Total { at: usize, whole: bool },
    Classifier,
    Number,
}

/// An expression over items.
pub(super) struct Formula {
    pub expr: Arc<dyn PhysicalExpr>,
    pub sources: Vec<Source>,
    /// A column for each of these.
    pub schema: SchemaRef,
}

/// Values for the columns of a formula, row by row.
pub(super) struct Scratch<'a> {
    formula: &'a Formula,
    columns: Vec<Values>,
    rows: usize,
}

enum Values {
    Rows(usize, Vec<Option<u32>>),
    Scalars(Vec<ScalarValue>),
    Texts(Vec<Option<String>>),
    Numbers(Vec<i64>),
}

/// The rows of a match as far as the current one, and all of them where these count.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a, 'b> {
    pub running: &'a Binding<'b>,
    pub whole: &'a Binding<'b>,
    pub number: i64,
}

impl<'a> Scratch<'a> {
    pub fn new(formula: &'a Formula) -> Self {
        let columns = formula.sources.iter().map(|source| match source {
            Source::At { column, .. } => Values::Rows(*column, Vec::new()),
            Source::Total { .. } => Values::Scalars(Vec::new()),
            Source::Classifier => Values::Texts(Vec::new()),
            Source::Number => Values::Numbers(Vec::new()),
        });
        Scratch { formula, columns: columns.collect(), rows: 0 }
    }

    /// Adds the values for one row.
    pub fn push(
        &mut self,
        seen: Seen<'_, '_>,
        rows: usize,
        total: &mut impl FnMut(usize, bool) -> Result<ScalarValue, DataFusionError>,
    ) -> Result<(), DataFusionError> {
        self.rows += 1;
        for (source, values) in self.formula.sources.iter().zip(&mut self.columns) {
            match (source, values) {
                (Source::At { whole, .. }, Values::Rows(_, places)) => {
                    let binding = if *whole { seen.whole } else { seen.running };
                    let place = binding.find(source).filter(|place| *place < rows);
                    places.push(place.map(|place| place as u32));
                }
                (Source::Total { at, whole }, Values::Scalars(values)) => values.push(total(*at, *whole)?),
                (Source::Classifier, Values::Texts(texts)) => texts.push(seen.running.classifier()),
                (Source::Number, Values::Numbers(numbers)) => numbers.push(seen.number),
                _ => unreachable!("values are made for their sources"),
            }
        }
        Ok(())
    }

    /// The value of the formula for each row that was added.
    pub fn evaluate(self, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        let fields = self.formula.schema.fields();
        let columns = self.columns.into_iter().zip(fields).map(|(values, field)| {
            Ok(match values {
                Values::Rows(column, places) => compute::take(batch.column(column), &UInt32Array::from(places), None)?,
                Values::Scalars(values) if values.is_empty() => arrow::array::new_empty_array(field.data_type()),
                Values::Scalars(values) => ScalarValue::iter_to_array(values)?,
                Values::Texts(texts) => Arc::new(StringArray::from(texts)) as ArrayRef,
                Values::Numbers(numbers) => Arc::new(Int64Array::from(numbers)) as ArrayRef,
            })
        });
        let columns = columns.collect::<Result<Vec<_>, DataFusionError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let scratch = RecordBatch::try_new_with_options(self.formula.schema.clone(), columns, &options)?;
        self.formula.expr.evaluate(&scratch)?.into_array(self.rows)
    }
}

impl Formula {
    /// How far ahead it looks, where it depends on nothing but the place of the current row in its partition.
    pub fn local(&self, symbol: &[usize]) -> Option<usize> {
        let own: BTreeSet<usize> = symbol.iter().copied().collect();
        let shifts = self.sources.iter().map(|source| match source {
            Source::At { of: Variable::One(of), .. } if !own.contains(of) => None,
            Source::At { first: false, skip: 0, shift, whole: false, .. } => Some(*shift),
            _ => None,
        });
        let shifts = shifts.collect::<Option<Vec<i64>>>()?;
        Some(shifts.into_iter().max().unwrap_or(0).max(0) as usize)
    }

    /// A condition that is [`local`](Formula::local) for all rows from one on.
    pub fn for_rows(&self, batch: &RecordBatch, from: usize) -> Result<BooleanArray, DataFusionError> {
        let count = batch.num_rows() - from;
        let mut columns = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let Source::At { shift, column, .. } = source else { unreachable!("a local formula names rows") };
            let of = batch.column(*column);
            columns.push(match shift {
                0 => of.slice(from, count),
                shift => {
                    let place = |row: usize| i64::try_from(row).ok()?.checked_add(*shift).filter(|at| *at >= 0);
                    let inside = |at: &i64| (*at as usize) < batch.num_rows();
                    let places = (from..from + count).map(|row| place(row).filter(inside).map(|at| at as u32));
                    compute::take(of, &places.collect::<UInt32Array>(), None)?
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let scratch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let found = self.expr.evaluate(&scratch)?.into_array(count)?;
        Ok(datafusion::common::cast::as_boolean_array(&found)?.clone())
    }
}
