//! Which rows of a match are whose, while it grows and shrinks.

use std::cell::RefCell;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::formula::Source;
use super::spec::{Arg, Spec, Variable};

/// The rows of a match so far: consecutive ones, each of one symbol.
pub(super) struct Binding<'a> {
    spec: &'a Spec,
    start: usize,
    symbols: Vec<usize>,
    /// The rows of each variable.
    rows_of: Vec<Vec<usize>>,
    totals: RefCell<Vec<Running>>,
}

/// An aggregate over rows so far.
#[derive(Default)]
struct Running {
    accumulator: Option<Box<dyn Accumulator>>,
    taken: usize,
    /// The fewest rows that there were since they were taken.
    least: usize,
}

impl<'a> Binding<'a> {
    pub fn new(spec: &'a Spec, start: usize) -> Self {
        let variables = spec.shape.symbols.len() + spec.shape.subsets.len();
        let totals = RefCell::new(spec.totals.iter().map(|_| Running::default()).collect());
        Binding { spec, start, symbols: Vec::new(), rows_of: vec![Vec::new(); variables], totals }
    }

    /// The row behind the last one.
    pub fn end(&self) -> usize {
        self.start + self.symbols.len()
    }

    pub fn symbols(&self) -> &[usize] {
        &self.symbols
    }

    /// Takes the next row as one of a symbol.
    pub fn push(&mut self, symbol: usize) {
        let row = self.end();
        self.symbols.push(symbol);
        for variable in &self.spec.variables_of[symbol] {
            self.rows_of[*variable].push(row);
        }
    }

    /// Keeps so many rows.
    pub fn truncate(&mut self, rows: usize) {
        while self.symbols.len() > rows {
            let Some(symbol) = self.symbols.pop() else { return };
            for variable in &self.spec.variables_of[symbol] {
                self.rows_of[*variable].pop();
            }
        }
        let mut totals = self.totals.borrow_mut();
        for (running, total) in totals.iter_mut().zip(&self.spec.totals) {
            let left = match total.of {
                Variable::All => self.symbols.len(),
                Variable::One(variable) => self.rows_of[variable].len(),
            };
            running.least = running.least.min(left);
        }
    }

    /// The name of the symbol of the last row.
    pub fn classifier(&self) -> Option<String> {
        self.symbols.last().map(|symbol| self.spec.shape.symbols[*symbol].clone())
    }

    /// The first or last row of a variable.
    pub fn row_of(&self, variable: usize, first: bool) -> Option<usize> {
        let rows = &self.rows_of[variable];
        if first { rows.first().copied() } else { rows.last().copied() }
    }

    fn count(&self, of: Variable) -> usize {
        match of {
            Variable::All => self.symbols.len(),
            Variable::One(variable) => self.rows_of[variable].len(),
        }
    }

    /// The row in which a source finds its value.
    pub fn find(&self, source: &Source) -> Option<usize> {
        let Source::At { of, first, skip, shift, .. } = source else { return None };
        let count = self.count(*of);
        let at = if *first { Some(*skip).filter(|at| *at < count) } else { count.checked_sub(skip.checked_add(1)?) }?;
        let row = match of {
            Variable::All => self.start + at,
            Variable::One(variable) => self.rows_of[*variable][at],
        };
        usize::try_from(i64::try_from(row).ok()?.checked_add(*shift)?).ok()
    }

    /// An aggregate over the rows so far, and how many of them were looked at for it.
    pub fn total(&self, at: usize, batch: &RecordBatch) -> Result<(ScalarValue, usize), DataFusionError> {
        let total = &self.spec.totals[at];
        let running = &mut self.totals.borrow_mut()[at];
        let count = self.count(total.of);
        if running.least < running.taken {
            *running = Running::default();
        }
        let accumulator = match &mut running.accumulator {
            Some(accumulator) => accumulator,
            none => none.insert(total.accumulator()?),
        };
        let new = count - running.taken;
        if new > 0 {
            let rows: UInt32Array = match total.of {
                Variable::All => (running.taken..count).map(|at| (self.start + at) as u32).collect::<Vec<_>>().into(),
                Variable::One(variable) => {
                    self.rows_of[variable][running.taken..].iter().map(|row| *row as u32).collect::<Vec<_>>().into()
                }
            };
            let args = total.args.iter().map(|arg| match arg {
                Arg::Column(column) => Ok(compute::take(batch.column(*column), &rows, None)?),
                Arg::Value(value) => value.to_array_of_size(new),
            });
            let args = args.collect::<Result<Vec<ArrayRef>, DataFusionError>>()?;
            accumulator.update_batch(&args)?;
        }
        (running.taken, running.least) = (count, count);
        Ok((accumulator.evaluate()?, new))
    }
}
