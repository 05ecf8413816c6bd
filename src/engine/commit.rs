//! Commits: admitted into a group, then the group logged, synced, stepped, published and acknowledged.
//!
//! Tables change as commits are admitted, since the next commit of the group is resolved against them; views change
//! when the group is durable. A group that cannot be made durable is taken back from the tables.

use std::collections::BTreeMap;

use super::catalog::Kind;
use super::clock::now;
use super::core::Core;
use super::heartbeat::beat;
use super::request::{Change, Commit, Committed, Reply};
use super::subscribe::Update;
use super::system::{self, HEARTBEATS};
use super::table::TableChange;
use super::temporary::is_temporary;
use crate::circuit::{Outputs, Tick};
use crate::delta::{Delta, consolidate};
use crate::error::{Error, Result};
use crate::log::{Group as LogGroup, Mark, Part, PartRows, Record, Run};
use crate::operators::project::batch as with_schema;

/// Rows of a group, past which it takes no further commit.
const GROUP_ROWS_MAX: usize = 1 << 17;
/// Bytes of a group: a large commit goes alone, so that one too large for the log is refused alone.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// Commits of a group.
const GROUP_COMMITS_MAX: usize = 4096;
/// Rows of one commit.
const COMMIT_ROWS_MAX: usize = 1 << 24;

/// Commits that will be made durable together.
#[derive(Default)]
pub struct Group {
    times: Vec<i64>,
    parts: BTreeMap<u32, PartBuilder>,
    marks: Vec<Mark>,
    replies: Vec<(Reply<Committed>, Committed)>,
    rows: usize,
    bytes: usize,
}

#[derive(Default)]
struct PartBuilder {
    runs: Vec<Run>,
    deltas: Vec<Delta>,
}

impl Group {
    /// Whether it has no commit.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether it should be flushed before another commit.
    pub fn is_full(&self) -> bool {
        self.rows >= GROUP_ROWS_MAX || self.times.len() >= GROUP_COMMITS_MAX
    }
}

impl Core {
    /// Takes a commit into a group, or refuses it; either way nothing is visible yet.
    pub(super) fn admit(&mut self, group: &mut Group, commit: Commit, reply: Reply<Committed>) {
        let bytes: usize = commit.changes.iter().map(Change::bytes).sum();
        if commit.changes.iter().any(|change| is_temporary(change.object())) {
            // It may turn out to have no place in the group.
            self.flush(group);
        }
        if !group.times.is_empty() && group.bytes + bytes > GROUP_BYTES_MAX {
            self.flush(group);
        }
        let mut admitted = self.admits(&commit.changes, group.bytes + bytes);
        if admitted.is_err() && group.bytes > 0 {
            // What waits may be events, which are not kept, or deletes.
            self.flush(group);
            admitted = self.admits(&commit.changes, bytes);
        }
        if let Err(error) = admitted {
            return reply.send(Err(error));
        }
        let offset = self.tick.offset + group.times.len() as u64;
        if let Some((since, tables)) = &commit.unless_changed
            && let Some(name) = self.changed_since(group, *since, tables)
        {
            let error = Error::input(format!("table `{name}` was changed by another commit since BEGIN"));
            return reply.send(Err(error.with_hint("nothing was changed; run the transaction again")));
        }
        let resolved = match self.resolve(&commit.changes) {
            Ok(resolved) => resolved,
            Err(error) => return reply.send(Err(error)),
        };
        let rows = commit.changes.iter().map(Change::len).sum();
        if resolved.is_empty() && commit.mark.is_none() {
            group.replies.push((reply, Committed { offset, rows }));
            return;
        }
        if commit.mark.is_none() && resolved.iter().all(|(object, _)| is_temporary(*object)) {
            let stepped = self.step_temporary(resolved);
            return reply.send(stepped.map(|()| Committed { offset, rows }));
        }
        group.bytes += bytes;
        let place = group.times.len() as u32;
        let last = group.times.last().copied().unwrap_or(self.tick.time);
        group.times.push(last.max(now()));
        for (object, delta) in resolved {
            group.rows += delta.len();
            let part = group.parts.entry(object).or_default();
            part.runs.push(Run { commit: place, rows: delta.len() as u32 });
            part.deltas.push(delta);
        }
        group.marks.extend(commit.mark.map(|(object, value)| Mark { object, value }));
        group.replies.push((reply, Committed { offset: offset + 1, rows }));
    }

    fn changed_since(&self, group: &Group, since: u64, tables: &[u32]) -> Option<String> {
        let stale = |id: &&u32| {
            self.changed.get(id).is_some_and(|at| *at > since)
                || group.parts.contains_key(id)
                || self.catalog.get(**id).is_none()
        };
        let id = tables.iter().find(stale)?;
        Some(self.catalog.get(*id).map_or_else(|| id.to_string(), |o| o.name.clone()))
    }

