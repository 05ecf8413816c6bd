//! Union all: the rows of several inputs. Linear: `d(A + B) = dA + dB`.

use std::fmt;

use arrow::datatypes::SchemaRef;

use super::project::batch;
use crate::circuit::{Operator, Tick};
use crate::delta::Delta;
use crate::error::Result;

/// Adds the bags of its inputs, whose columns have the types of `schema`.
pub struct UnionAll {
    schema: SchemaRef,
}

impl UnionAll {
    /// A union whose columns are named by `schema`.
    pub fn new(schema: SchemaRef) -> Self {
        UnionAll { schema }
    }
}

impl Operator for UnionAll {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let renamed = inputs
            .iter()
            .map(|d| {
                let batch = batch(&self.schema, d.batch.columns().to_vec(), d.len())?;
                Ok(Delta { batch, weights: d.weights.clone(), errors: Vec::new() })
            })
            .collect::<Result<Vec<_>>>()?;
        Delta::concat(&self.schema, &renamed)
    }
}

impl fmt::Display for UnionAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnionAll")
    }
}
