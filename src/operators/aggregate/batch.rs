//! A function of the batch engine, run over the rows of one group.
//!
//! The batch engine's own accumulator gets the rows in the order that the batch query would give them, so that the view
//! is the batch result by construction, for whatever function there is.

use std::fmt;

use arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

/// Which rows of the ordered group a function looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// The first so many.
    First(usize),
    /// The last so many.
    Last(usize),
}

/// A call of a function of the batch engine.
pub struct BatchCall {
    name: String,
    aggregate: AggregateFunctionExpr,
    arguments: Vec<Option<ScalarValue>>,
    part: Part,
    skips_nulls: bool,
}

impl BatchCall {
    /// A call of `aggregate`, of whose arguments some are constant, over a part of the rows. With `skips_nulls`, rows
    /// whose first argument is NULL are none.
    pub fn new(
        name: String,
        aggregate: AggregateFunctionExpr,
        arguments: Vec<Option<ScalarValue>>,
        part: Part,
        skips_nulls: bool,
    ) -> Self {
        BatchCall { name, aggregate, arguments, part, skips_nulls }
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which rows it looks at.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Whether rows whose first argument is NULL are none.
    pub fn skips_nulls(&self) -> bool {
        self.skips_nulls
    }

    /// Whether the function also takes the values of the order, after its arguments.
    pub fn takes_order(&self) -> bool {
        !self.aggregate.order_bys().is_empty()
    }

    /// The arguments as text, with the constant ones in their places.
    pub fn show_arguments(&self, columns: Vec<String>) -> Vec<String> {
        let mut columns = columns.into_iter();
        let show = |argument: &Option<ScalarValue>| match argument {
            Some(text @ (ScalarValue::Utf8(_) | ScalarValue::LargeUtf8(_))) => format!("'{text}'"),
            Some(constant) => constant.to_string(),
            None => columns.next().unwrap_or_default(),
        };
        self.arguments.iter().map(show).collect()
    }

    /// The function's value for some rows: its arguments without the constant ones, and the order where it takes that.
    ///
    /// # Errors
    /// What the function finds wrong with the values.
    pub fn evaluate(
        &self,
        arguments: &[ArrayRef],
        order: &[ArrayRef],
        rows: usize,
    ) -> Result<ScalarValue, DataFusionError> {
        let mut accumulator = self.aggregate.create_accumulator()?;
        if rows > 0 {
            let mut columns = arguments.iter();
            let mut values = Vec::with_capacity(self.arguments.len() + order.len());
            for argument in &self.arguments {
                values.push(match argument {
                    Some(constant) => constant.to_array_of_size(rows)?,
                    None => columns.next().expect("each argument that is not constant has a column").clone(),
                });
            }
            if self.takes_order() {
                values.extend_from_slice(order);
            }
            accumulator.update_batch(&values)?;
        }
        accumulator.evaluate()
    }
}

/// Tells everything that tells two calls over the same columns apart.
impl fmt::Debug for BatchCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let constants: Vec<_> = self.arguments.iter().map(|a| a.as_ref().map(|a| (a.data_type(), a))).collect();
        let (distinct, ignores_nulls) = (self.aggregate.is_distinct(), self.aggregate.ignore_nulls());
        write!(f, "{} {constants:?} {:?} {distinct} {ignores_nulls} {}", self.name, self.part, self.takes_order())
    }
}
