//! How long texts and bytes are: the batch engine's functions take texts only.

use std::sync::Arc;

use arrow::array::{AsArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    TypeSignatureClass,
};

/// A function that measures texts, and bytes too.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Measured {
    inner: Arc<ScalarUDF>,
    signature: Signature,
    /// What there is of it in a byte.
    per_byte: i32,
}

impl Measured {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>, per_byte: i32) -> Self {
        let bytes = TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Binary)]);
        let of = vec![bytes, inner.signature().type_signature.clone()];
        let signature = Signature::new(TypeSignature::OneOf(of), inner.signature().volatility);
        Measured { inner, signature, per_byte }
    }
}

impl ScalarUDFImpl for Measured {
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
        match types {
            [DataType::Binary] => Ok(DataType::Int32),
            types => self.inner.return_type(types),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [bytes] = args.args.as_slice() else { return self.inner.invoke_with_args(args) };
        // A bare NULL is no text, and has no length.
        if bytes.data_type() == DataType::Null {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(args.return_type())?));
        }
        if bytes.data_type() != DataType::Binary {
            return self.inner.invoke_with_args(args);
        }
        let bytes = bytes.to_array(args.number_rows)?;
        let length = |bytes: &[u8]| i32::try_from(bytes.len()).unwrap_or(i32::MAX).saturating_mul(self.per_byte);
        let lengths: Int32Array = bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(length)).collect();
        Ok(ColumnarValue::Array(Arc::new(lengths)))
    }
}
