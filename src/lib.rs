//! Millstream: an embedded continuous-query engine.

pub mod circuit;
pub mod delta;
pub mod error;
pub mod source;

pub use error::{Error, Result};
