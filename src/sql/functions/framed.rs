//! Any aggregate over any frame.
//!
//! A frame that slides takes rows at its end and loses them at its start. Few accumulators of the batch engine can lose
//! rows, and not all of these come back to the bits that they had. The others are replayed: the frame's rows are kept,
//! and given to a new accumulator whenever the result is wanted.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{SortOptions, concat};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion::physical_expr::PhysicalSortExpr;

use super::extreme_nested::ExtremeNested;
use super::recipe::Recipe;
use super::{FLOATS, SORTED};
use crate::operators::moments::Statistic;

/// An aggregate as a window function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Framed {
    inner: Arc<AggregateUDF>,
}

impl Framed {
    /// Stands in for `inner` in a window.
    pub fn over(inner: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
        let is_framed = (inner.inner().as_ref() as &dyn Any).is::<Framed>();
        if is_framed { inner } else { Arc::new(AggregateUDF::from(Framed { inner })) }
    }

    /// Whether the function's own accumulators lose rows without a trace.
    fn slides(&self) -> bool {
        let name = self.inner.name();
        name == "count"
            || FLOATS.iter().any(|(float, _)| *float == name)
            || SORTED.contains(&name)
            || Statistic::ALL.iter().any(|(statistic, _)| *statistic == name)
    }

    /// The order of the rows: that in which they come, but DISTINCT values come in their own.
    fn order(&self, args: &AccumulatorArgs) -> Vec<PhysicalSortExpr> {
        let options = SortOptions { descending: false, nulls_first: false };
        match (self.inner.name(), args.exprs.first()) {
            ("array_agg" | "string_agg", Some(value)) if args.is_distinct && args.order_bys.is_empty() => {
                vec![PhysicalSortExpr { expr: value.clone(), options }]
            }
            _ => args.order_bys.to_vec(),
        }
    }

    /// MIN or MAX of lists or structs, which the batch engine compares in part only; nothing where this is not that.
    fn extreme_nested(&self, args: &AccumulatorArgs, slides: bool) -> Option<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type();
        let max = match self.inner.name() {
            "min" => false,
            "max" => true,
            _ => return None,
        };
        let extreme = ExtremeNested::new(data_type, max, slides)?;
        Some(Box::new(extreme))
    }
}

impl AggregateUDFImpl for Framed {
    as_inner!();

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let order = self.order(&args);
        let args = AccumulatorArgs { order_bys: &order, ..args };
        match self.extreme_nested(&args, false) {
            Some(extreme) => Ok(extreme),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let order = self.order(&args);
        let args = AccumulatorArgs { order_bys: &order, ..args };
        if let Some(extreme) = self.extreme_nested(&args, true) {
            return Ok(extreme);
        }
        let replayed = Replayed::new(self.inner.clone(), &args)?;
        if self.slides() {
            let own = self.inner.create_sliding_accumulator(args)?;
            if own.supports_retract_batch() {
                return Ok(own);
            }
        }
        Ok(Box::new(replayed))
    }
}

/// The rows of a frame.
#[derive(Debug)]
struct Replayed {
    recipe: Recipe,
    /// The arguments as they came, the oldest first.
    parts: VecDeque<Vec<ArrayRef>>,
}

impl Replayed {
    fn new(function: Arc<AggregateUDF>, args: &AccumulatorArgs) -> Result<Self> {
        Ok(Replayed { recipe: Recipe::new(function, args, args.order_bys)?, parts: VecDeque::new() })
    }

    /// A new accumulator over all rows, given as one batch: its result does not depend on how they came.
    fn replay(&self) -> Result<Box<dyn Accumulator>> {
        let mut accumulator = self.recipe.fresh()?;
        if let Some(first) = self.parts.front() {
            let column = |at: usize| {
                let parts: Vec<&dyn Array> = self.parts.iter().map(|part| part[at].as_ref()).collect();
                concat(&parts)
            };
            accumulator.update_batch(&(0..first.len()).map(column).collect::<Result<Vec<_>, _>>()?)?;
        }
        Ok(accumulator)
    }
}

impl Accumulator for Replayed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !values[0].is_empty() {
            self.parts.push_back(values.to_vec());
        }
        Ok(())
    }

    /// Frames slide forward: what leaves is what came first.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = values[0].len();
        while let Some(part) = self.parts.front_mut().filter(|_| gone > 0) {
            let length = part[0].len();
            if length > gone {
                part.iter_mut().for_each(|column| *column = column.slice(gone, length - gone));
                break;
            }
            gone -= length;
            self.parts.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.replay()?.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.replay()?.state()
    }

    /// A frame's rows come as rows.
    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        datafusion::common::internal_err!("the rows of a frame are not merged")
    }

    fn size(&self) -> usize {
        let columns = self.parts.iter().flatten();
        size_of::<Self>() + columns.map(|column| column.get_array_memory_size()).sum::<usize>()
    }
}
