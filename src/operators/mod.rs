//! The operators, one per file.
//!
//! | operator | law (`d` is a change, `Q` the operator in batch) |
//! |---|---|
//! | [`filter`], [`project`], [`union`] | linear: `dQ(R) = Q(dR)` |
//! | [`recompute`] | `dQ(R) = Q(R + dR) - Q(R)`, by running both |

pub mod aggregate;
pub mod eval;
pub mod filter;
pub mod join;
pub mod project;
pub mod recompute;
pub mod slot;
pub mod topk;
pub mod union;
