//! Exact sums of integers, decimals, durations and intervals, wide enough that no number of rows leaves them.
//!
//! ```text
//! BIGINT            [ x ]                        i128: 64 bits and as many rows as there can be
//! DECIMAL(38, s)    [ low 64 bits | the rest ]   two of them, put together when the sum is read
//! DECIMAL(76, s)    [ 64 | 64 | 64 | the rest ]
//! INTERVAL          [ months | days | nanos ]    each by itself
//! ```
//!
//! Parts are added by themselves, without a carry, so that a deletion undoes an insertion whatever came between. Only
//! a sum that is read is held against the range of its type: while it is outside, it is an error, not a number.

use arrow::array::ArrowNativeTypeOp;
use arrow::compute::DecimalCast;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, IntervalDayTime,
    IntervalMonthDayNano, i256,
};

use crate::error::sql_types;

/// Bits of a part of a wide number.
const PART_BITS: u32 = 64;

/// The parts of a sum.
pub trait Parts: Copy + Default + Ord + Send + Sync + std::fmt::Debug {
    /// Bytes when written.
    const BYTES: usize;

    /// The sum of two.
    fn plus(self, other: Self) -> Self;

    /// So many times the parts.
    fn times(self, weight: i64) -> Self;

    /// The parts as bytes, and from them.
    fn write(self) -> Vec<u8>;

    /// What [`Parts::write`] wrote.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! parts {
    ($($count:literal),*) => {
        $(impl Parts for [i128; $count] {
            const BYTES: usize = $count * size_of::<i128>();

            #[inline]
            fn plus(self, other: Self) -> Self {
                std::array::from_fn(|at| self[at].wrapping_add(other[at]))
            }

            #[inline]
            fn times(self, weight: i64) -> Self {
                self.map(|part| part.wrapping_mul(weight.into()))
            }

            fn write(self) -> Vec<u8> {
                self.iter().flat_map(|part| part.to_le_bytes()).collect()
            }

            fn read(bytes: &[u8]) -> Self {
                let mut parts = Self::default();
                for (part, bytes) in parts.iter_mut().zip(bytes.as_chunks().0) {
                    *part = i128::from_le_bytes(*bytes);
                }
                parts
            }
        })*
    };
}
parts!(1, 2, 3, 4);

/// A number that can be summed.
pub trait Addend: ArrowNativeTypeOp {
    /// The parts of a sum of it.
    type Parts: Parts;

    /// The number in parts.
    fn parts(self) -> Self::Parts;

    /// The sum, where a value of this type can be it.
    fn whole(parts: Self::Parts, data_type: &DataType) -> Option<Self>;

    /// The sum divided by the number of its values, where a value of this type can be it: a decimal, after so many more
    /// digits, rounded half away from zero; a duration, toward zero.
    fn average(parts: Self::Parts, count: i64, digits: u32, data_type: &DataType) -> Option<Self>;
}

macro_rules! integers {
    ($($native:ty),*) => {
        $(impl Addend for $native {
            type Parts = [i128; 1];

            #[inline]
            fn parts(self) -> Self::Parts {
                [i128::from(self)]
            }

            fn whole(parts: Self::Parts, data_type: &DataType) -> Option<Self> {
                let whole = <$native>::try_from(parts[0]).ok()?;
                has_digits(i256::from_i128(parts[0]), data_type).then_some(whole)
            }

            fn average(parts: Self::Parts, count: i64, digits: u32, data_type: &DataType) -> Option<Self> {
                let average = if data_type.is_decimal() {
                    decimal_average(&parts, count, digits, data_type)?.to_i128()?
                } else {
                    parts[0].checked_div(count.into())?
                };
                <$native>::try_from(average).ok()
            }
        })*
    };
}
integers!(i32, i64, u64);

impl Addend for i128 {
    type Parts = [i128; 2];

    #[inline]
    fn parts(self) -> Self::Parts {
        [i128::from(self as u64), self >> PART_BITS]
    }

