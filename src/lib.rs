//! Millstream: an embedded continuous-query engine.

pub mod archive;
pub mod circuit;
pub mod delta;
pub mod error;
pub mod log;

pub use error::{Error, Result};
