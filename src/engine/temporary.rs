//! Temporary tables and views: they live in a session, which alone sees them, and never come into the log.
//!
//! ```text
//! Core's catalog     objects: all            names: those of lasting objects
//! a session's        the same objects        names: its temporary objects, then the lasting ones
//! ```
//!
//! They are inputs and nodes of the one circuit. Their changes are part of the commit that makes them, which takes an
//! offset only for what it changes besides: the log says the same with them and without. So nothing lasting may read
//! them, and a view that lasts means by each name what lasts, whoever reads it. A temporary view keeps by id what its
//! names meant when it was made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::catalog::{Catalog, Ddl, Kind, Object};
use super::core::{Core, ask};
use super::database::Database;
use super::query::Cancel;
use super::request::{Define, Request};
use super::snapshot::Snapshot;
use crate::circuit::Outputs;
use crate::delta::Delta;
use crate::error::{Error, Result};

/// Ids from here on are of temporary objects: those of the others are as the log alone makes them.
pub const FIRST_TEMPORARY_ID: u32 = 1 << 31;

/// Whether an object is temporary.
pub fn is_temporary(id: u32) -> bool {
    id >= FIRST_TEMPORARY_ID
}

/// Numbers for sessions.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// The session whose temporary objects a handle of the database sees.
pub struct Viewer {
    session: u64,
    /// A catalog and how the session sees it: as long as the one is the same, so is the other.
    seen: ArcSwapOption<(Arc<Catalog>, Arc<Catalog>)>,
}

impl Viewer {
    /// A session that nobody is yet.
    pub fn new() -> Viewer {
        Viewer { session: SESSIONS.fetch_add(1, Ordering::Relaxed), seen: ArcSwapOption::empty() }
    }

    /// The catalog as the session sees it.
    pub fn see(&self, catalog: &Arc<Catalog>) -> Arc<Catalog> {
        if !catalog.temporary.contains_key(&self.session) {
            return catalog.clone();
        }
        if let Some(seen) = &*self.seen.load()
            && Arc::ptr_eq(&seen.0, catalog)
        {
            return seen.1.clone();
        }
        let mut seen = catalog.as_ref().clone();
        seen.viewer = Some(self.session);
        let seen = Arc::new(seen);
        self.seen.store(Some(Arc::new((catalog.clone(), seen.clone()))));
        seen
    }
}

impl Catalog {
    /// The session's own, by name.
    pub(super) fn own(&self) -> Option<&BTreeMap<String, u32>> {
        self.temporary.get(&self.viewer?)
    }

    /// An object by name.
    pub fn find(&self, name: &str) -> Option<&Arc<Object>> {
        let id = self.own().and_then(|own| own.get(name)).or_else(|| self.by_name.get(name))?;
        self.objects.get(id)
    }

    /// An object by name that is not temporary.
    pub fn find_lasting(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(self.by_name.get(name)?)
    }

    /// What has a name where an object of this session, or of none, has its own.
    pub fn find_beside(&self, session: Option<u64>, name: &str) -> Option<&Arc<Object>> {
        match session {
            Some(session) => self.objects.get(self.temporary.get(&session)?.get(name)?),
            None => self.find_lasting(name),
        }
    }

    /// The names in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.by_name.keys().chain(self.own().into_iter().flatten().map(|(n, _)| n)).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every object but those of other sessions, in the order of their ids.
    pub fn seen(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects().filter(|object| object.session.is_none() || object.session == self.viewer)
    }

    /// The objects that can be named, in the order of their ids: the session's own, and what they do not hide.
    pub fn visible(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects().filter(|object| self.find(&object.name).is_some_and(|found| found.id == object.id))
    }

    /// Gives an object its name.
    pub(super) fn name(&mut self, object: &Object) {
        let names = match object.session {
            Some(session) => self.temporary.entry(session).or_default(),
            None => &mut self.by_name,
        };
        names.insert(object.name.clone(), object.id);
    }

    /// Takes an object's name away.
    pub(super) fn unname(&mut self, object: &Object) {
        let Some(session) = object.session else {
            self.by_name.remove(&object.name);
            return;
        };
        if let Some(names) = self.temporary.get_mut(&session) {
            names.remove(&object.name);
            if names.is_empty() {
                self.temporary.remove(&session);
            }
        }
    }
}

impl Object {
    /// The kind in words, and whether it is temporary.
    pub fn described(&self) -> String {
        let temporary = if self.session.is_some() { "temporary " } else { "" };
        format!("{temporary}{}", self.kind.name())
    }
}

impl Ddl {
    /// What of the entry the log is told.
    pub(super) fn logged(&self) -> Option<Ddl> {
        let lasting = match self {
            Ddl::Create(object) | Ddl::Alter(object) => !is_temporary(object.id),
            Ddl::CreateIndex(index) => !is_temporary(index.object),
            Ddl::Fill(id) => !is_temporary(*id),
            Ddl::DropIndex(_) | Ddl::CreateFunction(_) | Ddl::DropFunction(_) => true,
            Ddl::Drop(ids) => {
                let ids: Vec<u32> = ids.iter().copied().filter(|id| !is_temporary(*id)).collect();
                return (!ids.is_empty()).then_some(Ddl::Drop(ids));
            }
        };
        lasting.then(|| self.clone())
    }
}

