//! Functions that Millstream adds to the batch engine, or gives a meaning that does not depend on the order of rows.

use datafusion::execution::session_state::SessionState;

/// Adds Millstream's functions to a session.
pub fn register(state: SessionState) -> SessionState {
    state
}
