//! A chain of operators as few functions: `a + b - c + d`, however long, is one of four operands.
//!
//! ```text
//! ((a + b) - c) + d     add_subtract_add(a, b, c, d)
//! ((1 + 2) + a) + b     add(add(1, 2), a, b)            constants are left to be folded
//! ((f + g) + a) + b     add(f + g + a, b)               f and g floats, whose own operator is right
//! ```
//!
//! A tree of functions is typed and named anew at each of its levels, which for a chain would be the cube of its length.
//! The walk goes down the left side once, and up again with the types that it found.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF};

use super::arithmetic::{Arithmetic, Operation};
use super::checked;

/// Whether an operator can be part of a chain.
pub fn is_link(operator: Operator) -> bool {
    matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
}

/// The operators at and below this one on its left side, checked, and their operands.
///
/// # Errors
/// As [`checked`].
pub fn chained(last: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut links = vec![(last.op, *last.right)];
    let mut first = *last.left;
    while let Expr::BinaryExpr(link) = first {
        if !is_link(link.op) {
            first = Expr::BinaryExpr(link);
            break;
        }
        links.push((link.op, *link.right));
        first = *link.left;
    }
    let first = checked(first, schema)?;
    let mut transformed = first.transformed;
    let mut left_type = first.data.get_type(schema).ok();
    let mut chain = Chain::of(first.data);
    for (operator, right) in links.into_iter().rev() {
        let right = checked(right, schema)?;
        let right_type = right.data.get_type(schema).ok();
        let types: Option<(DataType, DataType)> = left_type.zip(right_type);
        let operation = types.as_ref().and_then(|(left, right)| Operation::checked(operator, left, right));
        transformed |= right.transformed || operation.is_some();
        chain = match operation {
            Some(operation) => chain.with(operation, right.data),
            None => Chain::of(Expr::BinaryExpr(BinaryExpr::new(chain.end().into(), operator, right.data.into()))),
        };
        left_type =
            types.and_then(|(left, right)| BinaryTypeCoercer::new(&left, &operator, &right).get_result_type().ok());
    }
    let expr = chain.end();
    Ok(if transformed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// Operands, and the operations between them.
struct Chain {
    operands: Vec<Expr>,
    operations: Vec<Operation>,
    is_constant: bool,
}

impl Chain {
    fn of(operand: Expr) -> Self {
        let is_constant = matches!(operand, Expr::Literal(..));
        Chain { operands: vec![operand], operations: Vec::new(), is_constant }
    }

    fn with(mut self, operation: Operation, operand: Expr) -> Self {
        if self.is_constant && !matches!(operand, Expr::Literal(..)) {
            self = Chain::of(self.end());
        }
        self.operations.push(operation);
        self.operands.push(operand);
        self
    }

    fn end(mut self) -> Expr {
        if self.operations.is_empty() {
            return self.operands.pop().expect("a chain begins with an operand");
        }
        let func = Arc::new(ScalarUDF::from(Arithmetic::new(self.operations)));
        Expr::ScalarFunction(ScalarFunction { func, args: self.operands })
    }
}
