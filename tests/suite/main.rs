//! The one integration-test target: linking DataFusion many times is what makes builds slow.

mod crash;
mod damage;
mod damage_writes;
mod embed_support;