impl Database {
    /// What there is, as the session of this handle sees it.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.see(self.inner().catalog.load_full())
    }

    fn see(&self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        match self.viewer() {
            Some(viewer) => viewer.see(&catalog),
            None => catalog,
        }
    }

    /// The session in which a temporary object is made.
    ///
    /// # Errors
    /// When the statement is the whole session.
    pub(super) fn session_of(&self, temporary: bool) -> Result<Option<u64>> {
        match (temporary, self.viewer()) {
            (false, _) => Ok(None),
            (true, Some(viewer)) => Ok(Some(viewer.session)),
            (true, None) => {
                Err(Error::input("what is temporary lives as long as its session, and this statement has none")
                    .with_hint("`Database::session` gives one; its statements see each other's temporary objects"))
            }
        }
    }

    /// The state with the rows of these objects.
    pub(super) fn snapshot_of(&self, objects: Vec<u32>) -> Result<Arc<Snapshot>> {
        let snapshot = ask(&self.inner().engine, |reply| Request::Snapshot(objects, reply)).wait()?;
        Ok(seen_by(self.viewer(), &snapshot))
    }

    /// Changes the catalog, as the session of this handle sees it; returns the offset.
    pub(super) fn define(
        &self,
        cancel: &Cancel,
        define: impl FnOnce(&Arc<Catalog>) -> Result<Vec<Ddl>> + Send + 'static,
    ) -> Result<u64> {
        let (define, cancel) = (self.seeing(define), cancel.clone());
        ask(&self.inner().engine, |reply| Request::Define { define, cancel, reply }).wait()
    }

    /// What changes the catalog as the session of this handle sees it.
    pub(super) fn seeing(&self, define: impl FnOnce(&Arc<Catalog>) -> Result<Vec<Ddl>> + Send + 'static) -> Define {
        let viewer = self.viewer().cloned();
        Box::new(move |catalog: &Arc<Catalog>| match viewer {
            Some(viewer) => define(&viewer.see(catalog)),
            None => define(catalog),
        })
    }

    /// Drops what the session of this handle has made for itself.
    pub(super) fn drop_temporary(&self) {
        let Some(session) = self.viewer().map(|viewer| viewer.session) else { return };
        if !self.inner().catalog.load().temporary.contains_key(&session) {
            return;
        }
        let define = move |catalog: &Arc<Catalog>| {
            let own = |object: &&Arc<Object>| object.session == Some(session);
            // What reads others goes before them.
            let ids = catalog.in_order().iter().filter(own).map(|object| object.id).rev().collect();
            Ok(vec![Ddl::Drop(ids)])
        };
        if let Err(error) = self.define(&Cancel::default(), define) {
            tracing::debug!(%error, "the temporary objects of a session went with the database");
        }
    }
}

/// A snapshot whose names mean what they do in a session.
pub fn seen_by(viewer: Option<&Arc<Viewer>>, snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
    match viewer.map(|viewer| viewer.see(&snapshot.catalog)) {
        Some(catalog) if !Arc::ptr_eq(&catalog, &snapshot.catalog) => {
            Arc::new(Snapshot { catalog, ..snapshot.as_ref().clone() })
        }
        _ => snapshot.clone(),
    }
}

/// Refuses a view that would last longer than what it reads.
///
/// # Errors
/// When one of them is temporary; names both.
pub fn refuse_to_outlive(catalog: &Catalog, view: &Object) -> Result<()> {
    match view.reads.iter().filter(|id| is_temporary(**id)).find_map(|id| catalog.get(*id)) {
        Some(read) if view.session.is_none() => {
            let what = if view.kind == Kind::View { "VIEW" } else { "MATERIALIZED VIEW" };
            Err(Error::input(format!(
                "view `{}` would last longer than the {} `{}` that it reads",
                view.name,
                read.described(),
                read.name
            ))
            .with_hint(format!("CREATE TEMPORARY {what} makes one that ends with it")))
        }
        _ => Ok(()),
    }
}

/// What the names in the text of a temporary view mean for as long as it lives.
///
/// # Errors
/// When one name means two things, of which one has `public.` before it.
pub fn meant(catalog: &Catalog, reads: impl IntoIterator<Item = u32>) -> Result<BTreeMap<String, u32>> {
    let mut names = BTreeMap::new();
    for object in reads.into_iter().filter_map(|id| catalog.get(id)) {
        if names.insert(object.name.clone(), object.id).is_some() {
            return Err(Error::unsupported(format!(
                "a temporary view of two relations with the name `{}`, of which one is temporary",
                object.name
            )));
        }
    }
    Ok(names)
}

impl Core {
    /// Carries changes of temporary tables on to the views over them. No time passes and no offset is taken: what lasts
    /// stays as it is.
    pub(super) fn step_temporary(&mut self, resolved: Vec<(u32, Delta)>) -> Result<()> {
        let mut changes: BTreeMap<u32, Vec<Delta>> = BTreeMap::new();
        for (object, delta) in resolved {
            changes.entry(object).or_default().push(delta);
        }
        let mut inputs = Outputs::new();
        for (object, deltas) in &changes {
            self.circuit.route(*object, &Delta::concat(&deltas[0].schema(), deltas)?, &mut inputs)?;
        }
        self.step(inputs);
        Ok(())
    }
}
