//! How often the step derives one row, round by round.

use crate::delta::text::describe;
use crate::error::{Error, Result};

/// The rounds in which a row is derived, ascending, with how often. Most rows are derived in one round.
#[derive(Debug, Default)]
pub(super) enum History {
    #[default]
    Never,
    Once(u32, i64),
    Often(Vec<(u32, i64)>),
}

impl History {
    /// Adds to the weight in a round.
    pub fn add(&mut self, round: u32, weight: i64) {
        match self {
            History::Never => *self = History::Once(round, weight),
            History::Once(at, old) if *at == round => match *old + weight {
                0 => *self = History::Never,
                sum => *old = sum,
            },
            History::Once(at, old) => {
                let mut both = vec![(*at, *old), (round, weight)];
                both.sort_unstable();
                *self = History::Often(both);
            }
            History::Often(rounds) => {
                match rounds.binary_search_by_key(&round, |(at, _)| *at) {
                    Ok(found) => {
                        rounds[found].1 += weight;
                        if rounds[found].1 == 0 {
                            rounds.remove(found);
                        }
                    }
                    Err(place) => rounds.insert(place, (round, weight)),
                }
                if let [(round, weight)] = rounds.as_slice() {
                    *self = History::Once(*round, *weight);
                }
            }
        }
    }

    /// The rounds with their weights.
    pub fn rounds(&self) -> impl Iterator<Item = (u32, i64)> {
        let (once, often) = match self {
            History::Never => (None, [].as_slice()),
            History::Once(round, weight) => (Some((*round, *weight)), [].as_slice()),
            History::Often(rounds) => (None, rounds.as_slice()),
        };
        once.into_iter().chain(often.iter().copied())
    }

    /// The first round, up to `last`, in which the row is derived.
    pub fn first(&self, last: u32) -> Option<u32> {
        self.rounds().take_while(|(round, _)| *round <= last).map(|(round, _)| round).next()
    }

    /// The next round after `round` in which the row is derived.
    pub fn after(&self, round: u32) -> Option<u32> {
        self.rounds().map(|(at, _)| at).find(|at| *at > round)
    }

    /// Checks that the row is not derived less than never in a round; `row` is shown where it is.
    ///
    /// # Errors
    /// [`Error::Internal`]: the rows of the step are not those of any moment.
    pub fn check(&self, round: u32, row: impl FnOnce() -> Result<Vec<arrow::array::ArrayRef>>) -> Result<()> {
        match self.rounds().find(|(at, weight)| *at == round && *weight < 0) {
            None => Ok(()),
            Some((_, weight)) => {
                let row = describe(&row()?, 0)?;
                Err(Error::Internal(format!("the recursion derives row {row} {weight} times in round {round}")))
            }
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            History::Often(rounds) => rounds.capacity() * size_of::<(u32, i64)>(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_come_and_go_in_order() {
        let mut history = History::default();
        for (round, weight) in [(5, 1), (2, 2), (9, 1), (5, 1), (2, -2)] {
            history.add(round, weight);
        }
        assert_eq!(history.rounds().collect::<Vec<_>>(), [(5, 2), (9, 1)]);
        assert_eq!((history.first(4), history.first(5), history.first(20)), (None, Some(5), Some(5)));
        assert_eq!((history.after(4), history.after(5), history.after(9)), (Some(5), Some(9), None));
        history.add(5, -2);
        assert!(matches!(history, History::Once(9, 1)));
        history.add(9, -1);
        assert!(matches!(history, History::Never));
        history.add(1, -1);
        assert!(history.check(0, || unreachable!("nothing is wrong in round 0")).is_ok());
        assert!(history.check(1, || Ok(Vec::new())).unwrap_err().to_string().contains("-1 times in round 1"));
    }
}
