//! How to make an accumulator of the batch engine, kept for later.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

/// A function, and what its accumulators are made with.
#[derive(Debug)]
pub struct Recipe {
    function: Arc<AggregateUDF>,
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Recipe {
    /// The recipe for accumulators of `function`, whose rows come in order where the call has none.
    ///
    /// # Errors
    /// What the function refuses, it refuses now.
    pub fn new(function: Arc<AggregateUDF>, args: &AccumulatorArgs, order_bys: &[PhysicalSortExpr]) -> Result<Self> {
        let recipe = Recipe {
            function,
            return_field: args.return_field.clone(),
            schema: args.schema.clone(),
            ignore_nulls: args.ignore_nulls,
            order_bys: order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_string(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
        };
        recipe.fresh()?;
        Ok(recipe)
    }

    /// An accumulator that has seen nothing.
    ///
    /// # Errors
    /// What the function finds wrong with the call.
    pub fn fresh(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: self.return_field.clone(),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}
