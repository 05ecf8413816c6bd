//! `min` and `max`.
//!
//! ```text
//! append-only input   one value per group: a better one takes its place
//! other input         the group's values as an ordered bag, the extreme at its end
//! ```
//!
//! Floats are in IEEE total order: `-NaN < -inf < .. < -0.0 < 0.0 < .. < inf < NaN`. Text is in byte order.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, downcast_primitive,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::bag::Bag;
use super::state::{Change, Output, State};
use crate::delta::byte_array::byte_array;
use crate::delta::values::{Layout, Reader, Values, Zeros};
use crate::error::Result;

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `min`.
    Least,
    /// `max`.
    Greatest,
}

impl Side {
    /// Whether a value that compares so with the present extreme takes its place.
    #[inline]
    fn wins(self, ordering: Ordering) -> bool {
        ordering == if self == Side::Least { Ordering::Less } else { Ordering::Greater }
    }
}

/// The state for values of a type; `None` for types that are not ordered here (nested ones, dictionaries).
pub fn build(data_type: &DataType, side: Side, append_only: bool) -> Option<Box<dyn State>> {
    macro_rules! numbers {
        ($t:ty) => {
            if append_only {
                Some(Box::new(Best::<$t> { side, data_type: data_type.clone(), groups: Vec::new() }))
            } else {
                Some(Box::new(Numbers::<$t> { side, data_type: data_type.clone(), groups: Vec::new(), values: 0 }))
            }
        };
    }
    downcast_primitive! {
        data_type => (numbers),
        DataType::Boolean => Some(Box::new(Booleans { side, groups: Vec::new() })),
        other => text(other, side, append_only),
    }
}

fn text(data_type: &DataType, side: Side, append_only: bool) -> Option<Box<dyn State>> {
    if Layout::of(data_type) != Layout::Bytes {
        return None;
    }
    let data_type = data_type.clone();
    Some(if append_only {
        Box::new(BestText { side, data_type, groups: Vec::new(), bytes: 0 })
    } else {
        Box::new(Texts { side, data_type, groups: Vec::new(), bytes: 0 })
    })
}

/// A number in its total order.
#[derive(Clone, Copy)]
struct Ordered<N>(N);

impl<N: ArrowNativeTypeOp> Ord for Ordered<N> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(other.0)
    }
}

impl<N: ArrowNativeTypeOp> PartialOrd for Ordered<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<N: ArrowNativeTypeOp> PartialEq for Ordered<N> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<N: ArrowNativeTypeOp> Eq for Ordered<N> {}

fn number_array<T: ArrowPrimitiveType>(
    values: impl Iterator<Item = Option<T::Native>>,
    data_type: &DataType,
) -> ArrayRef {
    let array: PrimitiveArray<T> = values.collect();
    Arc::new(array.with_data_type(data_type.clone()))
}

/// The extreme number of each group of an append-only input.
struct Best<T: ArrowPrimitiveType> {
    side: Side,
    data_type: DataType,
    groups: Vec<(T::Native, bool)>,
}

