//! `date_bin` of every timestamp: the batch engine's counts in nanoseconds, and has no answer before 1677 and after 2262.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::functions::datetime::date_bin as batch_date_bin;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

const DAY_NANOSECONDS: i128 = 86_400_000_000_000;

static DATE_BIN: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(Binned { inner: batch_date_bin() }.into()));

/// The function.
pub fn date_bin() -> Arc<ScalarUDF> {
    DATE_BIN.clone()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Binned {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Binned {
    as_inner!();

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(input)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(bins) = Bins::of(&args.args) else { return self.inner.invoke_with_args(args) };
        match &args.args[1] {
            ColumnarValue::Array(times) => Ok(ColumnarValue::Array(bins.starts(times)?)),
            ColumnarValue::Scalar(time) => {
                let start = bins.starts(&time.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&start, 0)?))
            }
        }
    }
}

/// Bins of one length; all in nanoseconds.
struct Bins {
    length: i128,
    origin: i128,
    /// One step of the timestamps.
    unit: i128,
}

impl Bins {
    /// Those that arguments ask for; nothing for bins of months, times of day, and what is refused.
    fn of(args: &[ColumnarValue]) -> Option<Bins> {
        let (ColumnarValue::Scalar(length), times) = (args.first()?, args.get(1)?) else { return None };
        let length = match length {
            ScalarValue::IntervalMonthDayNano(Some(value)) if value.months == 0 => {
                i128::from(value.days) * DAY_NANOSECONDS + i128::from(value.nanoseconds)
            }
            ScalarValue::IntervalDayTime(Some(value)) => {
                i128::from(value.days) * DAY_NANOSECONDS + i128::from(value.milliseconds) * 1_000_000
            }
            _ => return None,
        };
        let origin = match args.get(2) {
            None => 0,
            Some(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(Some(origin), _))) => i128::from(*origin),
            Some(_) => return None,
        };
        let unit = match times.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
            _ => return None,
        };
        (length > 0).then_some(Bins { length, origin, unit })
    }

    /// Where the bins of times begin.
    fn starts(&self, times: &ArrayRef) -> Result<ArrayRef> {
        let numbers = cast(times, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        let start = |start: Option<i64>| match start {
            Some(start) => Ok(start),
            None => exec_err!("date_bin: the bin of a timestamp begins before the first timestamp that there is"),
        };
        let starts: Int64Array = match self.whole() {
            Some((length, origin)) => numbers.try_unary(|time| {
                let behind = time.rem_euclid(length) - origin;
                start(time.checked_sub(if behind < 0 { behind + length } else { behind }))
            })?,
            None => numbers.try_unary(|time| {
                let time = i128::from(time) * self.unit;
                let from = time - (time - self.origin).rem_euclid(self.length);
                start(i64::try_from(from.div_euclid(self.unit)).ok())
            })?,
        };
        Ok(cast(&starts, times.data_type())?)
    }

    /// The length, and the first bin's start at or after zero, where both are whole steps of the timestamps.
    fn whole(&self) -> Option<(i64, i64)> {
        if self.length % self.unit != 0 || self.origin % self.unit != 0 {
            return None;
        }
        let length = i64::try_from(self.length / self.unit).ok()?;
        let origin = (self.origin / self.unit).rem_euclid(i128::from(length));
        Some((length, i64::try_from(origin).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray};

    use super::*;

    /// The starts of bins, found by going from bin to bin.
    fn walked(time: i64, unit: i128, length: i128, origin: i128) -> i64 {
        let time = i128::from(time) * unit;
        let mut start = origin + (time - origin) / length * length;
        while start > time {
            start -= length;
        }
        start.div_euclid(unit) as i64
    }

    #[test]
    fn bins_begin_at_or_before_their_times() {
        let times: Vec<i64> = vec![0, 1, -1, 59, 60, 61, -60, -61, 1_000_003, -999_999, 12_345_678_901];
        for (length, origin) in [(60, 0), (60, 7), (7, -3), (1, 0), (86_400, 3_600)] {
            let (length, origin) = (length * 1_000_000_000, origin * 1_000_000_000);
            let bins = Bins { length, origin, unit: 1_000_000_000 };
            let array: ArrayRef = Arc::new(TimestampSecondArray::from(times.clone()));
            let expected: Vec<i64> = times.iter().map(|time| walked(*time, bins.unit, length, origin)).collect();
            let expected: ArrayRef = Arc::new(TimestampSecondArray::from(expected));
            assert_eq!(&bins.starts(&array).unwrap(), &expected, "{length} {origin}");
        }
        // Finer than the timestamps.
        let bins = Bins { length: 1_500, origin: 0, unit: 1_000 };
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 2, 3, -1, -3]));
        let expected: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 0, 1, 3, -2, -3]));
        assert_eq!(&bins.starts(&array).unwrap(), &expected);
    }

    #[test]
    fn a_bin_without_a_beginning_fails() {
        let bins = Bins { length: 10, origin: 0, unit: 1 };
        let times = |time| Arc::new(TimestampNanosecondArray::from(vec![Some(time), None])) as ArrayRef;
        assert!(bins.starts(&times(i64::MIN)).is_err());
        assert_eq!(&bins.starts(&times(i64::MAX)).unwrap(), &times(i64::MAX / 10 * 10));
    }
}
