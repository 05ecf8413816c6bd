//! Row patterns, and the programs that look for them.
//!
//! ```text
//! A (B | C)+ D?       0 A    1 split 2 4    2 B    3 jump 5    4 C    5 split 1 6    6 split 7 8    7 D    8 done
//! ```
//!
//! A split goes to its first step first and comes back for the second: so the first match that is found is the one that SQL
//! prefers. That is the first alternative, and of a quantifier the most rows, or the fewest where it is reluctant. An
//! iteration that a quantifier does not ask for takes at least one row, so that no loop goes on for ever.

use std::fmt;

use crate::error::{Error, Result};

/// Steps of the program of one pattern: quantifiers with numbers are written out.
pub const PATTERN_STEPS_MAX: usize = 4_096;

/// A regular expression over rows. Symbols are called by their place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// A row that is one of the symbol's.
    Symbol(usize),
    /// No row, before the first one of the partition.
    Start,
    /// No row, behind the last one of the partition.
    End,
    /// One after the other; none is no row at all.
    Sequence(Vec<Pattern>),
    /// The first one that leads to a match.
    Choice(Vec<Pattern>),
    /// Several times.
    Repeat {
        /// What is repeated.
        of: Box<Pattern>,
        /// How often at least.
        least: u32,
        /// And at most.
        most: Option<u32>,
        /// Whether fewer are better.
        reluctant: bool,
    },
}

impl Pattern {
    /// The fewest rows that match.
    fn rows_min(&self) -> usize {
        match self {
            Pattern::Symbol(_) => 1,
            Pattern::Start | Pattern::End => 0,
            Pattern::Sequence(parts) => parts.iter().map(Pattern::rows_min).fold(0, usize::saturating_add),
            Pattern::Choice(parts) => parts.iter().map(Pattern::rows_min).min().unwrap_or(0),
            Pattern::Repeat { of, least, .. } => of.rows_min().saturating_mul(*least as usize),
        }
    }

    /// For each symbol the fewest rows that come before one of its own in a match.
    pub fn rows_before(&self, symbols: usize) -> Vec<usize> {
        let mut found = vec![usize::MAX; symbols];
        self.note_before(0, &mut found);
        found
    }

    fn note_before(&self, before: usize, found: &mut [usize]) {
        match self {
            Pattern::Symbol(symbol) => found[*symbol] = found[*symbol].min(before),
            Pattern::Start | Pattern::End => {}
            Pattern::Sequence(parts) => {
                let mut before = before;
                for part in parts {
                    part.note_before(before, found);
                    before = before.saturating_add(part.rows_min());
                }
            }
            Pattern::Choice(parts) => parts.iter().for_each(|part| part.note_before(before, found)),
            Pattern::Repeat { of, .. } => of.note_before(before, found),
        }
    }

    /// Whether some part of it is this.
    pub fn has(&self, wanted: &Pattern) -> bool {
        self == wanted
            || match self {
                Pattern::Sequence(parts) | Pattern::Choice(parts) => parts.iter().any(|part| part.has(wanted)),
                Pattern::Repeat { of, .. } => of.has(wanted),
                _ => false,
            }
    }

    /// The pattern as SQL writes it, with these names for its symbols.
    pub fn show<'a>(&'a self, names: &'a [String]) -> impl fmt::Display + 'a {
        Shown { pattern: self, names, within: false }
    }
}

struct Shown<'a> {
    pattern: &'a Pattern,
    names: &'a [String],
    /// Whether it stands where only one part can stand.
    within: bool,
}

impl<'a> Shown<'a> {
    fn part(&self, pattern: &'a Pattern) -> Shown<'a> {
        Shown { pattern, names: self.names, within: true }
    }

    fn several(&self, f: &mut fmt::Formatter<'_>, parts: &'a [Pattern], between: &str) -> fmt::Result {
        f.write_str(if self.within { "(" } else { "" })?;
        for (at, pattern) in parts.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { between } else { "" }, self.part(pattern))?;
        }
        f.write_str(if self.within { ")" } else { "" })
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern {
            Pattern::Symbol(symbol) => f.write_str(&self.names[*symbol]),
            Pattern::Start => f.write_str("^"),
            Pattern::End => f.write_str("$"),
            Pattern::Sequence(parts) => self.several(f, parts, " "),
            Pattern::Choice(parts) => self.several(f, parts, " | "),
            Pattern::Repeat { of, least, most, reluctant } => {
                write!(f, "{}", self.part(of))?;
                match (least, most) {
                    (0, None) => f.write_str("*"),
                    (1, None) => f.write_str("+"),
                    (0, Some(1)) => f.write_str("?"),
                    (least, None) => write!(f, "{{{least},}}"),
                    (least, Some(most)) if least == most => write!(f, "{{{least}}}"),
                    (least, Some(most)) => write!(f, "{{{least},{most}}}"),
                }?;
                f.write_str(if *reluctant { "?" } else { "" })
            }
        }
    }
}

