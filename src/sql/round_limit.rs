//! The limit of rounds in batch: a recursive query without an end is an error there, as in a view.
//!
//! ```text
//! RecursiveQueryExec
//!   RoundLimitExec: base     runs once, first: starts the count
//!   RoundLimitExec: step     runs once a round, if the round before has rows: counts
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::operators::recursion::{ROUNDS_MAX, endless};

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
                    let (name, input, rounds) = (query.name().to_string(), input.clone(), rounds.clone());
                    Arc::new(RoundLimitExec { name, input, term, rounds }) as Arc<dyn ExecutionPlan>
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

/// Passes on the rows of a term of a recursive query and counts how often it runs.
#[derive(Debug)]
struct RoundLimitExec {
    name: String,
    input: Arc<dyn ExecutionPlan>,
    term: Term,
    /// Rounds begun since the base was run. Shared by the two terms of a query, and by the plans that the batch engine
    /// makes of the step for each round.
    rounds: Arc<AtomicU32>,
}

impl DisplayAs for RoundLimitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let term = if self.term == Term::Base { "base" } else { "step" };
        write!(f, "RoundLimitExec: {term}")
    }
}

impl ExecutionPlan for RoundLimitExec {
    fn name(&self) -> &str {
        "RoundLimitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a limit of rounds has one input");
        };
        let (name, rounds) = (self.name.clone(), self.rounds.clone());
        Ok(Arc::new(RoundLimitExec { name, input, term: self.term, rounds }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.term {
            Term::Base => self.rounds.store(0, Ordering::Relaxed),
            // The step runs over the rows of a round that is not empty: once more than there may be such rounds.
            Term::Step if self.rounds.fetch_add(1, Ordering::Relaxed) > ROUNDS_MAX => {
                return Err(endless(&self.name, ROUNDS_MAX).into());
            }
            Term::Step => {}
        }
        self.input.execute(partition, context)
    }
}
