//! DDL: views are built and filled before the entry is logged, then everything changes at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::Schema;

use super::catalog::{Catalog, Ddl, Kind, Object};
use super::clock::now;
use super::closing::ViewClosing;
use super::core::{Core, PLANNING, View};
use super::ddl_view::BOUNDED;
use super::event_time::Clocks;
use super::history::History;
use super::names::{InputNames, canonical_view_plan, sources};
use super::query::Cancel;
use super::skipped::Skipped;
use super::subscribe::Feed;
use super::system::HEARTBEATS;
use super::table::Table;
use super::trace::{OwnNodes, same};
use crate::circuit::{Circuit, Facts, NodeId, Outputs, Tick};
use crate::delta::Delta;
use crate::delta::rows::RowSet;
use crate::error::{Error, Result, caught};
use crate::log::{Record, Statement};
use crate::operators::project::batch as with_schema;
use crate::sql::context::optimize_for_view;
use crate::sql::lower::{OnError, lower, nullable};

/// A view that was built beside the live circuit.
struct Built {
    circuit: Circuit,
    root: NodeId,
    rows: RowSet,
    own: OwnNodes,
    closing: Option<ViewClosing>,
    skipped: Skipped,
}

/// The operators of a view.
pub(super) struct Lowered {
    /// Where its rows come from.
    pub(super) root: NodeId,
    /// All of them, where it leaves out the rows on which they fail.
    pub(super) own: OwnNodes,
    /// How its rows depend on watermarks.
    pub(super) closing: Option<ViewClosing>,
}

impl Core {
    /// Carries out DDL: all of it or nothing.
    pub(super) fn define(&mut self, entries: Vec<Ddl>, cancel: &Cancel) -> Result<u64> {
        if entries.is_empty() {
            return Ok(self.tick.offset);
        }
        let span = tracing::debug_span!("define", offset = self.tick.offset + 1);
        let _entered = span.enter();
        let mut catalog = self.catalog.as_ref().clone();
        for entry in &entries {
            catalog.apply(entry)?;
        }
        let logged: Vec<Ddl> = entries.iter().filter_map(Ddl::logged).collect();
        let tick = match logged.is_empty() {
            true => self.tick.clone(),
            false => Tick { offset: self.tick.offset + 1, time: self.tick.time.max(now()), ..self.tick.clone() },
        };
        // The first view is the one that the user speaks of; those over it are made again from the new one.
        let first = entries.iter().find_map(|e| match e {
            Ddl::Create(object) if object.kind == Kind::MaterializedView => Some(object.as_ref()),
            _ => None,
        });
        let mut built = first.map(|object| self.build(&catalog, object, &tick, cancel)).transpose()?;
        self.index_rows(&entries)?;
        if !logged.is_empty() {
            let text = Ddl::encode(&logged)?;
            self.store.learn(&logged);
            self.store.append(Record::Statement(Statement { offset: tick.offset, time: tick.time, text }))?;
        }
        let before = std::mem::replace(&mut self.catalog, Arc::new(catalog));
        let offset = tick.offset;
        self.tick = tick;
        let mut listeners = Vec::new();
        for entry in entries {
            match entry {
                Ddl::Drop(ids) => {
                    for id in ids {
                        let feeds = self.remove(id);
                        listeners.extend(before.get(id).map(|object| (object.clone(), feeds)));
                    }
                }
                Ddl::Create(object) => self.create(&object, &mut built)?,
                Ddl::Alter(object) => self.alter(&object, before.get(object.id))?,
                // Its rows have been indexed; those of an object that was made just now are when they are first read.
                Ddl::CreateIndex(_) | Ddl::Fill(_) => {}
                Ddl::DropIndex(names) => self.let_go_of_indexes(&before, &names),
                Ddl::CreateFunction(_) | Ddl::DropFunction(_) => {}
            }
        }
        self.published_catalog.store(self.catalog.clone());
        self.fit();
        // If time has passed, views over `now()` move.
        self.step(Outputs::new());
        for (object, feeds) in listeners {
            self.move_feeds(&object, feeds);
        }
        Ok(offset)
    }

