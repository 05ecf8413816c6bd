//! Filter: the rows for which a predicate is true. Linear: `dQ(R) = Q(dR)`.

use std::fmt;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use super::eval::evaluate;
use crate::circuit::{Operator, Tick};
use crate::delta::Delta;
use crate::error::Result;

/// Keeps rows whose predicate is true.
pub struct Filter {
    schema: SchemaRef,
    predicate: [Arc<dyn PhysicalExpr>; 1],
}

impl Filter {
    /// A filter over rows of `schema`.
    pub fn new(schema: SchemaRef, predicate: Arc<dyn PhysicalExpr>) -> Self {
        Filter { schema, predicate: [predicate] }
    }
}

impl Operator for Filter {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let input = inputs[0];
        let evaluated = evaluate(&self.predicate, input)?;
        let keep = evaluated.columns[0].as_boolean();
        let mut output = match &evaluated.rows {
            None => input.filter(keep)?,
            Some(rows) => input.take(rows)?.filter(keep)?,
        };
        output.errors = evaluated.errors;
        Ok(output)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter {}", self.predicate[0])
    }
}
