//! The matches in consecutive rows of one partition.
//!
//! From each row at which a match may begin, the program is run as a backtracking search. What it looked at is noted: as
//! long as those rows stay, it would find the same again. Where no condition asks which rows were taken before, a step at a
//! row that led to no match is not taken a second time (see `dead.rs`), so that the search is as long as the program
//! times the rows; else it is given up after [`SEARCH_STEPS_MAX`].

use std::ops::ControlFlow;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::DataFusionError;

use super::binding::Binding;
use super::dead::Dead;
use super::formula::{Scratch, Seen, Source};
use super::pattern::Step;
use super::spec::{Skip, Spec};
use crate::error::{Error, Result};
use crate::operators::eval::{is_fatal, show_row};

/// Steps of the search for one match, with the rows that its aggregates look at.
pub const SEARCH_STEPS_MAX: usize = 1_000_000;

/// Why a partition has no answer.
#[derive(Debug)]
pub enum Fault {
    /// What is wrong with its rows.
    Rows(String),
    /// Memory or a limit of the engine is at its end.
    Fatal(Error),
}

impl Fault {
    pub(super) fn of(error: DataFusionError, place: &str, batch: &RecordBatch, row: usize) -> Fault {
        if is_fatal(&error) {
            return Fault::Fatal(error.into());
        }
        Fault::Rows(format!("{}, in {place} at the row {}", Error::from(error), show_row(batch, row)))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Fatal(error)
    }
}

/// Consecutive rows of a partition in order.
pub struct Stretch<'a> {
    spec: &'a Spec,
    /// The rows. Those that are shown in errors come first.
    pub(super) batch: &'a RecordBatch,
    /// Whether the first one is the first of the partition. The last one always is the last.
    from_start: bool,
    /// The row from which on matches are looked for.
    from: usize,
    /// How far ahead the conditions look that ask for nothing but the place of their row.
    local: Vec<Option<usize>>,
    /// What these found, from `from` on, where they failed nowhere.
    found: Vec<Option<BooleanArray>>,
    /// Event times in nanoseconds, of which seconds do not fit in 64 bits.
    times: Option<Times>,
}

/// Times in their own unit, and the nanoseconds of it.
struct Times {
    values: Int64Array,
    unit: i128,
}

/// The search from one row.
pub struct Attempt {
    /// That row.
    pub start: usize,
    /// The last row that was looked at; the number of rows, where that was the end of the partition.
    pub reach: usize,
    /// Where the next search begins.
    pub next: usize,
    /// The symbols of the rows of the match, if there is one.
    pub found: Option<Vec<usize>>,
}

/// A search under way.
struct Search<'s, 'a> {
    stretch: &'s Stretch<'a>,
    binding: Binding<'a>,
    start: usize,
    reach: usize,
    steps: usize,
    marks: Vec<usize>,
    open: Vec<Open>,
    dead: Option<&'s mut Dead>,
}

/// What to come back to.
enum Open {
    Branch { step: usize, rows: usize },
    Mark { mark: usize, place: usize },
}

