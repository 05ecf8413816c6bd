//! The operators, one file each.

pub mod aggregate;
pub mod exact;
pub mod join;
#[cfg(test)]
mod testing;
pub mod topk;
