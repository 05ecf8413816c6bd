//! The rows of one node on which an expression failed: a Z-set of messages.

use std::collections::BTreeMap;

use crate::delta::RowError;

/// Failures with how often each is present. Ordered, so that the first one is the same on every run.
#[derive(Debug, Default)]
pub(super) struct ErrorSet(BTreeMap<String, i64>);

impl ErrorSet {
    /// Adds a change; a failure whose weight comes to zero is gone.
    pub fn apply(&mut self, changes: Vec<RowError>) {
        for change in changes {
            let weight = self.0.entry(change.message).or_insert(0);
            *weight += change.weight;
        }
        self.0.retain(|_, weight| *weight != 0);
    }

    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(message: &str, weight: i64) -> RowError {
        RowError { message: message.into(), weight }
    }

    #[test]
    fn a_failure_lasts_as_long_as_its_row() {
        let mut errors = ErrorSet::default();
        errors.apply(vec![change("b", 2), change("a", 1)]);
        assert_eq!(errors.first(), Some("a"));
        errors.apply(vec![change("a", -1), change("b", -1)]);
        assert_eq!(errors.first(), Some("b"));
        errors.apply(vec![change("b", -1)]);
        assert!(errors.is_empty());
    }
}
