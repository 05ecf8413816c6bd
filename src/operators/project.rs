//! Project: columns computed from each row. Linear: `dQ(R) = Q(dR)`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::eval::evaluate;
use crate::circuit::{Operator, Tick};
use crate::delta::Delta;
use crate::error::Result;

/// Computes columns.
pub struct Project {
    schema: SchemaRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Project {
    /// One expression per column of `schema`.
    pub fn new(schema: SchemaRef, exprs: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Project { schema, exprs }
    }
}

/// A batch of these columns under `schema`; `rows` counts where there is no column.
///
/// # Errors
/// When a column's type is not the schema's.
pub fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

impl Operator for Project {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let input = inputs[0];
        let evaluated = evaluate(&self.exprs, input)?;
        let (rows, weights) = match &evaluated.rows {
            None => (input.len(), input.weights.clone()),
            Some(rows) => (rows.len(), input.weights.take(rows)),
        };
        let batch = batch(&self.schema, evaluated.columns, rows)?;
        Ok(Delta { batch, weights, errors: evaluated.errors })
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Project ")?;
        for (at, (expr, field)) in self.exprs.iter().zip(self.schema.fields()).enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            let text = match expr.downcast_ref::<Column>() {
                Some(column) => column.name().to_string(),
                None => expr.to_string(),
            };
            if text == *field.name() { f.write_str(&text)? } else { write!(f, "{text} AS {}", field.name())? }
        }
        Ok(())
    }
}
