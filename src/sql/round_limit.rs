//! The limit of rounds in batch: a recursive query without an end is an error there, as in a view.
//!
//! ```text
//! RecursiveQueryExec
//!   RoundLimitExec: base     runs once, first: starts the count
//!   RoundLimitExec: step     runs once a round, if the round before has rows: counts
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;

use crate::operators::recursion::{ROUNDS_MAX, endless};
use crate::sql::pass_through::{Pass, PassThrough};

/// Puts the limit into every recursive query of a plan.
#[derive(Debug)]
pub struct LimitRounds;

impl PhysicalOptimizerRule for LimitRounds {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let limited = plan.transform_up(|plan| {
            let Some(query) = plan.downcast_ref::<RecursiveQueryExec>() else { return Ok(Transformed::no(plan)) };
            let rounds = Arc::new(AtomicU32::new(0));
            let terms = [(query.static_term(), Term::Base), (query.recursive_term(), Term::Step)];
            let children = terms
                .into_iter()
                .map(|(input, term)| {
                    let limit = RoundLimit { name: query.name().to_string(), term, rounds: rounds.clone() };
                    PassThrough::over(input.clone(), limit)
                })
                .collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            Ok(Transformed::yes(plan.replace_children(children, options)?))
        })?;
        Ok(limited.data)
    }

    fn name(&self) -> &str {
        "limit_rounds"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    Base,
    Step,
}

/// Counts how often a term of a recursive query runs.
#[derive(Debug, Clone)]
struct RoundLimit {
    name: String,
    term: Term,
    /// Rounds begun since the base was run. Shared by the two terms of a query, and by the plans that the batch engine
    /// makes of the step for each round.
    rounds: Arc<AtomicU32>,
}

impl Pass for RoundLimit {
    const NAME: &'static str = "RoundLimitExec";

    fn text(&self) -> String {
        let term = if self.term == Term::Base { "base" } else { "step" };
        format!("RoundLimitExec: {term}")
    }

    fn run(
        &self,
        input: &dyn ExecutionPlan,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        match self.term {
            Term::Base => self.rounds.store(0, Ordering::Relaxed),
            // The step runs over the rows of a round that is not empty: once more than there may be such rounds.
            Term::Step if self.rounds.fetch_add(1, Ordering::Relaxed) > ROUNDS_MAX => {
                return Err(endless(&self.name, ROUNDS_MAX).into());
            }
            Term::Step => {}
        }
        input.execute(partition, context)
    }
}
