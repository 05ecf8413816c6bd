//! The operators, one file each.

pub mod aggregate;
pub mod exact;
#[cfg(test)]
pub mod testing;
