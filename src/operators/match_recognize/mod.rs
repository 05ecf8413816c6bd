//! MATCH_RECOGNIZE: rows that follow each other in a partition and match a pattern.
//!
//! ```text
//! partition, in order     1  2  3  4  5  6  7  8
//! search from 1           A  B  B  -                 match: rows 1 to 3, and row 4 was looked at
//! search from 4                    -                 none
//! search from 5                       A  B  .        match, and the end of the partition was looked at
//! ```
//!
//! [`pattern`] has the pattern and its program, [`search`] looks for matches, and [`show`] makes the rows of them. The
//! batch query does that for whole partitions; [`MatchRecognize`] for the searches that a change reaches.

mod binding;
mod dead;
mod formula;
mod operator;
mod partition;
pub mod pattern;
pub mod search;
pub mod show;
pub mod spec;

pub use operator::MatchRecognize;