    /// The changes of rows that a commit comes to, already carried out on the tables; all of them or none.
    fn resolve(&mut self, changes: &[Change]) -> Result<Vec<(u32, Delta)>> {
        let rows: usize = changes.iter().map(Change::len).sum();
        if rows > COMMIT_ROWS_MAX {
            return Err(Error::Limit(format!("the commit has {rows} rows and the limit is {COMMIT_ROWS_MAX}")));
        }
        let mut resolved: Vec<(u32, Delta)> = Vec::new();
        let outcome = changes.iter().try_for_each(|change| {
            let (on_time, late) = self.without_late(change)?;
            for change in std::iter::once(on_time.as_ref().unwrap_or(change)).chain(&late) {
                let delta = self.resolve_one(change)?;
                if delta.has_rows() {
                    resolved.push((change.object(), delta));
                }
            }
            Ok(())
        });
        // All rows of a commit come at once: they are measured by the watermark before it.
        let outcome =
            outcome.and_then(|()| resolved.iter().try_for_each(|(id, delta)| self.clocks.observe(*id, &delta.batch)));
        match outcome {
            Ok(()) => Ok(resolved),
            Err(error) => {
                self.take_back(resolved.iter().map(|(object, delta)| (*object, delta)));
                Err(error)
            }
        }
    }

    /// A change without the rows that are late, and the change that these are; nothing where none is.
    fn without_late(&self, change: &Change) -> Result<(Option<Change>, Option<Change>)> {
        let Change::Events { object, batch } = change else { return Ok((None, None)) };
        let Some((batch, late, late_rows)) = self.clocks.split(*object, batch)? else { return Ok((None, None)) };
        let on_time = Change::Events { object: *object, batch };
        Ok((Some(on_time), Some(Change::Events { object: late, batch: late_rows })))
    }

    fn resolve_one(&mut self, change: &Change) -> Result<Delta> {
        let id = change.object();
        let object = match self.catalog.get(id) {
            Some(object) => object.clone(),
            None => match system::stream(id) {
                Some(stream) => stream.into(),
                None => return Err(Error::input("the stream or table was dropped meanwhile")),
            },
        };
        if change.columns() != object.schema.fields().len() {
            return Err(Error::input(format!("`{}` has got another column meanwhile", object.name))
                .with_hint("nothing was changed; run the statement again"));
        }
        match (object.kind, change) {
            (Kind::Stream, Change::Events { batch, .. }) => {
                let node = self.circuit.object(id).expect("a stream of the catalog is an input of the circuit");
                let columns = batch.columns().to_vec();
                Ok(Delta::insert(with_schema(&self.circuit.schema(node), columns, batch.num_rows())?))
            }
            (Kind::Table, Change::Table { change, .. }) => {
                let table = self.tables.get_mut(&id).expect("a table of the catalog has rows");
                let schema = table.rows().schema().clone();
                let renamed = |b: &arrow::array::RecordBatch| with_schema(&schema, b.columns().to_vec(), b.num_rows());
                let change = match change {
                    TableChange::Upsert(batch) => TableChange::Upsert(renamed(batch)?),
                    TableChange::Exact(delta) => {
                        TableChange::Exact(Delta::new(renamed(&delta.batch)?, delta.weights.clone()))
                    }
                };
                let delta = table.resolve(&change)?;
                table.apply(&delta)?;
                Ok(delta)
            }
            _ => Err(Error::input(format!("{} `{}` does not take this change", object.kind.name(), object.name))),
        }
    }

    /// Commits that time has passed, and nothing else.
    pub(super) fn pass_time(&mut self, now: i64) {
        let time = now.max(self.tick.time);
        let mut parts = BTreeMap::new();
        // The archive has a commit by its rows alone.
        if !self.store.is_in_memory() {
            parts.insert(HEARTBEATS, PartBuilder { runs: vec![Run { commit: 0, rows: 1 }], deltas: vec![beat(time)] });
        }
        if let Err(error) = self.flush_rows(vec![time], parts, Vec::new()) {
            tracing::error!(%error, "a commit that takes rows out by the clock failed");
        }
    }

