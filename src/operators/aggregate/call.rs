//! What an [`Aggregate`](super::Aggregate) computes: its calls, and how `EXPLAIN` shows them.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;

use super::batch::BatchCall;
use crate::operators::moments::Statistic;

/// An aggregate function and how it is kept.
#[derive(Debug, Clone)]
pub enum Function {
    /// Rows whose arguments are not NULL; all rows where there is no argument.
    Count,
    /// The sum.
    Sum,
    /// The average.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// Whether each value is true.
    BoolAnd,
    /// Whether a value is true.
    BoolOr,
    /// The bits that each value has.
    BitAnd,
    /// The bits that a value has.
    BitOr,
    /// The bits that an odd number of values has.
    BitXor,
    /// A variance, covariance, correlation or regression.
    Statistic(Statistic),
    /// Any function of the batch engine, run over the rows of a touched group.
    Batch(Arc<BatchCall>),
}

impl Function {
    /// The function of this name that has a state of its own.
    pub fn named(name: &str) -> Option<Function> {
        Some(match name {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "avg" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            "bool_and" => Function::BoolAnd,
            "bool_or" => Function::BoolOr,
            "bit_and" => Function::BitAnd,
            "bit_or" => Function::BitOr,
            "bit_xor" => Function::BitXor,
            other => Function::Statistic(Statistic::named(other)?),
        })
    }

    /// The statistic, if it is one.
    pub fn statistic(&self) -> Option<Statistic> {
        match self {
            Function::Statistic(statistic) => Some(*statistic),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Function::Count => "count",
            Function::Sum => "sum",
            Function::Avg => "avg",
            Function::Min => "min",
            Function::Max => "max",
            Function::BoolAnd => "bool_and",
            Function::BoolOr => "bool_or",
            Function::BitAnd => "bit_and",
            Function::BitOr => "bit_or",
            Function::BitXor => "bit_xor",
            Function::Statistic(statistic) => statistic.name(),
            Function::Batch(call) => call.name(),
        }
    }
}

/// One aggregate of an [`Aggregate`](super::Aggregate).
#[derive(Debug, Clone)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// Input columns of the arguments; constant ones of a [`Function::Batch`] are not among them.
    pub args: Vec<usize>,
    /// A boolean input column: only rows where it is true count.
    pub filter: Option<usize>,
    /// Whether equal values count once.
    pub distinct: bool,
    /// The order of the rows, by input columns; only of a [`Function::Batch`].
    pub order: Vec<(usize, SortOptions)>,
}

/// Order keys that are shown: a view's order goes on to every column, which says little.
const ORDER_KEYS_SHOWN: usize = 3;

impl Call {
    /// The call as it is shown over an input of these columns.
    pub fn show(&self, input: &Schema) -> impl fmt::Display {
        let name = |column: &usize| input.field(*column).name().clone();
        let mut arguments: Vec<String> = self.args.iter().map(name).collect();
        if let Function::Batch(call) = &self.function {
            arguments = call.show_arguments(arguments);
        } else if arguments.is_empty() {
            arguments.push("*".into());
        }
        let distinct = if self.distinct { "distinct " } else { "" };
        let mut text = format!("{}({distinct}{}", self.function.name(), arguments.join(", "));
        for (at, (column, options)) in self.order.iter().enumerate() {
            text.push_str(if at == 0 { " order by " } else { ", " });
            if at == ORDER_KEYS_SHOWN {
                text.push_str("...");
                break;
            }
            text.push_str(&name(column));
            text.push_str(if options.descending { " desc" } else { "" });
        }
        text.push(')');
        if matches!(&self.function, Function::Batch(call) if call.skips_nulls()) {
            text.push_str(" ignore nulls");
        }
        if let Some(filter) = &self.filter {
            text.push_str(" filter ");
            text.push_str(&name(filter));
        }
        text
    }
}
