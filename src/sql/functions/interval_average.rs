//! AVG of intervals: months, days and time are added up each for itself, and the rest of a division goes to the smaller
//! part, as in Postgres.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{ScalarValue, exec_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
    TypeSignature,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const TIME: DataType = DataType::Decimal128(38, 0);
const MONTH_DAYS: i128 = 30;
const DAY_NANOSECONDS: i128 = 86_400_000_000_000;

/// AVG that also takes intervals.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IntervalAverage {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl IntervalAverage {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<AggregateUDF>) -> Self {
        let known = inner.signature();
        let types = vec![TypeSignature::Exact(vec![INTERVAL]), known.type_signature.clone()];
        let signature = Signature::one_of(types, known.volatility);
        IntervalAverage { inner, signature }
    }
}

impl AggregateUDFImpl for IntervalAverage {
    without_order!();

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types == [INTERVAL] { Ok(INTERVAL) } else { self.inner.return_type(types) }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Interval(_) => Ok(Box::new(Average::default())),
            _ => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Interval(_) => Ok(Box::new(Average::default())),
            _ => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !matches!(args.return_field.data_type(), DataType::Interval(_)) {
            return self.inner.state_fields(args);
        }
        let part = |part: &str, data_type| Arc::new(Field::new(format!("{}[{part}]", args.name), data_type, true));
        Ok(vec![
            part("months", DataType::Int64),
            part("days", DataType::Int64),
            part("time", TIME),
            part("count", DataType::Int64),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !matches!(args.return_field.data_type(), DataType::Interval(_)) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }
}

/// Sums of the parts of `count` intervals.
#[derive(Debug, Default)]
struct Average {
    months: i64,
    days: i64,
    nanoseconds: i128,
    count: i64,
}

impl Average {
    fn add(&mut self, values: &[ArrayRef], weight: i64) {
        for interval in values[0].as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            self.months += weight * i64::from(interval.months);
            self.days += weight * i64::from(interval.days);
            self.nanoseconds += i128::from(weight) * i128::from(interval.nanoseconds);
            self.count += weight;
        }
    }

    fn average(&self) -> Result<IntervalMonthDayNano> {
        let count = i128::from(self.count);
        let months = i128::from(self.months);
        let days = i128::from(self.days) + months % count * MONTH_DAYS;
        let nanoseconds = self.nanoseconds + days % count * DAY_NANOSECONDS;
        // Halves are rounded away from zero.
        let rounded = (2 * nanoseconds + nanoseconds.signum() * count) / (2 * count);
        match (i32::try_from(months / count), i32::try_from(days / count), i64::try_from(rounded)) {
            (Ok(months), Ok(days), Ok(nanoseconds)) => Ok(IntervalMonthDayNano::new(months, days, nanoseconds)),
            _ => Err(exec_datafusion_err!("the interval is out of range")),
        }
    }
}

impl Accumulator for Average {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let average = if self.count == 0 { None } else { Some(self.average()?) };
        Ok(ScalarValue::IntervalMonthDayNano(average))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.months)),
            ScalarValue::Int64(Some(self.days)),
            ScalarValue::Decimal128(Some(self.nanoseconds), 38, 0),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let whole = |part: usize, row| states[part].as_primitive::<Int64Type>().value(row);
        for row in 0..states[0].len() {
            self.months += whole(0, row);
            self.days += whole(1, row);
            self.nanoseconds += states[2].as_primitive::<Decimal128Type>().value(row);
            self.count += whole(3, row);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
