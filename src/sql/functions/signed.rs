//! Functions that count elements, with signed results.
//!
//! Postgres knows no unsigned numbers. The batch engine counts elements with them: two fewer than one element was out of
//! range, and a quotient with such a count no whole number.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// A function whose counts are BIGINT.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Signed {
    inner: Arc<ScalarUDF>,
}

impl Signed {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Signed { inner }
    }
}

impl ScalarUDFImpl for Signed {
    as_inner_but_type!();

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(signed(self.inner.return_type(types)?))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let unsigned = self.inner.return_type(&types)?;
        let result = signed(unsigned.clone());
        args.return_field = Arc::new(args.return_field.as_ref().clone().with_data_type(unsigned));
        Ok(match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(counts) => ColumnarValue::Array(cast(&counts, &result)?),
            ColumnarValue::Scalar(count) => ColumnarValue::Scalar(count.cast_to(&result)?),
        })
    }
}

/// The signed type in the place of an unsigned one, also within lists.
fn signed(data_type: DataType) -> DataType {
    match data_type {
        DataType::UInt64 => DataType::Int64,
        DataType::List(element) => {
            let element_type = signed(element.data_type().clone());
            DataType::List(Arc::new(Field::clone(&element).with_data_type(element_type)))
        }
        other => other,
    }
}