    /// Takes an object out; returns who listened to it.
    fn remove(&mut self, id: u32) -> Vec<Feed> {
        self.circuit.withdraw(id);
        self.tables.remove(&id);
        self.views.remove(&id).map_or_else(Vec::new, |view| view.feeds)
    }

    /// Who listened to a view that was replaced by one with the same columns hears the new one's rows, and from there
    /// its changes; for others it is the end.
    fn move_feeds(&mut self, gone: &Object, feeds: Vec<Feed>) {
        let heir = self.catalog.find_beside(gone.session, &gone.name).filter(|o| o.schema == gone.schema).map(|o| o.id);
        for feed in feeds {
            match heir {
                Some(id) if self.views.contains_key(&id) => {
                    // A view that cannot be read has no rows to go on from.
                    if self.attach(id, feed.clone()).is_err() {
                        feed.end();
                    }
                }
                _ => feed.end(),
            }
        }
    }

    fn create(&mut self, object: &Object, built: &mut Option<Built>) -> Result<()> {
        match object.kind {
            Kind::View => {}
            Kind::Stream => {
                self.clocks.add(object);
                self.circuit.input(object.id, crate::sql::lower::nullable(&object.schema), object.facts());
            }
            Kind::Table => {
                self.circuit.input(object.id, crate::sql::lower::nullable(&object.schema), object.facts());
                self.tables.insert(object.id, Table::new(Arc::new(object.clone()))?);
            }
            Kind::MaterializedView => {
                let tick = self.tick.clone();
                let catalog = self.catalog.clone();
                let made = match built.take() {
                    Some(built) => Ok(built),
                    None => self.build(&catalog, object, &tick, &Cancel::default()),
                };
                let view = match made {
                    Ok(mut built) => {
                        let places = self.circuit.absorb(std::mem::take(&mut built.circuit))?;
                        let node = places[&built.root];
                        self.circuit.publish(object.id, node);
                        let own = built.own.iter().map(|node| places[node]).collect();
                        let (feeds, told_failing) = (Vec::new(), false);
                        let Built { rows, closing, skipped, .. } = built;
                        View { node: Ok(node), rows, own, closing, skipped, feeds, told_failing }
                    }
                    Err(error) => broken(object, error)?,
                };
                self.views.insert(object.id, view);
            }
        }
        Ok(())
    }

    /// Lowers a view into a circuit of its own and fills it from history.
    fn build(&mut self, catalog: &Catalog, object: &Object, tick: &Tick, cancel: &Cancel) -> Result<Built> {
        let span = tracing::debug_span!("fill", view = object.name);
        let _entered = span.enter();
        let mut circuit = Circuit::new();
        let Lowered { root, own, closing } = self.lower_view(catalog, object, &self.view_facts(), &mut circuit)?;
        if object.skips() {
            self.refuse_time(object, catalog)?;
        }
        if object.options.get(BOUNDED).is_some_and(|bounded| bounded == "true") {
            self.refuse_unbounded(object, catalog, &circuit, root)?;
        }
        let mut rows = RowSet::new(object.schema.clone(), None, circuit.facts(root).append_only)?;
        let history = self.store.history(self.tick.offset);
        let mut started = false;
        let mut skipped = Skipped::default();
        let mut filling = self.filling(&object.name);
        let inputs = circuit.inputs();
        // Of one input the watermark is known row by row. With several it is not told here which rows came before which,
        // and nothing may be let go of before all are in.
        let mut clocks = Clocks::new(catalog);
        let alone = inputs.len() == 1;
        let mut before = Tick { watermarks: Arc::default(), ..tick.clone() };
        for (id, node) in inputs {
            let mut feed = |delta: Delta| -> Result<()> {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                started = true;
                if alone {
                    clocks.observe(id, &delta.batch)?;
                    before.watermarks = clocks.shared(&before.watermarks);
                }
                let delta = circuit.narrowed(node, &delta)?;
                let outputs = circuit.step(Outputs::from([(node, delta)]), &before);
                outputs.get(&root).map_or(Ok(()), |delta| rows.apply(delta))?;
                let moved = skipped.apply(circuit.take_skipped().values().flatten(), tick.offset);
                filling.check(&mut circuit, rows.bytes() + skipped.bytes(), moved)
            };
            if let Some(table) = self.tables.get_mut(&id) {
                for chunk in table.rows().snapshot()? {
                    feed(Delta::insert(chunk.as_ref().clone()))?;
                }
            } else if let Some(view) = self.views.get_mut(&id) {
                for chunk in view.rows.snapshot()? {
                    feed(Delta::insert(chunk.as_ref().clone()))?;
                }
            } else {
                let schema = crate::sql::lower::nullable(&stream_schema(catalog, id));
                for delta in history.steps(id, &schema) {
                    feed(delta?)?;
                }
            }
        }
        if !started || before.watermarks != tick.watermarks {
            let outputs = circuit.step(Outputs::new(), tick);
            outputs.get(&root).map_or(Ok(()), |delta| rows.apply(delta))?;
        }
        match circuit.broken(root) {
            None => {}
            Some(Error::Limit(message)) => return Err(Error::Limit(format!("view `{}`: {message}", object.name))),
            Some(error) => return Err(error.clone()),
        }
        filling.check_now(&circuit, rows.bytes() + skipped.bytes())?;
        skipped.apply(circuit.take_skipped().values().flatten(), tick.offset);
        if !skipped.is_empty() {
            let traced = self.trace(catalog, &[object], filling, cancel)?;
            skipped = same(&skipped, &traced, object.id)?;
        }
        Ok(Built { circuit, root, rows, own, closing, skipped })
    }

