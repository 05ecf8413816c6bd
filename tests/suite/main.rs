//! The one integration-test target: linking DataFusion many times is what makes builds slow.

#![expect(clippy::disallowed_methods, reason = "tests wait, and measure how long")]

mod architecture;
mod archive_readers;
mod consistency;
mod correlated;
mod crash;
mod damage;
mod damage_writes;
mod docs;
mod embed_alter;
mod embed_async;
mod embed_changes;
mod embed_errors;
mod embed_functions;
mod embed_memory;
mod embed_prepared;
mod embed_readers;
mod embed_statements;
mod embed_support;
mod embed_table_as;
mod embed_temporary;
mod embed_threads;
mod event_time;
mod match_recognize;
mod memory;
mod mutations;
mod nexmark;
mod oracle;
mod past;
mod shell;
mod slt;
mod temporal_filters;
mod tpch;
mod transcripts;
mod workload;
