//! What a statement comes to.

use crate::engine::query::Rows;
use crate::engine::subscribe::Subscription;
use crate::error::{Error, Result};

/// What a statement came to.
#[derive(Debug)]
pub enum Outcome {
    /// Rows, of a query, a listing, or a statement with RETURNING.
    Rows(Rows),
    /// Done; the tag says what, such as `INSERT 3`.
    Done {
        /// What was done.
        tag: String,
    },
    /// Views were compared with their queries.
    Verified {
        /// A row per view.
        rows: Rows,
        /// Whether all are equal.
        ok: bool,
    },
    /// A view's rows and changes.
    Subscribed(Subscription),
}

impl Outcome {
    pub(in crate::engine) fn done(tag: impl Into<String>) -> Outcome {
        Outcome::Done { tag: tag.into() }
    }

    /// The rows, of a statement that gives any.
    ///
    /// # Errors
    /// When it gives none.
    pub fn into_rows(self) -> Result<Rows> {
        match self {
            Outcome::Rows(rows) | Outcome::Verified { rows, .. } => Ok(rows),
            Outcome::Done { tag } => Err(Error::input(format!("{tag} gives no rows"))),
            Outcome::Subscribed(_) => Err(Error::input("SUBSCRIBE gives no rows; use `subscribe`")),
        }
    }
}
