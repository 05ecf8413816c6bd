//! Names for what a rewrite puts into a plan, which nothing else there has.

use std::cell::Cell;

/// Gives names with numbers.
#[derive(Debug, Default)]
pub struct Names(Cell<usize>);

impl Names {
    /// The next name that begins so. Two underscores keep it apart from what users write.
    pub fn next(&self, word: &str) -> String {
        self.0.set(self.0.get() + 1);
        format!("__{word}_{}", self.0.get())
    }
}
