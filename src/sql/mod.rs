//! SQL: from text to a circuit.
//!
//! ```text
//! text ── parse ──> Statement ── bind ──> LogicalPlan ── canonical ──> LogicalPlan ── lower ──> Circuit
//!                                             └── DataFusion's batch engine (ad hoc queries, VERIFY)
//! ```
//!
//! DataFusion resolves names and types, optimises, and evaluates scalar expressions, for views and batch queries
//! alike. `canonical` fixes what SQL leaves open, so that both give the same rows bit for bit.

pub mod asof;
pub mod bags;
mod base_types;
mod beside;
pub mod bind;
pub mod bounds;
pub mod canonical;
mod casts_apart;
pub mod checked;
pub mod columns;
pub mod comparison;
pub mod context;
pub mod depth;
pub mod dialect;
mod division;
pub mod expansion;
pub mod expr;
mod filter_guard;
pub mod functions;
mod group_once;
mod grouping;
mod grouping_calls;
mod grouping_sets;
pub mod inline;
mod interval;
pub mod interval_text;
pub mod json;
mod json_within;
mod keep_failing;
mod kinds;
mod literals_right;
pub mod locate;
pub mod lower;
pub mod match_recognize;
mod merged;
mod moments;
mod named_keys;
mod named_windows;
mod nullable_inputs;
mod operators;
mod over_all;
mod own_names;
pub mod own_node;
pub mod parameters;
pub mod parse;
pub mod pass_through;
pub mod past;
mod plain_orders;
pub mod postgres;
mod recursive;
mod recursive_terms;
pub mod refuse;
pub mod relations;
mod round_limit;
mod row_by_row;
mod rules;
mod shadowed;
mod short_alias;
mod skip_sorted;
mod slips;
mod sort_nested;
pub mod split;
pub mod statement;
pub mod subquery;
mod subscript;
mod time_windows;
pub mod total_order;
pub mod types;
mod unanswerable;

/// The name of the only catalog.
pub const CATALOG: &str = "millstream";
/// The name of the schema that user objects live in.
pub const SCHEMA: &str = "public";