/// A step of a program. Steps are called by their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Takes a row as one of a symbol.
    Symbol(usize),
    /// Goes on at the first, and if that leads to no match, at the second.
    Split(usize, usize),
    /// Goes on there.
    Jump(usize),
    /// Goes on if no row of the partition comes before.
    Start,
    /// Goes on if no row of the partition comes behind.
    End,
    /// Notes the place among the rows.
    Mark(usize),
    /// Goes on if a row was taken since the place was noted.
    Moved(usize),
    /// It is a match.
    Done,
}

/// A pattern as steps.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The steps; the search begins at the first.
    pub steps: Vec<Step>,
    /// How many places it notes.
    pub marks: usize,
}

impl Program {
    /// The program of a pattern.
    ///
    /// # Errors
    /// [`Error::Limit`] past [`PATTERN_STEPS_MAX`].
    pub fn of(pattern: &Pattern) -> Result<Program> {
        let mut program = Program::default();
        program.write(pattern)?;
        program.push(Step::Done)?;
        Ok(program)
    }

    fn push(&mut self, step: Step) -> Result<usize> {
        if self.steps.len() >= PATTERN_STEPS_MAX {
            return Err(Error::Limit(format!(
                "the pattern, written out, has more than the limit of {PATTERN_STEPS_MAX} parts"
            )));
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn write(&mut self, pattern: &Pattern) -> Result<()> {
        match pattern {
            Pattern::Symbol(symbol) => self.push(Step::Symbol(*symbol)).map(|_| ()),
            Pattern::Start => self.push(Step::Start).map(|_| ()),
            Pattern::End => self.push(Step::End).map(|_| ()),
            Pattern::Sequence(parts) => parts.iter().try_for_each(|part| self.write(part)),
            Pattern::Choice(parts) => self.choice(parts),
            Pattern::Repeat { of, least, most, reluctant } => {
                for _ in 0..*least {
                    let length = self.steps.len();
                    self.write(of)?;
                    // What adds no step adds none however often it is said.
                    if self.steps.len() == length {
                        break;
                    }
                }
                match most {
                    None => self.endless(of, *reluctant),
                    Some(most) => self.optional(of, most.saturating_sub(*least), *reluctant),
                }
            }
        }
    }

    fn choice(&mut self, parts: &[Pattern]) -> Result<()> {
        let Some((last, others)) = parts.split_last() else { return Ok(()) };
        let mut ends = Vec::with_capacity(others.len());
        for part in others {
            let split = self.push(Step::Split(0, 0))?;
            self.write(part)?;
            ends.push(self.push(Step::Jump(0))?);
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        self.write(last)?;
        for end in ends {
            self.steps[end] = Step::Jump(self.steps.len());
        }
        Ok(())
    }

    fn endless(&mut self, of: &Pattern, reluctant: bool) -> Result<()> {
        let split = self.push(Step::Split(0, 0))?;
        self.iteration(of)?;
        self.push(Step::Jump(split))?;
        self.steps[split] = towards(split + 1, self.steps.len(), reluctant);
        Ok(())
    }

    fn optional(&mut self, of: &Pattern, times: u32, reluctant: bool) -> Result<()> {
        let mut splits = Vec::new();
        for _ in 0..times {
            splits.push(self.push(Step::Split(0, 0))?);
            self.iteration(of)?;
        }
        for split in splits {
            self.steps[split] = towards(split + 1, self.steps.len(), reluctant);
        }
        Ok(())
    }

    /// An iteration that takes a row.
    fn iteration(&mut self, of: &Pattern) -> Result<()> {
        if of.rows_min() > 0 {
            return self.write(of);
        }
        let mark = self.marks;
        self.marks += 1;
        self.push(Step::Mark(mark))?;
        self.write(of)?;
        self.push(Step::Moved(mark)).map(|_| ())
    }
}

fn towards(more: usize, out: usize, reluctant: bool) -> Step {
    if reluctant { Step::Split(out, more) } else { Step::Split(more, out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(of: Pattern, least: u32, most: Option<u32>) -> Pattern {
        Pattern::Repeat { of: Box::new(of), least, most, reluctant: false }
    }

    #[test]
    fn patterns_are_written_out() {
        let [a, b, c, d] = [0, 1, 2, 3].map(Pattern::Symbol);
        let pattern = Pattern::Sequence(vec![
            a.clone(),
            repeat(Pattern::Choice(vec![b, c]), 1, None),
            repeat(d.clone(), 0, Some(1)),
        ]);
        let names = ["A", "B", "C", "D"].map(String::from);
        assert_eq!(pattern.show(&names).to_string(), "A (B | C)+ D?");
        assert_eq!(pattern.rows_before(4), [0, 1, 1, 2]);
        assert_eq!(Program::of(&pattern).unwrap().marks, 0);
        let nullable = repeat(repeat(d.clone(), 0, None), 0, Some(3));
        assert_eq!(Program::of(&nullable).unwrap().marks, 3);
        assert!(matches!(Program::of(&repeat(repeat(d, 1000, None), 1000, None)), Err(Error::Limit(_))));
        let nothing = repeat(Pattern::Sequence(Vec::new()), u32::MAX, Some(u32::MAX));
        assert_eq!(Program::of(&nothing).unwrap().steps, [Step::Done]);
        assert!(repeat(a, 2, Some(2)).show(&names).to_string() == "A{2}" && nullable.has(&Pattern::Symbol(3)));
    }
}
