//! Parts of intervals, where the batch engine's own are others than those of Postgres.
//!
//! ```text
//! epoch        years of 365.25 days and months of thirty          its own has years of twelve such months
//! quarter      months of the year by three, counted from one      its own has none
//! microsecond  seconds and what is behind their point             its own leaves that out
//! week         none                                               its own has days by seven
//! ```

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::IntervalUnit as Unit;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const MINUTE_NANOSECONDS: i64 = 60_000_000_000;
const DAY_SECONDS: i64 = 86_400;
const YEAR_SECONDS: i64 = 36_525 * DAY_SECONDS / 100;

/// A part that an interval has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Epoch,
    Quarter,
    Microsecond,
    Nanosecond,
}

/// `date_part(part, interval)` as a function of the interval, which is its second argument; nothing for other calls.
///
/// # Errors
/// For parts that no interval has.
pub fn part_of_interval(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<IntervalPart>> {
    let ("date_part", [Expr::Literal(word, _), interval]) = (call.func.name(), call.args.as_slice()) else {
        return Ok(None);
    };
    if !matches!(interval.get_type(schema), Ok(DataType::Interval(_))) {
        return Ok(None);
    }
    let word = word.try_as_str().flatten().unwrap_or_default().to_lowercase();
    let part = match (word.as_str(), Unit::from_str(&word)) {
        ("epoch", _) => Part::Epoch,
        ("quarter" | "qtr", _) => Part::Quarter,
        (_, Ok(Unit::Microsecond)) => Part::Microsecond,
        (_, Ok(Unit::Nanosecond)) => Part::Nanosecond,
        (_, Ok(Unit::Week)) => return plan_err!("an interval has no part `{word}`"),
        _ => return Ok(None),
    };
    let name = format!("{word}_of_interval");
    Ok(Some(IntervalPart { part, name, signature: Signature::any(1, Volatility::Immutable) }))
}

/// A part of intervals, of the type that the batch engine gives it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IntervalPart {
    part: Part,
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for IntervalPart {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::Epoch => DataType::Float64,
            Part::Quarter | Part::Microsecond => DataType::Int32,
            Part::Nanosecond => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let intervals = cast(&args.args[0].to_array(args.number_rows)?, &INTERVAL)?;
        let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
        let parts: ArrayRef = match self.part {
            Part::Epoch => Arc::new(intervals.map(|interval| interval.map(epoch)).collect::<Float64Array>()),
            Part::Quarter => {
                Arc::new(intervals.map(|interval| Some(interval?.months % 12 / 3 + 1)).collect::<Int32Array>())
            }
            Part::Microsecond => {
                let microseconds = |of: IntervalMonthDayNano| (of.nanoseconds % MINUTE_NANOSECONDS / 1_000) as i32;
                Arc::new(intervals.map(|interval| interval.map(microseconds)).collect::<Int32Array>())
            }
            Part::Nanosecond => {
                let nanoseconds = |of: IntervalMonthDayNano| of.nanoseconds % MINUTE_NANOSECONDS;
                Arc::new(intervals.map(|interval| interval.map(nanoseconds)).collect::<Int64Array>())
            }
        };
        Ok(ColumnarValue::Array(parts))
    }
}

/// The seconds of an interval.
fn epoch(interval: IntervalMonthDayNano) -> f64 {
    let days = i64::from(interval.months % 12) * 30 + i64::from(interval.days);
    let whole = i64::from(interval.months / 12) * YEAR_SECONDS + days * DAY_SECONDS;
    let seconds = whole + interval.nanoseconds / 1_000_000_000;
    seconds as f64 + (interval.nanoseconds % 1_000_000_000) as f64 / 1e9
}
