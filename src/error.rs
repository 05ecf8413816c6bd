//! The error type of the whole crate: one variant per thing the caller can do next.
//!
//! ```text
//! Input        mend the statement or the data and try again
//! Unsupported  spell it differently; the message says how where we know
//! Limit        a named limit was reached; raise it or ask for less
//! Cancelled    the user asked for the query to stop
//! Corrupt      a file holds something we never wrote: file and position are named
//! Io           the operating system refused
//! Poisoned     a write to the log failed or the engine has ended; the database must be opened anew
//! Internal     a bug in Millstream
//! ```

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

mod batch;
mod wording;

pub use wording::{WRONG_WIDTH, is_about_names, sql_types, two_columns};

/// `Result` with Millstream's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The statement or the data is wrong.
    #[error("{0}")]
    Input(Box<InputError>),
    /// The statement is right but Millstream cannot do it.
    #[error("{0}")]
    Unsupported(Box<InputError>),
    /// A named limit was reached; nothing was changed.
    #[error("{0}")]
    Limit(String),
    /// The user cancelled the statement.
    #[error("cancelled")]
    Cancelled,
    /// A file does not hold what was written to it.
    #[error("{}: damaged at byte {position}: {reason}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Byte position of the damage from the start of the file.
        position: u64,
        /// What was expected there.
        reason: String,
    },
    /// The operating system refused.
    #[error("{context}: {message}")]
    Io {
        /// What was being done, naming the file.
        context: String,
        /// The operating system's words.
        message: String,
        /// The operating system's error kind.
        kind: std::io::ErrorKind,
    },
    /// A write to the log failed, or the engine has ended: nothing more is accepted until the database is reopened.
    #[error("the database accepts no more changes ({0}); reopen it to recover")]
    Poisoned(String),
    /// A bug in Millstream.
    #[error("internal error: {0}")]
    Internal(String),
}

/// A wrong statement or wrong data: what was wrong, where, and what to try.
#[derive(Debug, Clone, Default)]
pub struct InputError {
    /// What was wrong, naming the object.
    pub message: String,
    /// What to try instead.
    pub hint: Option<String>,
    /// Where in the statement.
    pub place: Option<Place>,
}

/// A position in a SQL text. Both numbers count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Error {
    /// An [`Error::Input`] with a message alone.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input(Box::new(InputError { message: message.into(), hint: None, place: None }))
    }

    /// An [`Error::Unsupported`] with a message alone.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Error::Unsupported(Box::new(InputError { message: message.into(), hint: None, place: None }))
    }

    /// An [`Error::Io`] that names the file.
    pub fn io(doing: &str, file: &Path, error: &std::io::Error) -> Self {
        Error::Io { context: format!("{doing} {}", file.display()), message: error.to_string(), kind: error.kind() }
    }

    /// An [`Error::Corrupt`] at a byte position of a file.
    pub fn corrupt(file: &Path, position: u64, reason: impl Into<String>) -> Self {
        Error::Corrupt { file: file.to_path_buf(), position, reason: reason.into() }
    }

    /// The same error with a hint, where it is the kind that carries one and has none yet.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Error::Input(e) | Error::Unsupported(e) = &mut self {
            e.hint.get_or_insert(hint.into());
        }
        self
    }

    /// The same error with a place in the statement, where it is the kind that carries one and has none yet.
    #[must_use]
    pub fn with_place(mut self, place: Option<Place>) -> Self {
        if let Error::Input(e) | Error::Unsupported(e) = &mut self {
            e.place = e.place.or(place);
        }
        self
    }

    /// The same error without its place, which is one in another text than the user's.
    #[must_use]
    pub fn without_place(mut self) -> Self {
        if let Error::Input(e) | Error::Unsupported(e) = &mut self {
            e.place = None;
        }
        self
    }

    /// The place in the statement, where one is known.
    pub fn place(&self) -> Option<Place> {
        match self {
            Error::Input(e) | Error::Unsupported(e) => e.place,
            _ => None,
        }
    }

    /// The exit code of the program for this error: 1 SQL, 3 I/O or corruption, 4 a limit.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) | Error::Unsupported(_) | Error::Cancelled | Error::Internal(_) => 1,
            Error::Corrupt { .. } | Error::Io { .. } | Error::Poisoned(_) => 3,
            Error::Limit(_) => 4,
        }
    }
}

/// The candidate nearest to `name`, if one is near enough to be a slip of the keyboard.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let length = name.chars().count();
    // Names are as far apart as their lengths, at least: a long one is not compared letter by letter.
    let is_alike = |c: &&str| {
        let other = c.chars().count();
        length.abs_diff(other) <= 1 + length.min(other) / 4
    };
    candidates
        .into_iter()
        .filter(is_alike)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), Reverse(c.len()), c))
        .filter(|(distance, _, c)| {
            let other = c.chars().count();
            *distance < length.max(other) && *distance <= 1 + length.min(other) / 4
        })
        // A letter is left out more often than put in: of two that are as near, the longer one.
        .min()
        .map(|(_, _, c)| c)
}

/// What `work` returns, or its panic as an error: a bug in one function must not take the log and the views along.
///
/// # Errors
/// [`Error::Internal`] with what the panic said; `what` names who panicked.
pub fn caught<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of unknown cause");
        Err(Error::Internal(format!("{what} panicked: {message}")))
    })
}

/// The first few names, quoted.
pub fn list(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut seen = HashSet::new();
    let names: Vec<&str> = names.iter().copied().filter(|name| seen.insert(*name)).collect();
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_slips_and_leaves_strangers() {
        assert_eq!(nearest("prcie", ["price", "time"]), Some("price"));
        assert_eq!(nearest("cont", ["cot", "count"]), Some("count"));
        assert_eq!(nearest("zebra", ["price", "time"]), None);
        assert_eq!(nearest("a", ["b", "c"]), None);
        assert_eq!(nearest(&"price".repeat(200_000), ["price", "time"]), None);
    }
}
