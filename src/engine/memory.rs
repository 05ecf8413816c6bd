//! The memory limit at work: what tables and views keep is added up, and a view that does not fit goes out of service.
//!
//! Adding up asks every operator, so it is not done at each commit but when the changes since the last time come to a
//! part of what is left of the limit ([`pace`]). State grows by what its operators put in: a change's rows, each with
//! its places in an index and a chain, and a vector that is full doubles. That is up to about eight times the bytes of
//! a change, so that between two sums the state passes the limit by no more than a sixteenth of itself (or half a
//! megabyte, where that is more), and by what a single step brings.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::budget::{Budget, size};
use super::catalog::Kind;
use super::core::Core;
use super::request::Change;
use crate::circuit::{Circuit, NodeId};
use crate::delta::rows::RowSet;
use crate::error::{Error, Result};

/// Bytes of changes below which nothing is added up anew.
const PACE_BYTES_MIN: usize = 1 << 16;
/// What is left of the limit, in changes until the next sum.
const PACE_ROOM_PART: usize = 8;
/// The state, in changes until the next sum: near the limit the sum must not cost more than the changes.
const PACE_STATE_PART: usize = 128;
/// The part of the limit that one operator may put out in one step, however little is left.
const OUTPUT_PART: usize = 4;

/// What is known of the memory that the database keeps.
pub struct Memory {
    pub(super) budget: Arc<Budget>,
    /// Bytes of changes since the state was last added up.
    moved: usize,
    /// Bytes of changes at which it is added up again.
    pace: usize,
    /// Bytes that are not a view's: those of tables, and of the log where it is in memory.
    firm: usize,
}

impl Memory {
    /// Nothing is kept yet.
    pub fn new(budget: Arc<Budget>) -> Memory {
        Memory { budget, moved: 0, pace: 0, firm: 0 }
    }
}

/// Bytes of changes until the state is added up again.
fn pace(budget: &Budget, kept: usize) -> usize {
    let room = budget.kept_max().saturating_sub(kept);
    (room / PACE_ROOM_PART).max(kept / PACE_STATE_PART).max(PACE_BYTES_MIN)
}

impl Core {
    /// Takes note of what the circuit has put out, and from time to time sees to it that the state fits the limit.
    pub(super) fn account(&mut self) {
        let moved = self.circuit.take_moved();
        self.account_moved(moved);
        if self.circuit.take_broke() {
            self.take_out_broken();
        }
    }

    /// The same for changes that did not go through the circuit.
    pub(super) fn account_moved(&mut self, bytes: usize) {
        self.memory.moved += bytes;
        if self.memory.moved >= self.memory.pace {
            self.fit();
        }
    }

    /// Adds up what is kept; while it is past the limit, memory that nobody needs is given back, and then the view
    /// with the largest state goes out of service.
    pub(super) fn fit(&mut self) {
        let max = self.memory.budget.kept_max();
        if self.add_up() <= max {
            return;
        }
        self.tidy();
        while self.add_up() > max {
            let Some((id, bytes)) = self.largest_view() else { return };
            let name = self.name(id);
            let error = Error::Limit(format!(
                "view `{name}` is out of service: its state had grown to {}, past {}; drop what else takes memory and \
                 CREATE OR REPLACE it, or open the database with a larger limit",
                size(bytes),
                self.memory.budget.words(),
            ));
            self.take_out(id, &error);
        }
    }

    /// Bytes that tables, views and operators keep.
    fn add_up(&mut self) -> usize {
        let tables: usize = self.tables.values_mut().map(|table| table.rows().bytes()).sum();
        let views: usize = self.views.values().map(|view| view.rows.bytes() + view.skipped.bytes()).sum();
        let budget = &self.memory.budget;
        let firm = tables + self.store.memory_bytes();
        let kept = firm + views + self.circuit.state_bytes();
        budget.set_kept(kept);
        self.tick.output_bytes_max = output_bytes_max(budget, kept);
        let pace = pace(budget, kept);
        (self.memory.moved, self.memory.pace, self.memory.firm) = (0, pace, firm);
        kept
    }

    /// Gives back memory that no row needs. What a reader holds stays with the reader.
    fn tidy(&mut self) {
        let tables = self.tables.values_mut().map(|table| table.rows());
        for rows in tables.chain(self.views.values_mut().map(|view| &mut view.rows)) {
            if let Err(error) = rows.tidy() {
                tracing::debug!(%error, "rows are left as they lie");
            }
        }
    }

    /// The view whose rows, and operators that it alone needs, take the most; operators that only views over it need
    /// beside it count as its own.
    fn largest_view(&self) -> Option<(u32, usize)> {
        let live = |id: &u32| Some((*id, *self.views.get(id)?.node.as_ref().ok()?));
        let below: HashMap<u32, BTreeSet<NodeId>> =
            self.views.keys().filter_map(live).map(|(id, node)| (id, self.circuit.below(node))).collect();
        let mut readers: HashMap<NodeId, Vec<u32>> = HashMap::new();
        for (id, nodes) in &below {
            nodes.iter().for_each(|node| readers.entry(*node).or_default().push(*id));
        }
        let bytes = |(id, nodes): (&u32, &BTreeSet<NodeId>)| {
            let mut family: BTreeSet<u32> = self.catalog.dependents(*id).iter().map(|object| object.id).collect();
            family.insert(*id);
            let own = nodes.iter().filter(|node| readers[node].iter().all(|reader| family.contains(reader)));
            let operators: usize = own.map(|node| self.circuit.node_bytes(*node)).sum();
            (*id, self.views[id].rows.bytes() + self.views[id].skipped.bytes() + operators)
        };
        below.iter().map(bytes).max_by_key(|(id, bytes)| (*bytes, *id))
    }

