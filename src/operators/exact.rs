//! Exact sums of floats: a fixed-point number wide enough for every `f64`, so that the order of additions does not
//! matter and a deletion undoes an insertion to the last bit.
//!
//! ```text
//! sum = mantissa * 2^exponent  +  limbs * 2^-1074        rounded once, to nearest even, when it is read
//!       ^ i128, always there      ^ only once needed: 36 words of 64 bits, two's complement
//! ```
//!
//! A finite `f64` is an integer times a power of two. Numbers of like size share the inline mantissa; when one
//! does not fit beside the others, the mantissa is moved to the wide part. NaN and the infinities are counted apart.
//! The wide part is the "superaccumulator" of R. M. Neal, Fast exact summation using small and large
//! superaccumulators (2015), without its redundant carries.

/// The exponent of the smallest `f64`; every finite one is an integer times two to this.
pub(super) const EXPONENT_MIN: i32 = -1074;

/// How much finer than its first number a sum starts out, so that somewhat smaller ones fit without ado.
const ROOM_BELOW: i32 = 24;

/// 1074 bits below one, 1024 above, and more than 64 + 64 for weights and counts.
const LIMBS: usize = 36;

/// An exact sum of `f64`, each with an integer weight.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    mantissa: i128,
    exponent: i32,
    wide: Option<Box<Wide>>,
}

/// What the mantissa cannot hold.
#[derive(Debug, Clone)]
struct Wide {
    limbs: [u64; LIMBS],
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
}

impl Default for Wide {
    fn default() -> Self {
        Wide { limbs: [0; LIMBS], nans: 0, infinities: 0, negative_infinities: 0 }
    }
}

