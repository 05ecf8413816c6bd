//! The failures on rows that a view leaves out: how often each stands, and since which commit.
//!
//! Of equal failures the newest goes first. So one that is there n times has stood n times since the commit at which
//! its count last came to n, and what is listed is a function of the counts after each commit:
//!
//! ```text
//! commit   7   8   9   10
//! count    1   3   2   2     listed: once since 7, once since 8
//! ```

use std::collections::BTreeMap;

use crate::delta::RowError;

/// Bytes that a failure takes beside its text.
const FAILURE_BYTES: usize = 96;

/// Failures by their text, so that they are listed in one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    failures: BTreeMap<String, Vec<Since>>,
    bytes: usize,
}

/// So many equal failures since a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The commit.
    pub offset: u64,
    /// How many; below zero only within a view that is being filled input by input.
    pub count: i64,
}

impl Skipped {
    /// Adds what came and went with one commit. Returns the bytes of it.
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = &'a RowError>, offset: u64) -> usize {
        let mut net: BTreeMap<&str, i64> = BTreeMap::new();
        for change in changes {
            *net.entry(&change.message).or_default() += change.weight;
        }
        let mut moved = 0;
        for (message, weight) in net.into_iter().filter(|(_, weight)| *weight != 0) {
            let bytes = FAILURE_BYTES + message.len();
            moved += bytes;
            let standing = self.failures.entry(message.to_string()).or_insert_with(|| {
                self.bytes += bytes;
                Vec::new()
            });
            add(standing, weight, offset);
            if standing.is_empty() {
                self.failures.remove(message);
                self.bytes -= bytes;
            }
        }
        moved
    }

    /// The failures with how often each stands since which commit.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Since)> {
        self.failures.iter().flat_map(|(message, since)| since.iter().map(|since| (message.as_str(), *since)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether the same failures stand equally often, whenever they came.
    pub fn stands_like(&self, other: &Skipped) -> bool {
        let counts = |of: &Skipped| -> Vec<(String, i64)> {
            let count = |since: &Vec<Since>| since.iter().map(|since| since.count).sum();
            of.failures.iter().map(|(message, since)| (message.clone(), count(since))).collect()
        };
        counts(self) == counts(other)
    }

    /// Bytes of memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Adds failures on top, or takes them away from there.
fn add(standing: &mut Vec<Since>, mut weight: i64, offset: u64) {
    while let Some(top) = standing.last_mut().filter(|top| top.count.signum() == -weight.signum()) {
        let taken = weight.abs().min(top.count.abs()) * weight.signum();
        top.count += taken;
        weight -= taken;
        if top.count == 0 {
            standing.pop();
        }
    }
    if weight != 0 {
        match standing.last_mut().filter(|top| top.offset == offset) {
            Some(top) => top.count += weight,
            None => standing.push(Since { offset, count: weight }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(message: &str, weight: i64) -> RowError {
        RowError { message: message.into(), weight }
    }

    fn shown(skipped: &Skipped) -> Vec<(&str, u64, i64)> {
        skipped.iter().map(|(message, since)| (message, since.offset, since.count)).collect()
    }

    #[test]
    fn the_newest_of_equal_failures_goes_first() {
        let mut skipped = Skipped::default();
        skipped.apply(&[change("b", 1), change("a", 1)], 7);
        skipped.apply(&[change("a", 2)], 8);
        assert_eq!(shown(&skipped), [("a", 7, 1), ("a", 8, 2), ("b", 7, 1)]);
        skipped.apply(&[change("a", -1), change("b", -1)], 9);
        assert_eq!(shown(&skipped), [("a", 7, 1), ("a", 8, 1)]);
        // What goes and comes again with one commit has not gone.
        skipped.apply(&[change("a", -2), change("a", 2)], 10);
        assert_eq!(shown(&skipped), [("a", 7, 1), ("a", 8, 1)]);
        skipped.apply(&[change("a", -2)], 11);
        assert!(skipped.is_empty());
        assert_eq!(skipped.bytes(), 0);
    }

    #[test]
    fn what_is_missing_is_made_up_for() {
        let mut skipped = Skipped::default();
        skipped.apply(&[change("a", -2)], 1);
        skipped.apply(&[change("a", 3)], 2);
        assert_eq!(shown(&skipped), [("a", 2, 1)]);
    }
}
