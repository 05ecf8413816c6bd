//! Casts of texts to intervals, and of intervals to texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{ScalarValue, exec_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::interval::{Range, read, shown, written};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Whether a cast reads texts as intervals.
pub fn is_read(from: &DataType, to: &DataType) -> bool {
    *from == DataType::Utf8 && *to == INTERVAL
}

/// Whether a cast makes texts of intervals.
pub fn is_shown(from: &DataType, to: &DataType) -> bool {
    matches!(from, DataType::Interval(_)) && *to == DataType::Utf8
}

/// A cast of intervals to texts.
pub fn writer() -> ScalarUDF {
    ShowInterval { signature: Signature::exact(vec![INTERVAL], Volatility::Immutable) }.into()
}

/// Texts that the batch engine reads as the intervals that they are; others stay as they are.
pub fn canonical(texts: &StringArray) -> StringArray {
    let canonical = |text: &str| read(text, Range::default()).map_or_else(|| text.to_string(), written);
    texts.iter().map(|text| text.map(canonical)).collect()
}

/// A cast of texts to intervals; a text that is none is NULL where the cast `tries`.
pub fn reader(tries: bool) -> ScalarUDF {
    let name = if tries { "try_read_interval" } else { "read_interval" };
    ReadInterval { tries, name, signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadInterval {
    tries: bool,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for ReadInterval {
    fn name(&self) -> &str {
        self.name
    }

    /// A cast leaves the name of a column as it is.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = self.tries || args.arg_fields[0].is_nullable();
        Ok(Arc::new(Field::new(self.name, INTERVAL, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let cast = |texts: &ArrayRef| -> Result<ArrayRef> {
            let intervals = texts.as_string::<i32>().iter().map(|text| match text {
                None => Ok(None),
                Some(text) => match read(text, Range::default()) {
                    None if !self.tries => Err(exec_datafusion_err!("cannot read '{text}' as INTERVAL")),
                    interval => Ok(interval),
                },
            });
            Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
        };
        match &args.args[0] {
            ColumnarValue::Array(texts) => Ok(ColumnarValue::Array(cast(texts)?)),
            ColumnarValue::Scalar(text) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast(&text.to_array()?)?, 0)?))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ShowInterval {
    signature: Signature,
}

impl ScalarUDFImpl for ShowInterval {
    fn name(&self) -> &str {
        "show_interval"
    }

    /// A cast leaves the name of a column as it is.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, args.arg_fields[0].is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let intervals = cast(&args.args[0].to_array(args.number_rows)?, &INTERVAL)?;
        let texts: StringArray =
            intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| interval.map(shown)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}
