//! A function that sees its rows sorted, so that the order in which they came leaves no trace: by value, or by the
//! ORDER BY of the call.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortColumn, SortOptions, concat, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature};

use super::recipe::Recipe;

/// A function of the batch engine over sorted rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Sorted {
    inner: Arc<AggregateUDF>,
    by_order: bool,
}

impl Sorted {
    /// Stands in for `inner`, with rows sorted by value.
    pub fn by_value(inner: Arc<AggregateUDF>) -> Self {
        Sorted { inner, by_order: false }
    }

    /// Stands in for `inner`, with rows sorted by the call's order, whatever order other calls beside it have.
    pub fn by_order(inner: Arc<AggregateUDF>) -> Self {
        Sorted { inner, by_order: true }
    }
}

impl AggregateUDFImpl for Sorted {
    as_inner!();

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.by_order {
            true => AggregateOrderSensitivity::SoftRequirement,
            false => AggregateOrderSensitivity::Insensitive,
        }
    }

    /// The rows are sorted whether or not they come so.
    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        if self.by_order { ReversedUDAF::NotSupported } else { ReversedUDAF::Identical }
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SortedRows::new(self.inner.clone(), &args, self.by_order)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |(at, field): (usize, &FieldRef)| {
            let item = Field::new_list_field(field.data_type().clone(), true);
            Field::new_list(format!("{}[{at}]", args.name), item, true).into()
        };
        let order = if self.by_order { args.ordering_fields } else { &[] };
        Ok(args.input_fields.iter().chain(order).enumerate().map(list).collect())
    }
}

/// Keeps the rows, and gives them sorted to a new accumulator whenever the result is wanted.
#[derive(Debug)]
struct SortedRows {
    recipe: Recipe,
    /// The arguments, then the order where the rows are sorted by that.
    columns: Vec<ArrayRef>,
    /// How these last columns are ordered; nothing where the rows are sorted by value.
    order: Option<Vec<SortOptions>>,
}

impl SortedRows {
    fn new(function: Arc<AggregateUDF>, args: &AccumulatorArgs, by_order: bool) -> Result<Self> {
        let mut types = args.expr_fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
        let mut order = Vec::new();
        if by_order {
            for key in args.order_bys {
                types.push(key.expr.data_type(args.schema)?);
                order.push(key.options);
            }
        }
        let columns = types.iter().map(new_empty_array).collect();
        // Rows that come in order need none.
        let recipe = Recipe::new(function, args, if by_order { &[] } else { args.order_bys })?;
        Ok(SortedRows { recipe, columns, order: by_order.then_some(order) })
    }

    fn add(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (column, more) in self.columns.iter_mut().zip(values) {
            *column = concat(&[column.as_ref(), more.as_ref()])?;
        }
        Ok(())
    }

    /// The arguments in order.
    fn sorted(&self) -> Result<Vec<ArrayRef>> {
        let (args, order) = self.columns.split_at(self.columns.len() - self.order.as_ref().map_or(0, Vec::len));
        let key = |(c, options): (&ArrayRef, Option<SortOptions>)| SortColumn { values: c.clone(), options };
        let keys: Vec<SortColumn> = match &self.order {
            // Rows of a call without an order are taken as they come.
            Some(options) if options.is_empty() => return Ok(args.to_vec()),
            Some(options) => order.iter().zip(options.iter().copied().map(Some)).map(key).collect(),
            None => args.iter().map(|column| (column, None)).map(key).collect(),
        };
        let order = lexsort_to_indices(&keys, None)?;
        Ok(args.iter().map(|c| take(c, &order, None)).collect::<Result<_, _>>()?)
    }
}

impl Accumulator for SortedRows {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values)
    }

    /// Frames slide forward: what leaves is what came first.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let gone = values[0].len();
        for column in &mut self.columns {
            *column = column.slice(gone, column.len() - gone);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.recipe.fresh()?;
        accumulator.update_batch(&self.sorted()?)?;
        accumulator.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |column: &ArrayRef| {
            let item = Arc::new(Field::new_list_field(column.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([column.len()]);
            ScalarValue::List(Arc::new(ListArray::new(item, offsets, column.clone(), None)))
        };
        Ok(self.columns.iter().map(list).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let values: Vec<ArrayRef> = states.iter().map(|s| s.as_list::<i32>().value(row)).collect();
            self.add(&values)?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.columns.iter().map(|c| c.get_array_memory_size()).sum::<usize>()
    }
}
