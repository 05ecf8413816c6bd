//! `bit_and`, `bit_or` and `bit_xor`: how many values have each bit.
//!
//! All of them have it, or any, or an odd number. `bit_xor` needs no more than one word.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::state::{Change, Output, State};
use crate::error::Result;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The bits that each value has.
    And,
    /// The bits that a value has.
    Or,
    /// The bits that an odd number of values has.
    Xor,
}

/// The state for an integer type; `None` for others.
pub fn build(data_type: &DataType, operation: Operation) -> Option<Box<dyn State>> {
    macro_rules! state {
        ($t:ty) => {
            match operation {
                Operation::Xor => Some(Box::new(Parity::<$t>::default()) as Box<dyn State>),
                _ => Some(Box::new(Bits::<$t> { operation, groups: Vec::new(), of: PhantomData })),
            }
        };
    }
    match data_type {
        DataType::Int8 => state!(Int8Type),
        DataType::Int16 => state!(Int16Type),
        DataType::Int32 => state!(Int32Type),
        DataType::Int64 => state!(Int64Type),
        DataType::UInt8 => state!(UInt8Type),
        DataType::UInt16 => state!(UInt16Type),
        DataType::UInt32 => state!(UInt32Type),
        DataType::UInt64 => state!(UInt64Type),
        _ => None,
    }
}

/// An integer as its bits.
trait Word: Copy + Default + Send + 'static {
    const BITS: usize;
    fn has(self, bit: usize) -> bool;
    fn with(self, bit: usize) -> Self;
    fn xor(self, other: Self) -> Self;
}

macro_rules! word {
    ($($native:ty),*) => {
        $(impl Word for $native {
            const BITS: usize = <$native>::BITS as usize;
            fn has(self, bit: usize) -> bool {
                self >> bit & 1 == 1
            }
            fn with(self, bit: usize) -> Self {
                self | 1 << bit
            }
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
        })*
    };
}
word!(i8, i16, i32, i64, u8, u16, u32, u64);

fn array<T: ArrowPrimitiveType>(values: impl Iterator<Item = Option<T::Native>>) -> Result<Vec<Output>> {
    let array: PrimitiveArray<T> = values.collect();
    Ok(Output::one(Arc::new(array) as ArrayRef))
}

/// How many values each group has, and how many of them have each bit.
struct Bits<T: ArrowPrimitiveType> {
    operation: Operation,
    groups: Vec<(i64, Box<[i64]>)>,
    of: PhantomData<fn() -> T>,
}

impl<T: ArrowPrimitiveType> State for Bits<T>
where
    T::Native: Word,
{
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Default::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<T>().values();
        change.for_each(|row, group, weight| {
            let (count, bits) = &mut self.groups[group];
            *count += weight;
            if bits.is_empty() {
                *bits = vec![0; T::Native::BITS].into();
            }
            for (bit, having) in bits.iter_mut().enumerate() {
                if values[row].has(bit) {
                    *having += weight;
                }
            }
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let operation = self.operation;
        array::<T>(groups.iter().map(|group| {
            let (count, bits) = &self.groups[*group as usize];
            let has = |having: i64| if operation == Operation::And { having == *count } else { having != 0 };
            let set = |word: T::Native, (bit, having): (usize, &i64)| if has(*having) { word.with(bit) } else { word };
            (*count != 0).then(|| bits.iter().enumerate().fold(T::Native::default(), set))
        }))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Default::default();
    }

    fn bytes(&self) -> usize {
        let bits: usize = self.groups.iter().map(|(_, bits)| size_of_val(bits.as_ref())).sum();
        self.groups.capacity() * size_of::<(i64, Box<[i64]>)>() + bits
    }
}

/// The values of each group taken together bit by bit, and how many there are.
struct Parity<T: ArrowPrimitiveType> {
    groups: Vec<(T::Native, i64)>,
}

impl<T: ArrowPrimitiveType> Default for Parity<T> {
    fn default() -> Self {
        Parity { groups: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType> State for Parity<T>
where
    T::Native: Word,
{
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Default::default());
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        let values = change.arguments[0].as_primitive::<T>().values();
        change.for_each(|row, group, weight| {
            let (word, count) = &mut self.groups[group];
            *count += weight;
            if weight & 1 == 1 {
                *word = word.xor(values[row]);
            }
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let groups = groups.iter().map(|group| self.groups[*group as usize]);
        array::<T>(groups.map(|(word, count)| (count != 0).then_some(word)))
    }

    fn clear(&mut self, group: u32) {
        self.groups[group as usize] = Default::default();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(T::Native, i64)>()
    }
}
