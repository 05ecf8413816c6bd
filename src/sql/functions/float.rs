//! SUM, AVG, MIN and MAX, which for floats take another accumulator and for other types are the batch engine's own.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::exact::{DistinctFloats, ExactFloats};
use super::extreme::ExtremeFloat;

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatFunction {
    /// SUM.
    Sum,
    /// AVG.
    Average,
    /// MIN.
    Min,
    /// MAX.
    Max,
}

/// An aggregate function of the batch engine with other accumulators for floats.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FloatAggregate {
    inner: Arc<AggregateUDF>,
    function: FloatFunction,
}

impl FloatAggregate {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<AggregateUDF>, function: FloatFunction) -> Self {
        FloatAggregate { inner, function }
    }

    fn is_exact(&self) -> bool {
        matches!(self.function, FloatFunction::Sum | FloatFunction::Average)
    }

    fn make(&self, args: &AccumulatorArgs, slides: bool) -> Box<dyn Accumulator> {
        let extreme = if slides { ExtremeFloat::sliding } else { ExtremeFloat::new };
        match self.function {
            FloatFunction::Sum | FloatFunction::Average => {
                let average = self.function == FloatFunction::Average;
                if args.is_distinct {
                    Box::new(DistinctFloats::new(average))
                } else {
                    Box::new(ExactFloats::new(average))
                }
            }
            FloatFunction::Min => Box::new(extreme(args.return_field.data_type().clone(), false)),
            FloatFunction::Max => Box::new(extreme(args.return_field.data_type().clone(), true)),
        }
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

impl AggregateUDFImpl for FloatAggregate {
    as_inner!();
    without_order!();

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_float(args.return_field.data_type()) { Ok(self.make(&args, false)) } else { self.inner.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_float(args.return_field.data_type()) {
            Ok(self.make(&args, true))
        } else {
            self.inner.create_sliding_accumulator(args)
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_float(args.return_field.data_type()) || !self.is_exact() {
            return self.inner.state_fields(args);
        }
        // The sum as floats that add up to it without rounding, and how many values there were.
        let terms =
            Field::new_list(format!("{}[terms]", args.name), Field::new_list_field(DataType::Float64, true), true);
        let count = Field::new(format!("{}[count]", args.name), DataType::Int64, true);
        Ok(vec![terms.into(), count.into()])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_float(args.return_field.data_type()) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }
}
