//! A session: statements to outcomes, one after another.

mod change;
mod explain;
mod outcome;
mod prepared;
mod savepoint;
mod sources;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{CopyToSource, CopyToStatement};
use datafusion::sql::sqlparser::ast;

use super::catalog::Catalog;
use super::clock::now;
use super::core::{PLANNING, ask};
use super::database::{Database, Relation};
use super::hidden::refuse_hidden;
use super::names::{self, RowNames};
use super::past::{Versions, resolve};
use super::prepared::Template;
use super::providers::Batching;
use super::query::{Cancel, Rows, Runner};
use super::request::Request;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use super::{ddl, ddl_alter, ddl_drop, ddl_filled, ddl_view, functions, heartbeat, index, replay, show, verify};
use crate::error::{Error, Result, caught};
use crate::sql::bind::Binder;
use crate::sql::canonical::{canonical, comparable, sorted_by_columns};
use crate::sql::context::at_time;
use crate::sql::depth::{with_room, with_stack};
use crate::sql::locate::locate;
use crate::sql::parameters::Parameters;
use crate::sql::parse::{parse, parse_query};
use crate::sql::past::take_asked;
use crate::sql::statement::{Savepoint, Statement, Subscribe};

pub use self::outcome::Outcome;
use self::sources::reads_rows;

/// Runs statements. A session has at most one transaction open. Its temporary tables and views are seen by no other, and
/// are dropped with it.
///
/// ```
/// use millstream::{Database, Outcome};
///
/// let db = Database::in_memory()?;
/// let mut session = db.session();
/// session.execute("CREATE TABLE accounts (name TEXT PRIMARY KEY, cents BIGINT CHECK (cents >= 0))")?;
/// session.execute("INSERT INTO accounts VALUES ('Ada', 500), ('Bob', 0)")?;
///
/// // One commit: both changes, or neither.
/// session.execute("BEGIN")?;
/// session.execute("UPDATE accounts SET cents = cents - 200 WHERE name = 'Ada'")?;
/// session.execute("UPDATE accounts SET cents = cents + 200 WHERE name = 'Bob'")?;
/// session.execute("COMMIT")?;
///
/// let Outcome::Rows(rows) = session.execute("SELECT name FROM accounts WHERE cents = 200")? else { panic!() };
/// assert_eq!(rows.len(), 1);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Session {
    database: Database,
    cancel: Cancel,
    waits_for_sources: bool,
    transaction: Option<Transaction>,
    /// Whether a statement of the open transaction failed: it can only be rolled back.
    aborted: bool,
    /// Prepared statements by name.
    prepared: HashMap<String, Arc<Template>>,
    /// The parameters of the prepared statement that is being run.
    parameters: Option<Parameters>,
}

impl Session {
    pub(super) fn new(database: Database) -> Self {
        Session {
            database,
            cancel: Cancel::default(),
            waits_for_sources: false,
            transaction: None,
            aborted: false,
            prepared: HashMap::new(),
            parameters: None,
        }
    }

    /// Stops the running statement, from another thread.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Whether a statement that reads waits until the finite sources declared before it are at their end.
    pub fn set_wait_for_sources(&mut self, waits: bool) {
        self.waits_for_sources = waits;
    }