    fn take_back<'a>(&mut self, deltas: impl DoubleEndedIterator<Item = (u32, &'a Delta)>) {
        for (object, delta) in deltas.rev() {
            if let Some(table) = self.tables.get_mut(&object) {
                table.apply(&delta.negate()).expect("what was just added can be taken away");
            }
        }
    }

    /// Makes a group durable, then visible, then known to those who wait for it.
    pub(super) fn flush(&mut self, group: &mut Group) {
        let group = std::mem::take(group);
        if !group.times.is_empty()
            && let Err(error) = self.flush_rows(group.times, group.parts, group.marks)
        {
            self.clocks.rewind(&self.tick.watermarks);
            for (reply, _) in group.replies {
                reply.send(Err(error.clone()));
            }
            return;
        }
        for (reply, committed) in group.replies {
            reply.send(Ok(committed));
        }
    }

    fn flush_rows(&mut self, times: Vec<i64>, parts: BTreeMap<u32, PartBuilder>, marks: Vec<Mark>) -> Result<()> {
        let span = tracing::debug_span!("commit", from = self.tick.offset + 1, commits = times.len());
        let _entered = span.enter();
        let tick = Tick {
            offset: self.tick.offset + times.len() as u64,
            time: *times.last().expect("not empty"),
            ..self.tick.clone()
        };
        let whole = |(object, part): (&u32, &PartBuilder)| {
            Ok((*object, part.runs.clone(), Delta::concat(&part.deltas[0].schema(), &part.deltas)?))
        };
        let changes: Vec<(u32, Vec<Run>, Delta)> = match parts.iter().map(whole).collect::<Result<_>>() {
            Ok(changes) => changes,
            Err(error) => {
                let deltas = parts.iter().flat_map(|(object, part)| part.deltas.iter().map(|delta| (*object, delta)));
                self.take_back(deltas);
                return Err(error);
            }
        };
        let record = Record::Rows(LogGroup {
            first_offset: self.tick.offset + 1,
            times: times.clone(),
            marks,
            parts: changes
                .iter()
                .filter(|(object, _, _)| !is_temporary(*object))
                .map(|(object, runs, delta)| Part {
                    object: *object,
                    runs: runs.clone(),
                    rows: PartRows::Delta(delta.clone()),
                })
                .collect(),
        });
        if let Err(error) = self.store.append(record) {
            self.take_back(changes.iter().map(|(object, _, delta)| (*object, delta)));
            return Err(error);
        }
        for (object, _, _) in &changes {
            self.changed.insert(*object, tick.offset);
        }
        // What is listed of failing rows names the commit since which they fail.
        if tick.offset > self.tick.offset + 1 && self.views.values().any(|view| !view.own.is_empty()) {
            return self.step_each(&times, &changes);
        }
        self.tick = tick;
        self.tick.watermarks = self.clocks.shared(&self.tick.watermarks);
        let mut inputs = Outputs::new();
        for (object, _, delta) in &changes {
            self.circuit.route(*object, delta, &mut inputs)?;
        }
        self.step(inputs);
        Ok(())
    }

    /// Steps the circuit through a group commit by commit.
    fn step_each(&mut self, times: &[i64], changes: &[(u32, Vec<Run>, Delta)]) -> Result<()> {
        // Of each part, the run that is next and where its rows begin.
        let mut places = vec![(0, 0); changes.len()];
        let mut clocks = self.clocks.clone();
        clocks.rewind(&self.tick.watermarks);
        for (commit, time) in times.iter().enumerate() {
            self.tick = Tick { offset: self.tick.offset + 1, time: *time, ..self.tick.clone() };
            let mut inputs = Outputs::new();
            for ((object, runs, delta), (run, row)) in changes.iter().zip(&mut places) {
                let (start, first) = (*row, *run);
                for of_commit in runs[first..].iter().take_while(|run| run.commit as usize == commit) {
                    (*run, *row) = (*run + 1, *row + of_commit.rows as usize);
                }
                let length = *row - start;
                if *run == first {
                    continue;
                }
                let part = Delta::new(delta.batch.slice(start, length), delta.weights.slice(start, length));
                clocks.observe(*object, &part.batch)?;
                self.circuit.route(*object, &part, &mut inputs)?;
            }
            self.tick.watermarks = clocks.shared(&self.tick.watermarks);
            self.step(inputs);
        }
        Ok(())
    }

    /// Steps the circuit and brings the views' rows to the same moment.
    pub(super) fn step(&mut self, inputs: Outputs) {
        let outputs = self.circuit.step(inputs, &self.tick);
        let skipped = self.circuit.take_skipped();
        let mut moved = 0;
        for (id, view) in &mut self.views {
            let Ok(node) = &view.node else { continue };
            if !view.own.is_empty() {
                let changes =
                    skipped.iter().filter(|(node, _)| view.own.contains(node)).flat_map(|(_, changes)| changes);
                moved += view.skipped.apply(changes, self.tick.offset);
            }
            let Some(delta) = outputs.get(node) else { continue };
            if let Err(error) = view.rows.apply(delta) {
                tracing::error!(%error, view = id, "a view's rows do not add up; it is out of service");
                view.node = Err(error);
                continue;
            }
            if view.feeds.is_empty() {
                continue;
            }
            match consolidate(delta) {
                Ok(delta) if !delta.has_rows() => {}
                Ok(delta) => {
                    let offset = self.tick.offset;
                    view.feeds.retain(|feed| feed.push(Update::Delta { offset, delta: delta.clone() }));
                }
                Err(error) => view.node = Err(error),
            }
        }
        self.wake.changed();
        self.account();
        self.account_moved(moved);
        self.tell_failures();
    }

    /// Tells subscribers when reading their view begins or ceases to be an error.
    pub(super) fn tell_failures(&mut self) {
        let offset = self.tick.offset;
        for view in self.views.values_mut().filter(|view| !view.feeds.is_empty()) {
            let failure = match &view.node {
                Ok(node) => self.circuit.failure(*node),
                Err(error) => Some(error.to_string()),
            };
            let update = match (failure, view.told_failing) {
                (Some(reason), false) => Update::Failing { offset, reason },
                (None, true) => Update::Healed { offset },
                _ => continue,
            };
            view.told_failing = !view.told_failing;
            view.feeds.retain(|feed| feed.push(update.clone()));
        }
    }
}
