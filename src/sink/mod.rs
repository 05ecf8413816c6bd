//! Sinks: where rows go outside the database. So far files, by COPY ... TO.

mod file;

pub use file::{Target, Writer};