impl<'a> Stretch<'a> {
    /// Rows in which matches are looked for from one on. Those before it are there to be looked back to.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn new(spec: &'a Spec, batch: &'a RecordBatch, from_start: bool, from: usize) -> Result<Self> {
        let mut local = Vec::with_capacity(spec.conditions.len());
        let mut found = Vec::with_capacity(spec.conditions.len());
        for (condition, variables) in spec.conditions.iter().zip(&spec.variables_of) {
            let ahead = condition.as_ref().map_or(Some(0), |condition| condition.local(variables));
            // A row on which it fails may be one that it is never asked for.
            let rows = condition.as_ref().filter(|_| ahead.is_some()).and_then(|c| c.for_rows(batch, from).ok());
            local.push(ahead);
            found.push(rows);
        }
        let times = spec.shape.within.map(|(column, _)| Times::of(batch.column(column))).transpose()?;
        Ok(Stretch { spec, batch, from_start, from, local, found, times })
    }

    /// Looks for matches from one row after the other, as far as is wished.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn scan(&self, mut take: impl FnMut(Attempt) -> ControlFlow<()>) -> Result<(), Fault> {
        let rows = self.batch.num_rows();
        let mut at = self.from;
        let memoised = self.local.iter().all(Option::is_some) && self.spec.program.marks == 0;
        // How far a match may go depends on where it begins, where it has a time.
        let shared = self.spec.shape.within.is_none();
        let mut dead = memoised.then(|| Dead::new(self.spec.program.steps.len(), self.from, rows, shared));
        while at < rows {
            let attempt = self.attempt(at, dead.as_mut())?;
            at = attempt.next;
            if take(attempt).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn attempt(&self, start: usize, mut dead: Option<&mut Dead>) -> Result<Attempt, Fault> {
        if let Some(dead) = &mut dead {
            dead.begin(start);
        }
        let mut search = Search {
            stretch: self,
            binding: Binding::new(self.spec, start),
            start,
            reach: start,
            steps: 0,
            marks: vec![0; self.spec.program.marks],
            open: Vec::new(),
            dead,
        };
        let rows = self.batch.num_rows();
        if !search.run()? {
            if let Some(dead) = &mut search.dead {
                dead.failed(search.reach);
            }
            return Ok(Attempt { start, reach: search.reach.min(rows), next: start + 1, found: None });
        }
        if let Some(dead) = &mut search.dead {
            dead.forget();
        }
        let binding = search.binding;
        let reach = search.reach.max(binding.end().saturating_sub(1).saturating_add(self.spec.ahead));
        let next = if binding.symbols().is_empty() { start + 1 } else { self.next(&binding, start)? };
        Ok(Attempt { start, reach: reach.min(rows), next, found: Some(binding.symbols().to_vec()) })
    }

    fn next(&self, binding: &Binding, start: usize) -> Result<usize, Fault> {
        let (variable, first) = match self.spec.shape.skip {
            Skip::PastLast => return Ok(binding.end()),
            Skip::ToNext => return Ok(start + 1),
            Skip::ToFirst(variable) => (variable, true),
            Skip::ToLast(variable) => (variable, false),
        };
        let fault = |what: &str| {
            let row = show_row(self.batch, start);
            Fault::Rows(format!("AFTER MATCH SKIP: the match that begins with the row {row} has {what}"))
        };
        match binding.row_of(variable, first) {
            None => Err(fault("no row of the variable to skip to")),
            Some(row) if row == start => Err(fault("that variable's row first, and would be found for ever")),
            Some(row) => Ok(row),
        }
    }

    /// Whether a row is less than the time of WITHIN behind the first one.
    fn is_within(&self, start: usize, row: usize) -> bool {
        let (Some(times), Some((_, within))) = (&self.times, self.spec.shape.within) else { return true };
        match (times.at(start), times.at(row)) {
            (Some(first), Some(time)) => time - first < i128::from(within),
            _ => false,
        }
    }
}

impl Times {
    fn of(column: &ArrayRef) -> Result<Times> {
        let unit = match column.data_type() {
            DataType::Timestamp(unit, _) => match unit {
                arrow::datatypes::TimeUnit::Second => 1_000_000_000,
                arrow::datatypes::TimeUnit::Millisecond => 1_000_000,
                arrow::datatypes::TimeUnit::Microsecond => 1_000,
                arrow::datatypes::TimeUnit::Nanosecond => 1,
            },
            DataType::Date64 => 1_000_000,
            DataType::Date32 => {
                let days = column.as_primitive::<Date32Type>().unary(i64::from);
                return Ok(Times { values: days, unit: 86_400_000_000_000 });
            }
            other => return Err(Error::Internal(format!("WITHIN over a column of {other}"))),
        };
        let values = compute::cast(column, &DataType::Int64)?;
        Ok(Times { values: values.as_primitive::<Int64Type>().clone(), unit })
    }

    fn at(&self, row: usize) -> Option<i128> {
        self.values.is_valid(row).then(|| i128::from(self.values.value(row)) * self.unit)
    }
}

