//! Temporal filter: rows by how a moment of theirs compares with the clock. Only what is yet to turn is kept.
//!
//! ```text
//! ts > now() - 1 h          now() 11:00      now() 11:30
//! 10:10                     in, kept         out: put out with -1 and forgotten
//! 10:40                     in, kept         in, kept
//!
//! ts <= now()
//! 11:20                     kept             in: put out with +1 and forgotten
//! ```
//!
//! The clock is an expression over `now()` that never falls, so each row turns once at most. Rows wait in the order of
//! their moments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::physical_expr::PhysicalExpr;

use super::eval::evaluate;
use crate::circuit::time::{Due, moments_of};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::rows::RowSet;
use crate::delta::{Delta, Weights, consolidate};
use crate::error::{Error, Result};

/// The column under which a clock's expression sees `now()`.
pub const NOW: &str = "now";

/// How a row's moment must compare with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// `>`: the row goes when the clock reaches it.
    After,
    /// `>=`: the row goes when the clock has passed it.
    NotBefore,
    /// `<`: the row comes when the clock has passed it.
    Before,
    /// `<=`: the row comes when the clock reaches it.
    NotAfter,
}

impl Passing {
    fn holds(self, moment: i64, clock: i64) -> bool {
        match self {
            Passing::After => moment > clock,
            Passing::NotBefore => moment >= clock,
            Passing::Before => moment < clock,
            Passing::NotAfter => moment <= clock,
        }
    }

    /// Whether rows go as time passes, rather than come.
    pub fn goes(self) -> bool {
        matches!(self, Passing::After | Passing::NotBefore)
    }

    fn sign(self) -> &'static str {
        match self {
            Passing::After => ">",
            Passing::NotBefore => ">=",
            Passing::Before => "<",
            Passing::NotAfter => "<=",
        }
    }
}

/// A moment that depends on `now()` alone and never falls.
pub struct Clock {
    expr: Arc<dyn PhysicalExpr>,
    text: String,
    schema: SchemaRef,
}

impl Clock {
    /// `expr` over the columns of [`Clock::columns`]; `text` is what a reader sees.
    pub fn new(expr: Arc<dyn PhysicalExpr>, text: String) -> Self {
        Clock { expr, text, schema: Arc::new(Clock::columns()) }
    }

    /// One column, [`NOW`]: the logged time as the batch engine's `now()` gives it.
    pub fn columns() -> Schema {
        Schema::new(vec![Field::new(NOW, DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())), true)])
    }

    /// The one value at a time, in microseconds since 1970.
    ///
    /// # Errors
    /// When the expression fails or is NULL there.
    pub fn at(&self, time: i64) -> Result<ArrayRef> {
        let nanos = time.checked_mul(1_000).ok_or_else(|| Error::input("now() is out of range"))?;
        let now = TimestampNanosecondArray::from(vec![nanos]).with_timezone("+00:00");
        let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(now)])?;
        let value = self.expr.evaluate(&batch)?.into_array(1)?;
        match value.is_null(0) {
            false => Ok(value),
            true => Err(Error::input(format!("{} is NULL", self.text))),
        }
    }

    fn number(&self, time: i64) -> Result<i64> {
        Ok(numbers(&self.at(time)?)?.value(0))
    }
}

