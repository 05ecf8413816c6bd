//! Millstream: an embedded continuous-query engine.

pub mod circuit;
pub mod delta;
pub mod engine;
pub mod error;
pub mod operators;

pub use error::{Error, Result};