impl ExactSum {
    /// Adds `value` as often as `weight` says; a negative weight takes it away.
    #[inline]
    pub fn add(&mut self, value: f64, weight: i64) {
        let bits = value.to_bits();
        let biased = (bits >> 52) as i32 & 0x7ff;
        if biased == 0x7ff {
            return self.add_special(value, weight);
        }
        let fraction = (bits & ((1 << 52) - 1)) as i64;
        let (integer, exponent) =
            if biased == 0 { (fraction, EXPONENT_MIN) } else { (fraction | 1 << 52, biased - 1 + EXPONENT_MIN) };
        let integer = if (bits as i64) < 0 { -integer } else { integer };
        let shift = exponent.wrapping_sub(self.exponent);
        // An integer below 2^53, times 2^8, times 2^64 is below 2^126.
        if (0..=64).contains(&shift) && weight.unsigned_abs() <= 1 << 8 {
            let term = if weight == 1 { i128::from(integer) } else { i128::from(integer * weight) };
            if let Some(sum) = self.mantissa.checked_add(term << shift) {
                self.mantissa = sum;
                return;
            }
        }
        self.add_term(i128::from(integer) * i128::from(weight), exponent);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add_term(other.mantissa, other.exponent);
        if let Some(other) = &other.wide {
            let wide = self.wide.get_or_insert_default();
            let mut carry = 0;
            for (limb, more) in wide.limbs.iter_mut().zip(&other.limbs) {
                let sum = u128::from(*limb) + u128::from(*more) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
            wide.nans += other.nans;
            wide.infinities += other.infinities;
            wide.negative_infinities += other.negative_infinities;
        }
    }

    /// The sum, rounded to nearest even. A sum of zeros, or of nothing, is `+0.0`.
    pub fn value(&self) -> f64 {
        let Some(wide) = &self.wide else {
            return if self.mantissa == 0 { 0.0 } else { self.mantissa as f64 * power_of_two(self.exponent) };
        };
        match (wide.nans != 0, wide.infinities != 0, wide.negative_infinities != 0) {
            (true, _, _) | (_, true, true) => f64::NAN,
            (_, true, _) => f64::INFINITY,
            (_, _, true) => f64::NEG_INFINITY,
            _ => {
                let mut limbs = wide.limbs;
                add_at(&mut limbs, self.mantissa, self.exponent);
                round(&mut limbs)
            }
        }
    }

    /// Whether no NaN and no infinity is in the sum; its rounded value may be infinite all the same.
    pub fn is_finite(&self) -> bool {
        self.wide.as_ref().is_none_or(|w| w.nans == 0 && w.infinities == 0 && w.negative_infinities == 0)
    }

    /// Bytes of memory beside the value itself.
    pub fn heap_bytes(&self) -> usize {
        if self.wide.is_some() { size_of::<Wide>() } else { 0 }
    }

    /// Adds `term * 2^exponent` where it is not the plain case.
    #[cold]
    fn add_term(&mut self, term: i128, exponent: i32) {
        if term == 0 {
            return;
        }
        if self.mantissa == 0 {
            let room = ROOM_BELOW.min(exponent - EXPONENT_MIN);
            let (term, room) = shifted(term, room).map_or((term, 0), |term| (term, room));
            (self.mantissa, self.exponent) = (term, exponent - room);
            return;
        }
        // Zeros at the end are of no use: without them, numbers of different size may still fit side by side.
        for (mantissa, term) in [
            ((self.mantissa, self.exponent), (term, exponent)),
            (strip(self.mantissa, self.exponent), strip(term, exponent)),
        ] {
            let base = mantissa.1.min(term.1);
            if let (Some(a), Some(b)) = (shifted(mantissa.0, mantissa.1 - base), shifted(term.0, term.1 - base))
                && let Some(sum) = a.checked_add(b)
            {
                (self.mantissa, self.exponent) = (sum, base);
                return;
            }
        }
        let wide = self.wide.get_or_insert_default();
        add_at(&mut wide.limbs, self.mantissa, self.exponent);
        (self.mantissa, self.exponent) = (term, exponent);
    }

    #[cold]
    fn add_special(&mut self, value: f64, weight: i64) {
        let wide = self.wide.get_or_insert_default();
        if value.is_nan() {
            wide.nans += weight;
        } else if value > 0.0 {
            wide.infinities += weight;
        } else {
            wide.negative_infinities += weight;
        }
    }
}

/// The same number with an odd integer.
fn strip(value: i128, exponent: i32) -> (i128, i32) {
    let zeros = value.trailing_zeros();
    (value >> zeros, exponent + zeros as i32)
}

/// `value * 2^shift`, where that is an `i128`.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    let room = value.unsigned_abs().leading_zeros() as i32;
    (shift < room).then(|| value << shift)
}

/// Two to a power from -1074, exactly; infinite from 1024.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    if exponent > 1023 {
        f64::INFINITY
    } else if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent - EXPONENT_MIN))
    }
}

/// Adds `value * 2^exponent` to a two's complement number counted in `2^EXPONENT_MIN`.
fn add_at(limbs: &mut [u64; LIMBS], value: i128, exponent: i32) {
    let position = (exponent - EXPONENT_MIN) as usize;
    let (first, shift) = (position / 64, position % 64);
    let sign = (value >> 127) as u64;
    let (low, high) = (value as u64, (value >> 64) as u64);
    // The value shifted into three words, the third of them with the sign.
    let words = if shift == 0 {
        [low, high, sign]
    } else {
        [low << shift, high << shift | low >> (64 - shift), sign << shift | high >> (64 - shift)]
    };
    let mut carry = false;
    for (index, limb) in limbs.iter_mut().enumerate().skip(first) {
        let word = words.get(index - first).copied().unwrap_or(sign);
        let (sum, over) = limb.overflowing_add(word);
        let (sum, more) = sum.overflowing_add(u64::from(carry));
        (*limb, carry) = (sum, over || more);
    }
}

