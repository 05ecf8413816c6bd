//! `to_timestamp` of doubles, which fails where there is no such timestamp: the batch engine's takes the nearest.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Seconds before and after 1970 that nanoseconds in 64 bits can count.
const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

/// A function of seconds that looks at their range.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ranged {
    inner: Arc<ScalarUDF>,
}

impl Ranged {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Ranged { inner }
    }
}

impl ScalarUDFImpl for Ranged {
    as_inner!();

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for arg in args.args.iter().filter(|arg| arg.data_type() == DataType::Float64) {
            let seconds = arg.to_array(args.number_rows)?;
            let outside = |seconds: &f64| seconds.is_nan() || seconds.abs() >= SECONDS_MAX;
            if let Some(seconds) = seconds.as_primitive::<Float64Type>().iter().flatten().find(outside) {
                return exec_err!("{}({seconds}) is out of range", self.name());
            }
        }
        self.inner.invoke_with_args(args)
    }
}