    /// Whether a transaction is open: BEGIN was run, and neither COMMIT nor ROLLBACK since.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Every stream, table and view that its statements can name.
    pub fn relations(&self) -> Vec<Relation> {
        self.database.relations()
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What is wrong with the statement, and where. After an error within a transaction nothing but ROLLBACK can be run in
    /// it; COMMIT rolls it back, and is an error.
    pub fn execute(&mut self, sql: &str) -> Result<Outcome> {
        self.cancel.reset();
        let beneath = self.catalog().expanded_depth();
        let outcome = with_stack(sql, beneath, || caught(PLANNING, || self.run(sql)));
        self.noted(outcome).map_err(|error| locate(error, sql))
    }

    /// Notes a failure within the open transaction.
    fn noted(&mut self, outcome: Result<Outcome>) -> Result<Outcome> {
        self.aborted = self.transaction.is_some() && (self.aborted || outcome.is_err());
        outcome
    }

    fn refuse_aborted(&self) -> Result<()> {
        match self.aborted {
            true => {
                Err(Error::input("the transaction is aborted: a statement of it failed").with_hint("ROLLBACK ends it"))
            }
            false => Ok(()),
        }
    }

    fn run(&mut self, sql: &str) -> Result<Outcome> {
        let span = tracing::debug_span!("execute", sql);
        let _entered = span.enter();
        self.parameters = None;
        let statement = parse(sql)?;
        let ends = matches!(
            statement,
            Statement::Commit | Statement::Rollback | Statement::Savepoint(Savepoint::RollBackTo(_))
        );
        if !ends {
            self.refuse_aborted()?;
        }
        refuse_hidden(&self.catalog(), &statement, sql)?;
        if self.waits_for_sources && reads_rows(&statement) {
            self.wait_for_sources(&statement)?;
        }
        let database = self.database.clone();
        match statement {
            Statement::Query(query) => self.query(&query).map(Outcome::Rows),
            Statement::Change(change) => self.change(*change),
            Statement::Begin => self.begin(),
            Statement::Commit => self.commit(),
            Statement::Rollback => self.rollback(),
            Statement::Savepoint(what) => self.savepoint(&what),
            Statement::Copy(copy) => self.copy(&copy),
            Statement::CreateRelation(create) => {
                self.outside_transaction("CREATE")?;
                ddl::create_relation(&database, &create, sql)
            }
            Statement::CreateTableAs(create) => {
                self.outside_transaction("CREATE")?;
                let rows = self.rows_to_keep(&create.query)?;
                ddl_filled::create(&database, &create, rows)
            }
            Statement::CreateView(create) => {
                self.outside_transaction("CREATE")?;
                // It is planned with the views that it reads and those that read it.
                with_room(|| ddl_view::create(&database, &create, sql, &self.cancel))
            }
            Statement::CreateIndex(create) => {
                self.outside_transaction("CREATE")?;
                index::create(&database, create)
            }
            Statement::DropIndex { names, if_exists } => {
                self.outside_transaction("DROP")?;
                index::drop(&database, names, if_exists)
            }
            Statement::Prepare(prepare) => self.prepare(prepare, sql),
            Statement::Execute(execute) => self.execute_named(&execute),
            Statement::Deallocate(name) => self.deallocate(name.as_deref()),
            Statement::Drop(drop) => {
                self.outside_transaction("DROP")?;
                ddl_drop::drop(&database, drop)
            }
            Statement::CreateFunction(create) => {
                self.outside_transaction("CREATE")?;
                functions::create(&database, *create, sql)
            }
            Statement::DropFunction(drop) => {
                self.outside_transaction("DROP")?;
                functions::drop(&database, drop)
            }
            Statement::Alter(alter) => {
                self.outside_transaction("ALTER")?;
                ddl_alter::alter(&database, alter, sql)
            }
            Statement::AdvanceWatermark { stream, to } => {
                self.outside_transaction("ALTER")?;
                heartbeat::advance(&database, &stream, *to)
            }
            Statement::Explain(explain) => self.explain(explain),
            Statement::Subscribe(Subscribe { view, from, patches }) => {
                let subscription = match from {
                    Some(offset) => database.resume(&view, offset, &self.cancel)?,
                    None => database.subscribe(&view)?,
                };
                let subscription = if patches { database.patched(subscription)? } else { subscription };
                Ok(Outcome::Subscribed(subscription))
            }
            Statement::Replay(replay) => {
                self.outside_transaction("REPLAY")?;
                replay::replay(&database, &replay, &self.cancel)
            }
            Statement::Verify(view) => {
                let (rows, ok) = with_room(|| verify::verify(&database, view.as_deref(), &self.cancel))?;
                Ok(Outcome::Verified { rows, ok })
            }
            Statement::Checkpoint => {
                database.writable()?;
                let offset = ask(&database.inner().engine, Request::Checkpoint).wait()?;
                Ok(Outcome::done(format!("CHECKPOINT {offset}")))
            }
            Statement::Show(what) => show::show(&database, &what).map(Outcome::Rows),
            Statement::Set(word) => Ok(Outcome::done(word)),
            Statement::Describe(name) => show::describe(&database, &name).map(Outcome::Rows),
        }
    }

    fn outside_transaction(&self, what: &str) -> Result<()> {
        if self.transaction.is_some() {
            return Err(Error::unsupported(format!(
                "{what} is a commit of its own and cannot be part of a transaction"
            ))
            .with_hint("COMMIT or ROLLBACK first"));
        }
        self.database.writable()
    }

    fn runner(&self) -> Runner {
        let runner = runner(&self.database, &self.cancel, now());
        match &self.parameters {
            None => runner,
            Some(parameters) => runner.with_session(parameters.clone().session(runner.session())),
        }
    }

    /// The state with the rows of these objects, as the open transaction has changed it.
    fn snapshot(&mut self, objects: Vec<u32>) -> Result<Arc<Snapshot>> {
        match &mut self.transaction {
            Some(transaction) => transaction.snapshot(&self.database, &objects),
            None => self.database.snapshot_of(objects),
        }
    }

    fn query(&mut self, query: &ast::Query) -> Result<Rows> {
        match self.looked_up(query)? {
            Some(rows) => Ok(rows),
            None => self.scan(query),
        }
    }

    fn scan(&mut self, query: &ast::Query) -> Result<Rows> {
        let reads = self.reads(query)?;
        let (_, shown) = reads.plan(Batching::Whole)?;
        self.runner().settle(|batching| Ok(reads.plan(batching)?.0))?.renamed(&shown)
    }

    /// The rows of a query that are kept: what SQL leaves open is decided by value, as in a view.
    fn rows_to_keep(&mut self, query: &ast::Query) -> Result<Rows> {
        let reads = self.reads(query)?;
        let (_, shown) = reads.plan(Batching::Whole)?;
        self.runner().settle(|batching| Ok(canonical(reads.plan(batching)?.0)?))?.renamed(&shown)
    }

    /// What a query reads, at one moment.
    fn reads(&mut self, query: &ast::Query) -> Result<Reads> {
        let catalog = self.catalog();
        let mut query = query.clone();
        let versions = self.versions(&mut query)?;
        let statement = ast::Statement::Query(Box::new(query.clone()));
        let reads = names::sources(&catalog, &names::reads(&catalog, statement)?, false);
        let snapshot = self.snapshot(reads)?.with_versions(versions);
        let session = self.database.inner().session.load_full();
        let session = match &self.parameters {
            None => session,
            Some(parameters) => Arc::new(parameters.clone().session(&session)),
        };
        Ok(Reads { query, session, snapshot })
    }

    /// What a statement asks of the past, which it then calls by other names.
    fn versions(&self, statement: &mut impl ast::VisitMut) -> Result<Arc<Versions>> {
        resolve(&self.database, take_asked(statement)?, &self.runner(), &self.cancel)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.database.catalog()
    }

    fn begin(&mut self) -> Result<Outcome> {
        self.database.writable()?;
        if self.transaction.is_some() {
            return Err(Error::input("a transaction is open already").with_hint("COMMIT or ROLLBACK first"));
        }
        self.transaction = Some(Transaction::new(self.runner().reservation()));
        Ok(Outcome::done("BEGIN"))
    }

    fn commit(&mut self) -> Result<Outcome> {
        let transaction = self.transaction.take().ok_or_else(|| Error::input("no transaction is open"))?;
        if self.aborted {
            return Err(Error::input(
                "a statement of the transaction failed: it is rolled back, and nothing is changed",
            ));
        }
        self.database.commit(transaction.into_commit()).wait()?;
        Ok(Outcome::done("COMMIT"))
    }

    fn rollback(&mut self) -> Result<Outcome> {
        self.transaction.take().ok_or_else(|| Error::input("no transaction is open"))?;
        Ok(Outcome::done("ROLLBACK"))
    }

    fn copy(&mut self, copy: &CopyToStatement) -> Result<Outcome> {
        // A name stands for all its rows.
        let query = match &copy.source {
            CopyToSource::Query(query) => query.clone(),
            CopyToSource::Relation(name) => parse_query(&format!("SELECT * FROM {name}"))?,
        };
        let target = crate::sink::Target::new(copy)?;
        let reads = self.reads(&query)?;
        let plan = |batching| match reads.plan(batching) {
            Ok((plan, _)) => Ok(plan),
            // Its place is one in the query that was made up.
            Err(error) if matches!(copy.source, CopyToSource::Relation(_)) => Err(error.without_place()),
            Err(error) => Err(error),
        };
        let rows = self.runner().settle_into(plan, move |schema| target.open(schema))?;
        Ok(Outcome::done(format!("COPY {rows}")))
    }
}

/// What is temporary ends with its session.
impl Drop for Session {
    fn drop(&mut self) {
        self.database.drop_temporary();
    }
}

/// What a query reads.
struct Reads {
    query: ast::Query,
    session: Arc<SessionState>,
    snapshot: Arc<Snapshot>,
}

impl Reads {
    /// The plan of the query, and what columns are called that have another name in it.
    fn plan(&self, batching: Batching) -> Result<(LogicalPlan, HashMap<String, String>)> {
        let names = RowNames { batching, ..RowNames::new(&self.session, &self.snapshot) };
        let (plan, shown) = Binder::new(&self.session, &names).shown(&self.query)?;
        let plan = comparable(plan)?;
        let plan = if batching == Batching::RowByRow { sorted_by_columns(plan)? } else { plan };
        Ok((plan, shown))
    }
}

/// Runs batch queries of a database as of a moment.
pub(super) fn runner(database: &Database, cancel: &Cancel, time: i64) -> Runner {
    let session: SessionState = at_time(&database.inner().session.load(), time);
    Runner::new(Arc::new(session), database.inner().threads.handle().clone(), cancel.clone())
}
