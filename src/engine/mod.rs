//! The engine: commits, the catalog, views, and the sessions that use them.
//!
//! ```text
//! session ── Request ──> core (one thread) ── log.append, sync ── circuit.step ── views ── reply
//!    ^                     │
//!    └──── Snapshot ───────┘
//! ```

pub mod catalog;
pub mod history;
mod names;
mod providers;
pub mod request;
pub mod snapshot;
pub mod subscribe;
mod table;
