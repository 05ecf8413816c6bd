//! Prepared statements: parsed and typed once, run many times with other values.
//!
//! A query of one relation by its key is recognised when it is prepared (`engine/lookup`); running it is then a
//! question to the engine's index. Any other statement is planned at each run, as if its values stood in its text.

mod fit;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast;

use super::catalog::Catalog;
use super::database::Database;
use super::dml::Dml;
use super::lookup::{self, Lookup, recognize};
use super::names::InputNames;
use super::query::Rows;
use super::session::Outcome;
use super::show::type_name;
use crate::error::{Error, Result, caught};
use crate::sql::bind::Binder;
use crate::sql::depth::{is_deep, with_room, with_stack};
use crate::sql::locate::locate;
use crate::sql::parameters::{Parameters, all_parameters, parameter_types};
use crate::sql::parse::{normalize, parse};
use crate::sql::statement::{Prepare, Statement};

/// Who it is that panics in this file.
const PREPARED: &str = "a prepared statement";

/// A value for a parameter: `5i64.into()`, `"text".into()`, `Value::Null`.
pub type Value = ScalarValue;

/// A statement with parameters `$1`, `$2`, ..., made by [`Database::prepare`]. Clones share it; it can be used from any
/// thread. It stays right when tables and views are altered: it is prepared again on its own.
///
/// ```
/// use millstream::Database;
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE STREAM likes (post BIGINT, who TEXT)")?;
/// db.execute("CREATE MATERIALIZED VIEW counts AS SELECT post, count(*) AS n FROM likes GROUP BY post")?;
///
/// let like = db.prepare("INSERT INTO likes VALUES ($1, $2)")?;
/// like.execute(&[7i64.into(), "ada".into()])?;
///
/// // The view's key is `post`: no scan, and no plan.
/// let count = db.prepare("SELECT n FROM counts WHERE post = $1")?;
/// assert_eq!(count.query(&[7i64.into()])?.len(), 1);
/// assert_eq!(count.query(&[8i64.into()])?.len(), 0);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone)]
pub struct Prepared {
    database: Database,
    template: Arc<Template>,
}

impl Prepared {
    pub(super) fn new(database: &Database, sql: &str) -> Result<Prepared> {
        let make = || {
            let statement = parse(sql)?;
            let template = Template::new(database, statement, &[], sql)?;
            Ok(Prepared { database: database.clone(), template: Arc::new(template) })
        };
        let beneath = database.catalog().expanded_depth();
        with_stack(sql, beneath, || caught(PREPARED, make)).map_err(|error| locate(error, sql))
    }

    /// Runs a query. Within a transaction, [`Session::execute_prepared`](super::session::Session::execute_prepared) does.
    ///
    /// # Errors
    /// When there are more values than parameters, or fewer, or one does not fit; and as [`Database::query`].
    pub fn query(&self, values: &[Value]) -> Result<Rows> {
        self.execute(values)?.into_rows()
    }

