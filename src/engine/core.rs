//! The engine's state and its thread: takes requests one after another, and commits that wait together at once.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use crossbeam_channel::Receiver;
use datafusion::execution::session_state::SessionState;

use super::catalog::{Catalog, Kind, Object};
use super::closing::{Closings, ViewClosing};
use super::commit::Group;
use super::event_time::Clocks;
use super::memory::Memory;
use super::request::{Request, looked_for, reply};
use super::skipped::Skipped;
use super::snapshot::{Rows, Snapshot};
use super::store::{ArchivedSegment, Store};
use super::subscribe::{Feed, Update};
use super::system::{ERRORS, WATERMARKS};
use super::table::Table;
use super::trace::OwnNodes;
use super::wake::Wake;
use crate::circuit::{Circuit, ExplainLine, NodeId, Tick};
use crate::delta::rows::RowSet;
use crate::error::{Error, Result, caught};

/// Requests that may wait for the engine's thread; who sends more waits.
pub const QUEUE_REQUESTS: usize = 256;
/// Who it is that runs functions over constants.
pub(super) const PLANNING: &str = "the planner";

/// Everything that the log's prefix up to `tick.offset` determines, and the log itself.
pub struct Core {
    pub(super) catalog: Arc<Catalog>,
    pub(super) published_catalog: Arc<ArcSwap<Catalog>>,
    pub(super) store: Store,
    pub(super) circuit: Circuit,
    pub(super) tables: HashMap<u32, Table>,
    pub(super) views: HashMap<u32, View>,
    /// When each table last changed.
    pub(super) changed: HashMap<u32, u64>,
    pub(super) tick: Tick,
    /// As of the commits that are admitted; `tick` has what is durable.
    pub(super) clocks: Clocks,
    pub(super) session: Arc<ArcSwap<SessionState>>,
    pub(super) each_alone: bool,
    pub(super) memory: Memory,
    pub(super) wake: Wake,
}

/// A materialized view.
pub struct View {
    /// Where its changes come from; nowhere, when it could not be made again or had to go out of service.
    pub(super) node: Result<NodeId>,
    /// Its rows.
    pub(super) rows: RowSet,
    /// Its operators, when it leaves out the rows on which they fail; else none.
    pub(super) own: OwnNodes,
    /// How its rows depend on watermarks.
    pub(super) closing: Option<ViewClosing>,
    /// The failures on rows that it leaves out.
    pub(super) skipped: Skipped,
    /// Who wants to hear of changes.
    pub(super) feeds: Vec<Feed>,
    /// Whether they were told that the view cannot be read.
    pub(super) told_failing: bool,
}

impl View {
    /// Why it cannot be read, if it cannot.
    pub(super) fn failure(&self, circuit: &Circuit) -> Option<Error> {
        match &self.node {
            Ok(node) => circuit.failure(*node).map(Error::input),
            Err(error) => Some(error.clone()),
        }
    }
}

