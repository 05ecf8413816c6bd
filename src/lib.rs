//! Millstream: an embedded continuous-query engine.

pub mod archive;
pub mod circuit;
pub mod delta;
pub mod engine;
pub mod error;
pub mod log;
pub mod operators;
pub mod sql;

pub use error::{Error, Result};
