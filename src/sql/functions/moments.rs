//! Variance, covariance, correlation and regression as aggregate functions, on exact sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature};

use crate::error::Error;
use crate::operators::moments::{Moments, Statistic};

/// A statistic of the batch engine, computed from exact sums.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactStatistic {
    inner: Arc<AggregateUDF>,
    statistic: Statistic,
}

impl ExactStatistic {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<AggregateUDF>, statistic: Statistic) -> Self {
        ExactStatistic { inner, statistic }
    }
}

impl AggregateUDFImpl for ExactStatistic {
    as_inner!();
    without_order!();

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let values = if args.is_distinct { Values::Distinct(BTreeMap::new()) } else { Values::All(Moments::default()) };
        Ok(Box::new(StatisticOf { statistic: self.statistic, values }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Field::new(format!("{}[sums]", args.name), DataType::Binary, true).into()])
    }
}

#[derive(Debug)]
struct StatisticOf {
    statistic: Statistic,
    values: Values,
}

/// What is kept of the values.
#[derive(Debug)]
enum Values {
    All(Moments),
    /// How often each value or pair is there, by its bits: a window's frame may drop one of several.
    Distinct(BTreeMap<(u64, Option<u64>), i64>),
}

impl Values {
    fn add(&mut self, first: f64, second: Option<f64>, weight: i64) {
        match (self, second) {
            (Values::All(moments), None) => moments.add(first, weight),
            (Values::All(moments), Some(second)) => moments.add_pair(first, second, weight),
            (Values::Distinct(values), _) => {
                let value = (first.to_bits(), second.map(f64::to_bits));
                let count = values.entry(value).or_insert(0);
                *count += weight;
                if *count == 0 {
                    values.remove(&value);
                }
            }
        }
    }

    fn add_all(&mut self, columns: &[ArrayRef], weight: i64) -> Result<()> {
        let columns = columns.iter().map(|c| cast(c, &DataType::Float64)).collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&Float64Array> = columns.iter().map(|c| c.as_primitive::<Float64Type>()).collect();
        for row in 0..columns[0].len() {
            if columns.iter().all(|c| c.is_valid(row)) {
                self.add(columns[0].value(row), columns.get(1).map(|c| c.value(row)), weight);
            }
        }
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Values::All(moments) => moments.to_bytes(),
            Values::Distinct(values) => {
                let words = |(first, second): &(u64, Option<u64>)| {
                    [*first, u64::from(second.is_some()), second.unwrap_or_default()]
                };
                values.keys().flat_map(words).flat_map(u64::to_le_bytes).collect()
            }
        }
    }

    fn merge(&mut self, bytes: &[u8]) -> Option<()> {
        match self {
            Values::All(moments) => moments.merge(bytes),
            Values::Distinct(values) => {
                let (words, _) = bytes.as_chunks::<8>();
                for word in words.chunks(3) {
                    let word = |at: usize| word.get(at).map(|bytes| u64::from_le_bytes(*bytes));
                    let second = word(2)?;
                    *values.entry((word(0)?, (word(1)? == 1).then_some(second))).or_insert(0) += 1;
                }
                Some(())
            }
        }
    }

    fn moments(&self) -> Moments {
        match self {
            Values::All(moments) => moments.clone(),
            Values::Distinct(values) => {
                let mut moments = Moments::default();
                for (first, second) in values.keys() {
                    match second {
                        None => moments.add(f64::from_bits(*first), 1),
                        Some(second) => moments.add_pair(f64::from_bits(*first), f64::from_bits(*second), 1),
                    }
                }
                moments
            }
        }
    }
}

impl Accumulator for StatisticOf {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.add_all(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.add_all(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let moments = self.values.moments();
        Ok(match self.statistic {
            Statistic::Count => ScalarValue::UInt64(Some(moments.count() as u64)),
            statistic => ScalarValue::Float64(moments.value(statistic)),
        })
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.values.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            let merged = self.values.merge(bytes);
            merged.ok_or_else(|| Error::Internal(format!("{}: sums that are none", self.statistic.name())))?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.values {
                Values::All(moments) => moments.heap_bytes(),
                Values::Distinct(values) => values.len() * 2 * size_of::<((u64, Option<u64>), i64)>(),
            }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::AggregateUDFImpl;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::sql::context::session_state;

    const VALUES: &str = "(VALUES (1.5, 2, 1), (2.25, 2, 1), (-3.0, 7, 1), (-3.0, 7, 2), (8.125, 1, 2), (NULL, 4, 2), \
                          (0.1, NULL, 2), (1e3, 12, 2)) AS t (y, x, g)";

    async fn floats(context: &SessionContext, query: &str) -> Vec<Option<f64>> {
        let batches = context.sql(query).await.unwrap().collect().await.unwrap();
        let column = |column: &ArrayRef| cast(column, &DataType::Float64).unwrap();
        let of = |column: ArrayRef| column.as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
        batches.iter().flat_map(|batch| batch.columns().iter().map(column).flat_map(of)).collect()
    }

    /// The batch engine's own answers, within rounding: of everything, of groups, in several threads, in sliding frames.
    #[test]
    fn results_are_those_of_the_batch_engine() {
        let own = SessionContext::new_with_state(session_state(2, Arc::default()).unwrap());
        let stock = SessionContext::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (name, statistic) in Statistic::ALL {
            let arguments = if name.starts_with("var") || name.starts_with("std") { "y" } else { "y, x" };
            let call = format!("{name}(CAST({}", arguments.replace(", ", " AS DOUBLE), CAST(")) + " AS DOUBLE))";
            let queries = [
                format!("SELECT {call} FROM {VALUES}"),
                format!("SELECT {call} FROM {VALUES} WHERE x > 99"),
                format!("SELECT {call} AS c FROM {VALUES} GROUP BY g ORDER BY g"),
                format!(
                    "SELECT {call} OVER (ORDER BY g, x, y ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS c FROM {VALUES} \
                     WHERE x IS NOT NULL ORDER BY g, x, y"
                ),
            ];
            for query in queries {
                let (got, expected) =
                    runtime.block_on(async { (floats(&own, &query).await, floats(&stock, &query).await) });
                assert_eq!(got.len(), expected.len());
                for (got, expected) in got.into_iter().zip(expected) {
                    let near = match (got, expected) {
                        (Some(got), Some(expected)) => (got - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                        (got, expected) => got == expected,
                    };
                    // What has no spread, the batch engine may give a little by rounding.
                    assert!(near, "{statistic:?}: {got:?} for {expected:?}: {query}");
                }
            }
        }
    }

    #[test]
    fn distinct_values_count_once_also_in_parts() {
        let inner = datafusion::functions_aggregate::variance::var_pop_udaf();
        let function = ExactStatistic::new(inner, Statistic::VariancePopulation);
        assert_eq!(function.name(), "var_pop");
        let make = || StatisticOf { statistic: function.statistic, values: Values::Distinct(BTreeMap::new()) };
        let array = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let (mut first, mut second, mut whole) = (make(), make(), make());
        first.update_batch(&[array(&[1.0, 1.0, 3.0])]).unwrap();
        second.update_batch(&[array(&[3.0, 8.0])]).unwrap();
        second.retract_batch(&[array(&[8.0])]).unwrap();
        for part in [&mut first, &mut second] {
            let state = part.state().unwrap()[0].to_array().unwrap();
            whole.merge_batch(&[state]).unwrap();
        }
        assert_eq!(whole.evaluate().unwrap(), ScalarValue::from(1.0));
    }
}
