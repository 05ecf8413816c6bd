//! Functions over everything so far: numbers of rows, and aggregates whose frame grows row by row or peers by peers.
//!
//! ```text
//! partition   . . . . . . . | . . . . . . . | . . . . x . . .
//!                           ^               ^         ^ changed
//!             what was so far, kept         from here on the rows are run through again
//! ```
//!
//! What is so far is kept every so many rows, where new peers begin, so that a change costs the rows behind it and a few
//! before it, not the partition. A change makes void what was kept behind it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Accumulator, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, WindowExpr};

use super::Call;
use crate::error::Result;
use crate::operators::ordered::{Entry, Key};

/// Rows between two places where what is so far is kept; few where tests have few rows.
const ROWS_BETWEEN: i64 = if cfg!(test) { 4 } else { 256 };

/// Aggregates that can be taken up again from their state, which is small.
const RESUMABLE: [&str; 10] =
    ["count", "sum", "avg", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"];

/// How a function is evaluated.
pub(super) enum Function {
    /// By the batch engine, over the rows that its frame needs.
    Framed(Arc<dyn WindowExpr>),
    /// From what is so far.
    Running(Running),
}

/// A function of everything so far.
pub(super) enum Running {
    RowNumber,
    Rank,
    DenseRank,
    /// An aggregate; `by_row`: each row is a step of its own, otherwise all its peers are.
    Aggregate {
        expr: Arc<dyn WindowExpr>,
        filter: Option<Arc<dyn PhysicalExpr>>,
        by_row: bool,
    },
}

/// What is so far at a row.
pub(super) struct SoFar {
    rows: i64,
    groups: i64,
    /// The state of each running aggregate.
    states: Vec<Vec<ScalarValue>>,
}

/// A column for each function, and what is to be kept.
pub(super) type Columns = (Vec<ArrayRef>, Vec<(Key, SoFar)>);

impl Function {
    /// The way of a call.
    pub fn of(call: Call) -> Function {
        let Call { call, expr, filter } = call;
        let (name, frame) = (call.fun.name(), &call.params.window_frame);
        match name {
            "row_number" => return Function::Running(Running::RowNumber),
            "rank" => return Function::Running(Running::Rank),
            "dense_rank" => return Function::Running(Running::DenseRank),
            _ => {}
        }
        let grows = frame.start_bound.is_unbounded() && frame.end_bound == WindowFrameBound::CurrentRow;
        let by_row = frame.units == WindowFrameUnits::Rows;
        match plain(&expr).is_some() && grows && RESUMABLE.contains(&name) && !call.params.distinct {
            true => Function::Running(Running::Aggregate { expr, filter, by_row }),
            false => Function::Framed(expr),
        }
    }
}

fn plain(expr: &Arc<dyn WindowExpr>) -> Option<&PlainAggregateWindowExpr> {
    expr.as_any().downcast_ref()
}

impl SoFar {
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.states.iter().flatten().map(ScalarValue::size).sum::<usize>()
    }
}

/// One running function on its way through the rows.
struct Run<'a> {
    function: &'a Running,
    accumulator: Option<Box<dyn Accumulator>>,
    args: Vec<ArrayRef>,
    filter: Option<BooleanArray>,
    numbers: Vec<u64>,
    values: Vec<ScalarValue>,
}

