//! Steps of a program at rows from which no match was found: bits, so that no search takes one twice.
//!
//! Where the search from a row fails, all that it tried is dead for the searches from later rows too, unless what they may
//! try depends on where they begin. A search that meets what another one tried has looked, through it, as far as that one
//! did.

/// Bits that may be held: steps times rows.
const BITS_MAX: usize = 1 << 30;

/// What led to no match.
pub(super) struct Dead {
    steps: usize,
    /// The row of the first bits.
    base: usize,
    bits: Vec<u64>,
    /// Whether searches share what they tried.
    shared: bool,
    /// How far those looked that failed.
    reach: usize,
}

impl Dead {
    /// For a program of so many steps, in rows from one to another. Searches share what they tried, if they may and it is
    /// not too much.
    pub fn new(steps: usize, from: usize, to: usize, shared: bool) -> Dead {
        let shared = shared && (to - from + 1).saturating_mul(steps) <= BITS_MAX;
        Dead { steps, base: from, bits: Vec::new(), shared, reach: 0 }
    }

    /// A search begins with a row.
    pub fn begin(&mut self, row: usize) {
        if !self.shared {
            self.forget();
            self.base = row;
        }
    }

    /// A search failed that looked so far.
    pub fn failed(&mut self, reach: usize) {
        if self.shared {
            self.reach = self.reach.max(reach);
        }
    }

    /// What was tried led to a match.
    pub fn forget(&mut self) {
        self.bits.clear();
        self.reach = 0;
    }

    /// How far was looked from a step at a row, if it was tried before; else notes that it is tried.
    ///
    /// # Errors
    /// What is too much to be noted, in words.
    pub fn has_or_notes(&mut self, step: usize, row: usize) -> Result<Option<usize>, String> {
        let bit = (row - self.base).saturating_mul(self.steps).saturating_add(step);
        if bit >= BITS_MAX {
            return Err(format!("tries more than the limit of {BITS_MAX} steps at rows"));
        }
        let (word, mask) = (bit / 64, 1 << (bit % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let before = self.bits[word] & mask != 0;
        self.bits[word] |= mask;
        Ok(before.then_some(self.reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_met_again() {
        let mut dead = Dead::new(3, 10, 20, true);
        dead.begin(10);
        assert_eq!(dead.has_or_notes(2, 12), Ok(None));
        dead.failed(15);
        dead.begin(11);
        assert_eq!(dead.has_or_notes(2, 12), Ok(Some(15)));
        assert_eq!(dead.has_or_notes(1, 12), Ok(None));
        dead.forget();
        assert_eq!(dead.has_or_notes(2, 12), Ok(None));
        let mut alone = Dead::new(3, 10, 20, false);
        alone.begin(10);
        assert_eq!(alone.has_or_notes(0, 10), Ok(None));
        alone.begin(11);
        assert_eq!(alone.has_or_notes(0, 11), Ok(None));
        assert!(alone.has_or_notes(0, BITS_MAX).is_err());
    }
}