    fn whole(parts: Self::Parts, data_type: &DataType) -> Option<Self> {
        let whole = together(&parts)?;
        if has_digits(whole, data_type) { whole.to_i128() } else { None }
    }

    fn average(parts: Self::Parts, count: i64, digits: u32, data_type: &DataType) -> Option<Self> {
        decimal_average(&parts, count, digits, data_type)?.to_i128()
    }
}

impl Addend for i256 {
    type Parts = [i128; 4];

    #[inline]
    fn parts(self) -> Self::Parts {
        let (low, high) = self.to_parts();
        let part = |bits: u128| i128::from(bits as u64);
        [part(low), part(low >> PART_BITS), i128::from(high as u64), high >> PART_BITS]
    }

    fn whole(parts: Self::Parts, data_type: &DataType) -> Option<Self> {
        together(&parts).filter(|whole| has_digits(*whole, data_type))
    }

    fn average(parts: Self::Parts, count: i64, digits: u32, data_type: &DataType) -> Option<Self> {
        decimal_average(&parts, count, digits, data_type)
    }
}

impl Addend for IntervalDayTime {
    type Parts = [i128; 2];

    #[inline]
    fn parts(self) -> Self::Parts {
        [self.days.into(), self.milliseconds.into()]
    }

    fn whole([days, milliseconds]: Self::Parts, _: &DataType) -> Option<Self> {
        Some(IntervalDayTime::new(days.try_into().ok()?, milliseconds.try_into().ok()?))
    }

    fn average(_: Self::Parts, _: i64, _: u32, _: &DataType) -> Option<Self> {
        None
    }
}

impl Addend for IntervalMonthDayNano {
    type Parts = [i128; 3];

    #[inline]
    fn parts(self) -> Self::Parts {
        [self.months.into(), self.days.into(), self.nanoseconds.into()]
    }

    fn whole([months, days, nanoseconds]: Self::Parts, _: &DataType) -> Option<Self> {
        let (months, days) = (months.try_into().ok()?, days.try_into().ok()?);
        Some(IntervalMonthDayNano::new(months, days, nanoseconds.try_into().ok()?))
    }

    fn average(_: Self::Parts, _: i64, _: u32, _: &DataType) -> Option<Self> {
        None
    }
}

/// Parts of 64 bits each, the lowest first, as one number.
fn together(parts: &[i128]) -> Option<i256> {
    let mut words = [0_u64; 4];
    let mut carry = 0_i128;
    for (at, word) in words.iter_mut().enumerate() {
        let part = parts.get(at).copied().unwrap_or(0).checked_add(carry)?;
        *word = part as u64;
        carry = part >> PART_BITS;
    }
    let sign = if words[3] >> 63 == 1 { -1 } else { 0 };
    let pair = |low: u64, high: u64| u128::from(high) << PART_BITS | u128::from(low);
    (carry == sign).then(|| i256::from_parts(pair(words[0], words[1]), pair(words[2], words[3]) as i128))
}

/// Whether a decimal type has room for a number of so many digits; other types are not asked.
fn has_digits(value: i256, data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal32(p, _) => fits::<Decimal32Type>(value, *p),
        DataType::Decimal64(p, _) => fits::<Decimal64Type>(value, *p),
        DataType::Decimal128(p, _) => fits::<Decimal128Type>(value, *p),
        DataType::Decimal256(p, _) => fits::<Decimal256Type>(value, *p),
        _ => true,
    }
}

fn fits<T: DecimalType>(value: i256, precision: u8) -> bool
where
    T::Native: DecimalCast,
{
    T::Native::from_decimal(value).is_some_and(|value| T::is_valid_decimal_precision(value, precision))
}

