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

    fn name(self) -> &'static str {
        match self {
            Operation::Add => "add",
            Operation::Subtract => "subtract",
            Operation::Multiply => "multiply",
            Operation::Divide => "divide",
            Operation::Negate => "negate",
        }
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

/// Operations in a row as one function: `a + b - c` is that of `+` and `-` over three operands. One of each, within each
/// other, would be typed and named again at every level of a long sum.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    operations: Vec<Operation>,
    name: String,
    signature: Signature,
}

impl Arithmetic {
    /// The function of operations, the innermost first. [`Operation::Negate`] stands alone.
    pub fn new(operations: Vec<Operation>) -> Self {
        let operands = if operations == [Operation::Negate] { 1 } else { operations.len() + 1 };
        // The name tells operations in another order apart: texts of expressions must.
        let name = match operations.iter().all(|operation| *operation == operations[0]) {
            true => operations[0].name().to_string(),
            false => operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join("_"),
        };
        Arithmetic { operations, name, signature: Signature::any(operands, Volatility::Immutable) }
    }

    /// The operators between the operands; `None` for [`Operation::Negate`].
    pub fn operators(&self) -> Option<Vec<Operator>> {
        self.operations.iter().map(|operation| operation.operator()).collect()
    }
}

/// The type of the operation over operands of two types.
fn result_type(operation: Operation, left: &DataType, right: &DataType) -> Result<DataType> {
    match operation.operator() {
        Some(operator) => BinaryTypeCoercer::new(left, &operator, right).get_result_type(),
        None => Ok(left.clone()),
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        &self.name
    }

    /// The name of a column stays what the operators made of it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let Some(operators) = self.operators() else { return Ok(format!("(- {})", args[0].schema_name())) };
        let mut name = args[0].schema_name().to_string();
        for (operator, arg) in operators.iter().zip(&args[1..]) {
            name.push_str(&format!(" {operator} {}", arg.schema_name()));
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let steps = self.operations.iter().zip(&types[1..]);
        let first = types[0].clone();
        steps.into_iter().try_fold(first, |left, (operation, right)| result_type(*operation, &left, right))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = args.args.into_iter();
        let first = operands.next().expect("the signature says one operand or more");
        if self.operations == [Operation::Negate] {
            return negated(&first);
        }
        self.operations
            .iter()
            .zip(operands)
            .try_fold(first, |left, (operation, right)| operated(*operation, &left, &right))
    }
}

/// The result of one operation of two operands.
fn operated(operation: Operation, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
    let result = match operation {
        Operation::Add => apply(left, right, numeric::add)?,
        Operation::Subtract => apply(left, right, numeric::sub)?,
        Operation::Multiply => apply(left, right, numeric::mul)?,
        _ => {
            let output = result_type(operation, &left.data_type(), &right.data_type())?;
            apply(left, right, |left, right| quotient(left, right, &output))?
        }
    };
    digits_checked(&result)?;
    Ok(result)
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
