//! The past: tables and views as they were at any commit, and how they changed from one to the next.
//!
//! ```text
//! log          1 2 3 4 5 6 7 8 9
//! v AS OF OFFSET 4                    a state made from 1..=4, as opening a database makes it
//! changes('v', 5, 8)                  the same state, stepped through 5, 6, 7, 8
//! SUBSCRIBE v FROM OFFSET 4           the same, stepped through 5..=9, and then what comes
//! ```
//!
//! A view is its query over the log, so it has a past at offsets at which it was not yet declared. What a name means is what
//! it means now. The state lies beside the live one: commits go on meanwhile.

mod ask;
mod changes;
mod resume;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::Builder;

use arc_swap::ArcSwap;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::session_state::SessionState;
use tokio::runtime::Handle;

pub use self::ask::{Versions, resolve};
use self::changes::Changes;
pub use self::resume::resume;
use super::budget::Budget;
use super::catalog::{Catalog, Ddl, Kind};
use super::core::Core;
use super::event_time::Clocks;
use super::history::History;
use super::memory::Memory;
use super::query::Cancel;
use super::snapshot::Snapshot;
use super::store::Store;
use super::system::{ERRORS, WATERMARKS};
use super::temporary::is_temporary;
use super::threads::THREAD_STACK_BYTES;
use super::wake::Wake;
use crate::archive::Moment;
use crate::circuit::{Circuit, Tick};
use crate::error::{Error, Result, caught};

/// What reading the past begins with: the log as it is now.
pub struct Origin {
    /// What names mean.
    pub catalog: Arc<Catalog>,
    /// The last commit.
    pub offset: u64,
    store: Store,
    session: Arc<ArcSwap<SessionState>>,
    budget: Arc<Budget>,
}

impl Core {
    /// What reading the past begins with.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            catalog: self.catalog.clone(),
            offset: self.tick.offset,
            store: self.store.past(),
            session: self.session.clone(),
            budget: self.memory.budget.clone(),
        }
    }
}

impl Origin {
    /// Everything that was logged.
    pub fn history(&self) -> History {
        self.store.history(self.offset)
    }

    /// The state of these objects, and of what they read, at a moment.
    ///
    /// # Errors
    /// When the moment is still to come, one of them is not in the log, or there is no memory for the state.
    pub fn at(
        &self,
        wanted: &BTreeSet<u32>,
        moment: Moment,
        held: &MemoryReservation,
        cancel: &Cancel,
    ) -> Result<Core> {
        let span = tracing::debug_span!("past", ?moment);
        let _entered = span.enter();
        let (offset, time) = self.history().last_commit(moment)?;
        let kept = self.below(wanted)?;
        // Streams that no view reads are read from the log when they are asked for.
        let is_kept = |id: &&u32| self.catalog.get(**id).is_some_and(|o| o.kind == Kind::MaterializedView);
        let views: BTreeSet<u32> =
            kept.iter().filter(is_kept).copied().chain(wanted.get(&WATERMARKS).copied()).collect();
        let mut filled = self.below(&views)?;
        filled.extend(kept.iter().filter(|id| self.catalog.get(**id).is_some_and(|o| o.kind == Kind::Table)));
        let catalog = Arc::new(self.catalog_of(&filled)?);
        let mut core = Core {
            published_catalog: Arc::new(ArcSwap::new(catalog.clone())),
            catalog,
            store: self.store.past(),
            circuit: Circuit::new(),
            tables: Default::default(),
            views: Default::default(),
            changed: Default::default(),
            clocks: Clocks::default(),
            tick: Tick { offset, time, ..Tick::default() },
            session: self.session.clone(),
            each_alone: false,
            memory: Memory::new(self.budget.beside()),
            wake: Wake::default(),
        };
        core.rebuild(cancel)?;
        if let Some(Error::Limit(_)) = core.views.values().find_map(|view| view.node.as_ref().err()) {
            return Err(Error::Limit(format!(
                "there is no memory for the state at offset {offset} beside the present one: {} is left of {}",
                super::budget::size(core.memory.budget.kept_max()),
                self.budget.words()
            )));
        }
        held.try_grow(core.memory.budget.kept())?;
        core.catalog = Arc::new(self.catalog_of(&kept)?);
        Ok(core)
    }

    /// These objects and what they read.
    ///
    /// # Errors
    /// When one of them is not in the log.
    fn below(&self, wanted: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
        let mut kept = BTreeSet::new();
        let mut todo: Vec<u32> = wanted.iter().copied().collect();
        if wanted.contains(&WATERMARKS) {
            todo.extend(self.catalog.objects().filter(|o| o.kind == Kind::Stream).map(|o| o.id));
        }
        if wanted.contains(&ERRORS) {
            todo.extend(self.catalog.objects().filter(|o| o.skips()).map(|o| o.id));
        }
        while let Some(id) = todo.pop() {
            let Some(object) = self.catalog.get(id).filter(|_| kept.insert(id)) else { continue };
            if is_temporary(id) && matches!(object.kind, Kind::Stream | Kind::Table) {
                let error = Error::input(format!("`{}` is temporary and not in the log: it has no past", object.name));
                return Err(error);
            }
            todo.extend(&object.reads);
        }
        Ok(kept)
    }

    /// The catalog with these objects and no others.
    fn catalog_of(&self, kept: &BTreeSet<u32>) -> Result<Catalog> {
        let mut catalog = self.catalog.as_ref().clone();
        catalog.apply(&Ddl::Drop(self.catalog.objects().map(|o| o.id).filter(|id| !kept.contains(id)).collect()))?;
        Ok(catalog)
    }
}

/// Runs what makes a past state on a thread of its own, which has the stack and the surroundings of the engine's.
///
/// # Errors
/// What the task meets; its panic is an error.
pub fn apart<T: Send>(threads: &Handle, task: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let run = || {
        let _entered = threads.enter();
        caught("reading the past", task)
    };
    std::thread::scope(|scope| {
        let builder = Builder::new().name("millstream-past".into()).stack_size(THREAD_STACK_BYTES);
        let thread = builder.spawn_scoped(scope, run);
        let thread = thread.map_err(|e| Error::io("starting a thread for", std::path::Path::new("the past"), &e))?;
        thread.join().unwrap_or_else(|_| Err(Error::Internal("reading the past panicked".into())))
    })
}

/// The rows of these objects in a past state.
fn snapshot(mut core: Core, objects: &BTreeSet<u32>) -> Result<Arc<Snapshot>> {
    core.snapshot(&objects.iter().copied().collect::<Vec<_>>())
}
