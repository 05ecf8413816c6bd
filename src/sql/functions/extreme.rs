//! MIN and MAX of floats by the total order: `-NaN < -inf < ... < -0.0 < 0.0 < ... < inf < NaN`.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

/// An ordered bag of floats whose first or last is asked for.
#[derive(Debug)]
pub struct ExtremeFloat {
    data_type: DataType,
    max: bool,
    /// How often each value is there, by its place in the total order.
    values: BTreeMap<i64, i64>,
    /// Whether values may be taken away again; if not, only the extreme one is kept.
    retracts: bool,
}

impl ExtremeFloat {
    /// The greatest, or else the least, value of a float type.
    pub fn new(data_type: DataType, max: bool) -> Self {
        ExtremeFloat { data_type, max, values: BTreeMap::new(), retracts: false }
    }

    /// The same, of a window's frame, which also loses values.
    pub fn sliding(data_type: DataType, max: bool) -> Self {
        ExtremeFloat { retracts: true, ..Self::new(data_type, max) }
    }

    fn add_all(&mut self, values: &ArrayRef, weight: i64) -> Result<()> {
        match &self.data_type {
            DataType::Float16 => {
                let keys = values.as_primitive::<Float16Type>().iter().flatten().map(|v| i64::from(key16(v.to_bits())));
                self.add_keys(keys.collect(), weight);
            }
            DataType::Float32 => {
                let keys = values.as_primitive::<Float32Type>().iter().flatten().map(|v| i64::from(key32(v.to_bits())));
                self.add_keys(keys.collect(), weight);
            }
            _ => {
                let values = cast(values, &DataType::Float64)?;
                let keys = values.as_primitive::<Float64Type>().iter().flatten().map(|v| key64(v.to_bits()));
                self.add_keys(keys.collect(), weight);
            }
        }
        Ok(())
    }

    fn add_keys(&mut self, keys: Vec<i64>, weight: i64) {
        if self.retracts {
            for key in keys {
                let count = self.values.entry(key).or_insert(0);
                *count += weight;
                if *count == 0 {
                    self.values.remove(&key);
                }
            }
            return;
        }
        let found = if self.max { keys.into_iter().max() } else { keys.into_iter().min() };
        let present = self.values.keys().next().copied();
        let best = match (found, present) {
            (Some(a), Some(b)) => Some(if self.max { a.max(b) } else { a.min(b) }),
            (a, b) => a.or(b),
        };
        if best != present {
            self.values.clear();
            self.values.extend(best.map(|key| (key, 1)));
        }
    }

    fn result(&self) -> ScalarValue {
        let key = if self.max { self.values.keys().next_back() } else { self.values.keys().next() };
        match &self.data_type {
            DataType::Float16 => ScalarValue::Float16(key.map(|k| half_from_bits(key16(*k as u16) as u16))),
            DataType::Float32 => ScalarValue::Float32(key.map(|k| f32::from_bits(key32(*k as u32) as u32))),
            _ => ScalarValue::Float64(key.map(|k| f64::from_bits(key64(*k as u64) as u64))),
        }
    }
}

fn half_from_bits(bits: u16) -> <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native::from_bits(bits)
}

/// Bits to an integer of the same order, as `f64::total_cmp` does it; its own inverse.
fn key64(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn key32(bits: u32) -> i32 {
    let bits = bits as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

fn key16(bits: u16) -> i16 {
    let bits = bits as i16;
    bits ^ (((bits >> 15) as u16) >> 1) as i16
}

impl Accumulator for ExtremeFloat {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        self.retracts
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.result())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.result()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add_all(&states[0], 1)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.len() * 2 * size_of::<(i64, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn the_order_is_total_and_frames_may_lose_values() {
        let values = [0.0, -0.0, f64::NAN, f64::NEG_INFINITY, 3.0];
        let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        for max in [false, true] {
            let mut all = ExtremeFloat::sliding(DataType::Float64, max);
            all.update_batch(std::slice::from_ref(&array)).unwrap();
            let mut best = ExtremeFloat::new(DataType::Float64, max);
            best.update_batch(std::slice::from_ref(&array)).unwrap();
            assert_eq!(all.evaluate().unwrap(), best.evaluate().unwrap());
            let expected = if max { f64::NAN } else { f64::NEG_INFINITY };
            assert_eq!(all.evaluate().unwrap(), ScalarValue::from(expected));
            all.retract_batch(&[array.slice(2, 2)]).unwrap();
            let ScalarValue::Float64(Some(left)) = all.evaluate().unwrap() else { panic!("a value") };
            assert_eq!(left.to_bits(), if max { 3.0f64 } else { -0.0f64 }.to_bits());
        }
    }
}
