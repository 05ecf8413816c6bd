//! Keys of joins that are casts get names of their own.
//!
//! The batch engine computes the keys of a join as columns beside those of the input, and calls each by its name. A cast
//! is called as what it casts: it sees to that for casts of its own, and not for ours (see [`super::checked`]).

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Names keys that are called as what is in them.
#[derive(Debug)]
pub struct NamedKeys;

impl OptimizerRule for NamedKeys {
    fn name(&self) -> &str {
        "named_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) if join.on.iter().any(|(left, right)| is_unnamed(left) || is_unnamed(right)) => {
                let on = join.on.into_iter().map(|(left, right)| (named(left), named(right))).collect();
                Ok(Transformed::yes(LogicalPlan::Join(Join { on, ..join })))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Whether an expression is called as what is in it.
fn is_unnamed(key: &Expr) -> bool {
    match key {
        Expr::ScalarFunction(call) => match call.args.as_slice() {
            [inner] => inner.schema_name().to_string() == key.schema_name().to_string(),
            _ => false,
        },
        _ => false,
    }
}

fn named(key: Expr) -> Expr {
    match is_unnamed(&key) {
        true => {
            let name = key.to_string();
            key.alias(name)
        }
        false => key,
    }
}
