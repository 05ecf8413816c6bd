//! CREATE FUNCTION and DROP FUNCTION: functions defined in SQL.
//!
//! A function that is used does not change: it is neither dropped nor replaced while a view or another function calls
//! it. Checks and defaults have its body in them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::cast;
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Ddl};
use super::constraint::bound;
use super::database::Database;
use super::names::InputNames;
use super::query::{Cancel, Rows};
use super::session::Outcome;
use super::show;
use crate::error::{Error, Result};
use crate::sql::bind::Binder;
use crate::sql::expr::simplify;
use crate::sql::inline::{SqlFunction, calls, inline};
use crate::sql::parse::parse_expression;
use crate::sql::postgres::synonym;
use crate::sql::statement::{CreateFunction, DropFunction};

/// Functions of one database.
const FUNCTIONS_MAX: usize = 10_000;

impl Catalog {
    /// A function by name.
    pub fn function(&self, name: &str) -> Option<Arc<SqlFunction>> {
        self.functions.get(name).cloned()
    }

    /// The views and functions that call a function, directly.
    fn callers(&self, name: &str) -> Vec<String> {
        let views = self.objects().filter(|o| o.calls.contains(name)).map(|o| format!("view `{}`", o.name));
        let functions = self.functions.values().filter(|f| f.calls.contains(name));
        views.chain(functions.map(|f| format!("function `{}`", f.name))).collect()
    }

    /// The text of an expression with the bodies of functions in the place of their calls.
    ///
    /// # Errors
    /// As [`inline`].
    pub fn without_calls(&self, expr: &ast::Expr) -> Result<String> {
        let mut expr = expr.clone();
        inline(&mut expr, &|name| self.function(name))?;
        Ok(expr.to_string())
    }
}

/// CREATE [OR REPLACE] FUNCTION.
pub(super) fn create(database: &Database, create: CreateFunction, sql: &str) -> Result<Outcome> {
    let session = database.inner().view_session.load_full();
    let sql = sql.trim().trim_end_matches(';').trim_end().to_string();
    define(database, move |catalog| {
        let CreateFunction { or_replace, name, arguments, returns, body } = &create;
        if is_known(&session, name) {
            return Err(Error::input(format!("there is a built-in function `{name}`")));
        }
        match catalog.function(name) {
            Some(_) if !or_replace => return Err(Error::input(format!("there is a function `{name}` already"))),
            Some(_) => refuse_used(catalog, name, "replaced")?,
            None if catalog.functions.len() >= FUNCTIONS_MAX => {
                return Err(Error::Limit(format!("the database has {FUNCTIONS_MAX} functions, which is the limit")));
            }
            None => {}
        }
        let calls = calls(body, &|called| called == name.as_str() || catalog.function(called).is_some());
        if calls.contains(name) {
            return Err(Error::unsupported(format!("function `{name}` would call itself"))
                .with_hint("WITH RECURSIVE repeats a query"));
        }
        let function = SqlFunction {
            name: name.clone(),
            arguments: arguments.iter().map(|a| (a.name.clone(), a.data_type.to_string())).collect(),
            returns: returns.to_string(),
            body: body.to_string(),
            calls,
            sql: sql.clone(),
        };
        check(&session, catalog, &create)?;
        Ok(vec![Ddl::CreateFunction(Box::new(function))])
    })?;
    Ok(Outcome::done("CREATE FUNCTION"))
}

/// DROP FUNCTION.
pub(super) fn drop(database: &Database, drop: DropFunction) -> Result<Outcome> {
    define(database, move |catalog| {
        if catalog.function(&drop.name).is_none() {
            return match drop.if_exists {
                true => Ok(Vec::new()),
                false => Err(Error::input(format!("there is no function `{}` defined in SQL", drop.name))),
            };
        }
        refuse_used(catalog, &drop.name, "dropped")?;
        Ok(vec![Ddl::DropFunction(drop.name.clone())])
    })?;
    Ok(Outcome::done("DROP FUNCTION"))
}

fn define(database: &Database, define: impl Fn(&Catalog) -> Result<Vec<Ddl>> + Send + 'static) -> Result<u64> {
    database.define(&Cancel::default(), move |catalog| define(catalog))
}

/// SHOW FUNCTIONS: those defined in SQL.
pub(super) fn list_all(database: &Database) -> Result<Rows> {
    let catalog = database.catalog();
    let functions: Vec<&Arc<SqlFunction>> = catalog.functions.values().collect();
    let column = |text: &dyn Fn(&SqlFunction) -> String| functions.iter().map(|f| Some(text(f))).collect();
    show::texts(vec![
        ("name", column(&|f| f.name.clone())),
        ("call", column(&SqlFunction::signature)),
        ("returns", column(&|f| f.returns.clone())),
        ("body", column(&|f| f.body.clone())),
    ])
}

fn refuse_used(catalog: &Catalog, name: &str, how: &str) -> Result<()> {
    let callers = catalog.callers(name);
    if callers.is_empty() {
        return Ok(());
    }
    let callers = callers.join(", ");
    Err(Error::input(format!("function `{name}` cannot be {how}: it is called by {callers}"))
        .with_hint("drop what calls it first, or give the new function another name"))
}

fn is_known(session: &SessionState, name: &str) -> bool {
    synonym(name).is_some()
        || session.scalar_functions().contains_key(name)
        || session.aggregate_functions().contains_key(name)
        || session.window_functions().contains_key(name)
        || session.udfs().contains(name)
}

/// The body must be an expression over the arguments, of a type that can be cast to the declared one.
fn check(session: &SessionState, catalog: &Catalog, create: &CreateFunction) -> Result<()> {
    let named = |error: Error| Error::input(format!("function `{}`: {error}", create.name));
    let facts = Default::default();
    let names = InputNames::new(session, catalog, &facts);
    let binder = Binder::new(session, &names);
    let column = |name: &str, data_type: &ast::DataType| ast::ColumnDef {
        name: ast::Ident::with_quote('"', name),
        data_type: data_type.clone(),
        options: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    for argument in &create.arguments {
        if !seen.insert(&argument.name) {
            return Err(Error::input(format!("function `{}` has two arguments `{}`", create.name, argument.name)));
        }
    }
    let columns = create.arguments.iter().map(|a| column(&a.name, &a.data_type)).collect();
    let arguments = binder.schema(columns).map_err(named)?;
    let returns = binder.schema(vec![column("returns", &create.returns)]).map_err(named)?;
    let mut body = create.body.clone();
    let _ = ast::visit_expressions_mut(&mut body, |expr| {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Placeholder(text) = &value.value
            && let Some(at) = text.strip_prefix('$').and_then(|place| place.parse::<usize>().ok())
            && let Some(argument) = at.checked_sub(1).and_then(|at| create.arguments.get(at))
        {
            *expr = ast::Expr::Identifier(ast::Ident::with_quote('"', &argument.name));
        }
        ControlFlow::<()>::Continue(())
    });
    let fields: Vec<Field> = arguments.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema = DFSchema::try_from(Schema::new(fields))?;
    let text = catalog.without_calls(&parse_expression(&body.to_string())?)?;
    let expr = bound(session, &text, &schema).map_err(named)?;
    simplify(session, cast(expr, returns.field(0).data_type().clone()), &schema).map_err(named)?;
    Ok(())
}
