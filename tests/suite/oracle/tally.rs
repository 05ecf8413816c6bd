//! What runs of the oracle came to, in numbers.

use std::collections::BTreeMap;
use std::fmt;

/// What a run came to when all was well.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Views that were made.
    pub views: usize,
    /// Views with an operator that runs the batch plan.
    pub recomputed: usize,
    /// Views with each operator, by its name in EXPLAIN.
    pub operators: BTreeMap<String, usize>,
    /// Comparisons of a view with its query.
    pub comparisons: usize,
    /// Comparisons in which both failed.
    pub failures: usize,
    /// Views that neither side takes.
    pub refused: usize,
    /// Comparisons left out, since the view had too many rows.
    pub too_large: usize,
    /// Comparisons with the batch engine as it comes.
    pub stock: usize,
    /// Views that leave out failing rows.
    pub skipping: usize,
    /// Failures that they listed.
    pub listed: usize,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.views += other.views;
        self.recomputed += other.recomputed;
        other.operators.into_iter().for_each(|(name, count)| *self.operators.entry(name).or_default() += count);
        self.comparisons += other.comparisons;
        self.failures += other.failures;
        self.refused += other.refused;
        self.too_large += other.too_large;
        self.stock += other.stock;
        self.skipping += other.skipping;
        self.listed += other.listed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { views, recomputed, refused, comparisons, failures, too_large, .. } = self;
        let Tally { stock, skipping, listed, operators, .. } = self;
        write!(
            f,
            "{views} views made ({recomputed} with Recompute), {refused} refused by both; {comparisons} comparisons "
        )?;
        write!(
            f,
            "({failures} of failures, {too_large} too large left out), {stock} with the batch engine as it comes; {skipping} views left out rows, "
        )?;
        write!(f, "{listed} failures listed; views with {operators:?}")
    }
}
