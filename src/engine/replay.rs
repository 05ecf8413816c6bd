//! REPLAY: the events that a stream was sent, sent to another stream, as fast as can be or by the clock of their times.
//!
//! ```text
//! REPLAY s INTO t                 commit by commit, as they came to s, those that were late among them
//! REPLAY s INTO t AT SPEED 10     an event whose time is 10 s behind that of the first one comes after 1 s
//! ```
//!
//! What comes to `t` is in the log like all events: views over it follow the log and not the clock.

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::{Duration, Instant};

use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::compute::concat_batches;

use super::catalog::{Kind, Object};
use super::clock;
use super::database::{Database, Ticket};
use super::event_time::LATE_COLUMNS;
use super::history::CommitChanges;
use super::past::Origin;
use super::query::Cancel;
use super::session::Outcome;
use crate::circuit::time::moments;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::lower::nullable;
use crate::sql::statement::Replay;

/// Commits that may be on their way.
const AHEAD: usize = 256;
/// How long a statement that waits takes to notice that it was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// Sends the events.
///
/// # Errors
/// When the streams do not fit each other, an event breaks a constraint, or it was cancelled; what was sent stays.
pub fn replay(database: &Database, replay: &Replay, cancel: &Cancel) -> Result<Outcome> {
    let origin = Origin::of(database)?;
    let from = stream(&origin, &replay.from)?;
    let into = stream(&origin, &replay.into)?;
    if from.id == into.id {
        return Err(Error::input(format!("REPLAY `{}` INTO itself", from.name))
            .with_hint("give another stream of the same columns, over which views are to be tried"));
    }
    let mut pace = Pace::new(&from, replay)?;
    let schema = nullable(&from.schema);
    let mut objects = vec![(from.id, schema.clone())];
    let late = from.event_time.as_ref().and_then(|time| origin.catalog.get(time.late));
    objects.extend(late.map(|late| (late.id, nullable(&late.schema))));
    let mut sent = Sent { database, into: &into, waiting: VecDeque::new(), rows: 0 };
    for commit in origin.history().commits(0, objects) {
        let CommitChanges { time, changes, .. } = commit?;
        let mut parts = Vec::new();
        for (object, delta) in changes {
            let ours = if object == from.id { 0 } else { LATE_COLUMNS };
            let columns = delta.batch.columns()[ours..].to_vec();
            parts.push(with_schema(&schema, columns, delta.len())?);
        }
        let events = concat_batches(&schema, &parts)?;
        let Some(pace) = &mut pace else {
            cancelled(cancel)?;
            sent.send(events)?;
            continue;
        };
        let times = pace.times(&events, time);
        let mut start = 0;
        while start < events.num_rows() {
            cancelled(cancel)?;
            let due = times[start..].iter().take_while(|time| pace.wait(**time).is_zero()).count();
            if due == 0 {
                sleep(pace.wait(times[start]).min(CANCEL_POLL));
                continue;
            }
            sent.send(events.slice(start, due))?;
            start += due;
        }
    }
    sent.finish()
}

fn cancelled(cancel: &Cancel) -> Result<()> {
    if cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn stream(origin: &Origin, name: &str) -> Result<Object> {
    let object = origin.catalog.expect(name)?;
    match object.kind {
        Kind::Stream => Ok(object.as_ref().clone()),
        kind => Err(Error::input(format!("REPLAY: `{name}` is a {}, not a stream", kind.name()))),
    }
}

/// Events on their way to the log.
struct Sent<'a> {
    database: &'a Database,
    into: &'a Object,
    waiting: VecDeque<Ticket>,
    rows: usize,
}

impl Sent<'_> {
    fn send(&mut self, events: RecordBatch) -> Result<()> {
        self.rows += events.num_rows();
        self.waiting.push_back(self.database.append(&self.into.name, events)?);
        match self.waiting.len() > AHEAD {
            true => self.waiting.pop_front().map_or(Ok(0), Ticket::wait).map(drop),
            false => Ok(()),
        }
    }

    fn finish(self) -> Result<Outcome> {
        self.waiting.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
        Ok(Outcome::done(format!("REPLAY {}", self.rows)))
    }
}

/// When events are due.
struct Pace {
    speed: f64,
    /// The column of event times; where there is none, it is the times of commits.
    column: Option<usize>,
    /// The time of the first event, and when it came.
    first: Option<(i64, Instant)>,
    /// The latest time so far.
    latest: i64,
}

impl Pace {
    fn new(from: &Object, replay: &Replay) -> Result<Option<Pace>> {
        let column = match &replay.by {
            None => from.event_time.as_ref().map(|time| time.column),
            Some(name) => {
                let column = from.schema.index_of(name);
                Some(column.map_err(|_| Error::input(format!("REPLAY BY: `{}` has no column `{name}`", from.name)))?)
            }
        };
        let types = column.map(|column| from.schema.field(column).data_type());
        if let Some(data_type) = types.filter(|data_type| !crate::circuit::time::has_moments(data_type)) {
            return Err(Error::input(format!("REPLAY BY: a {data_type} is no event time"))
                .with_hint("the column must be a TIMESTAMP or a DATE"));
        }
        let pace = |speed| Pace { speed, column, first: None, latest: i64::MIN };
        match replay.speed {
            None => Ok(None),
            Some(speed) if speed > 0.0 && speed.is_finite() => Ok(Some(pace(speed))),
            Some(speed) => Err(Error::input(format!("REPLAY AT SPEED {speed}: the speed must be greater than 0"))),
        }
    }

    /// By which time each event is due, in microseconds: none before one that came before it.
    fn times(&mut self, events: &RecordBatch, commit: i64) -> Vec<i64> {
        let known: Option<Int64Array> = self.column.and_then(|column| moments(events.column(column)));
        let time = |row: usize| match &known {
            Some(times) => times.is_valid(row).then(|| times.value(row)),
            None => Some(commit),
        };
        let times = (0..events.num_rows()).map(|row| {
            self.latest = time(row).map_or(self.latest, |time| self.latest.max(time));
            self.latest
        });
        let times = times.collect::<Vec<_>>();
        if let Some(first) = times.iter().find(|time| **time > i64::MIN) {
            self.first.get_or_insert((*first, clock::start()));
        }
        times
    }

    /// How long it is until then.
    fn wait(&self, time: i64) -> Duration {
        let Some((first, started)) = self.first else { return Duration::ZERO };
        let behind = time.saturating_sub(first).max(0) as f64 / 1e6 / self.speed;
        let due = Duration::try_from_secs_f64(behind).unwrap_or(Duration::MAX);
        due.saturating_sub(clock::start().saturating_duration_since(started))
    }
}
