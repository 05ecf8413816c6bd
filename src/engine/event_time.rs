//! Streams with a watermark: which of their rows are late, and where those go.
//!
//! ```text
//! commit 7    rows of s: 10:04 10:01      watermark 09:59, so none is late; then it is 10:04 - 5 min = 09:59
//! commit 8    rows of s: 10:09 09:58      09:58 is late: it goes to s.late; then the watermark is 10:04
//! ```
//!
//! Lateness is decided commit by commit before anything is logged: the log has late rows as rows of another stream,
//! which is made and dropped with the first. So whoever reads a stream's history sees what its views saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, IntervalMonthDayNanoArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute;
use arrow::datatypes::{
    DataType, Field, Int64Type, IntervalMonthDayNanoType, IntervalUnit, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Kind, Object};
use super::snapshot::Rows;
use super::system::{HEARTBEATS, watermarks_schema};
use crate::circuit::time::{Watermarks, has_moments, moments};
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::bind::Binder;
use crate::sql::statement::WatermarkClause;

/// What is put behind a stream's name for the stream of its late rows.
const LATE: &str = "late";
/// How late a row was: the watermark less the row's event time.
const LATE_BY: &str = "_late_by";
/// The watermark at the row's commit.
const WATERMARK: &str = "_watermark";
/// Columns of a late row before those of its stream.
pub const LATE_COLUMNS: usize = 2;

/// The event time of a stream, and how late its rows can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// The column of event times.
    pub column: usize,
    /// The watermark is the greatest event time less so many microseconds.
    pub delay: i64,
    /// The stream of late rows.
    pub late: u32,
    /// After so many microseconds without a row the watermark moves on with the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<i64>,
}

impl EventTime {
    /// What a WATERMARK clause says of a stream of these columns. `late` is the id of the stream of late rows.
    ///
    /// # Errors
    /// When there is no such column, it has no event times, or the delay is not a length of time.
    pub fn new(session: &SessionState, clause: &WatermarkClause, schema: &Schema, idle: Option<i64>) -> Result<Self> {
        let at = |error: Error| error.with_place(clause.place);
        let column = schema.index_of(&clause.column);
        let column = column.map_err(|_| at(Error::input(format!("WATERMARK FOR: no column `{}`", clause.column))))?;
        let data_type = schema.field(column).data_type();
        if !has_moments(data_type) {
            let error = Error::input(format!("WATERMARK FOR {}: a {data_type} is no event time", clause.column));
            return Err(at(error.with_hint("the column must be a TIMESTAMP or a DATE")));
        }
        let delay = clause.delay.as_ref().map_or(Ok(0), |delay| {
            let empty = DFSchema::empty();
            let bound = Binder::new(session, &super::constraint::NoNames).expression(delay.clone(), &empty)?;
            match crate::sql::expr::simplify(session, bound, &empty)? {
                Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => {
                    micros(value.months, value.days, value.nanoseconds)
                }
                _ => Err(Error::input(format!("{delay} is not a length of time"))),
            }
        });
        let delay = delay.map_err(|e| at(Error::input(format!("WATERMARK FOR {}: {e}", clause.column))))?;
        Ok(EventTime { column, delay, late: 0, idle })
    }
}

/// An interval that is not negative and of one length, in microseconds.
///
/// # Errors
/// When it is neither.
pub fn micros(months: i32, days: i32, nanoseconds: i64) -> Result<i64> {
    if months != 0 {
        return Err(Error::input("months are not all of one length").with_hint("give days, hours, minutes or seconds"));
    }
    let micros = i64::from(days).checked_mul(86_400_000_000).and_then(|days| days.checked_add(nanoseconds / 1_000));
    micros.filter(|micros| *micros >= 0).ok_or_else(|| Error::input("the interval is negative or too long"))
}

/// What the stream of late rows of a stream is called.
pub fn late_name(name: &str) -> String {
    format!("{name}.{LATE}")
}

/// The name of an object that is called by two parts, the second one being that of late rows.
pub fn late_name_of(schema: &str, name: &str) -> Option<String> {
    (name == LATE).then(|| late_name(schema))
}

/// The stream of late rows of a stream, as that one is now.
pub fn late_object(object: &Object, event_time: &EventTime) -> Object {
    let ours = [
        Field::new(LATE_BY, DataType::Interval(IntervalUnit::MonthDayNano), true),
        Field::new(WATERMARK, DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ];
    let fields = ours.into_iter().map(Arc::new).chain(object.schema.fields().iter().cloned());
    let column = |(column, comment): (&usize, &String)| (column + LATE_COLUMNS, comment.clone());
    let mut comments = object.comments.clone();
    comments.columns = object.comments.columns.iter().map(column).collect();
    Object {
        id: event_time.late,
        name: late_name(&object.name),
        kind: Kind::Stream,
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        key: Vec::new(),
        defaults: Vec::new(),
        checks: Vec::new(),
        options: BTreeMap::new(),
        query: None,
        calls: BTreeSet::new(),
        reads: BTreeSet::new(),
        added: object.added.shifted(LATE_COLUMNS),
        known: Default::default(),
        comments,
        sql: format!("-- made with {} `{}`", object.kind.name(), object.name),
        session: None,
        event_time: None,
        late_of: Some(object.id),
        on_close: false,
        retention: None,
    }
}

/// How far each stream has come, and how many of its rows were late.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    streams: BTreeMap<u32, EventTime>,
    /// The stream of which a stream has the late rows.
    late_of: BTreeMap<u32, u32>,
    late_rows: BTreeMap<u32, u64>,
    now: Watermarks,
    /// Streams with an idle timeout that had rows since [`Clocks::take_active`].
    active: BTreeSet<u32>,
}