    /// Adds the operators of a view to a circuit; `facts` are those of the views that it may read.
    pub(super) fn lower_view(
        &self,
        catalog: &Catalog,
        object: &Object,
        facts: &HashMap<u32, Facts>,
        circuit: &mut Circuit,
    ) -> Result<Lowered> {
        for read in sources(catalog, &object.reads, false) {
            if let (Some(View { node: Err(error), .. }), Some(read)) = (self.views.get(&read), catalog.get(read)) {
                return Err(match error {
                    Error::Limit(message) => Error::Limit(message.clone()),
                    error => Error::input(format!("it reads view `{}`, which cannot be made: {error}", read.name)),
                });
            }
        }
        let session = self.session.load();
        let names = InputNames { known: Some(&object.known), ..InputNames::new(&session, catalog, facts) };
        caught(PLANNING, || {
            let plan = canonical_view_plan(&session, &names, object)?;
            let plan = optimize_for_view(&session, plan)?;
            tracing::debug!(view = object.name, plan = %plan.display_indent(), "lowering");
            let on_error = if object.skips() { OnError::Skip } else { OnError::Fail };
            circuit.take_added();
            let root = lower(&plan, circuit, &session, on_error)?;
            let closing = ViewClosing::new(object, circuit, root)?;
            let root = closing.as_ref().map_or(Ok(root), |closing| closing.put_over(circuit, root))?;
            let own = circuit.take_added();
            let own = if object.skips() { own } else { OwnNodes::new() };
            Ok(Lowered { root, own, closing })
        })
    }

    /// What the live circuit knows of each materialized view.
    pub(super) fn view_facts(&self) -> HashMap<u32, Facts> {
        let facts = |(id, view): (&u32, &View)| Some((*id, self.circuit.facts(*view.node.as_ref().ok()?).clone()));
        self.views.iter().filter_map(facts).collect()
    }

    /// Makes the tables and views of a catalog from the log: how a database is opened, and how its past is read.
    pub(super) fn rebuild(&mut self, cancel: &Cancel) -> Result<()> {
        let span = tracing::debug_span!("replay", to = self.tick.offset);
        let _entered = span.enter();
        let catalog = self.catalog.clone();
        let history = self.store.history(self.tick.offset);
        for object in catalog.objects().filter(|o| matches!(o.kind, Kind::Stream | Kind::Table)) {
            self.create(object, &mut None)?;
        }
        for stream in super::system::streams() {
            self.circuit.input(stream.id, stream.schema.clone(), stream.facts());
        }
        self.clocks = Clocks::new(&catalog);
        for object in catalog.in_order().iter().filter(|o| o.kind == Kind::MaterializedView) {
            let facts = self.view_facts();
            let mut circuit = std::mem::take(&mut self.circuit);
            let node = self.lower_view(&catalog, object, &facts, &mut circuit);
            self.circuit = circuit;
            let view = match node {
                Ok(Lowered { root: node, own, closing }) => {
                    self.circuit.publish(object.id, node);
                    let append_only = self.circuit.facts(node).append_only;
                    let rows = RowSet::new(object.schema.clone(), None, append_only)?;
                    let (skipped, feeds, told_failing) = (Skipped::default(), Vec::new(), false);
                    View { node: Ok(node), rows, own, closing, skipped, feeds, told_failing }
                }
                Err(error) => broken(object, error)?,
            };
            self.views.insert(object.id, view);
        }
        self.step(Outputs::new());
        self.replay(&catalog, &history, cancel)?;
        self.trace_all();
        self.index_all()?;
        self.fit();
        Ok(())
    }