fn decimal_average(parts: &[i128], count: i64, digits: u32, data_type: &DataType) -> Option<i256> {
    let sum = together(parts)?.checked_mul(i256::from_i128(10).checked_pow(digits)?)?;
    rounded_quotient(sum, i256::from_i128(count.into())).filter(|average| has_digits(*average, data_type))
}

/// The nearest integer to `number / divisor`, half away from zero; `None` where there is none.
pub fn rounded_quotient(number: i256, divisor: i256) -> Option<i256> {
    let (whole, rest) = (number.checked_div(divisor)?, number.checked_rem(divisor)?);
    let (rest, size) = (rest.checked_abs()?, divisor.checked_abs()?);
    // Twice the rest is less than the divisor.
    if rest < size.checked_sub(rest)? {
        return Some(whole);
    }
    let away = if number.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    whole.checked_add(away)
}

/// An exact sum and how many values it has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Total<P> {
    /// The parts of the sum.
    pub parts: P,
    /// How many values it has.
    pub count: i64,
}

impl<P: Parts> Total<P> {
    /// Adds a value some times.
    #[inline]
    pub fn add<N: Addend<Parts = P>>(&mut self, value: N, weight: i64) {
        let term = if weight == 1 { value.parts() } else { value.parts().times(weight) };
        self.parts = self.parts.plus(term);
        self.count += weight;
    }
}

/// What is said of a sum or an average that its type cannot hold.
pub fn out_of_range(function: &str, data_type: &DataType) -> String {
    format!("overflow: {function}() is out of the range of {}", sql_types(&data_type.to_string()))
}

/// How many more digits an average has after the point than its values; `None` where it has fewer.
pub fn more_digits(input: &DataType, output: &DataType) -> Option<u32> {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => i32::from(*s),
        _ => 0,
    };
    u32::try_from(scale(output) - scale(input)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_into_range() {
        let mut total = Total::default();
        total.add(i64::MAX, 3);
        assert_eq!(i64::whole(total.parts, &DataType::Int64), None);
        total.add(i64::MAX, -2);
        total.add(-7, 1);
        assert_eq!(i64::whole(total.parts, &DataType::Int64), Some(i64::MAX - 7));
        let decimal = DataType::Decimal128(38, 2);
        let largest = 10_i128.pow(38) - 1;
        let mut total = Total::default();
        total.add(largest, 40);
        assert_eq!(i128::whole(total.parts, &decimal), None);
        total.add(-largest, 41);
        assert_eq!(i128::whole(total.parts, &decimal), Some(-largest));
        total.add(-1_i128, 1);
        assert_eq!(i128::whole(total.parts, &decimal), None);
    }

    #[test]
    fn wide_numbers_come_apart_and_together() {
        for value in [i256::MIN, i256::MAX, i256::ZERO, i256::MINUS_ONE, i256::from_i128(i128::MIN)] {
            assert_eq!(together(&value.parts()), Some(value));
            assert_eq!(<[i128; 4]>::read(&value.parts().write()), value.parts());
        }
        for value in [i128::MIN, i128::MAX, -1, 1 << 64, -(1 << 64)] {
            assert_eq!(together(&value.parts()), Some(i256::from_i128(value)));
        }
        let mut total = Total::default();
        total.add(i256::MAX, 2);
        assert_eq!(together(&total.parts), None);
        total.add(i256::MAX, -3);
        assert_eq!(together(&total.parts), Some(-i256::MAX));
    }

    #[test]
    fn averages_are_rounded_half_away_from_zero() {
        let average = |sum: i128, count| i128::average(sum.parts(), count, 0, &DataType::Decimal128(38, 0));
        let found: Vec<_> = [5, -5, 4, -4, 1, 0].map(|sum| average(sum, 2)).to_vec();
        assert_eq!(found, [3, -3, 2, -2, 1, 0].map(Some));
        assert_eq!(average(5, 0), None);
        assert_eq!(i64::average([-7], 2, 0, &DataType::Duration(arrow::datatypes::TimeUnit::Second)), Some(-3));
    }
}
