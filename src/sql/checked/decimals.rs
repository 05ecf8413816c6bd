//! Decimals that are looked at: results within their precision, and quotients rounded half away from zero.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Datum, PrimitiveArray};
use arrow::compute::DecimalCast;
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, i256};
use arrow::error::ArrowError;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::operators::total::rounded_quotient;

/// Runs the body with `T` as the type of a decimal array; other arrays are left.
macro_rules! each_decimal {
    ($data_type:expr, $T:ident => $body:expr, $other:expr) => {
        match $data_type {
            DataType::Decimal32(..) => {
                type $T = Decimal32Type;
                $body
            }
            DataType::Decimal64(..) => {
                type $T = Decimal64Type;
                $body
            }
            DataType::Decimal128(..) => {
                type $T = Decimal128Type;
                $body
            }
            DataType::Decimal256(..) => {
                type $T = Decimal256Type;
                $body
            }
            _ => $other,
        }
    };
}

/// Refuses decimals with more digits than their type has.
pub fn digits_checked(values: &ColumnarValue) -> Result<()> {
    let array: ArrayRef = match values {
        ColumnarValue::Array(array) => array.clone(),
        ColumnarValue::Scalar(scalar) if scalar.data_type().is_decimal() => scalar.to_array()?,
        ColumnarValue::Scalar(_) => return Ok(()),
    };
    each_decimal!(array.data_type(), T => {
        let decimals = array.as_primitive::<T>();
        Ok(decimals.validate_decimal_precision(decimals.precision())?)
    }, Ok(()))
}

/// `left / right` as decimals of type `output`.
pub fn quotient(left: &dyn Datum, right: &dyn Datum, output: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    let ((left, left_alone), (right, right_alone)) = (left.get(), right.get());
    let rows = if left_alone { right.len() } else { left.len() };
    each_decimal!(output, T => {
        let (l, r) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let (DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale)) = output
        else {
            return Err(ArrowError::ComputeError(format!("{output} is not a decimal")));
        };
        // left * 10^-s / (right * 10^-t) = left / right * 10^(t - s), counted in 10^-scale.
        let shift = i32::from(*scale) - i32::from(l.scale()) + i32::from(r.scale());
        let (above, below) = (power_of_ten(shift)?, power_of_ten(-shift)?);
        let quotients = (0..rows).map(|row| {
            let (at, by) = (if left_alone { 0 } else { row }, if right_alone { 0 } else { row });
            if l.is_null(at) || r.is_null(by) {
                return Ok(None);
            }
            let (Some(n), Some(d)) = (i256::from_decimal(l.value(at)), i256::from_decimal(r.value(by))) else {
                return Err(overflow(left, at, right, by));
            };
            if d == i256::ZERO {
                return Err(ArrowError::DivideByZero);
            }
            let rounded = n.checked_mul(above).zip(d.checked_mul(below)).and_then(|(n, d)| rounded_quotient(n, d));
            let value = rounded.and_then(<T as arrow::datatypes::ArrowPrimitiveType>::Native::from_decimal);
            match value.filter(|value| T::is_valid_decimal_precision(*value, *precision)) {
                Some(value) => Ok(Some(value)),
                None => Err(overflow(left, at, right, by)),
            }
        });
        let array: PrimitiveArray<T> = quotients.collect::<std::result::Result<_, ArrowError>>()?;
        Ok(Arc::new(array.with_data_type(output.clone())))
    }, Err(ArrowError::ComputeError(format!("{output} is not a decimal"))))
}

/// Ten to a power; one where the power is negative.
fn power_of_ten(power: i32) -> std::result::Result<i256, ArrowError> {
    let power = power.max(0) as u32;
    let ten = i256::from_i128(10);
    ten.checked_pow(power).ok_or_else(|| ArrowError::ArithmeticOverflow(format!("10 to the power {power}")))
}

fn overflow(left: &dyn Array, at: usize, right: &dyn Array, by: usize) -> ArrowError {
    let show =
        |array: &dyn Array, row| arrow::util::display::array_value_to_string(array, row).unwrap_or_else(|_| "?".into());
    ArrowError::ArithmeticOverflow(format!("Overflow happened on: {} / {}", show(left, at), show(right, by)))
}
