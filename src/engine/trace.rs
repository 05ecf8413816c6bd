//! Since when the failures stand that views with `on_error = 'skip'` list.
//!
//! A live view is stepped commit by commit, and knows. One that was filled from history was not: filling takes one
//! input after the other in large steps. Where it has failures at the end, the log is gone through once more, commit by
//! commit, with the view and all views below it in a circuit of their own. So the list is the same whenever the view
//! was made, and after opening again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};

use super::catalog::{Catalog, Kind, Object};
use super::core::{Core, View};
use super::define::{Lowered, stream_schema};
use super::event_time::Clocks;
use super::history::CommitChanges;
use super::memory::Filling;
use super::query::Cancel;
use super::skipped::Skipped;
use super::snapshot::Rows;
use super::system::{HEARTBEATS, errors_schema};
use super::temporary::is_temporary;
use crate::circuit::{Circuit, Facts, NodeId, Outputs, Tick};
use crate::error::{Error, Result};
use crate::sql::lower::nullable;

/// A view's own operators, when it leaves out the rows on which they fail.
pub type OwnNodes = BTreeSet<NodeId>;

impl Core {
    /// The failures of some views, by going through the log commit by commit.
    pub(super) fn trace(
        &self,
        catalog: &Catalog,
        views: &[&Object],
        mut filling: Filling,
        cancel: &Cancel,
    ) -> Result<BTreeMap<u32, Skipped>> {
        let span = tracing::debug_span!("trace", views = views.len());
        let _entered = span.enter();
        let mut circuit = Circuit::new();
        let mut facts: HashMap<u32, Facts> = HashMap::new();
        let mut traced: Vec<(u32, OwnNodes)> = Vec::new();
        for object in with_those_below(catalog, views) {
            let Lowered { root: node, own, .. } = self.lower_view(catalog, &object, &facts, &mut circuit)?;
            circuit.publish(object.id, node);
            facts.insert(object.id, circuit.facts(node).clone());
            if views.iter().any(|view| view.id == object.id) {
                traced.push((object.id, own));
            }
        }
        let mut ids: BTreeSet<u32> = circuit.inputs().into_iter().map(|(id, _)| id).collect();
        let mut clocks = Clocks::new(catalog);
        let mut tick = Tick { watermarks: Arc::default(), ..self.tick.clone() };
        // Watermarks also move by rows that the views do not read.
        ids.extend(clocks.streams().map(|(id, _)| id).chain([HEARTBEATS]));
        let inputs = ids.into_iter().map(|id| (id, nullable(&stream_schema(catalog, id))));
        let commits = self.store.history(self.tick.offset).commits(0, inputs);
        let mut failures: BTreeMap<u32, Skipped> = traced.iter().map(|(id, _)| (*id, Skipped::default())).collect();
        let first = std::iter::once(Ok(CommitChanges::default()));
        for commit in first.chain(commits) {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let CommitChanges { offset, changes, .. } = commit?;
            let mut inputs = Outputs::new();
            for (object, delta) in &changes {
                clocks.observe(*object, &delta.batch)?;
                circuit.route(*object, delta, &mut inputs)?;
            }
            tick.offset = offset;
            tick.watermarks = clocks.shared(&tick.watermarks);
            circuit.step(inputs, &tick);
            let skipped = circuit.take_skipped();
            let mut moved = 0;
            for (id, own) in traced.iter().filter(|_| !skipped.is_empty()) {
                let changes = skipped.iter().filter(|(node, _)| own.contains(node)).flat_map(|(_, changes)| changes);
                moved += failures.get_mut(id).expect("of each view that is traced").apply(changes, offset);
            }
            filling.check(&mut circuit, failures.values().map(Skipped::bytes).sum(), moved)?;
        }
        Ok(failures)
    }

    /// The rows of `system.errors`: of each view by its name, and of each failure since each commit.
    pub(super) fn errors(&self) -> Result<Rows> {
        let named = |(id, view): (&u32, _)| Some((self.catalog.get(*id)?.name.clone(), view));
        // Temporary views do not leave rows out; their names may be those of others that do.
        let lasting = self.views.iter().filter(|(id, _)| !is_temporary(**id));
        let views: BTreeMap<String, &View> = lasting.filter_map(named).collect();
        let (mut names, mut offsets, mut reasons, mut counts) = (vec![], vec![], vec![], vec![]);
        for (name, view) in views.iter().filter(|(_, view)| view.node.is_ok()) {
            for (reason, since) in view.skipped.iter() {
                names.push(name.as_str());
                offsets.push(since.offset as i64);
                reasons.push(reason);
                counts.push(since.count);
            }
        }
        let schema = errors_schema();
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(StringArray::from(names)),
                Arc::new(Int64Array::from(offsets)),
                Arc::new(StringArray::from(reasons)),
                Arc::new(Int64Array::from(counts)),
            ],
        )?;
        Ok(Rows { schema, chunks: vec![Arc::new(batch)], failure: None })
    }

    /// Finds since when the failures stand of the views that were made when the database was opened. A view of which that
    /// cannot be found is out of service: what it lists would be wrong.
    pub(super) fn trace_all(&mut self) {
        let catalog = self.catalog.clone();
        let failing = |object: &&Arc<Object>| {
            self.views.get(&object.id).is_some_and(|view| view.node.is_ok() && !view.skipped.is_empty())
        };
        let objects: Vec<&Object> = catalog.objects().filter(failing).map(AsRef::as_ref).collect();
        let Some(first) = objects.first() else { return };
        let filling = self.filling(&first.name);
        let traced = self.trace(&catalog, &objects, filling, &Cancel::default());
        for object in objects {
            let view = self.views.get_mut(&object.id).expect("just seen");
            let found = traced.as_ref().map_err(Clone::clone).and_then(|traced| same(&view.skipped, traced, object.id));
            match found {
                Ok(skipped) => view.skipped = skipped,
                Err(error) => {
                    tracing::error!(%error, view = object.name, "the failures of a view cannot be told; it is out of service");
                    view.node = Err(error);
                }
            }
        }
    }
}

/// The failures of a view as they were traced, which must be those that it was filled with.
pub fn same(filled: &Skipped, traced: &BTreeMap<u32, Skipped>, id: u32) -> Result<Skipped> {
    match traced.get(&id).filter(|traced| traced.stands_like(filled)) {
        Some(traced) => Ok(traced.clone()),
        None => Err(Error::Internal("commit by commit a view has other failures than in large steps".to_string())),
    }
}

/// Materialized views and all that they read, each after those it reads.
fn with_those_below(catalog: &Catalog, views: &[&Object]) -> Vec<Object> {
    let mut needed = BTreeSet::new();
    let mut todo: Vec<u32> = views.iter().flat_map(|view| view.reads.iter().copied()).collect();
    while let Some(id) = todo.pop() {
        if let Some(object) = catalog.get(id).filter(|_| needed.insert(id)) {
            todo.extend(&object.reads);
        }
    }
    let below = catalog.in_order().into_iter();
    let below = below.filter(|o| o.kind == Kind::MaterializedView && needed.contains(&o.id));
    let mut all: Vec<Object> = below.map(|object| object.as_ref().clone()).collect();
    // A view that is being made may not be in the catalog yet; those that are have an order among themselves.
    let missing = views.iter().filter(|view| !needed.contains(&view.id));
    all.extend(missing.map(|view| (*view).clone()));
    all
}
