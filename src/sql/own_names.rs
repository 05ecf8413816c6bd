//! Functions by their own names.
//!
//! ```text
//! pow(row(a), b)     power(struct(a), b)
//! ```
//!
//! The batch engine gives a call by a second name an alias, so that its column is named as it is written. Columns have
//! their names already, and each alias within others doubles the time to find a type.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, VisitMut, VisitorMut};

use super::parse::normalize;

/// Calls functions by their own names, where they have several.
pub fn call_by_own_names(statement: &mut impl VisitMut, state: &SessionState) {
    let _ = statement.visit(&mut Calls(state));
}

struct Calls<'a>(&'a SessionState);

impl VisitorMut for Calls<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let [part] = function.name.0.as_slice()
            && let Some(name) = part.as_ident().map(normalize)
            && let Some(known) = self.0.scalar_functions().get(&name)
            && known.name() != name
            && self.0.scalar_functions().get(known.name()) == Some(known)
        {
            function.name = ObjectName::from(vec![Ident::with_quote('"', known.name())]);
        }
        ControlFlow::Continue(())
    }
}