/// Moments as the numbers of their own type.
fn numbers(moments: &ArrayRef) -> Result<Int64Array> {
    Ok(compute::cast(moments, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Lets rows through by the clock.
pub struct TemporalFilter {
    moment: [Arc<dyn PhysicalExpr>; 1],
    passing: Passing,
    clock: Clock,
    /// Rows that are yet to turn.
    rows: RowSet,
    /// The moment of a row, by its id.
    moments: Vec<Moment>,
    due: Due,
    /// The rows that turn next, by moment and id; those that [`TemporalFilter::due`] has come near to.
    soon: BinaryHeap<Reverse<(Moment, u32)>>,
}

/// A moment in microseconds, and as the number of its own type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    micros: i64,
    number: i64,
}

impl TemporalFilter {
    /// Rows of `schema` for which `moment` compares with the clock as said; both are of one type that has moments.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn new(schema: SchemaRef, moment: Arc<dyn PhysicalExpr>, passing: Passing, clock: Clock) -> Result<Self> {
        let rows = RowSet::new(schema, None, false)?;
        let (due, soon) = (Due::default(), BinaryHeap::new());
        Ok(TemporalFilter { moment: [moment], passing, clock, rows, moments: Vec::new(), due, soon })
    }

    /// Takes the rows out that turn, with the weights that they are kept with.
    fn turned(&mut self, clock: &ArrayRef) -> Result<Option<Delta>> {
        let moment = moments_of(clock)?.value(0);
        let clock = numbers(clock)?.value(0);
        self.come_near(moment);
        let mut ids = Vec::new();
        while let Some(Reverse((moment, id))) = self.soon.peek().copied() {
            let turns = self.passing.goes() != self.passing.holds(moment.number, clock);
            if self.waits(moment, id) && !turns {
                break;
            }
            self.soon.pop();
            if self.waits(moment, id) && ids.last() != Some(&id) {
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return Ok(None);
        }
        let weights = Weights::new(ids.iter().map(|id| self.rows.weight(*id)).collect());
        let turned = Delta::new(self.rows.gather(&ids)?, weights);
        self.rows.apply(&turned.negate())?;
        Ok(Some(turned))
    }

    fn come_near(&mut self, micros: i64) {
        for id in self.due.take_begun(micros.saturating_add(1)) {
            if self.rows.weight(id) > 0 {
                self.soon.push(Reverse((self.moments[id as usize], id)));
            }
        }
    }

    /// Whether a place still has the row that it had when its moment was noted, or one of the same moment.
    fn waits(&self, moment: Moment, id: u32) -> bool {
        self.rows.weight(id) > 0 && self.moments[id as usize] == moment
    }

    /// Keeps rows until they turn.
    fn keep(&mut self, delta: &Delta, moments: &ArrayRef) -> Result<()> {
        if !delta.has_rows() {
            return Ok(());
        }
        self.rows.apply(delta)?;
        self.moments.resize(self.rows.columns().slots(), Moment::default());
        let (micros, numbers) = (moments_of(moments)?, numbers(moments)?);
        for (row, id) in self.rows.applied().iter().enumerate() {
            if self.rows.weight(*id) > 0 {
                let moment = Moment { micros: micros.value(row), number: numbers.value(row) };
                self.moments[*id as usize] = moment;
                self.due.push(moment.micros, *id);
            }
        }
        Ok(())
    }
}

impl Operator for TemporalFilter {
    fn schema(&self) -> SchemaRef {
        self.rows.schema().clone()
    }

    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let clock = self.clock.at(tick.time)?;
        let turned = self.turned(&clock)?;
        let evaluated = evaluate(&self.moment, inputs[0])?;
        let apart;
        let delta = match &evaluated.rows {
            None => inputs[0],
            Some(rows) => {
                apart = inputs[0].take(rows)?;
                &apart
            }
        };
        let moments = &evaluated.columns[0];
        let now = numbers(&clock)?.value(0);
        let numbers = numbers(moments)?;
        let holds = |row| numbers.is_valid(row) && self.passing.holds(numbers.value(row), now);
        let now_in = BooleanArray::from_iter((0..delta.len()).map(|row| Some(holds(row))));
        let kept = match self.passing.goes() {
            true => now_in.clone(),
            false => compute::and(&compute::not(&now_in)?, &compute::is_not_null(&numbers)?)?,
        };
        self.keep(&delta.filter(&kept)?, &compute::filter(moments, &kept)?)?;
        let mut output = delta.filter(&now_in)?;
        if let Some(turned) = turned {
            let turned = if self.passing.goes() { turned.negate() } else { turned };
            output = consolidate(&Delta::concat(&self.schema(), [&turned, &output])?)?;
        }
        output.errors = evaluated.errors;
        Ok(output)
    }

    fn next_change(&mut self) -> Result<Option<i64>> {
        loop {
            let first = self.soon.peek().map(|Reverse(first)| *first);
            match (first, self.due.next()) {
                (Some((moment, id)), _) if !self.waits(moment, id) => {
                    self.soon.pop();
                }
                (Some((moment, _)), next) if next.is_none_or(|next| next > moment.micros) => {
                    return self.turns_at(moment.number);
                }
                (_, Some(next)) => self.come_near(next),
                (_, None) => return Ok(None),
            }
        }
    }

    fn growth(&self) -> Growth {
        Growth::Clock
    }

    fn state(&self) -> Option<StateSize> {
        let bytes = self.rows.bytes() + self.due.bytes() + self.soon.len() * 24 + self.moments.len() * 16;
        Some(StateSize { rows: self.rows.columns().len(), bytes })
    }
}

impl TemporalFilter {
    /// The first time at which the clock makes a moment turn: the clock never falls, so halving finds it.
    fn turns_at(&self, number: i64) -> Result<Option<i64>> {
        // What a TIMESTAMP of nanoseconds can tell, less what an interval can shift it by.
        let (mut before, mut from) = (-LAST_TIME, LAST_TIME);
        let turned = |clock| self.passing.goes() != self.passing.holds(number, clock);
        match self.clock.number(from) {
            Ok(clock) if turned(clock) => {}
            _ => return Ok(None),
        }
        while from - before > 1 {
            let middle = before + (from - before) / 2;
            match self.clock.number(middle) {
                Ok(clock) if turned(clock) => from = middle,
                Ok(_) => before = middle,
                // Too early for the clock's own arithmetic.
                Err(_) => before = middle,
            }
        }
        Ok(Some(from))
    }
}

/// The year 2200, in microseconds since 1970: clocks are looked at up to here.
pub const LAST_TIME: i64 = 7_258_118_400_000_000;

impl fmt::Display for TemporalFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "temporal filter: {} {} {}", self.moment[0], self.passing.sign(), self.clock.text)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::physical_expr::expressions::{CastExpr, Column};

    use super::*;
    use crate::operators::testing::{Random, schema};

    const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    fn filter(passing: Passing, clock_type: DataType) -> TemporalFilter {
        let rows = schema(&[("id", DataType::Int64), ("ts", MICROS)]);
        let ts: Arc<dyn PhysicalExpr> =
            Arc::new(CastExpr::new(Arc::new(Column::new("ts", 1)), clock_type.clone(), None));
        let now: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(Arc::new(Column::new(NOW, 0)), clock_type, None));
        TemporalFilter::new(rows, ts, passing, Clock::new(now, "now()".into())).unwrap()
    }

    fn delta(rows: &[(i64, Option<i64>, i64)]) -> Delta {
        let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
        let moments = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.1));
        let schema = schema(&[("id", DataType::Int64), ("ts", MICROS)]);
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(moments)]).unwrap();
        Delta::new(batch, Weights::new(rows.iter().map(|row| row.2).collect()))
    }

    fn step(filter: &mut TemporalFilter, delta: &Delta, time: i64) -> Delta {
        filter.step(&[delta], &Tick { time, ..Tick::default() }).unwrap()
    }

    /// Whether the rows are there that a filter of all of them at that time lets through, at every time at which a row
    /// is said to turn, before that, and at random times; and whether what is kept is what is yet to turn.
    #[test]
    fn rows_are_those_of_a_filter_at_each_time() {
        use Passing::{After, Before, NotAfter, NotBefore};
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let passing = [After, NotBefore, Before, NotAfter][random.below(4)];
            let coarse = random.below(2) == 0;
            let unit = if coarse { 1_000_000 } else { 1 };
            let mut filter = filter(passing, if coarse { seconds.clone() } else { MICROS });
            let (mut all, mut shown) =
                (Vec::<(i64, Option<i64>)>::new(), RowSet::new(filter.schema(), None, false).unwrap());
            let span = [10, 1_000, 3_000_000, 40_000_000][random.below(4)];
            let mut time = 1_000_000 + random.below(span) as i64;
            for _ in 0..40 {
                let mut changes = Vec::new();
                for _ in 0..random.below(5) {
                    if !all.is_empty() && random.below(3) == 0 {
                        let row = all.swap_remove(random.below(all.len()));
                        changes.push((row.0, row.1, -1));
                    } else {
                        let moment = time - span as i64 / 2 + random.below(span) as i64;
                        let row = (random.below(3) as i64, (random.below(9) > 0).then_some(moment));
                        all.push(row);
                        changes.push((row.0, row.1, 1));
                    }
                }
                shown.apply(&step(&mut filter, &delta(&changes), time)).unwrap();
                let holds = |row: &&(i64, Option<i64>)| {
                    row.1.is_some_and(|ts| passing.holds(ts.div_euclid(unit), time.div_euclid(unit)))
                };
                assert_eq!(shown.len(), all.iter().filter(holds).count(), "seed {seed}");
                for row in all.iter().filter(holds) {
                    let gone = delta(&[(row.0, row.1, -1)]);
                    shown.apply(&gone).unwrap();
                    shown.apply(&gone.negate()).unwrap();
                }
                let turns = |ts: i64| match passing {
                    After | NotAfter => ts.div_euclid(unit) * unit,
                    NotBefore | Before => (ts.div_euclid(unit) + 1) * unit,
                };
                let to_come = || all.iter().filter_map(|row| row.1).map(turns).filter(|turn| *turn > time);
                assert_eq!(filter.next_change().unwrap(), to_come().min(), "seed {seed}");
                assert_eq!(filter.rows.len(), to_come().count(), "seed {seed}");
                time = match (random.below(3), to_come().min()) {
                    (0, Some(next)) => next,
                    (1, Some(next)) => next - 1,
                    _ => time + random.below(span) as i64,
                };
            }
        }
    }
}