impl<T: ArrowPrimitiveType> State for Best<T> {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Default::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<T>().values();
        let side = self.side;
        change.for_each(|row, group, _| {
            let (best, seen) = &mut self.groups[group];
            if !*seen || side.wins(values[row].compare(*best)) {
                (*best, *seen) = (values[row], true);
            }
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let best = groups.iter().map(|g| self.groups[*g as usize]);
        Ok(Output::one(number_array::<T>(best.map(|(best, seen)| seen.then_some(best)), &self.data_type)))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Default::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(T::Native, bool)>()
    }
}

/// All numbers of each group.
struct Numbers<T: ArrowPrimitiveType> {
    side: Side,
    data_type: DataType,
    groups: Vec<Bag<Ordered<T::Native>>>,
    values: usize,
}

impl<T: ArrowPrimitiveType> State for Numbers<T> {
    fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups, Bag::default);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<T>().values();
        change.for_each(|row, group, weight| {
            let bag = &mut self.groups[group];
            let before = bag.len();
            bag.add(&Ordered(values[row]), weight, |value| *value);
            self.values = self.values + bag.len() - before;
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let extremes = groups.iter().map(|g| end(&self.groups[*g as usize], self.side).map(|value| value.0));
        Ok(Output::one(number_array::<T>(extremes, &self.data_type)))
    }

    fn clear(&mut self, group: u32) {
        self.values -= self.groups[group as usize].len();
        self.groups[group as usize] = Bag::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Bag<Ordered<T::Native>>>()
            + self.values * size_of::<(Ordered<T::Native>, i64)>()
    }
}

fn end<K: Ord>(bag: &Bag<K>, side: Side) -> Option<&K> {
    match side {
        Side::Least => bag.first(),
        Side::Greatest => bag.last(),
    }
}

/// How many `false` and `true` each group has.
struct Booleans {
    side: Side,
    groups: Vec<[i64; 2]>,
}

impl State for Booleans {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, [0; 2]);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_boolean().values();
        change.for_each(|row, group, weight| self.groups[group][usize::from(values.value(row))] += weight);
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let side = self.side;
        let extremes = groups.iter().map(|group| match (self.groups[*group as usize], side) {
            ([0, 0], _) => None,
            ([falses, _], Side::Least) => Some(falses == 0),
            ([_, trues], Side::Greatest) => Some(trues != 0),
        });
        Ok(Output::one(Arc::new(extremes.collect::<BooleanArray>())))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = [0; 2];
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * 16
    }
}

/// The extreme text of each group of an append-only input.
struct BestText {
    side: Side,
    data_type: DataType,
    groups: Vec<Option<Box<[u8]>>>,
    bytes: usize,
}

impl State for BestText {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, None);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let side = self.side;
        for_each_text(change, |group, value, _| {
            let best = &mut self.groups[group];
            if best.as_deref().is_none_or(|best| side.wins(value.cmp(best))) {
                self.bytes = self.bytes + value.len() - best.as_ref().map_or(0, |best| best.len());
                *best = Some(value.into());
            }
        })
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        texts(&self.data_type, groups.iter().map(|g| self.groups[*g as usize].as_deref()))
    }

    fn clear(&mut self, group: u32) {
        self.bytes -= self.groups[group as usize].take().map_or(0, |best| best.len());
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<Box<[u8]>>>() + self.bytes
    }
}

/// Bytes of an entry of a bag beside its bytes.
const ENTRY: usize = size_of::<(Box<[u8]>, i64)>();

/// All texts of each group.
struct Texts {
    side: Side,
    data_type: DataType,
    groups: Vec<Bag<Box<[u8]>>>,
    bytes: usize,
}

impl State for Texts {
    fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups, Bag::default);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        for_each_text(change, |group, value, weight| {
            let bag = &mut self.groups[group];
            let before = bag.len();
            bag.add(value, weight, |value| value.into());
            match bag.len().cmp(&before) {
                Ordering::Greater => self.bytes += ENTRY + value.len(),
                Ordering::Less => self.bytes -= ENTRY + value.len(),
                Ordering::Equal => {}
            }
        })
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        texts(&self.data_type, groups.iter().map(|g| end(&self.groups[*g as usize], self.side).map(AsRef::as_ref)))
    }

    fn clear(&mut self, group: u32) {
        let bag = std::mem::take(&mut self.groups[group as usize]);
        self.bytes -= bag.iter().map(|(kept, _)| ENTRY + kept.len()).sum::<usize>();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Bag<Box<[u8]>>>() + self.bytes
    }
}

fn for_each_text(change: &Change, mut visit: impl FnMut(usize, &[u8], i64)) -> Result<()> {
    let reader = Reader::new(&change.arguments[0], None, Zeros::Kept)?;
    let Values::Bytes(values) = &reader.values else { unreachable!("text is held as bytes") };
    change.for_each(|row, group, weight| visit(group, values.get(row), weight));
    Ok(())
}

fn texts<'a>(
    data_type: &DataType,
    values: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
) -> Result<Vec<Output>> {
    let nulls: NullBuffer = values.clone().map(|value| value.is_some()).collect();
    Ok(Output::one(byte_array(data_type, values.map(Option::unwrap_or_default), Some(nulls))?))
}