/// The nearest `f64` of a two's complement number counted in `2^EXPONENT_MIN`; the limbs are used up.
fn round(limbs: &mut [u64; LIMBS]) -> f64 {
    let negative = limbs[LIMBS - 1] >> 63 == 1;
    if negative {
        let mut carry = true;
        for limb in limbs.iter_mut() {
            (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
        }
    }
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return 0.0 };
    // The two highest words hold more bits than an f64; what is below only decides ties.
    let low = top.saturating_sub(1);
    let mut integer = u128::from(limbs[low + 1]) << 64 | u128::from(limbs[low]);
    // With fewer than 64 significant bits in the top word, the lower one still leaves at least 64 bits in all.
    integer |= u128::from(limbs[..low].iter().any(|limb| *limb != 0));
    let exponent = EXPONENT_MIN + low as i32 * 64;
    let magnitude = integer as f64 * power_of_two(exponent);
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut exact = ExactSum::default();
        values.iter().for_each(|v| exact.add(*v, 1));
        exact.value()
    }

    #[test]
    fn sums_are_correctly_rounded() {
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[1e308, 1e308, -1e308, -1e308, 1.5]), 1.5);
        assert_eq!(sum(&[1e16, 1.0, 1e-300]), 1e16 + 2.0);
        assert_eq!(sum(&[1e16, 1.0]), 1e16);
        assert_eq!(sum(&[1e16, 1.0, -1e-300]), 1e16);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, f64::from_bits(1)]), f64::INFINITY);
        assert_eq!(sum(&[f64::MIN, f64::MAX, f64::from_bits(1)]), f64::from_bits(1));
        assert_eq!(sum(&[f64::from_bits(3), f64::MIN_POSITIVE]), f64::from_bits((1 << 52) + 3));
        assert_eq!(sum(&[-0.0, -0.0]).to_bits(), 0);
        let mut large = ExactSum::default();
        (0..40).for_each(|_| large.add(2f64.powi(1023), 1 << 40));
        assert_eq!(large.value(), f64::INFINITY);
        large.add(-2f64.powi(1023), 40 << 40);
        assert_eq!(large.value().to_bits(), 0);
        assert_eq!(sum(&[]).to_bits(), 0);
    }

    #[test]
    fn specials_are_counted() {
        let mut exact = ExactSum::default();
        exact.add(2.5, 1);
        exact.add(f64::INFINITY, 2);
        assert_eq!(exact.value(), f64::INFINITY);
        exact.add(f64::NEG_INFINITY, 1);
        assert!(exact.value().is_nan());
        exact.add(f64::INFINITY, -2);
        assert_eq!(exact.value(), f64::NEG_INFINITY);
        exact.add(f64::NAN, 1);
        exact.add(f64::NEG_INFINITY, -1);
        assert!(exact.value().is_nan());
        exact.add(f64::NAN, -1);
        assert_eq!(exact.value(), 2.5);
    }

    /// Any order, any grouping and any detour gives the bits of the plain sum.
    #[test]
    fn exact_reference() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..300 {
            let mut values: Vec<f64> = (0..next() % 40)
                .map(|_| match next() % 5 {
                    0 => (next() % 1000) as f64 / 8.0,
                    1 => (next() as i64 % 100_000) as f64 * 0.01,
                    2 if round % 3 == 0 => f64::from_bits(next() & !(1 << 62)),
                    3 if round % 3 == 0 => -f64::from_bits(next() >> 12),
                    _ => (next() as i64) as f64,
                })
                .collect();
            let expected = sum(&values);
            let mut detour = ExactSum::default();
            let extra: Vec<f64> = (0..10).map(|_| f64::from_bits(next() & !(1 << 62))).collect();
            extra.iter().for_each(|v| detour.add(*v, 3));
            values.reverse();
            let middle = values.len() / 2;
            values[..middle].iter().for_each(|v| detour.add(*v, 1));
            let mut other = ExactSum::default();
            values[middle..].iter().for_each(|v| other.add(*v, 1));
            extra.iter().for_each(|v| other.add(*v, -3));
            detour.merge(&other);
            assert_eq!(detour.value().to_bits(), expected.to_bits(), "round {round}: {values:?}");
            if round % 3 != 0 {
                let mut plain = ExactSum::default();
                values.iter().for_each(|v| plain.add(*v, 2));
                assert_eq!(plain.value(), 2.0 * expected);
            }
        }
    }
}
