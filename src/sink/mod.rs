//! Sinks: where rows go outside the database, by COPY ... TO into files so far; and rows as text.

mod file;
pub mod text;

pub use file::{Target, Writer};