    /// Feeds every input's history. In which order inputs come makes no difference to what views hold at the end.
    fn replay(&mut self, catalog: &Catalog, history: &History, cancel: &Cancel) -> Result<()> {
        let ids: BTreeSet<u32> = self.circuit.inputs().into_iter().map(|(id, _)| id).collect();
        let (last, streams): (Vec<u32>, Vec<u32>) = ids.into_iter().partition(|id| *id == HEARTBEATS);
        for id in streams.into_iter().chain(last) {
            let schema = crate::sql::lower::nullable(&stream_schema(catalog, id));
            let mut last = 0;
            for delta in history.steps(id, &schema) {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let delta = delta?;
                if let Some(table) = self.tables.get_mut(&id) {
                    table.apply(&delta)?;
                    self.account_moved(delta.bytes());
                    last = self.tick.offset;
                } else {
                    self.clocks.observe(id, &delta.batch)?;
                    // A heartbeat says what came to be while rows of other streams came.
                    if id != HEARTBEATS {
                        self.tick.watermarks = self.clocks.shared(&self.tick.watermarks);
                    }
                    self.step_with(id, &delta)?;
                }
            }
            if last > 0 {
                self.changed.insert(id, last);
                let chunks = self.tables.get_mut(&id).expect("just seen").rows().snapshot()?;
                for chunk in chunks {
                    self.step_with(id, &Delta::insert(chunk.as_ref().clone()))?;
                }
            }
        }
        self.tick.watermarks = self.clocks.shared(&self.tick.watermarks);
        self.step(Outputs::new());
        Ok(())
    }
}

impl Core {
    fn step_with(&mut self, object: u32, delta: &Delta) -> Result<()> {
        let mut changes = Outputs::new();
        self.circuit.route(object, delta, &mut changes)?;
        self.step(changes);
        Ok(())
    }

    /// An object has another name, other names of columns, or more columns.
    fn alter(&mut self, object: &Object, before: Option<&Arc<Object>>) -> Result<()> {
        let schema = nullable(&object.schema);
        if before.is_some_and(|before| before.schema.fields().len() < schema.fields().len()) {
            self.circuit.widen(object.id, schema.clone(), object.facts());
        }
        if let Some(table) = self.tables.get_mut(&object.id) {
            let mut altered = Table::new(Arc::new(object.clone()))?;
            for chunk in table.rows().snapshot()? {
                let columns = object.added.widen(chunk.columns().to_vec(), chunk.num_rows(), &schema)?;
                altered.apply(&Delta::insert(with_schema(&schema, columns, chunk.num_rows())?))?;
            }
            self.tables.insert(object.id, altered);
            self.index_object(object.id)?;
        }
        Ok(())
    }
}

pub(super) fn stream_schema(catalog: &Catalog, id: u32) -> arrow::datatypes::SchemaRef {
    let system = || super::system::stream(id).map_or_else(|| Arc::new(Schema::empty()), |stream| stream.schema);
    catalog.get(id).map_or_else(system, |o| o.schema.clone())
}

/// A view that cannot be made (a function of it is not registered, say) says so when it is read; the database opens.
fn broken(object: &Object, error: Error) -> Result<View> {
    tracing::warn!(view = object.name, %error, "a view could not be made");
    let rows = RowSet::new(object.schema.clone(), None, false)?;
    let (own, skipped) = (OwnNodes::new(), Skipped::default());
    Ok(View { node: Err(error), rows, own, closing: None, skipped, feeds: Vec::new(), told_failing: false })
}
