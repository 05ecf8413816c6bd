//! Functions that Millstream adds to the batch engine, or gives a meaning that does not depend on the order of rows.

use datafusion::execution::session_state::SessionState;

/// Adds Millstream's functions to a session.
pub fn register(state: SessionState) -> SessionState {
    state
}

/// Whether an aggregate's result depends on the order of its rows, and it takes an ORDER BY.
pub fn is_order_sensitive(name: &str) -> bool {
    matches!(name, "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value")
}