impl Search<'_, '_> {
    /// Looks for the match that is preferred, and leaves it in the binding.
    fn run(&mut self) -> Result<bool, Fault> {
        let spec = self.stretch.spec;
        let mut step = 0;
        loop {
            self.count(1)?;
            let again = match &mut self.dead {
                Some(dead) => dead.has_or_notes(step, self.binding.end()).map_err(|error| self.too_long(&error))?,
                None => None,
            };
            self.reach = self.reach.max(again.unwrap_or(0));
            let goes_on = again.is_none()
                && match &spec.program.steps[step] {
                    Step::Done => return Ok(true),
                    Step::Symbol(symbol) => self.take(*symbol)?,
                    Step::Split(first, second) => {
                        self.open.push(Open::Branch { step: *second, rows: self.binding.symbols().len() });
                        step = *first;
                        continue;
                    }
                    Step::Jump(to) => {
                        step = *to;
                        continue;
                    }
                    Step::Start => self.stretch.from_start && self.binding.end() == 0,
                    Step::End => self.is_end(self.binding.end()),
                    Step::Mark(mark) => {
                        let place = std::mem::replace(&mut self.marks[*mark], self.binding.end());
                        self.open.push(Open::Mark { mark: *mark, place });
                        true
                    }
                    Step::Moved(mark) => self.marks[*mark] < self.binding.end(),
                };
            match (goes_on, goes_on || self.back(&mut step)) {
                (true, _) => step += 1,
                (false, true) => {}
                (false, false) => return Ok(false),
            }
        }
    }

    /// Goes back to where something else can be tried.
    fn back(&mut self, step: &mut usize) -> bool {
        while let Some(open) = self.open.pop() {
            match open {
                Open::Mark { mark, place } => self.marks[mark] = place,
                Open::Branch { step: other, rows } => {
                    self.binding.truncate(rows);
                    *step = other;
                    return true;
                }
            }
        }
        false
    }

    fn count(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps += steps;
        if self.dead.is_some() || self.steps <= SEARCH_STEPS_MAX {
            return Ok(());
        }
        Err(self.too_long(&format!("takes more than the limit of {SEARCH_STEPS_MAX} steps")))
    }

    fn too_long(&self, how: &str) -> Fault {
        let row = show_row(self.stretch.batch, self.start);
        Fault::Rows(format!(
            "the search for a match that begins with the row {row} {how}; a pattern with fewer ways to match the same rows, \
             or WITHIN, makes it shorter"
        ))
    }

    /// Whether there is no row behind.
    fn is_end(&mut self, row: usize) -> bool {
        self.reach = self.reach.max(row);
        row >= self.stretch.batch.num_rows()
    }

    /// Takes the next row as one of a symbol, if it is.
    fn take(&mut self, symbol: usize) -> Result<bool, Fault> {
        let row = self.binding.end();
        if self.is_end(row) || !self.stretch.is_within(self.start, row) {
            return Ok(false);
        }
        self.binding.push(symbol);
        let holds = self.holds(symbol, row)?;
        if !holds {
            self.binding.truncate(row - self.start);
        }
        Ok(holds)
    }

    fn holds(&mut self, symbol: usize, row: usize) -> Result<bool, Fault> {
        let Stretch { spec, batch, from, local, found, .. } = self.stretch;
        let Some(condition) = &spec.conditions[symbol] else { return Ok(true) };
        if let Some(ahead) = local[symbol] {
            self.reach = self.reach.max(row.saturating_add(ahead));
        }
        if let Some(found) = &found[symbol] {
            return Ok(found.is_valid(row - from) && found.value(row - from));
        }
        let mut looked = 0;
        let mut scratch = Scratch::new(condition);
        let seen = Seen { running: &self.binding, whole: &self.binding, number: 0 };
        let fault = |error| {
            let name = &spec.shape.symbols[symbol];
            Fault::of(error, &format!("the condition of `{name}`"), batch, row)
        };
        let mut total = |at: usize, _| {
            let (value, rows) = self.binding.total(at, batch)?;
            looked += rows;
            Ok(value)
        };
        scratch.push(seen, batch.num_rows(), &mut total).map_err(fault)?;
        let value = scratch.evaluate(batch).map_err(fault)?;
        let value = value.as_boolean();
        let holds = value.is_valid(0) && value.value(0);
        for source in condition.sources.iter().filter(|source| matches!(source, Source::At { shift: 1.., .. })) {
            self.reach = self.reach.max(self.binding.find(source).unwrap_or(0));
        }
        self.count(looked)?;
        Ok(holds)
    }
}