    /// Runs the statement.
    ///
    /// # Errors
    /// As [`Prepared::query`].
    pub fn execute(&self, values: &[Value]) -> Result<Outcome> {
        if let Some(rows) = caught(PREPARED, || self.template.look_up(&self.database, values))? {
            return Ok(Outcome::Rows(rows));
        }
        self.database.session().execute_template(&self.template, values)
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// Runs several queries by key at one moment. Returns the offset of that moment, and the rows of each query.
    ///
    /// # Errors
    /// As [`Prepared::query`]; also when one of them is not a query by key, or is one of another database.
    pub fn query_together(queries: &[(&Prepared, &[Value])]) -> Result<(u64, Vec<Rows>)> {
        let Some((first, _)) = queries.first() else { return Err(Error::input("no query to run")) };
        let database = &first.database;
        if queries.iter().any(|(query, _)| !database.is(&query.database)) {
            return Err(Error::input("queries of different databases have no moment together"));
        }
        let plans = queries.iter().map(|(query, _)| query.template.plan(database)).collect::<Result<Vec<_>>>()?;
        let values =
            queries.iter().zip(&plans).map(|((_, values), plan)| plan.fit(values)).collect::<Result<Vec<_>>>()?;
        let lookups: Option<Vec<(&Lookup, &[Value])>> =
            plans.iter().zip(&values).map(|(plan, values)| Some((plan.lookup.as_ref()?, values.as_slice()))).collect();
        let found = match lookups {
            Some(lookups) => lookup::read(database, &lookups)?,
            None => None,
        };
        found.ok_or_else(|| {
            Error::unsupported("only queries by key can be run together")
                .with_hint("one query over several relations sees them at one moment as well")
        })
    }

    /// The types of the parameters as SQL names them; none where any value will do.
    ///
    /// # Errors
    /// When the statement no longer fits the tables and views.
    pub fn parameters(&self) -> Result<Vec<Option<String>>> {
        Ok(self.template.plan(&self.database)?.types.iter().map(|t| t.as_ref().map(type_name)).collect())
    }

    /// Whether the statement reads rows by their key, without a scan.
    ///
    /// # Errors
    /// When the statement no longer fits the tables and views.
    pub fn is_lookup(&self) -> Result<bool> {
        Ok(self.template.plan(&self.database)?.lookup.is_some())
    }
}

/// A statement with parameters.
pub(super) struct Template {
    body: Body,
    /// The types that were given with the statement.
    declared: Vec<Option<DataType>>,
    /// Whether it nests so deep that it needs a stack of its own.
    deep: bool,
    plan: ArcSwapOption<Plan>,
}

/// What is run.
pub(super) enum Body {
    Query(Box<ast::Query>),
    Change(Box<ast::Statement>),
}

/// What is known of a statement over one catalog.
struct Plan {
    catalog: Arc<Catalog>,
    session: Arc<SessionState>,
    types: Vec<Option<DataType>>,
    lookup: Option<Lookup>,
}

impl Template {
    /// The template of `PREPARE`.
    pub fn prepare(database: &Database, prepare: Prepare, sql: &str) -> Result<Template> {
        Template::new(database, *prepare.statement, &prepare.types, sql)
    }

    fn new(database: &Database, statement: Statement, types: &[ast::DataType], sql: &str) -> Result<Template> {
        let body = match statement {
            Statement::Query(query) => Body::Query(query),
            Statement::Change(change) => Body::Change(change),
            _ => return Err(Error::unsupported("only a query, INSERT, UPDATE or DELETE can be prepared")),
        };
        let catalog = database.catalog();
        let session = database.inner().session.load_full();
        let facts = HashMap::new();
        let names = InputNames::new(&session, &catalog, &facts);
        let column = |(at, data_type): (usize, &ast::DataType)| {
            let name = ast::Ident::new(format!("${}", at + 1));
            ast::ColumnDef { name, data_type: data_type.clone(), options: Vec::new() }
        };
        let declared = Binder::new(&session, &names).schema(types.iter().enumerate().map(column).collect())?;
        let declared = declared.fields().iter().map(|field| Some(field.data_type().clone())).collect();
        let deep = is_deep(sql, catalog.expanded_depth())?;
        let template = Template { body, declared, deep, plan: ArcSwapOption::empty() };
        template.plan(database)?;
        Ok(template)
    }

    /// Does work on the statement where the stack is deep enough for it.
    pub fn with_stack<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        if self.deep { with_room(work) } else { work() }
    }

    /// What is run.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The lines that explain the statement, if it is a lookup.
    pub fn explain(&self, database: &Database) -> Result<Option<Vec<String>>> {
        Ok(self.plan(database)?.lookup.as_ref().map(|lookup| lookup.explain().to_vec()))
    }

    /// The values of the parameters, each of its type.
    pub fn fit(&self, database: &Database, values: &[Value]) -> Result<Vec<Value>> {
        self.plan(database)?.fit(values)
    }

