//! The batch engine's session: its settings and functions, and the two ways we optimise a plan.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::alias::AliasGenerator;
use datafusion::config::ConfigOptions;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerConfig};
use datafusion::prelude::SessionConfig;

use super::checked::CheckArithmetic;
use super::expr::uses_time;
use super::match_recognize::MatchRecognize;
use super::nullable_inputs::nullable_inputs;
use super::operators::planners;
use super::rules::{physical_rules, rules};
use super::short_alias::ShortAlias;
use super::time_windows::TimeWindows;
use super::total_order::Planner;
use crate::error::Result;
pub use crate::operators::recompute::at_time;

/// Rules of the batch optimiser that make a view dearer to maintain.
const RULES_DROPPED_FOR_VIEWS: [&str; 1] = [
    // Fuses LIMIT into Sort, where our top-k is recognised by the pair.
    "push_down_limit",
];

/// Dropped besides where a view depends on the time: it would take `now()` out of the conditions that become temporal
/// filters.
const COMMON_EXPRESSIONS: &str = "common_sub_expression_eliminate";

/// Rows of a batch in batch queries.
const BATCH_ROWS: usize = 8192;

/// The part of the memory that a sort sets aside, where it is less than the batch engine's own setting.
const SORT_PART: usize = 128;

/// A session of the batch engine with Millstream's settings and functions. `partitions` is the number of threads
/// that a query may use; with one, a query gives its rows in the same order every time. Its memory comes from the
/// pool of `runtime`.
///
/// # Errors
/// As [`super::functions::register`].
pub fn session_state(partitions: usize, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(true)
        .with_default_catalog_and_schema(super::CATALOG, super::SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    // TIMESTAMP WITH TIME ZONE is a moment; without a zone here it would lose that.
    options.execution.time_zone = Some("+00:00".into());
    options.execution.parquet.schema_force_view_types = false;
    // The logical plan may say NOT NULL of a struct where the physical one does not: nothing depends on it.
    options.execution.skip_physical_aggregate_schema_check = true;
    if let MemoryLimit::Finite(bytes) = runtime.memory_pool.memory_limit() {
        // What each sort sets aside for merging must be there in a small memory too.
        let reserved = &mut options.execution.sort_spill_reservation_bytes;
        *reserved = (*reserved).min(bytes / SORT_PART);
    }
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_analyzer_rule(Arc::new(CheckArithmetic))
        .with_optimizer_rules(rules())
        .with_physical_optimizer_rules(physical_rules())
        .with_query_planner(Arc::new(Planner))
        .with_relation_planners(vec![Arc::new(ShortAlias), Arc::new(MatchRecognize), Arc::new(TimeWindows)])
        .with_expr_planners(planners(SessionStateDefaults::default_expr_planners()))
        .build();
    super::json::register(&mut state)?;
    super::functions::register(state)
}

/// Optimises a plan for the circuit: decorrelated, typed and simplified, with `now()` left as it is.
///
/// # Errors
/// What the batch engine's analyser finds wrong with the plan.
pub fn optimize_for_view(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let context = ViewOptimizer::new(state);
    let plan = nullable_inputs(plan)?;
    let plan = state.analyzer().execute_and_check(plan, &context.options, |_, _| {})?;
    let uses_time = uses_time(&plan)?;
    let dropped = |name: &str| RULES_DROPPED_FOR_VIEWS.contains(&name) || uses_time && name == COMMON_EXPRESSIONS;
    let rules = rules().into_iter().filter(|rule| !dropped(rule.name())).collect();
    Ok(Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})?)
}

struct ViewOptimizer<'a> {
    state: &'a SessionState,
    options: Arc<ConfigOptions>,
    aliases: Arc<AliasGenerator>,
}

impl<'a> ViewOptimizer<'a> {
    fn new(state: &'a SessionState) -> Self {
        let mut options = state.config_options().as_ref().clone();
        // A scalar subquery becomes a join, which is maintained like any other.
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        ViewOptimizer { state, options: Arc::new(options), aliases: Arc::new(AliasGenerator::new()) }
    }
}

impl OptimizerConfig for ViewOptimizer<'_> {
    /// None, so that `now()` stays a function: in a view it is the commit's logged time.
    fn query_execution_start_time(&self) -> Option<DateTime<Utc>> {
        None
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        &self.aliases
    }

    fn options(&self) -> Arc<ConfigOptions> {
        self.options.clone()
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(self.state)
    }
}
