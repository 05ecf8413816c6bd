//! Series as lists, which have a limit.
//!
//! `generate_series` and `range` make a list in one piece. Without a limit a small statement asks for all the memory there
//! is: `generate_series(1, 1000000000000)`. How many values there will be is worked out before there is any.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, cast::AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::types::{NativeType, logical_date, logical_interval_mdn};
use datafusion::common::{DataFusionError, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, TypeSignatureClass,
};

/// Values of one list.
pub const SERIES_VALUES_MAX: u64 = 10_000_000;

/// Values of the lists of one batch.
const BATCH_VALUES_MAX: u64 = 64_000_000;

const DAY_NS: i128 = 86_400_000_000_000;
/// The shortest day where clocks are put forward, and the shortest month of such.
const DAY_MIN_NS: i128 = DAY_NS * 23 / 24;
const MONTH_MIN_NS: i128 = 28 * DAY_MIN_NS;

/// A function that makes lists of so many values only.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Series {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl Series {
    /// Stands in for `inner`. Between a date and a timestamp there are timestamps.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        let timestamp = Coercion::new_implicit(
            TypeSignatureClass::Timestamp,
            vec![TypeSignatureClass::Native(logical_date())],
            NativeType::Timestamp(TimeUnit::Nanosecond, None),
        );
        let interval = Coercion::new_implicit(
            TypeSignatureClass::Native(logical_interval_mdn()),
            vec![TypeSignatureClass::Interval],
            NativeType::Interval(IntervalUnit::MonthDayNano),
        );
        let mixed = TypeSignature::Coercible(vec![timestamp.clone(), timestamp, interval]);
        let signature = inner.signature();
        let of = TypeSignature::OneOf(vec![signature.type_signature.clone(), mixed]);
        let signature = Signature::new(of, signature.volatility);
        Series { inner, signature }
    }
}

impl ScalarUDFImpl for Series {
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
        self.inner.return_type(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if !args.args.iter().any(|arg| arg.data_type().is_null()) {
            let rows =
                if args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_))) { args.number_rows } else { 1 };
            let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
            check(self.name(), &arrays)?;
        }
        self.inner.invoke_with_args(args)
    }
}

/// Fails where lists would have too many values.
fn check(name: &str, args: &[ArrayRef]) -> Result<()> {
    let Some(first) = args.first() else { return Ok(()) };
    let mut all = 0_u64;
    let mut add = |count: u64| {
        if count > SERIES_VALUES_MAX {
            return exec_err!(
                "{name} of {count} values: a list has at most {SERIES_VALUES_MAX}; FROM {name}(...) of constants has no limit"
            );
        }
        all += count;
        if all > BATCH_VALUES_MAX {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "the lists that {name} makes at a time have more values than the limit of {BATCH_VALUES_MAX}"
            )));
        }
        Ok(())
    };
    let is_valid = |row: usize| args.iter().all(|arg| arg.is_valid(row));
    if let (DataType::Int64, args) = (first.data_type(), args) {
        let numbers: Vec<_> = args.iter().map(|arg| arg.as_primitive::<Int64Type>()).collect();
        for row in (0..first.len()).filter(|row| is_valid(*row)) {
            let (start, stop, step) = match numbers.as_slice() {
                [stop] => (0, stop.value(row), 1),
                [start, stop] => (start.value(row), stop.value(row), 1),
                [start, stop, step, ..] => (start.value(row), stop.value(row), step.value(row)),
                [] => continue,
            };
            add(count(start.into(), stop.into(), step.into()))?;
        }
        return Ok(());
    }
    let [start, stop, step] = args else { return Ok(()) };
    let (of_days, scale) = match first.data_type() {
        DataType::Timestamp(..) => (false, 1),
        _ => (true, DAY_NS),
    };
    let moments = |array: &ArrayRef| match (of_days, array.data_type()) {
        (true, _) => {
            cast(&cast(array, &DataType::Date32)?, &DataType::Int32).and_then(|days| cast(&days, &DataType::Int64))
        }
        (false, DataType::Timestamp(_, zone)) => {
            cast(&cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?, &DataType::Int64)
        }
        (false, _) => cast(array, &DataType::Int64),
    };
    let (start, stop) = (moments(start)?, moments(stop)?);
    let (start, stop) = (start.as_primitive::<Int64Type>(), stop.as_primitive::<Int64Type>());
    let step = cast(step, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let step = step.as_primitive::<IntervalMonthDayNanoType>();
    for row in (0..first.len()).filter(|row| is_valid(*row) && start.is_valid(*row) && stop.is_valid(*row)) {
        let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(step.value(row));
        let signs = [i64::from(months), i64::from(days), if of_days { 0 } else { nanos }].map(i64::signum);
        if signs.contains(&1) && signs.contains(&-1) {
            return exec_err!("the step of {name} goes both forwards and backwards");
        }
        let nanos = if of_days { 0 } else { i128::from(nanos) };
        let least = i128::from(months) * MONTH_MIN_NS + i128::from(days) * DAY_MIN_NS + nanos;
        add(count(i128::from(start.value(row)) * scale, i128::from(stop.value(row)) * scale, least))?;
    }
    Ok(())
}

/// How many values there are from `start` to `stop` at most; none where the step leads away.
fn count(start: i128, stop: i128, step: i128) -> u64 {
    let way = stop - start;
    match step {
        // An error of the function itself.
        0 => 0,
        _ if way != 0 && way.signum() != step.signum() => 0,
        _ => u64::try_from(way / step + 1).unwrap_or(u64::MAX),
    }
}
