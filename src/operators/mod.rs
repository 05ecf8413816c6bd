//! The operators, one per file.
//!
//! | operator | law (`d` is a change, `Q` the operator in batch) |
//! |---|---|
//! | [`filter`], [`project`], [`union`], [`unnest`] | linear: `dQ(R) = Q(dR)` |
//! | [`aggregate`] | per touched group, `-old +new` |
//! | [`join`] | `d(L*R) = dL*R' + L*dR`, and rows whose matches come or go |
//! | [`bag`] | per touched row, the change of its count |
//! | [`single`] | per touched key, `-old +new`, or an error |
//! | [`topk`] | what moves over the edge of the window |
//! | [`recursion`] | `W(r+1) = Q(W(r))`, each round by the change of the one before |
//! | [`group_top`] | what differs between the old and the new top of a touched group |
//! | [`match_recognize`] | `Q(new) - Q(old)` of the searches that a change of a partition reaches |
//! | [`window`] | `Q(new) - Q(old)` of what a change of a partition reaches |
//! | [`asof`] | per left row between a change and its neighbour, `-old +new` |
//! | [`sessions`] | per touched stretch of neighbours, `-old +new` |
//! | [`on_close`] | `Q` gives the rows that change no more; each comes once |
//! | [`retain`] | `Q(R)` less what is too old, as time goes on |
//! | [`temporal_filter`] | linear, and what the clock has come to since |
//! | [`recompute`] | `dQ(R) = Q(R + dR) - Q(R)`, by running both |

pub mod aggregate;
pub mod asof;
pub mod bag;
pub mod collect;
pub mod constant;
pub mod eval;
pub mod exact;
pub mod filter;
pub mod group_top;
pub mod join;
pub mod match_recognize;
pub mod moments;
pub mod on_close;
pub mod ordered;
pub mod project;
pub mod recompute;
pub mod recursion;
pub mod retain;
pub mod row_codec;
pub mod sessions;
pub mod single;
pub mod slot;
pub mod temporal_filter;
pub mod topk;
pub mod total;
pub mod union;
pub mod unnest;
pub mod window;

#[cfg(test)]
pub(crate) mod testing;
