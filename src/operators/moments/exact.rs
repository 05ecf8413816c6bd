//! Exact sums of products of floats, and their exact quotients.
//!
//! ```text
//! sum = mantissa * 2^exponent  +  large * 2^exponent'
//!       ^ i128, always there      ^ a big integer, only once needed
//! ```
//!
//! A finite `f64` is an integer times a power of two, and so is a product of two. Nothing is rounded until a quotient is
//! read, and that once: the order of the additions leaves no trace, and a deletion undoes an insertion.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

use crate::operators::exact::{EXPONENT_MIN, power_of_two};

/// A sum of products of two floats, each with an integer weight.
#[derive(Debug, Clone, Default)]
pub struct ProductSum {
    mantissa: i128,
    exponent: i32,
    large: Option<Box<Scaled>>,
}

/// A finite float as an odd integer (or zero) and the exponent of its power of two.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    integer: i64,
    exponent: i32,
}

impl Parts {
    /// One.
    pub const ONE: Parts = Parts { integer: 1, exponent: 0 };

    /// The parts of a finite float.
    pub fn of(value: f64) -> Parts {
        let bits = value.to_bits();
        let biased = (bits >> 52) as i32 & 0x7ff;
        let fraction = (bits & ((1 << 52) - 1)) as i64;
        let (integer, exponent) =
            if biased == 0 { (fraction, EXPONENT_MIN) } else { (fraction | 1 << 52, biased - 1 + EXPONENT_MIN) };
        if integer == 0 {
            return Parts { integer: 0, exponent: 0 };
        }
        let zeros = integer.trailing_zeros();
        let integer = integer >> zeros;
        Parts { integer: if value < 0.0 { -integer } else { integer }, exponent: exponent + zeros as i32 }
    }
}

impl ProductSum {
    /// Adds `a * b` as often as `weight` says; a negative weight takes it away.
    pub fn add(&mut self, a: Parts, b: Parts, weight: i64) {
        let product = i128::from(a.integer) * i128::from(b.integer);
        let exponent = a.exponent + b.exponent;
        let Some(term) = product.checked_mul(i128::from(weight)) else {
            return self.add_large(&Scaled { mantissa: BigInt::from(product) * weight, exponent });
        };
        if term == 0 {
            return;
        }
        if self.mantissa == 0 {
            (self.mantissa, self.exponent) = (term, exponent);
            return;
        }
        let base = exponent.min(self.exponent);
        if let (Some(sum), Some(term)) = (shifted(self.mantissa, self.exponent - base), shifted(term, exponent - base))
            && let Some(sum) = sum.checked_add(term)
        {
            (self.mantissa, self.exponent) = (sum, base);
            return;
        }
        self.add_large(&Scaled { mantissa: self.mantissa.into(), exponent: self.exponent });
        (self.mantissa, self.exponent) = (term, exponent);
    }

    fn add_large(&mut self, term: &Scaled) {
        let sum = self.large.as_ref().map_or_else(|| term.clone(), |large| large.plus(term));
        self.large = Some(Box::new(sum));
    }

    /// Adds an exact number.
    pub fn merge(&mut self, other: &Scaled) {
        self.add_large(other);
    }

    /// The sum.
    pub fn total(&self) -> Scaled {
        let small = Scaled { mantissa: self.mantissa.into(), exponent: self.exponent };
        self.large.as_ref().map_or_else(|| small.clone(), |large| large.plus(&small))
    }

    /// Bytes of memory beside the value itself.
    pub fn heap_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |large| size_of::<Scaled>() + large.mantissa.bits() as usize / 8)
    }
}

/// `value << shift`, where that fits.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    // A value that uses n bits has 127 - n left beside its sign.
    let free = value.unsigned_abs().leading_zeros() as i32 - 1;
    (shift <= free).then(|| value << shift)
}

/// An exact number: an integer times a power of two.
#[derive(Debug, Clone, Default)]
pub struct Scaled {
    mantissa: BigInt,
    exponent: i32,
}

impl Scaled {
    /// An integer.
    pub fn integer(value: i64) -> Scaled {
        Scaled { mantissa: value.into(), exponent: 0 }
    }

    /// The sum of two.
    pub fn plus(&self, other: &Scaled) -> Scaled {
        let exponent = self.exponent.min(other.exponent);
        let at = |number: &Scaled| &number.mantissa << (number.exponent - exponent) as usize;
        // Zero says nothing about the exponent.
        match (self.is_zero(), other.is_zero()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Scaled { mantissa: at(self) + at(other), exponent },
        }
    }

    /// The difference of two.
    pub fn minus(&self, other: &Scaled) -> Scaled {
        self.plus(&Scaled { mantissa: -&other.mantissa, exponent: other.exponent })
    }

    /// The product of two.
    pub fn times(&self, other: &Scaled) -> Scaled {
        Scaled { mantissa: &self.mantissa * &other.mantissa, exponent: self.exponent + other.exponent }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa.sign() == Sign::NoSign
    }

    /// Whether it is less than zero.
    pub fn is_negative(&self) -> bool {
        self.mantissa.sign() == Sign::Minus
    }

    /// `self / divisor`, rounded once to the nearest float, ties to even. The divisor is positive.
    pub fn divided_by(&self, divisor: &Scaled) -> f64 {
        // With so many bits in the quotient, what is below them decides nothing but ties.
        const QUOTIENT_BITS: u64 = 66;
        if self.is_zero() {
            return 0.0;
        }
        let (number, divider) = (self.mantissa.magnitude(), divisor.mantissa.magnitude());
        let shift = (QUOTIENT_BITS + divider.bits()).saturating_sub(number.bits());
        let number = number << shift;
        let quotient = &number / divider;
        let is_exact = &quotient * divider == number;
        let exponent = i64::from(self.exponent) - i64::from(divisor.exponent) - shift as i64;
        let magnitude = round(&quotient, is_exact, exponent);
        if self.is_negative() { -magnitude } else { magnitude }
    }