impl Clocks {
    /// The clocks of a catalog's streams, none of which has a row yet.
    pub fn new(catalog: &Catalog) -> Self {
        let mut clocks = Clocks::default();
        catalog.objects().for_each(|object| clocks.add(object));
        clocks
    }

    /// Takes a new stream in.
    pub fn add(&mut self, object: &Object) {
        if let Some(event_time) = &object.event_time {
            self.streams.insert(object.id, event_time.clone());
            self.late_of.insert(event_time.late, object.id);
        }
    }

    /// How far streams have come; `before` itself where nothing has moved since.
    pub fn shared(&self, before: &Arc<Watermarks>) -> Arc<Watermarks> {
        if **before == self.now { before.clone() } else { Arc::new(self.now.clone()) }
    }

    /// Goes back to a moment before: what was seen since was not logged.
    pub fn rewind(&mut self, watermarks: &Watermarks) {
        self.now = watermarks.clone();
    }

    /// The streams that have clocks.
    pub fn streams(&self) -> impl Iterator<Item = (u32, &EventTime)> {
        self.streams.iter().map(|(id, event_time)| (*id, event_time))
    }

    /// After how many microseconds without rows the watermarks of streams move on; those of which none has come have none.
    pub fn idle_timeouts(&self) -> BTreeMap<u32, i64> {
        let idle = self.streams.iter().filter_map(|(id, event_time)| Some((*id, event_time.idle?)));
        idle.filter(|(id, _)| self.now.get(*id).is_some()).collect()
    }

    /// The streams with an idle timeout that had rows since this was last asked.
    pub fn take_active(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.active)
    }

    /// The watermark of a stream.
    pub fn watermark(&self, stream: u32) -> Option<i64> {
        self.now.get(stream)
    }

    /// The rows of a stream that are not late, and the late ones as rows of the stream of those, if there are any.
    ///
    /// # Errors
    /// When Arrow cannot build the smaller columns.
    pub fn split(&self, stream: u32, batch: &RecordBatch) -> Result<Option<(RecordBatch, u32, RecordBatch)>> {
        let Some(event_time) = self.streams.get(&stream) else { return Ok(None) };
        let Some(watermark) = self.now.get(stream) else { return Ok(None) };
        let times = times(batch, event_time)?;
        let late = BooleanArray::from_unary(&times, |time| time < watermark);
        if late.true_count() == 0 {
            return Ok(None);
        }
        let accepted = compute::filter_record_batch(batch, &compute::not(&late)?)?;
        let rows = compute::filter_record_batch(batch, &late)?;
        let times = compute::filter(&times, &late)?;
        let times = times.as_primitive::<Int64Type>().values();
        let by = times.iter().map(|time| {
            let micros = watermark.saturating_sub(*time);
            let days = (micros / 86_400_000_000).min(i64::from(i32::MAX));
            let rest = (micros - days * 86_400_000_000).saturating_mul(1_000);
            IntervalMonthDayNanoType::make_value(0, days as i32, rest)
        });
        let by: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from_iter_values(by));
        let watermarks: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![watermark; rows.num_rows()]));
        let mut fields = vec![
            Arc::new(Field::new(LATE_BY, by.data_type().clone(), true)),
            Arc::new(Field::new(WATERMARK, watermarks.data_type().clone(), true)),
        ];
        fields.extend(batch.schema().fields().iter().cloned());
        let columns = [vec![by, watermarks], rows.columns().to_vec()].concat();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        Ok(Some((accepted, event_time.late, with_schema(&schema, columns, rows.num_rows())?)))
    }

    /// Takes in rows that a stream has accepted, late rows, or heartbeats.
    ///
    /// # Errors
    /// When the rows have no event times.
    pub fn observe(&mut self, object: u32, batch: &RecordBatch) -> Result<()> {
        if object == HEARTBEATS {
            let streams = batch.column(1).as_primitive::<Int64Type>();
            let moments = batch.column(2).as_primitive::<TimestampMicrosecondType>();
            // Those without a stream tell that time has passed, and nothing else.
            for (stream, moment) in streams.iter().zip(moments.values()).filter_map(|(s, m)| Some((s?, m))) {
                self.now.raise(stream as u32, *moment);
            }
        } else if let Some(of) = self.late_of.get(&object) {
            *self.late_rows.entry(*of).or_default() += batch.num_rows() as u64;
        } else if let Some(event_time) = self.streams.get(&object)
            && let Some(latest) = compute::max(&times(batch, event_time)?)
        {
            if event_time.idle.is_some() {
                self.active.insert(object);
            }
            self.now.raise(object, latest.saturating_sub(event_time.delay));
        }
        Ok(())
    }

    /// The rows of `system.watermarks`.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn listed(&self, catalog: &Catalog) -> Result<Rows> {
        let named: BTreeMap<&str, u32> =
            self.streams.keys().filter_map(|id| Some((catalog.get(*id)?.name.as_str(), *id))).collect();
        let late = |id: &u32| self.late_rows.get(id).map_or(0, |rows| *rows as i64);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(named.keys())),
            Arc::new(TimestampMicrosecondArray::from_iter(named.values().map(|id| self.now.get(*id)))),
            Arc::new(Int64Array::from_iter_values(named.values().map(late))),
        ];
        let schema = watermarks_schema();
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        Ok(Rows { schema, chunks: vec![Arc::new(batch)], failure: None })
    }
}

/// The event times of a stream's rows.
fn times(batch: &RecordBatch, event_time: &EventTime) -> Result<Int64Array> {
    moments(batch.column(event_time.column)).ok_or_else(|| Error::Internal("a column has no event times".into()))
}
