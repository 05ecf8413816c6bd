//! `lag` and `lead` that see a partition as a whole where they pass over NULLs.
//!
//! Row by row, `lead` of the batch engine loses count of the NULLs behind the rows that it has seen. Over all rows of a
//! partition at once it is right, and that is how it is evaluated here. Nor may a LIMIT above take rows away from it:
//! how many rows it looks ahead is told by the NULLs among them, and a window may run backwards.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// `lag` or `lead`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Shifted {
    inner: Arc<WindowUDF>,
}

impl Shifted {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<WindowUDF>) -> Shifted {
        Shifted { inner }
    }
}

impl WindowUDFImpl for Shifted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.inner.field(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let ignores_nulls = args.ignore_nulls();
        let evaluator = self.inner.partition_evaluator_factory(args)?;
        Ok(if ignores_nulls { Box::new(Whole { evaluator }) } else { evaluator })
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.reverse_expr() {
            ReversedUDWF::Reversed(inner) => ReversedUDWF::Reversed(Arc::new(WindowUDF::from(Shifted { inner }))),
            other => other,
        }
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

/// Takes all rows of a partition at once, and says that it cannot do otherwise.
#[derive(Debug)]
struct Whole {
    evaluator: Box<dyn PartitionEvaluator>,
}

impl PartitionEvaluator for Whole {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self.evaluator.evaluate_all(values, rows)
    }
}