/// Runs functions through consecutive rows of a partition, whose columns are in `batch`. `so_far` is what was kept at the
/// first of them; nothing at the start of the partition. Returns a column for each function and what is to be kept.
///
/// # Errors
/// When an aggregate fails.
pub(super) fn run<'a>(
    functions: impl Iterator<Item = &'a Running>,
    batch: &RecordBatch,
    rows: &[(Key, Entry)],
    so_far: Option<&SoFar>,
) -> Result<Columns> {
    let mut states = so_far.into_iter().flat_map(|so_far| &so_far.states);
    let mut runs = functions.map(|f| Run::new(f, batch, &mut states)).collect::<Result<Vec<_>>>()?;
    let (mut count, mut groups) = so_far.map_or((0, 0), |so_far| (so_far.rows, so_far.groups));
    let (first, mut last_kept, mut kept) = (count, count, Vec::new());
    for peers in rows.chunk_by(|(key, entry), (other, _)| other.starts_with(&key[..entry.peers])) {
        if count - last_kept >= ROWS_BETWEEN {
            let states = runs.iter_mut().filter_map(|run| run.accumulator.as_mut().map(|a| a.state()));
            let states = states.collect::<datafusion::error::Result<Vec<_>>>()?;
            kept.push((peers[0].0.clone(), SoFar { rows: count, groups, states }));
            last_kept = count;
        }
        let more: i64 = peers.iter().map(|(_, entry)| entry.weight).sum();
        for run in &mut runs {
            run.step((count - first) as usize, more as usize, count as u64, groups as u64)?;
        }
        (count, groups) = (count + more, groups + 1);
    }
    Ok((runs.into_iter().map(Run::finish).collect::<Result<_>>()?, kept))
}

impl<'a> Run<'a> {
    fn new<'s>(
        function: &'a Running,
        batch: &RecordBatch,
        states: &mut impl Iterator<Item = &'s Vec<ScalarValue>>,
    ) -> Result<Self> {
        let mut run = Run {
            function,
            accumulator: None,
            args: Vec::new(),
            filter: None,
            numbers: Vec::new(),
            values: Vec::new(),
        };
        let Running::Aggregate { expr, filter, .. } = function else { return Ok(run) };
        let aggregate = plain(expr).expect("only plain aggregates run");
        let mut accumulator = aggregate.get_aggregate_expr().create_accumulator()?;
        if let Some(state) = states.next() {
            let state = state.iter().map(|value| value.to_array()).collect::<datafusion::error::Result<Vec<_>>>()?;
            accumulator.merge_batch(&state)?;
        }
        run.accumulator = Some(accumulator);
        run.args = expr.evaluate_args(batch)?;
        if let Some(filter) = filter {
            let keep = filter.evaluate(batch)?.into_array(batch.num_rows())?;
            let keep = keep.as_boolean();
            run.filter = Some(if keep.null_count() > 0 { compute::prep_null_mask_filter(keep) } else { keep.clone() });
        }
        Ok(run)
    }

    /// Takes the next peers: `length` rows from `start` on, after `count` rows in `groups` groups of peers.
    fn step(&mut self, start: usize, length: usize, count: u64, groups: u64) -> Result<()> {
        match self.function {
            Running::RowNumber => self.numbers.extend(count + 1..=count + length as u64),
            Running::Rank => self.numbers.extend(std::iter::repeat_n(count + 1, length)),
            Running::DenseRank => self.numbers.extend(std::iter::repeat_n(groups + 1, length)),
            Running::Aggregate { by_row: true, .. } => {
                for row in start..start + length {
                    let value = self.add(row, 1)?;
                    self.values.push(value);
                }
            }
            Running::Aggregate { by_row: false, .. } => {
                let value = self.add(start, length)?;
                self.values.extend(std::iter::repeat_n(value, length));
            }
        }
        Ok(())
    }

    fn add(&mut self, start: usize, length: usize) -> Result<ScalarValue> {
        let accumulator = self.accumulator.as_mut().expect("an aggregate has an accumulator");
        let keep = self.filter.as_ref().map(|filter| filter.slice(start, length));
        let args = self
            .args
            .iter()
            .map(|arg| {
                let arg = arg.slice(start, length);
                Ok(match &keep {
                    Some(keep) => compute::filter(&arg, keep)?,
                    None => arg,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        accumulator.update_batch(&args)?;
        Ok(accumulator.evaluate()?)
    }

    fn finish(self) -> Result<ArrayRef> {
        match self.function {
            Running::Aggregate { .. } => Ok(ScalarValue::iter_to_array(self.values)?),
            _ => Ok(Arc::new(Int64Array::from_iter_values(self.numbers.iter().map(|number| *number as i64)))),
        }
    }
}