impl Core {
    /// Serves requests until one says to close, or nobody is left to send one.
    pub fn run(mut self, requests: &Receiver<Request>) {
        let archived = self.store.archiver_results();
        self.wake.changed();
        loop {
            self.wake();
            while let Ok(result) = archived.try_recv() {
                self.note_archived(result);
            }
            let first = match looked_for(|| requests.try_recv().ok()) {
                Some(request) => request,
                None => crossbeam_channel::select! {
                    recv(requests) -> request => match request {
                        Ok(request) => request,
                        Err(_) => break,
                    },
                    recv(archived) -> result => {
                        if let Ok(result) = result {
                            self.note_archived(result);
                        }
                        continue;
                    }
                    recv(self.wake.alarm()) -> _ => continue,
                },
            };
            let mut group = Group::default();
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    Request::Commit(commit, reply) => {
                        self.admit(&mut group, commit, reply);
                        if self.each_alone || group.is_full() {
                            self.flush(&mut group);
                        }
                    }
                    Request::Close(reply) => {
                        self.flush(&mut group);
                        reply.send(self.close());
                        return;
                    }
                    other => {
                        self.flush(&mut group);
                        self.serve(other, &mut group);
                    }
                }
                next = requests.try_recv().ok();
            }
            self.flush(&mut group);
        }
        // Every handle was dropped without closing: what was acknowledged is in the log.
        if let Err(error) = self.close() {
            tracing::error!(%error, "the database could not be closed");
        }
    }

    fn note_archived(&mut self, result: ArchivedSegment) {
        if let Err(error) = self.store.archived(result) {
            tracing::error!(%error, "a segment of the log could not be archived; it stays in the log");
        }
    }

    fn serve(&mut self, request: Request, group: &mut Group) {
        match request {
            Request::Commit(..) | Request::Close(_) => unreachable!("taken by the loop"),
            Request::Evaluate { reads, keys, evaluate, reply } => {
                let found = keys.map(|(table, keys)| self.with_keys(table, &keys)).transpose();
                let state = found.and_then(|found| Ok((self.snapshot(&reads)?, found)));
                match state.and_then(|(snapshot, found)| caught(PLANNING, || evaluate(&snapshot, found))) {
                    Ok(commit) => self.admit(group, commit, reply),
                    Err(error) => reply.send(Err(error)),
                }
            }
            Request::Define { define, cancel, reply } => {
                let catalog = self.catalog.clone();
                let defined = caught(PLANNING, || define(&catalog)).and_then(|entries| self.define(entries, &cancel));
                if defined.is_err() {
                    // Batches of tables were made for a view that did not come about.
                    self.fit();
                }
                reply.send(defined);
            }
            Request::CreateFilled { define, rows, reply } => reply.send(self.create_filled(define, rows)),
            Request::Snapshot(objects, reply) => reply.send(self.snapshot(&objects)),
            Request::Find(wanted, reply) => reply.send(self.find(&wanted)),
            Request::Key(object, reply) => reply.send(Ok(self.key(object))),
            Request::Subscribe(view, capacity, reply) => reply.send(self.subscribe(view, capacity)),
            Request::Explain(view, reply) => reply.send(self.explain(view)),
            Request::ExplainNew(object, reply) => reply.send(self.explain_new(&object)),
            Request::Past(reply) => reply.send(Ok(self.origin())),
            Request::Checkpoint(reply) => reply.send(self.store.checkpoint().map(|()| self.tick.offset)),
        }
    }

    /// The state with the rows of these tables and views.
    pub(super) fn snapshot(&mut self, objects: &[u32]) -> Result<Arc<Snapshot>> {
        let mut rows = HashMap::new();
        // Batches made for readers are kept for the next one.
        let mut made = 0;
        for id in objects {
            if *id == ERRORS {
                rows.insert(*id, self.errors()?);
            } else if *id == WATERMARKS {
                rows.insert(*id, self.clocks.listed(&self.catalog)?);
            } else if let Some(table) = self.tables.get_mut(id) {
                let set = table.rows();
                let before = set.bytes();
                rows.insert(*id, Rows { schema: set.schema().clone(), chunks: set.snapshot()?, failure: None });
                made += set.bytes() - before;
            } else if let Some(view) = self.views.get_mut(id) {
                let failure = view.failure(&self.circuit);
                let before = view.rows.bytes();
                let chunks = if failure.is_none() { view.rows.snapshot()? } else { Vec::new() };
                let rows_of = Rows { schema: view.rows.schema().clone(), chunks, failure };
                rows.insert(*id, rows_of.named(self.catalog.get(*id))?);
                made += view.rows.bytes() - before;
            }
        }
        self.account_moved(made);
        Ok(Arc::new(Snapshot {
            offset: self.tick.offset,
            time: self.tick.time,
            catalog: self.catalog.clone(),
            rows,
            history: self.store.history(self.tick.offset),
            closings: self.closings(),
            versions: Default::default(),
        }))
    }

    /// The views whose rows depend on watermarks.
    fn closings(&self) -> Closings {
        let closing = |(id, view): (&u32, &View)| Some((*id, view.closing.clone()?));
        let views = self.views.iter().filter_map(closing).collect();
        Closings { views: Arc::new(views), watermarks: self.tick.watermarks.clone() }
    }

    /// The rows of a table that have one of these primary keys.
    fn with_keys(&self, table: u32, keys: &RecordBatch) -> Result<RecordBatch> {
        let gone = || Error::input("the table was dropped meanwhile");
        self.tables.get(&table).ok_or_else(gone)?.with_keys(keys)
    }

    fn subscribe(&mut self, id: u32, capacity: usize) -> Result<Feed> {
        let feed = Feed::new(capacity);
        self.attach(id, feed.clone())?;
        Ok(feed)
    }

    /// Gives a feed the rows of a view, and from now on its changes.
    pub(super) fn attach(&mut self, id: u32, feed: Feed) -> Result<()> {
        let snapshot = self.snapshot(&[id])?;
        let rows =
            snapshot.rows.get(&id).ok_or_else(|| Error::input("only a materialized view can be subscribed to"))?;
        let name = self.catalog.get(id).map_or_else(String::new, |object| object.name.clone());
        rows.check(&format!("view `{name}`"))?;
        let view =
            self.views.get_mut(&id).ok_or_else(|| Error::input("only a materialized view can be subscribed to"))?;
        let batch = arrow::compute::concat_batches(&rows.schema, rows.chunks.iter().map(AsRef::as_ref))?;
        feed.push(Update::Snapshot { offset: snapshot.offset, batch });
        view.told_failing = false;
        view.feeds.push(feed);
        Ok(())
    }

    fn explain(&mut self, id: u32) -> Result<Vec<ExplainLine>> {
        let view = self.views.get(&id).ok_or_else(|| Error::input("only a materialized view has a circuit"))?;
        let node = view.node.clone()?;
        let catalog = &self.catalog;
        Ok(self.circuit.explain(node, &|object| object_name(catalog, object)))
    }

    fn explain_new(&self, object: &Object) -> Result<Vec<ExplainLine>> {
        let mut circuit = Circuit::new();
        let node = self.lower_view(&self.catalog, object, &self.view_facts(), &mut circuit)?.root;
        Ok(circuit.explain(node, &|object| object_name(&self.catalog, object)))
    }

    fn close(&mut self) -> Result<()> {
        for view in self.views.values() {
            view.feeds.iter().for_each(Feed::end);
        }
        self.store.close()
    }
}

/// An object's kind and name, for the printed circuit.
pub fn object_name(catalog: &Catalog, id: u32) -> String {
    match catalog.get(id) {
        Some(object) if object.kind == Kind::MaterializedView => format!("view {}", object.name),
        Some(object) => format!("{} {}", object.kind.name(), object.name),
        None => match super::system::stream(id) {
            Some(stream) => format!("stream system.{}", stream.name),
            None => format!("object {id}"),
        },
    }
}

/// Sends a request and returns what waits for its answer.
pub fn ask<T>(
    sender: &crossbeam_channel::Sender<Request>,
    request: impl FnOnce(super::request::Reply<T>) -> Request,
) -> super::request::Pending<T> {
    let (reply, pending) = reply();
    // When the engine has ended the request is dropped with its reply, which says so.
    let _ = sender.send(request(reply));
    pending
}
