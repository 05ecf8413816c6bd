//! Hashing of rows, a column at a time, with a fixed seed.
//!
//! `hash(row) = fold(.. fold(fold(SEED, first value), second value) ..)` where `fold` multiplies to 128 bits and xors
//! the halves (the multiply-fold of wyhash and foldhash). Equal values hash equal in any batch and on any run;
//! NULL has a value of its own. Which values are equal is settled in [`super::values`] before they come here.

use arrow::datatypes::i256;

use super::values::{Reader, Values};

const SEED: u64 = 0x2d35_8dcc_aa6c_78a5;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const NULL: u64 = 0xd1b5_4a32_d192_ed03;

/// Mixes a value into a hash.
#[inline]
pub fn fold(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ value) * u128::from(MULTIPLIER);
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of a row of one word.
#[inline]
pub fn hash_word(word: u64) -> u64 {
    fold(SEED, word)
}

/// The hashes of the first `rows` rows. No column at all is a row like any other.
pub fn hash_rows(readers: &[Reader], rows: usize) -> Vec<u64> {
    let mut hashes = vec![SEED; rows];
    for reader in readers {
        match &reader.values {
            Values::W1(v) => mix(reader, &mut hashes, |h, row| fold(h, v[row] as u64)),
            Values::W2(v) => mix(reader, &mut hashes, |h, row| fold(h, v[row] as u64)),
            Values::W4(v) => mix(reader, &mut hashes, |h, row| fold(h, v[row] as u64)),
            Values::W8(v) => mix(reader, &mut hashes, |h, row| fold(h, v[row] as u64)),
            Values::W16(v) => mix(reader, &mut hashes, |h, row| fold_wide(h, v[row])),
            Values::W32(v) => mix(reader, &mut hashes, |h, row| fold_widest(h, v[row])),
            Values::Bytes(v) => mix(reader, &mut hashes, |h, row| fold_bytes(h, v.get(row))),
        }
    }
    hashes
}

#[inline]
fn mix(reader: &Reader, hashes: &mut [u64], value: impl Fn(u64, usize) -> u64) {
    match &reader.nulls {
        None => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = value(*hash, row);
            }
        }
        Some(nulls) => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = if nulls.is_valid(row) { value(*hash, row) } else { fold(*hash, NULL) };
            }
        }
    }
}

#[inline]
fn fold_wide(hash: u64, value: i128) -> u64 {
    fold(fold(hash, value as u64), (value >> 64) as u64)
}

#[inline]
fn fold_widest(hash: u64, value: i256) -> u64 {
    let (low, high) = value.to_parts();
    fold_wide(fold_wide(hash, low as i128), high)
}

/// Eight bytes at a time; the length goes in first, so that the padding of the last word is unambiguous.
#[inline]
fn fold_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = fold(hash, bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        hash = fold(hash, u64::from_le_bytes(word.try_into().expect("a chunk of eight bytes"))).wrapping_add(SEED);
    }
    let rest = words.remainder();
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray, StringViewArray};

    use super::*;
    use crate::delta::values::Zeros;

    #[test]
    fn equal_text_hashes_equal_in_any_layout() {
        let small: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a text of some length")]));
        let view: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a text of some length")]));
        let small = [Reader::new(&small, None, Zeros::Kept).unwrap()];
        let view = [Reader::new(&view, None, Zeros::Kept).unwrap()];
        assert_eq!(hash_rows(&small, 3), hash_rows(&view, 3));
    }

    #[test]
    fn the_sign_of_zero_counts_unless_folded() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0]));
        let kept = hash_rows(&[Reader::new(&zeros, None, Zeros::Kept).unwrap()], 2);
        let folded = hash_rows(&[Reader::new(&zeros, None, Zeros::Folded).unwrap()], 2);
        assert_ne!(kept[0], kept[1]);
        assert_eq!(folded[0], folded[1]);
    }
}
