//! Accumulators for exact sums and averages of floats.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use crate::operators::exact::ExactSum;

/// The sum or average of floats, rounded once at the end.
#[derive(Debug, Default)]
pub struct ExactFloats {
    sum: ExactSum,
    count: i64,
    average: bool,
}

impl ExactFloats {
    /// An average, or else a sum.
    pub fn new(average: bool) -> Self {
        ExactFloats { average, ..Self::default() }
    }

    fn add_all(&mut self, values: &ArrayRef, weight: i64) -> Result<()> {
        let values = cast(values, &DataType::Float64)?;
        let values: &Float64Array = values.as_primitive();
        values.iter().flatten().for_each(|value| self.sum.add(value, weight));
        self.count += weight * (values.len() - values.null_count()) as i64;
        Ok(())
    }

    fn result(&self) -> ScalarValue {
        let result = match (self.count, self.average) {
            (0, _) => None,
            (_, false) => Some(self.sum.value()),
            (count, true) => Some(self.sum.value() / count as f64),
        };
        ScalarValue::Float64(result)
    }
}

/// Floats that add up to a sum without rounding. A sum that is not finite is itself the only one.
fn terms(sum: &ExactSum) -> Vec<ScalarValue> {
    let mut rest = sum.clone();
    let mut terms = Vec::new();
    loop {
        let value = rest.value();
        if value == 0.0 {
            return terms;
        }
        // Finite terms may add up to more than a float can hold.
        let term = if rest.is_finite() { value.clamp(f64::MIN, f64::MAX) } else { value };
        terms.push(ScalarValue::from(term));
        if !rest.is_finite() {
            return terms;
        }
        rest.add(term, -1);
    }
}

impl Accumulator for ExactFloats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.result())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let terms = ScalarValue::new_list_nullable(&terms(&self.sum), &DataType::Float64);
        Ok(vec![ScalarValue::List(terms), ScalarValue::from(self.count)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for terms in states[0].as_list::<i32>().iter().flatten() {
            terms.as_primitive::<Float64Type>().iter().flatten().for_each(|term| self.sum.add(term, 1));
        }
        self.count += states[1].as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sum.heap_bytes()
    }
}

/// The sum or average of distinct floats; distinct by bits.
#[derive(Debug)]
pub struct DistinctFloats {
    average: bool,
    /// How often each value is there: a window's frame may drop one of several.
    values: BTreeMap<u64, i64>,
}

impl DistinctFloats {
    /// An average, or else a sum.
    pub fn new(average: bool) -> Self {
        DistinctFloats { average, values: BTreeMap::new() }
    }

    fn add_all(&mut self, values: &ArrayRef, weight: i64) -> Result<()> {
        let values = cast(values, &DataType::Float64)?;
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            *self.values.entry(value.to_bits()).or_insert(0) += weight;
        }
        self.values.retain(|_, count| *count != 0);
        Ok(())
    }
}

impl Accumulator for DistinctFloats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut sum = ExactFloats::new(self.average);
        for bits in self.values.keys() {
            sum.sum.add(f64::from_bits(*bits), 1);
            sum.count += 1;
        }
        Ok(sum.result())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.keys().map(|b| ScalarValue::from(f64::from_bits(*b))).collect();
        let list = ScalarValue::new_list_nullable(&values, &DataType::Float64);
        Ok(vec![ScalarValue::List(list), ScalarValue::from(values.len() as i64)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.add_all(&values, 1))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.len() * 2 * size_of::<(u64, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sum_of_parts(parts: &[Vec<f64>]) -> ScalarValue {
        let mut whole = ExactFloats::default();
        for part in parts {
            let mut partial = ExactFloats::default();
            partial.update_batch(&[Arc::new(Float64Array::from(part.clone()))]).unwrap();
            let state: Vec<ArrayRef> = partial.state().unwrap().iter().map(|s| s.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        whole.evaluate().unwrap()
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let values = [1e308, 1e308, -1e308, 0.1, 1e-300, -1e308, 5e-324];
        let whole = sum_of_parts(&[values.to_vec()]);
        assert_eq!(whole, ScalarValue::from(0.1));
        assert_eq!(sum_of_parts(&[values[..2].to_vec(), values[2..4].to_vec(), values[4..].to_vec()]), whole);
        assert_eq!(sum_of_parts(&[vec![f64::INFINITY, 1.0], vec![2.0]]), ScalarValue::from(f64::INFINITY));
        assert_eq!(sum_of_parts(&[vec![], vec![]]), ScalarValue::Float64(None));
    }
}