    /// Takes the views out of service whose operators have met a limit.
    fn take_out_broken(&mut self) {
        let mut ids: Vec<u32> = self.views.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(Ok(node)) = self.views.get(&id).map(|view| &view.node) else { continue };
            if let Some(Error::Limit(message)) = self.circuit.broken(*node) {
                let error = Error::Limit(format!("view `{}` is out of service: {message}", self.name(id)));
                self.take_out(id, &error);
            }
        }
    }

    /// Takes a view and those that read it out of service, and lets go of their rows and operators.
    fn take_out(&mut self, id: u32, error: &Error) {
        tracing::warn!(%error, "a view does not fit the memory limit");
        let dependents = self.catalog.dependents(id);
        for reader in dependents.iter().rev().filter(|object| object.kind == Kind::MaterializedView) {
            let error = format!("view `{}` is out of service, because it reads another one: {error}", reader.name);
            self.let_go(reader.id, Error::Limit(error));
        }
        self.let_go(id, error.clone());
        self.tell_failures();
    }

    fn let_go(&mut self, id: u32, error: Error) {
        let Some(view) = self.views.get_mut(&id).filter(|view| view.node.is_ok()) else { return };
        view.node = Err(error);
        (view.own, view.skipped) = Default::default();
        match RowSet::new(view.rows.schema().clone(), None, true) {
            Ok(empty) => view.rows = empty,
            Err(error) => tracing::debug!(%error, "the rows of a view are left as they lie"),
        }
        self.circuit.withdraw(id);
    }

    /// Whether a commit may put rows into what is kept, when it and those that wait with it come to `bytes`. When the
    /// views are out of service and still no room is left, it may not.
    pub(super) fn admits(&mut self, changes: &[Change], bytes: usize) -> Result<()> {
        let max = self.memory.budget.kept_max();
        if self.memory.firm.saturating_add(bytes) <= max {
            return Ok(());
        }
        let kept = |change: &&Change| matches!(change, Change::Table { .. }) || self.store.is_in_memory();
        let Some(first) = changes.iter().filter(kept).find(|change| change.inserts()) else { return Ok(()) };
        // Rows may have gone since.
        self.tidy();
        self.fit();
        if self.memory.firm + bytes <= max {
            return Ok(());
        }
        let object = self.catalog.get(first.object());
        let name = object.map_or_else(
            || "stream `system.rejects`".to_string(),
            |object| format!("{} `{}`", object.kind.name(), object.name),
        );
        Err(Error::Limit(format!(
            "{name} takes no more rows: with {} more, tables{} would come to {}, past {}; delete rows, or open the \
             database with a larger limit",
            size(bytes),
            if self.store.is_in_memory() { " and the log, which is in memory," } else { "" },
            size(self.memory.firm + bytes),
            self.memory.budget.words(),
        )))
    }

    fn name(&self, id: u32) -> String {
        self.catalog.get(id).map_or_else(|| id.to_string(), |object| object.name.clone())
    }

    /// The measure of a view that is filled beside what is kept.
    pub(super) fn filling(&mut self, view: &str) -> Filling {
        self.fit();
        let budget = self.memory.budget.clone();
        let kept = budget.kept();
        Filling { view: view.to_string(), moved: 0, pace: pace(&budget, kept), budget, kept }
    }
}

/// A view on its way: it is refused when it does not fit beside what is kept.
pub struct Filling {
    view: String,
    budget: Arc<Budget>,
    kept: usize,
    moved: usize,
    pace: usize,
}

impl Filling {
    /// Looks at the view's state after a step, if enough has changed since the last time. Beside the circuit it comes to
    /// `bytes`, of which the step has changed `moved`.
    ///
    /// # Errors
    /// [`Error::Limit`] when it does not fit.
    pub fn check(&mut self, circuit: &mut Circuit, bytes: usize, moved: usize) -> Result<()> {
        self.moved += circuit.take_moved() + moved;
        if self.moved < self.pace { Ok(()) } else { self.check_now(circuit, bytes) }
    }

    /// The same, whatever has changed.
    ///
    /// # Errors
    /// As [`Filling::check`].
    pub fn check_now(&mut self, circuit: &Circuit, bytes: usize) -> Result<()> {
        let bytes = circuit.state_bytes() + bytes;
        (self.moved, self.pace) = (0, pace(&self.budget, self.kept + bytes));
        if self.kept + bytes <= self.budget.kept_max() {
            return Ok(());
        }
        Err(Error::Limit(format!(
            "view `{}` does not fit: its state comes to {} and more beside the {} of other tables and views, past {}",
            self.view,
            size(bytes),
            size(self.kept),
            self.budget.words(),
        )))
    }
}

/// Bytes that one operator may put out in one step.
fn output_bytes_max(budget: &Budget, kept: usize) -> usize {
    let max = budget.kept_max();
    max.saturating_sub(kept).max(max / OUTPUT_PART)
}
