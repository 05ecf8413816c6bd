//! What a subscriber was told.

use millstream::{Subscription, Update};

use super::bag::{Bag, bag};

/// Adds up what a subscriber has been sent.
pub fn hear(subscription: &mut Subscription, heard: &mut Bag) {
    while let Some(update) = subscription.try_next() {
        let (batch, weights) = match update {
            Update::Snapshot { batch, .. } => (batch.clone(), vec![1; batch.num_rows()]),
            Update::Delta { delta, .. } => (delta.batch.clone(), delta.weights.to_vec(delta.len())),
            Update::Missed { from, to } => panic!("missed {from} to {to}"),
            Update::Patches { .. } => panic!("nobody asked for patches"),
            Update::Failing { .. } | Update::Healed { .. } => continue,
        };
        for (row, weight) in weights.into_iter().enumerate() {
            for text in bag(&[batch.slice(row, 1)]).into_keys() {
                *heard.entry(text).or_default() += weight;
            }
        }
    }
    heard.retain(|_, weight| *weight != 0);
}
