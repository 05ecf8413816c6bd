//! The one integration-test target: linking DataFusion many times is what makes builds slow.

mod architecture;
mod transcripts;
