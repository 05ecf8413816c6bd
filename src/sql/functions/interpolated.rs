//! `percentile_cont`, interpolated in full: the batch engine cuts the share between two values after six digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Documentation, Signature};

/// Stands in for `inner`, within a function that gives it all its rows at once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Interpolated {
    inner: Arc<AggregateUDF>,
}

impl Interpolated {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<AggregateUDF>) -> Self {
        Interpolated { inner }
    }
}

impl AggregateUDFImpl for Interpolated {
    as_inner!();

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let no_rows = RecordBatch::new_empty(Arc::new(args.schema.clone()));
        let share = args.exprs[1].evaluate(&no_rows)?.cast_to(&DataType::Float64, None)?;
        let (distinct, descending) =
            (args.is_distinct, args.order_bys.first().is_some_and(|key| key.options.descending));
        let data_type = args.expr_fields[0].data_type().clone();
        // What is wrong with the call, the function of the batch engine says.
        let inner = self.inner.accumulator(args)?;
        let ColumnarValue::Scalar(ScalarValue::Float64(Some(share))) = share else {
            return Ok(inner);
        };
        if !data_type.is_floating() {
            return Ok(inner);
        }
        Ok(Box::new(Between { share, distinct, descending, data_type, values: Vec::new() }))
    }
}

/// The values seen, of which one is shown that lies at a share of the way.
#[derive(Debug)]
struct Between {
    share: f64,
    distinct: bool,
    descending: bool,
    data_type: DataType,
    values: Vec<f64>,
}

impl Accumulator for Between {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = cast(&values[0], &DataType::Float64)?;
        self.values.extend(values.as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut values = self.values.clone();
        values.sort_unstable_by(f64::total_cmp);
        if self.distinct {
            values.dedup();
        }
        if self.descending {
            values.reverse();
        }
        let place = self.share * values.len().saturating_sub(1) as f64;
        let (below, above) = (values.get(place.floor() as usize), values.get(place.ceil() as usize));
        let value = below.zip(above).map(|(below, above)| match below == above {
            true => *below,
            false => below + (above - below) * place.fract(),
        });
        ScalarValue::Float64(value).cast_to(&self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.iter().map(|value| ScalarValue::from(*value)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        (0..lists.len()).try_for_each(|row| self.update_batch(&[lists.value(row)]))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }
}
