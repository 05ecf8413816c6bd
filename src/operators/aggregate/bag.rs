//! An ordered multiset: values with weights, the least and the greatest at hand.
//!
//! Few values lie in a sorted vector, which is quicker and smaller than a tree; many in a `BTreeMap`.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// With more values than this, the vector becomes a tree.
const FEW_MAX: usize = 32;

/// Values with weights. A value whose weight comes to zero is gone.
pub enum Bag<K> {
    /// Up to [`FEW_MAX`] values in ascending order.
    Few(Vec<(K, i64)>),
    /// More.
    Many(BTreeMap<K, i64>),
}

impl<K> Default for Bag<K> {
    fn default() -> Self {
        Bag::Few(Vec::new())
    }
}

impl<K: Ord> Bag<K> {
    /// Adds `weight` to a value, which `make` turns into a key where it is new.
    #[inline]
    pub fn add<Q: Ord + ?Sized>(&mut self, value: &Q, weight: i64, make: impl FnOnce(&Q) -> K)
    where
        K: Borrow<Q>,
    {
        match self {
            Bag::Few(few) => match few.binary_search_by(|(key, _)| key.borrow().cmp(value)) {
                Ok(at) => {
                    few[at].1 += weight;
                    if few[at].1 == 0 {
                        few.remove(at);
                    }
                }
                Err(at) => {
                    few.insert(at, (make(value), weight));
                    if few.len() > FEW_MAX {
                        *self = Bag::Many(std::mem::take(few).into_iter().collect());
                    }
                }
            },
            Bag::Many(many) => {
                if let Some(old) = many.get_mut(value) {
                    *old += weight;
                    if *old == 0 {
                        many.remove(value);
                    }
                } else {
                    many.insert(make(value), weight);
                }
            }
        }
    }

    /// The least value.
    pub fn first(&self) -> Option<&K> {
        match self {
            Bag::Few(few) => few.first().map(|(key, _)| key),
            Bag::Many(many) => many.first_key_value().map(|(key, _)| key),
        }
    }

    /// The greatest value.
    pub fn last(&self) -> Option<&K> {
        match self {
            Bag::Few(few) => few.last().map(|(key, _)| key),
            Bag::Many(many) => many.last_key_value().map(|(key, _)| key),
        }
    }

    /// The values with their weights, in ascending order.
    pub fn iter(&self) -> Box<dyn DoubleEndedIterator<Item = (&K, i64)> + '_> {
        match self {
            Bag::Few(few) => Box::new(few.iter().map(|(key, weight)| (key, *weight))),
            Bag::Many(many) => Box::new(many.iter().map(|(key, weight)| (key, *weight))),
        }
    }

    /// How many different values.
    pub fn len(&self) -> usize {
        match self {
            Bag::Few(few) => few.len(),
            Bag::Many(many) => many.len(),
        }
    }
}
