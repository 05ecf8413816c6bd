//! SAVEPOINT, RELEASE and ROLLBACK TO: statements of the open transaction are taken back without ending it.

use super::{Outcome, Session};
use crate::error::{Error, Result};
use crate::sql::statement::Savepoint;

impl Session {
    pub(super) fn savepoint(&mut self, what: &Savepoint) -> Result<Outcome> {
        let Some(transaction) = &mut self.transaction else {
            return Err(
                Error::input("a savepoint is a place in a transaction, and none is open").with_hint("BEGIN opens one")
            );
        };
        Ok(Outcome::done(match what {
            Savepoint::Set(name) => {
                transaction.save(name)?;
                "SAVEPOINT"
            }
            Savepoint::Release(name) => {
                transaction.release(name)?;
                "RELEASE"
            }
            Savepoint::RollBackTo(name) => {
                transaction.roll_back_to(name)?;
                // What failed is taken back too.
                self.aborted = false;
                "ROLLBACK"
            }
        }))
    }
}
