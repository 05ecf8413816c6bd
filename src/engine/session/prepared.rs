//! PREPARE, EXECUTE and DEALLOCATE: the prepared statements of a session, by name.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast;

use super::{Outcome, Session};
use crate::engine::constraint::NoNames;
use crate::engine::core::PLANNING;
use crate::engine::lookup::{may_be_lookup, read, recognize};
use crate::engine::prepared::{Body, Prepared, Template};
use crate::engine::query::Rows;
use crate::error::{Error, Result, caught, nearest};
use crate::operators::project::batch;
use crate::sql::bind::Binder;
use crate::sql::expr::{physical, simplify};
use crate::sql::parameters::Parameters;
use crate::sql::statement::{Execute, Prepare};

/// Prepared statements of one session.
const PREPARED_MAX: usize = 10_000;

impl Session {
    pub(super) fn prepare(&mut self, prepare: Prepare, sql: &str) -> Result<Outcome> {
        if self.prepared.contains_key(&prepare.name) {
            return Err(Error::input(format!("there is a prepared statement `{}` already", prepare.name))
                .with_hint(format!("DEALLOCATE {}", prepare.name)));
        }
        if self.prepared.len() >= PREPARED_MAX {
            return Err(Error::Limit(format!(
                "the session has {PREPARED_MAX} prepared statements, which is the limit"
            )));
        }
        let name = prepare.name.clone();
        let template = Template::prepare(&self.database, prepare, sql)?;
        self.prepared.insert(name, Arc::new(template));
        Ok(Outcome::done("PREPARE"))
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Outcome> {
        match name {
            None => self.prepared.clear(),
            Some(name) => {
                self.template(name)?;
                self.prepared.remove(name);
            }
        }
        Ok(Outcome::done("DEALLOCATE"))
    }

    /// The prepared statement of that name.
    pub(super) fn template(&self, name: &str) -> Result<Arc<Template>> {
        self.prepared.get(name).cloned().ok_or_else(|| {
            let error = Error::input(format!("no prepared statement `{name}`"));
            let mut names: Vec<&str> = self.prepared.keys().map(String::as_str).collect();
            names.sort_unstable();
            match nearest(name, names) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("PREPARE {name} AS ... makes one, for this session")),
            }
        })
    }

    pub(super) fn execute_named(&mut self, execute: &Execute) -> Result<Outcome> {
        let template = self.template(&execute.name)?;
        let values = self.arguments(&execute.arguments)?;
        // A place in the text of the prepared statement is none in that of EXECUTE.
        self.run_template(&template, &values).map_err(Error::without_place)
    }

    /// Runs a prepared statement as one of this session: within its transaction, if one is open.
    ///
    /// # Errors
    /// As [`Prepared::execute`]; also when it belongs to another database.
    pub fn execute_prepared(&mut self, statement: &Prepared, values: &[ScalarValue]) -> Result<Outcome> {
        if !self.database.is(statement.database()) {
            return Err(Error::input("the statement was prepared in another database"));
        }
        self.refuse_aborted()?;
        let outcome = self.execute_template(statement.template(), values);
        self.noted(outcome)
    }

    pub(in crate::engine) fn execute_template(
        &mut self,
        template: &Template,
        values: &[ScalarValue],
    ) -> Result<Outcome> {
        self.cancel.reset();
        caught(PLANNING, || self.run_template(template, values))
    }

    fn run_template(&mut self, template: &Template, values: &[ScalarValue]) -> Result<Outcome> {
        if self.transaction.is_none()
            && let Some(rows) = template.look_up(&self.database, values)?
        {
            return Ok(Outcome::Rows(rows));
        }
        let values = template.fit(&self.database, values)?;
        template.with_stack(|| {
            self.with_values(values, |session| match template.body() {
                Body::Query(query) => session.scan(query).map(Outcome::Rows),
                Body::Change(change) => session.change(change.as_ref().clone()),
            })
        })
    }

    /// Runs a statement in whose plan these values take the places of the parameters.
    pub(super) fn with_values<T>(
        &mut self,
        values: Vec<ScalarValue>,
        run: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        self.parameters = Some(Parameters::of_values(values));
        let outcome = run(self);
        self.parameters = None;
        outcome
    }

    /// The values of expressions over nothing.
    pub(super) fn arguments(&self, arguments: &[ast::Expr]) -> Result<Vec<ScalarValue>> {
        let runner = self.runner();
        let (session, nothing) = (runner.session(), DFSchema::empty());
        let value = |argument: &ast::Expr| -> Result<ScalarValue> {
            let expr = Binder::new(session, &NoNames).expression(argument.clone(), &nothing)?;
            let expr = simplify(session, expr, &nothing)?;
            if let Expr::Literal(value, _) = expr {
                return Ok(value);
            }
            let schema = Arc::new(nothing.as_arrow().clone());
            let value: ArrayRef =
                physical(&expr, &nothing)?.evaluate(&batch(&schema, Vec::new(), 1)?)?.into_array(1)?;
            Ok(ScalarValue::try_from_array(&value, 0)?)
        };
        arguments.iter().map(value).collect()
    }

    /// The rows of a query that turns out to be a lookup; nothing where it is anything else, or wrong.
    pub(super) fn looked_up(&self, query: &ast::Query) -> Result<Option<Rows>> {
        let catalog = self.catalog();
        if self.transaction.is_some() || self.parameters.is_some() || !may_be_lookup(&self.database, &catalog, query) {
            return Ok(None);
        }
        let session = self.database.inner().session.load_full();
        let Ok(Some(lookup)) = recognize(&self.database, &session, &catalog, query) else { return Ok(None) };
        let found = read(&self.database, &[(&lookup, &[])])?;
        Ok(found.and_then(|(_, mut rows)| rows.pop()))
    }
}
