//! Subscriptions that go on behind an offset: the changes since, from the log, and then those that come.

use std::path::Path;
use std::thread::Builder;

use super::{Changes, Origin, apart};
use crate::engine::catalog::{Ddl, Object};
use crate::engine::core::ask;
use crate::engine::database::Database;
use crate::engine::feed::{Feed, QUEUE_CHANGES};
use crate::engine::query::Cancel;
use crate::engine::request::Request;
use crate::engine::session::runner;
use crate::engine::subscribe::Update;
use crate::engine::threads::THREAD_STACK_BYTES;
use crate::error::{Error, Result};

/// The changes of a view behind an offset: two feeds, the second of which goes on where the first one ends.
///
/// # Errors
/// When the offset is still to come or from before the view as it is now, or the view cannot be read.
pub fn resume(database: &Database, view: &Object, after: u64, cancel: &Cancel) -> Result<[Feed; 2]> {
    let live = ask(&database.inner().engine, |reply| Request::Subscribe(view.id, QUEUE_CHANGES, reply)).wait()?;
    match missed(database, view, after, &live, cancel) {
        Ok(missed) => Ok([missed, live]),
        Err(error) => {
            live.leave();
            Err(error)
        }
    }
}

/// A feed of the changes between an offset and the beginning of a live one.
fn missed(database: &Database, view: &Object, after: u64, live: &Feed, cancel: &Cancel) -> Result<Feed> {
    let Some(Update::Snapshot { offset: now, .. }) = live.try_pop() else {
        return Err(Error::Internal("a subscription begins with the rows".into()));
    };
    if after > now {
        return Err(Error::input(format!("offset {after} is still to come: the last commit is {now}")));
    }
    let origin = Origin::of(database)?;
    let made = origin.made(view.id)?;
    if (1..made).contains(&after) {
        return Err(Error::input(format!(
            "view `{}` was made at offset {made}: what was read of that name at {after} does not lead to it",
            view.name
        ))
        .with_hint("SUBSCRIBE without FROM OFFSET begins with the rows, FROM OFFSET 0 with the first commit"));
    }
    let missed = Feed::new(QUEUE_CHANGES);
    let object = origin.catalog.get(view.id).cloned();
    let object = object.ok_or_else(|| Error::input(format!("view `{}` was dropped meanwhile", view.name)))?;
    let held = runner(database, cancel, 0).reservation();
    let threads = database.inner().threads.handle().clone();
    // As many as fit the queue at once; mostly that is all of them.
    let (rest, last) = apart(&threads, || {
        let mut last = after;
        let mut changes = origin.changes(&object, (after + 1, now), &held, cancel)?;
        for change in changes.by_ref().take(QUEUE_CHANGES) {
            let change = change?;
            last = change.offset;
            missed.push(change.update);
        }
        Ok((changes, last))
    })?;
    let feed = missed.clone();
    let run = move || {
        let (_entered, _held) = (threads.enter(), held);
        tell(rest, &feed, last, now);
    };
    let thread = Builder::new().name("millstream-past".into()).stack_size(THREAD_STACK_BYTES).spawn(run);
    thread.map_err(|e| Error::io("starting a thread for", Path::new("a subscription"), &e))?;
    Ok(missed)
}

/// Tells the changes that are left behind an offset, up to another one, as fast as they are heard.
fn tell(changes: Changes, feed: &Feed, mut last: u64, to: u64) {
    for change in changes {
        match change {
            Ok(change) => {
                last = change.offset;
                if !feed.push_waiting(change.update) {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the changes since an offset cannot be told");
                feed.push_waiting(Update::Missed { from: last + 1, to });
                break;
            }
        }
    }
    feed.end();
}

impl Origin {
    /// The commit that made an object as it is now; 0 for one that is not in the log.
    fn made(&self, id: u32) -> Result<u64> {
        let mut made = 0;
        for statement in self.history().statements()? {
            let makes = |entry: &Ddl| matches!(entry, Ddl::Create(object) if object.id == id);
            if Ddl::decode(&statement.text)?.iter().any(makes) {
                made = statement.offset;
            }
        }
        Ok(made)
    }
}
