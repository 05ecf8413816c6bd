//! Corrections of the batch engine's optimiser.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Filter, GroupingSet, Join, LogicalPlan, LogicalPlanBuilder, Window};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

use super::functions::ClearFields;
use super::keep_failing::{KeepConditions, KeepFailing};
use super::literals_right::LiteralsRight;
use super::named_keys::NamedKeys;
use super::plain_orders::PlainOrders;
use super::round_limit::LimitRounds;
use super::row_by_row::CutBatches;
use super::skip_sorted::SkipSorted;
use super::sort_nested::SortNested;
use super::subquery::{lateral, outer_columns};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;
type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Rules that we do without.
const DROPPED: [&str; 3] = [
    // Turns a DISTINCT aggregate into a GROUP BY below it, and so keeps every value in two states.
    "single_distinct_aggregation_to_group_by",
    // Take fields of structs nearer to the scan; the second fails on some plans with set operations.
    "extract_leaf_expressions",
    "push_down_leaf_projections",
];

/// The batch engine's rules, corrected.
pub fn rules() -> Vec<Rule> {
    let corrected = |rule: Rule| match rule.name() {
        "push_down_filter" => Arc::new(KeepAboveTotals(rule)) as Rule,
        "decorrelate_lateral_join" => Arc::new(JoinUnrelated(rule)) as Rule,
        "eliminate_join" => Arc::new(KeepFailing(rule)) as Rule,
        _ => rule,
    };
    let rules = Optimizer::new().rules.into_iter().filter(|rule| !DROPPED.contains(&rule.name()));
    let rules = rules.flat_map(|rule| {
        let first = (rule.name() == "push_down_filter").then(|| Arc::new(LiteralsRight) as Rule);
        first.into_iter().chain([corrected(rule)])
    });
    let own: [Rule; 4] = [Arc::new(ClearFields), Arc::new(SkipSorted), Arc::new(NamedKeys), Arc::new(PlainOrders)];
    rules.chain(own).collect()
}

/// Refuses plans whose order it cannot prove; it cannot where an expression in ORDER BY may fail, such as `10 / b > 3`.
const UNPROVEN: &str = "SanityCheckPlan";

/// The batch engine's rules for physical plans, without the one that refuses right plans, with a limit of rounds,
/// and with batches of one row where these are asked for.
pub fn physical_rules() -> Vec<PhysicalRule> {
    let corrected = |rule: PhysicalRule| match rule.name() {
        "ProjectionPushdown" => Arc::new(KeepConditions(rule)) as PhysicalRule,
        _ => rule,
    };
    let rules = PhysicalOptimizer::new().rules.into_iter().filter(|rule| rule.name() != UNPROVEN).map(corrected);
    rules.chain([Arc::new(SortNested) as _, Arc::new(LimitRounds) as _, Arc::new(CutBatches) as _]).collect()
}

/// Whether a group expression has the group of all rows among its sets.
fn has_total(expr: &Expr) -> bool {
    match expr {
        Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_)) => true,
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter().any(Vec::is_empty),
        _ => false,
    }
}

/// Whether an expression has a name for a name, which the batch engine's own rules make of window functions, and over
/// which the one that moves filters panics.
fn is_aliased_twice(expr: &Expr) -> bool {
    matches!(expr, Expr::Alias(alias) if matches!(alias.expr.as_ref(), Expr::Alias(_)))
}

/// Whether there is such a function below a filter, or below several.
fn has_names_twice(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Window(window) => window.window_expr.iter().any(is_aliased_twice),
            input => has_names_twice(input),
        },
        _ => false,
    }
}

/// The same filters over functions with one name each.
fn named_once(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let input = named_once(filter.input.as_ref().clone())?;
            Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate, input.into())?))
        }
        LogicalPlan::Window(window) => {
            let exprs = window.window_expr.into_iter().map(aliased_once).collect();
            Ok(LogicalPlan::Window(Window::try_new(exprs, window.input)?))
        }
        other => Ok(other),
    }
}

/// The expression under its outer name alone.
fn aliased_once(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(mut alias) => {
            *alias.expr = alias.expr.unalias_nested().data;
            Expr::Alias(alias)
        }
        other => other,
    }
}

/// Moves filters down, but none below an aggregate without groups, or with the group of all rows among others.
///
/// A condition that names no column (`now() < ...`, `false`, a scalar subquery) may seem to pass any aggregate. One
/// over all rows gives a row over none too: below it the condition decides what the row says, above it whether
/// there is a row. Conditions that name columns never pass such an aggregate.
#[derive(Debug)]
struct KeepAboveTotals(Rule);

impl OptimizerRule for KeepAboveTotals {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Filter(filter) = &plan
            && let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref()
            && aggregate.group_expr.iter().all(has_total)
        {
            return Ok(Transformed::no(plan));
        }
        let plan = if has_names_twice(&plan) { named_once(plan)? } else { plan };
        self.0.rewrite(plan, config)
    }
}

/// Makes joins of lateral ones, also of those whose subquery no longer names an outer column: a condition that is
/// always true or never may have been the only one to do so.
#[derive(Debug)]
struct JoinUnrelated(Rule);

impl OptimizerRule for JoinUnrelated {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Join(join) = &plan
            && let Some((subquery, alias)) = lateral(&join.right)
            && outer_columns(&subquery.subquery)?.is_empty()
        {
            let right = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
            let right = match alias {
                Some(alias) => right.alias(alias.clone())?,
                None => right,
            };
            let join = Join { right: right.build()?.into(), ..join.clone() };
            return Ok(Transformed::yes(LogicalPlan::Join(join)));
        }
        self.0.rewrite(plan, config)
    }
}
