//! The engine: commits, the catalog, views, and the sessions that use them.
//!
//! ```text
//! session ── Request ──> core (one thread) ── log.append, sync ── circuit.step ── views ── reply
//!    ^                     │
//!    └──── Snapshot ───────┘
//! ```

mod budget;
pub mod catalog;
mod clock;
pub mod closing;
mod commit;
mod constraint;
mod core;
pub mod database;
mod datasets;
mod ddl;
mod ddl_alter;
mod ddl_drop;
mod ddl_filled;
mod ddl_view;
mod define;
mod define_refused;
mod dml;
mod event_time;
mod feed;
mod find;
mod functions;
mod heartbeat;
mod hidden;
pub mod history;
mod index;
mod information_schema;
pub mod ingest;
pub mod known;
mod literals;
mod lookup;
mod memory;
mod names;
pub mod offline;
mod open;
pub mod past;
pub mod prepared;
mod providers;
pub mod query;
mod replay;
pub mod request;
pub mod session;
mod show;
mod skipped;
pub mod snapshot;
mod store;
pub mod subscribe;
mod subscribing;
pub mod system;
mod table;
mod temporary;
mod threads;
mod trace;
mod transaction;
mod verify;
mod wake;
