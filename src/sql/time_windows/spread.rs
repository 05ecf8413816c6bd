//! A list of moments at equal distances. No query names the function.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::ROW_WINDOWS_MAX;

const NAME: &str = "moments_between";

/// The moments from the first to the last one, which is one of them, at a distance in the unit of their type.
pub(super) fn spread(first: Expr, last: Expr, step: i64, data_type: &DataType) -> Expr {
    debug_assert!(matches!(data_type, DataType::Timestamp(..)));
    SPREAD.call(vec![first, last, lit(step)])
}

/// The first moment of the list that an expression makes, if it is one that [`spread`] made.
pub fn first_of_spread(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Alias(alias) => first_of_spread(&alias.expr),
        Expr::ScalarFunction(call) if call.func.name() == NAME => call.args.first(),
        _ => None,
    }
}

// One, so that equal expressions are equal.
static SPREAD: LazyLock<ScalarUDF> =
    LazyLock::new(|| Spread { signature: Signature::any(3, Volatility::Immutable) }.into());

#[derive(Debug, PartialEq, Eq, Hash)]
struct Spread {
    signature: Signature,
}

impl ScalarUDFImpl for Spread {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, last, DataType::Int64] if first == last => Ok(DataType::List(item(first))),
            _ => plan_err!("{NAME} of {types:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = ColumnarValue::values_to_arrays(&args.args)?;
        let [first, last, step] = args.as_slice() else { return plan_err!("{NAME} of {} arguments", args.len()) };
        let data_type = first.data_type();
        let numbers = |array: &ArrayRef| -> Result<Int64Array> {
            Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        let (first, last, step) = (numbers(first)?, numbers(last)?, numbers(step)?);
        let (mut values, mut lengths) = (Vec::new(), Vec::with_capacity(first.len()));
        for row in 0..first.len() {
            let before = values.len();
            if first.is_valid(row) && last.is_valid(row) && step.value(row) > 0 {
                let (from, to, step) = (i128::from(first.value(row)), i128::from(last.value(row)), step.value(row));
                if (to - from) / i128::from(step) >= i128::from(ROW_WINDOWS_MAX) {
                    return exec_err!("a row is in over {ROW_WINDOWS_MAX} windows");
                }
                values.extend((from..=to).step_by(step.unsigned_abs() as usize).map(|moment| moment as i64));
            }
            lengths.push(values.len() - before);
        }
        let values = cast(&Int64Array::from(values), data_type)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item(data_type), offsets, values, None)?)))
    }
}

fn item(data_type: &DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(data_type.clone(), true))
}