    /// Appends the number to bytes, as [`Scaled::read`] takes it.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let mantissa = self.mantissa.to_signed_bytes_le();
        bytes.extend(self.exponent.to_le_bytes());
        bytes.extend((mantissa.len() as u32).to_le_bytes());
        bytes.extend(mantissa);
    }

    /// Takes a number off the front of bytes; `None` where they hold none.
    pub fn read(bytes: &mut &[u8]) -> Option<Scaled> {
        let exponent = i32::from_le_bytes(*bytes.split_first_chunk().map(|(head, rest)| (*bytes = rest, head))?.1);
        let length = u32::from_le_bytes(*bytes.split_first_chunk().map(|(head, rest)| (*bytes = rest, head))?.1);
        let (mantissa, rest) = bytes.split_at_checked(length as usize)?;
        *bytes = rest;
        Some(Scaled { mantissa: BigInt::from_signed_bytes_le(mantissa), exponent })
    }
}

/// The float nearest to `integer * 2^exponent`, or to a little more than it where it is not exact. The integer has more
/// bits than a float.
fn round(integer: &BigUint, is_exact: bool, exponent: i64) -> f64 {
    let bits = integer.bits() as i64;
    // The number lies below two to the power of this.
    let top = exponent + bits;
    if top > 1024 {
        return f64::INFINITY;
    }
    // Below the least normal number fewer bits are kept.
    let kept = (top - i64::from(EXPONENT_MIN)).min(53);
    if kept < 0 {
        return 0.0;
    }
    let dropped = (bits - kept) as u64;
    let mantissa = integer >> dropped;
    let rest = integer - (&mantissa << dropped);
    let mantissa = mantissa.iter_u64_digits().next().unwrap_or(0);
    let up = match rest.cmp(&(BigUint::from(1u8) << (dropped - 1))) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => !is_exact || mantissa % 2 == 1,
    };
    (mantissa + u64::from(up)) as f64 * power_of_two((exponent + dropped as i64) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::Random;

    fn float(value: f64) -> Scaled {
        let mut sum = ProductSum::default();
        sum.add(Parts::of(value), Parts::ONE, 1);
        sum.total()
    }

    #[test]
    fn quotients_are_rounded_once() {
        let divide = |a: f64, b: f64| float(a).divided_by(&float(b));
        for (a, b) in
            [(1.0, 3.0), (-2.0, 7.0), (0.1, 0.3), (1e308, 1e-10), (5e-324, 2.0), (1.5e-323, 2.0), (1.0, 1e308)]
        {
            assert_eq!(divide(a, b).to_bits(), (a / b).to_bits(), "{a} / {b}");
        }
        assert_eq!(divide(0.0, 5.0).to_bits(), 0);
        assert_eq!(divide(1e-200, 1e300), 0.0);
        assert_eq!(divide(f64::MAX, 0.5), f64::INFINITY);
    }

    /// Random quotients are those of the processor, which rounds once as well.
    #[test]
    fn divide_reference() {
        let mut random = Random::new(5);
        let mut finite = || loop {
            let value = f64::from_bits(random.next());
            if value.is_finite() && value != 0.0 {
                return value;
            }
        };
        for _ in 0..20_000 {
            let (a, b) = (finite(), finite());
            let (number, divisor) = if b < 0.0 { (-a, -b) } else { (a, b) };
            let quotient = float(number).divided_by(&float(divisor));
            // Zero has no sign here.
            assert_eq!(quotient + 0.0, a / b + 0.0, "{a:e} / {b:e}");
        }
    }

    /// Any order, with detours, through bytes or not: the same number.
    #[test]
    fn sum_reference() {
        let mut random = Random::new(9);
        for _ in 0..200 {
            let mut pairs: Vec<(f64, f64, i64)> = (0..random.below(20))
                .map(|_| {
                    let value = |random: &mut Random| match random.below(4) {
                        0 => (random.next() % 1000) as f64,
                        1 => (random.next() as i64 % 100_000) as f64 * 0.01,
                        2 => -1e200 / (1 + random.below(9)) as f64,
                        _ => f64::from_bits(random.next() >> 12),
                    };
                    let weight = if random.below(9) == 0 { i64::MAX / 3 } else { 1 + random.below(3) as i64 };
                    (value(&mut random), value(&mut random), weight)
                })
                .collect();
            let sum = |pairs: &[(f64, f64, i64)]| {
                let mut sum = ProductSum::default();
                pairs.iter().for_each(|(a, b, w)| sum.add(Parts::of(*a), Parts::of(*b), *w));
                sum
            };
            let expected = sum(&pairs).total();
            let naive = pairs.iter().fold(Scaled::default(), |sum, (a, b, w)| {
                sum.plus(&float(*a).times(&float(*b)).times(&Scaled::integer(*w)))
            });
            assert!(naive.minus(&expected).is_zero());
            pairs.reverse();
            let (first, second) = pairs.split_at(pairs.len() / 2);
            let mut detour = sum(first);
            let mut bytes = Vec::new();
            sum(second).total().write(&mut bytes);
            let mut rest = bytes.as_slice();
            detour.merge(&Scaled::read(&mut rest).unwrap());
            assert!(rest.is_empty());
            detour.add(Parts::of(1e300), Parts::of(1e-300), 5);
            detour.add(Parts::of(1e-300), Parts::of(1e300), -5);
            assert!(detour.total().minus(&expected).is_zero());
        }
    }
}
