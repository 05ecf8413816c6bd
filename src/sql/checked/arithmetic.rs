//! `+`, `-`, `*` of integers and wide decimals, and `/` of decimals, as functions.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use super::decimals::{digits_checked, quotient};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `a / b`, of decimals.
    Divide,
    /// `- a`, of integers.
    Negate,
}

impl Operation {
    /// The operation that an operator is to be over these types; `None` where the batch engine's own is right.
    pub fn checked(operator: Operator, left: &DataType, right: &DataType) -> Option<Operation> {
        let operation = match operator {
            Operator::Plus => Operation::Add,
            Operator::Minus => Operation::Subtract,
            Operator::Multiply => Operation::Multiply,
            Operator::Divide => Operation::Divide,
            _ => return None,
        };
        let fits = left.is_integer() && left == right && operation != Operation::Divide;
        let wide = match (digits(left), digits(right)) {
            (Some((p, s, max)), Some((q, t, other))) if max == other => match operation {
                Operation::Divide => true,
                Operation::Multiply => p + q + 1 > max,
                _ => s.max(t) + (p - s).max(q - t) + 1 > max,
            },
            _ => false,
        };
        (fits || wide).then_some(operation)
    }

    /// The operator of two operands.
    pub fn operator(self) -> Option<Operator> {
        Some(match self {
            Operation::Add => Operator::Plus,
            Operation::Subtract => Operator::Minus,
            Operation::Multiply => Operator::Multiply,
            Operation::Divide => Operator::Divide,
            Operation::Negate => return None,
        })
    }
}

/// Precision, scale and greatest precision of a decimal type.
fn digits(data_type: &DataType) -> Option<(i32, i32, i32)> {
    Some(match data_type {
        DataType::Decimal32(p, s) => (i32::from(*p), i32::from(*s), 9),
        DataType::Decimal64(p, s) => (i32::from(*p), i32::from(*s), 18),
        DataType::Decimal128(p, s) => (i32::from(*p), i32::from(*s), 38),
        DataType::Decimal256(p, s) => (i32::from(*p), i32::from(*s), 76),
        _ => return None,
    })
}

/// One operation as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    /// Which one.
    pub operation: Operation,
    signature: Signature,
}

impl Arithmetic {
    /// The function of an operation.
    pub fn new(operation: Operation) -> Self {
        let operands = if operation == Operation::Negate { 1 } else { 2 };
        Arithmetic { operation, signature: Signature::any(operands, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "add",
            Operation::Subtract => "subtract",
            Operation::Multiply => "multiply",
            Operation::Divide => "divide",
            Operation::Negate => "negate",
        }
    }

    /// The name of a column stays what the operator made of it. Operands are named where they are: a copy of each, at each
    /// level of a long sum, would be a cube of its length.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match (self.operation.operator(), args) {
            (Some(operator), [left, right]) => format!("{} {operator} {}", left.schema_name(), right.schema_name()),
            _ => format!("(- {})", args[0].schema_name()),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.operation.operator(), types) {
            (Some(operator), [left, right]) => BinaryTypeCoercer::new(left, &operator, right).get_result_type(),
            _ => Ok(types[0].clone()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = match args.args.as_slice() {
            [left, right] => [left, right],
            [value] => return negated(value),
            _ => unreachable!("the signature says one operand or two"),
        };
        let result = match self.operation {
            Operation::Add => apply(left, right, numeric::add)?,
            Operation::Subtract => apply(left, right, numeric::sub)?,
            Operation::Multiply => apply(left, right, numeric::mul)?,
            _ => apply(left, right, |left, right| quotient(left, right, args.return_type()))?,
        };
        digits_checked(&result)?;
        Ok(result)
    }
}

fn negated(value: &ColumnarValue) -> Result<ColumnarValue> {
    let negate = |array: &ArrayRef| numeric::neg(array.as_ref());
    Ok(match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(negate(array)?),
        ColumnarValue::Scalar(scalar) => {
            let array = negate(&scalar.to_array()?)?;
            ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?)
        }
    })
}
