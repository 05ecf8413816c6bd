//! SUM and AVG, which are exact, and MIN and MAX, which for floats follow the total order. What other types they take is
//! the batch engine's own.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::exact::{DistinctFloats, ExactFloats};
use super::extreme::ExtremeFloat;
use super::totals::Exact;

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

    /// The exact sum or average of numbers that are no floats.
    fn exact(&self, input: &[FieldRef], output: &FieldRef) -> Option<Exact> {
        let input = input.first()?.data_type();
        if !self.is_exact() {
            return None;
        }
        Exact::of(self.function == FloatFunction::Average, input, output.data_type())
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

/// Digits after the point that an average of decimals has where there is room for them, as in Postgres.
const AVERAGE_DIGITS: u8 = 16;

/// The type of an average of decimals, which is `own` in the batch engine.
fn with_more_digits(input: &DataType, own: DataType) -> DataType {
    match (input, &own) {
        (DataType::Decimal128(precision, scale), DataType::Decimal128(_, least)) if *scale >= 0 => {
            let before = precision.saturating_sub(scale.unsigned_abs());
            let scale = AVERAGE_DIGITS.min(DECIMAL128_MAX_PRECISION - before);
            if scale <= least.unsigned_abs() { own } else { DataType::Decimal128(before + scale, scale as i8) }
        }
        _ => own,
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

impl AggregateUDFImpl for FloatAggregate {
    as_inner_but_type!();
    without_order!();

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let own = self.inner.return_type(types)?;
        Ok(match (self.function, types) {
            (FloatFunction::Average, [input]) => with_more_digits(input, own),
            _ => own,
        })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_float(args.return_field.data_type()) {
            return Ok(self.make(&args, false));
        }
        match self.exact(args.expr_fields, &args.return_field) {
            Some(exact) => exact.accumulator(args.is_distinct),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_float(args.return_field.data_type()) {
            return Ok(self.make(&args, true));
        }
        match self.exact(args.expr_fields, &args.return_field) {
            Some(exact) => exact.accumulator(args.is_distinct),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if let Some(exact) = self.exact(args.input_fields, &args.return_field) {
            return Ok(exact.state_fields(args.name, args.is_distinct));
        }
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
        match self.exact(args.expr_fields, &args.return_field) {
            Some(_) => !args.is_distinct,
            None => !is_float(args.return_field.data_type()) && self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match self.exact(args.expr_fields, &args.return_field) {
            Some(exact) => exact.groups_accumulator(),
            None => self.inner.create_groups_accumulator(args),
        }
    }
}
