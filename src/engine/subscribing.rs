//! Who subscribes to which view, from when on, and how changes are told.

use std::sync::Arc;

use super::catalog::{Kind, Object};
use super::core::ask;
use super::database::Database;
use super::feed::QUEUE_CHANGES;
use super::past;
use super::query::Cancel;
use super::request::Request;
use super::subscribe::Subscription;
use crate::error::{Error, Result};

impl Database {
    /// The rows of a materialized view and every change of them from now on.
    ///
    /// # Errors
    /// As [`Database::snapshot`].
    pub fn subscribe(&self, view: &str) -> Result<Subscription> {
        let object = self.subscribable(view)?;
        let feed = ask(&self.inner().engine, |reply| Request::Subscribe(object.id, QUEUE_CHANGES, reply)).wait()?;
        Ok(Subscription::new(object.name.clone(), object.schema.clone(), [feed]))
    }

    /// Every change of a materialized view behind an offset: those since, commit by commit, then those that come. Who has
    /// the view's rows as of that offset needs nothing else. While the changes since are read, as many of those that come
    /// are kept as for any subscriber.
    ///
    /// ```
    /// use millstream::{Database, Update};
    ///
    /// let db = Database::in_memory()?;
    /// db.execute("CREATE STREAM clicks (page TEXT)")?;
    /// db.execute("CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n FROM clicks GROUP BY page")?;
    /// db.execute("INSERT INTO clicks VALUES ('home')")?;
    /// let (seen, _rows) = db.snapshot("pages")?;
    /// db.execute("INSERT INTO clicks VALUES ('docs')")?;
    ///
    /// let mut subscription = db.subscribe_from("pages", seen)?;
    /// let Some(Update::Delta { offset, delta }) = subscription.next() else { panic!() };
    /// assert_eq!((offset, delta.len()), (seen + 1, 1));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Database::snapshot`], and when the offset is still to come or before the one that made the view as it is now. Every
    /// view has a history from offset 0.
    pub fn subscribe_from(&self, view: &str, offset: u64) -> Result<Subscription> {
        self.resume(view, offset, &Cancel::default())
    }

    pub(super) fn resume(&self, view: &str, offset: u64, cancel: &Cancel) -> Result<Subscription> {
        let object = self.subscribable(view)?;
        let feeds = past::resume(self, &object, offset, cancel)?;
        Ok(Subscription::new(object.name.clone(), object.schema.clone(), feeds))
    }

    /// A subscription that tells changes as [`Update::Patches`](super::subscribe::Update::Patches): what each key had, and what it has.
    ///
    /// # Errors
    /// When the view's rows have no key that is known; EXPLAIN tells.
    pub fn patched(&self, subscription: Subscription) -> Result<Subscription> {
        let view = self.subscribable(subscription.view())?;
        let key = ask(&self.inner().engine, |reply| Request::Key(view.id, reply)).wait()?;
        let Some(key) = key else {
            return Err(Error::input(format!("view `{}` has no key by which its changes could be told", view.name))
                .with_hint("GROUP BY and DISTINCT give one; a view may select the primary key of a table"));
        };
        Ok(subscription.patched(key))
    }

    fn subscribable(&self, view: &str) -> Result<Arc<Object>> {
        let object = self.catalog().expect(view)?.clone();
        match object.kind {
            Kind::MaterializedView => Ok(object),
            kind => Err(Error::input(format!(
                "`{view}` is a {}; only a materialized view can be subscribed to",
                kind.name()
            ))),
        }
    }
}