    /// The rows of a lookup; nothing where the statement is something else.
    pub fn look_up(&self, database: &Database, values: &[Value]) -> Result<Option<Rows>> {
        let plan = self.plan(database)?;
        let Some(lookup) = &plan.lookup else { return Ok(None) };
        let values = plan.fit(values)?;
        let found = self.with_stack(|| lookup::read(database, &[(lookup, &values)]))?;
        Ok(found.and_then(|(_, mut rows)| rows.pop()))
    }

    /// What is known of the statement now.
    fn plan(&self, database: &Database) -> Result<Arc<Plan>> {
        let (catalog, session) = (database.catalog(), database.inner().session.load());
        if let Some(plan) = &*self.plan.load()
            && Arc::ptr_eq(&plan.catalog, &catalog)
            && Arc::ptr_eq(&plan.session, &session)
        {
            return Ok(plan.clone());
        }
        let made = || self.made(database, catalog.clone(), session.clone());
        let plan = Arc::new(self.with_stack(made)?);
        self.plan.store(Some(plan.clone()));
        Ok(plan)
    }

    fn made(&self, database: &Database, catalog: Arc<Catalog>, session: Arc<SessionState>) -> Result<Plan> {
        let types = match &self.body {
            Body::Query(query) => {
                let statement = ast::Statement::Query(query.clone());
                let types = self.types(&catalog, &session, &statement, &self.declared)?;
                // What one place tells of a parameter may be needed in another.
                self.types(&catalog, &session, &statement, &types)?
            }
            Body::Change(change) => {
                Dml::new(&catalog, change.as_ref().clone())?;
                // What the batch engine does not plan of a change tells no types.
                let plain = plain(change);
                let types = self.types(&catalog, &session, &plain, &self.declared);
                all_parameters(change, &types.unwrap_or_else(|_| self.declared.clone()))?
            }
        };
        let lookup = match &self.body {
            Body::Query(query) if types.iter().all(Option::is_some) => {
                let typed = Parameters::of_types(types.clone()).session(&session);
                recognize(database, &typed, &catalog, query)?
            }
            _ => None,
        };
        Ok(Plan { catalog, session, types, lookup })
    }

    fn types(
        &self,
        catalog: &Catalog,
        session: &SessionState,
        statement: &ast::Statement,
        known: &[Option<DataType>],
    ) -> Result<Vec<Option<DataType>>> {
        let session = Parameters::of_types(known.to_vec()).session(session);
        let facts = HashMap::new();
        let names = InputNames::new(&session, catalog, &facts);
        let binder = Binder::new(&session, &names);
        let plan = match statement {
            ast::Statement::Query(query) => binder.shown(query).map(|(plan, _)| plan),
            change => binder.statement(change.clone()),
        };
        parameter_types(&plan?, known, type_name)
    }
}

/// The part of a change that the batch engine can plan.
fn plain(change: &ast::Statement) -> ast::Statement {
    let mut change = change.clone();
    match &mut change {
        ast::Statement::Insert(insert) => (insert.on, insert.returning) = (None, None),
        ast::Statement::Delete(delete) => delete.returning = None,
        ast::Statement::Update(update) => {
            update.returning = None;
            for assignment in &mut update.assignments {
                // The batch engine takes assigned names as they are written.
                if let ast::AssignmentTarget::ColumnName(name) = &mut assignment.target {
                    for part in &mut name.0 {
                        if let ast::ObjectNamePart::Identifier(ident) = part {
                            ident.value = normalize(ident);
                        }
                    }
                }
            }
        }
        _ => {}
    }
    change
}

impl Plan {
    fn fit(&self, values: &[Value]) -> Result<Vec<Value>> {
        if values.len() != self.types.len() {
            let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
            return Err(Error::input(format!(
                "the statement has {}, and {} given",
                count(self.types.len(), "parameter"),
                if values.len() == 1 { "1 value was".to_string() } else { format!("{} values were", values.len()) },
            )));
        }
        let each = values.iter().zip(&self.types).enumerate();
        each.map(|(at, (value, data_type))| fit::fit(value, data_type.as_ref(), at + 1)).collect()
    }
}
