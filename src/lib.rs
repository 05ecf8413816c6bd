//! Millstream: an embedded continuous-query engine.

pub mod archive;
pub mod circuit;
pub mod delta;
pub mod engine;
pub mod error;
pub mod log;
pub mod operators;
pub mod sink;
pub mod source;
pub mod sql;

pub use engine::database::{Database, Options, Relation, Ticket};
pub use engine::ingest::SourceProgress;
pub use engine::offline::query_archive;
pub use engine::query::{Cancel, Rows};
pub use engine::session::{Outcome, Session};
pub use engine::subscribe::{Subscription, Update};
pub use error::{Error, Result};
pub use log::Durability;
