//! Millstream: an embedded continuous-query engine.
//!
//! Events go into a durable log, views are declared in SQL, and every view is kept up to date incrementally. Open a
//! [`Database`], run statements with [`Database::execute`], append Arrow batches with [`Database::append`], and read
//! views with [`Database::query`], [`Database::snapshot`] or [`Database::subscribe`].
//!
//! The modules are the two pipelines, and are public for those who look inside:
//!
//! ```text
//! events   source -> log -> circuit (of operators over deltas) -> engine (views, subscribers) -> archive
//! SQL      text -> sql::parse -> sql::bind -> sql::lower -> circuit, or a batch plan
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs, clippy::unwrap_used)]

pub mod archive;
pub mod circuit;
pub mod delta;
pub mod engine;
pub mod error;
pub mod interval;
pub mod log;
pub mod operators;
pub mod sink;
pub mod source;
pub mod sql;

pub use engine::database::{Database, Options, Relation, Ticket};
pub use engine::ingest::SourceProgress;
pub use engine::offline::query_archive;
pub use engine::prepared::{Prepared, Value};
pub use engine::query::{Cancel, Rows};
pub use engine::session::{Outcome, Session};
pub use engine::subscribe::{Subscription, Update};
pub use error::{Error, Result};
pub use log::Durability;

// Batches and functions that are handed over must be of these versions.
pub use {arrow, datafusion};

/// The example in the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
