//! Expressions over the columns of one row, with the variable whose row it is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, VisitMut, VisitorMut};

use super::pattern::{Variables, at};
use crate::error::{Error, Result};
use crate::operators::match_recognize::spec::Variable;
use crate::sql::parse::match_recognize::{FINAL, RUNNING};
use crate::sql::parse::normalize;

/// Takes the names of variables off columns: what is left is over one row.
pub(super) struct RowNames<'a> {
    pub variables: &'a Variables,
    /// The variable whose name was taken off.
    pub of: Option<Variable>,
    pub clause: &'static str,
}

impl RowNames<'_> {
    pub fn take_off(&mut self, expr: &mut Expr) -> Result<()> {
        match VisitMut::visit(expr, self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(*error),
        }
    }

    fn note(&mut self, of: Variable, ident: &Ident) -> Result<()> {
        match self.of.replace(of) {
            Some(other) if other != of => {
                let error = Error::input(format!("{} has columns of several variables in one call", self.clause));
                Err(at(ident, error.with_hint("each call is over the rows of one variable, or of all")))
            }
            _ => Ok(()),
        }
    }

    fn one(&mut self, expr: &mut Expr) -> Result<()> {
        match expr {
            Expr::Identifier(ident) => self.note(Variable::All, &ident.clone()),
            Expr::CompoundIdentifier(parts) => {
                let first = parts[0].clone();
                let Some(variable) = self.variables.find(&normalize(&first)) else {
                    return self.note(Variable::All, &first);
                };
                self.note(Variable::One(variable), &first)?;
                parts.remove(0);
                if let [column] = parts.as_slice() {
                    *expr = Expr::Identifier(column.clone());
                }
                Ok(())
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let ours = ["first", "last", "prev", "next", "classifier", "match_number"];
                match ours.contains(&name.as_str()) || is_wrapper(&name) {
                    true => Err(Error::unsupported(format!("`{name}` within another call in {}", self.clause))),
                    false => Ok(()),
                }
            }
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                Err(Error::unsupported(format!("a subquery in {}", self.clause)))
            }
            _ => Ok(()),
        }
    }
}

impl VisitorMut for RowNames<'_> {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match self.one(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// Whether a function is what FINAL or RUNNING is put in words as.
pub(super) fn is_wrapper(name: &str) -> bool {
    let name = name.trim_matches('"');
    name == FINAL || name == RUNNING
}
