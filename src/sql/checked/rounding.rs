//! Casts of fractions to integers: a float to the nearest integer, half to even; a decimal half away from zero.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// Whether a cast has fractions to round.
pub fn cast_rounds(from: &DataType, to: &DataType) -> bool {
    to.is_integer() && (from.is_floating() || from.is_decimal())
}

/// Numbers without their fractions, of the same type or one of more room.
///
/// # Errors
/// When a decimal has no room for what it is rounded to.
pub fn rounded(values: &ArrayRef) -> Result<ArrayRef> {
    let to = match values.data_type() {
        DataType::Float64 => {
            let rounded: PrimitiveArray<Float64Type> = values.as_primitive::<Float64Type>().unary(f64::round_ties_even);
            return Ok(Arc::new(rounded));
        }
        DataType::Float32 => {
            let rounded: PrimitiveArray<Float32Type> = values.as_primitive::<Float32Type>().unary(f32::round_ties_even);
            return Ok(Arc::new(rounded));
        }
        DataType::Float16 => {
            let wide = arrow::compute::cast(values, &DataType::Float32)?;
            let rounded: PrimitiveArray<Float32Type> = wide.as_primitive::<Float32Type>().unary(f32::round_ties_even);
            return Ok(arrow::compute::cast(&(Arc::new(rounded) as ArrayRef), &DataType::Float32)?);
        }
        DataType::Decimal32(p, s) if *s > 0 => DataType::Decimal32(*p, 0),
        DataType::Decimal64(p, s) if *s > 0 => DataType::Decimal64(*p, 0),
        DataType::Decimal128(p, s) if *s > 0 => DataType::Decimal128(*p, 0),
        DataType::Decimal256(p, s) if *s > 0 => DataType::Decimal256(*p, 0),
        _ => return Ok(values.clone()),
    };
    // A scale of at least one leaves a digit for what is carried over.
    Ok(cast_with_options(values, &to, &strict())?)
}

fn strict() -> CastOptions<'static> {
    CastOptions { safe: false, format_options: FormatOptions::default() }
}

/// A cast to an integer type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RoundedCast {
    target: DataType,
    /// Whether what does not fit is NULL.
    tries: bool,
    name: String,
    signature: Signature,
}

impl RoundedCast {
    /// A cast to `target`; what does not fit is NULL where it `tries`.
    pub fn new(target: DataType, tries: bool) -> Self {
        let name = format!("{}round_to_{}", if tries { "try_" } else { "" }, target.to_string().to_lowercase());
        RoundedCast { target, tries, name, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RoundedCast {
    fn name(&self) -> &str {
        &self.name
    }

    /// A cast leaves the name of a column as it is.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = self.tries || args.arg_fields[0].is_nullable();
        Ok(Arc::new(Field::new(self.name(), self.target.clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let options = CastOptions { safe: self.tries, ..strict() };
        let cast =
            |array: &ArrayRef| -> Result<ArrayRef> { Ok(cast_with_options(&rounded(array)?, &self.target, &options)?) };
        match &args.args[0] {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(cast(array)?)),
            ColumnarValue::Scalar(scalar) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast(&scalar.to_array()?)?, 0)?))
            }
        }
    }
}
