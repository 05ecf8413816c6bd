//! The handle of an open database: what a program embeds.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use super::catalog::{Kind, Object};
use super::core::ask;
use super::ingest::SourceProgress;
pub use super::open::Options;
use super::open::{Inner, add_aggregate, add_function};
use super::prepared::Prepared;
use super::query::{Cancel, Rows};
use super::request::{Change, Commit, Committed, Pending, Request};
use super::session::{Outcome, Session};
use super::table::TableChange;
use super::temporary::Viewer;
use crate::error::{Error, Result};
use crate::sql::depth::with_room;

/// An open database. Clones share it; it closes when the last one, and the last session, is dropped, or at once with
/// [`Database::close`].
///
/// ```
/// use millstream::Database;
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE STREAM clicks (page TEXT, ms BIGINT)")?;
/// db.execute("CREATE MATERIALIZED VIEW slow AS SELECT page, max(ms) AS worst FROM clicks GROUP BY page")?;
/// db.execute("INSERT INTO clicks VALUES ('home', 30), ('home', 70), ('help', 10)")?;
/// let rows = db.query("SELECT worst FROM slow WHERE page = 'home'")?;
/// assert_eq!(rows.len(), 1);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
    /// The session whose handle it is.
    viewer: Option<Arc<Viewer>>,
}

/// A table or view, for listings.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// `stream`, `table`, `view` or `materialized view`.
    pub kind: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The statement that made it.
    pub sql: String,
}

/// A commit that is on its way: wait for it, or await it. It resolves to its offset once it is durable.
pub struct Ticket(Pending<Committed>);

impl Ticket {
    /// Blocks until the commit is durable and visible, and returns its offset.
    ///
    /// # Errors
    /// When the commit was refused or could not be written.
    pub fn wait(self) -> Result<u64> {
        Ok(self.0.wait()?.offset)
    }
}

impl Future for Ticket {
    type Output = Result<u64>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<u64>> {
        Pin::new(&mut self.0).poll(context).map(|committed| Ok(committed?.offset))
    }
}

impl Database {
    /// A database in memory.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn in_memory() -> Result<Database> {
        Database::open_with(Options::default())
    }

    /// Opens the database in a folder, making it if need be.
    ///
    /// # Errors
    /// When another process has it open, a file is damaged, or the operating system refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        Database::open_with(Options { path: Some(path.as_ref().to_path_buf()), ..Options::default() })
    }

    /// Opens a database as the options say.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_with(options: Options) -> Result<Database> {
        Ok(Database { inner: Arc::new(Inner::open(options)?), viewer: None })
    }

    /// A session: statements one after another, with transactions.
    pub fn session(&self) -> Session {
        Session::new(Database { inner: self.inner.clone(), viewer: Some(Arc::new(Viewer::new())) })
    }

    /// Runs one statement, which is a session by itself: what is temporary would be gone with it, and is refused.
    ///
    /// # Errors
    /// What is wrong with the statement, and where.
    pub fn execute(&self, sql: &str) -> Result<Outcome> {
        Session::new(self.clone()).execute(sql)
    }

    /// Runs one query.
    ///
    /// # Errors
    /// As [`Database::execute`]; also for a statement that gives no rows.
    pub fn query(&self, sql: &str) -> Result<Rows> {
        self.execute(sql)?.into_rows()
    }

    /// A statement with parameters `$1`, `$2`, ..., to be run many times with other values. A query of one relation by
    /// its key is answered from an index, in microseconds.
    ///
    /// # Errors
    /// What is wrong with the statement, and where.
    pub fn prepare(&self, sql: &str) -> Result<Prepared> {
        Prepared::new(self, sql)
    }

    /// Whether two handles are of one open database.
    pub(super) fn is(&self, other: &Database) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Appends a batch to a stream, or upserts it into a table, as one commit. Columns are taken by place and must
    /// have the declared types. Returns at once; many appends on their way are made durable together.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// use millstream::Database;
    ///
    /// let db = Database::in_memory()?;
    /// db.execute("CREATE STREAM readings (degrees BIGINT)")?;
    /// let degrees: ArrayRef = Arc::new(Int64Array::from(vec![3, 4, 5]));
    /// let ticket = db.append("readings", RecordBatch::try_from_iter([("degrees", degrees)])?)?;
    /// // Commit 1 made the stream. In an async program the ticket is awaited.
    /// assert_eq!(ticket.wait()?, 2);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such stream or table, the columns do not fit, or a row breaks a constraint. What goes wrong
    /// later is told by the ticket.
    pub fn append(&self, name: &str, batch: RecordBatch) -> Result<Ticket> {
        self.append_all([(name, batch)])
    }

    /// Appends batches to several streams or tables as one commit: all of them, or none.
    ///
    /// # Errors
    /// As [`Database::append`].
    pub fn append_all<'a>(&self, batches: impl IntoIterator<Item = (&'a str, RecordBatch)>) -> Result<Ticket> {
        self.writable()?;
        let catalog = self.catalog();
        let mut changes = Vec::new();
        for (name, batch) in batches {
            let object = catalog.expect(name)?;
            let batch = fit(object, batch)?;
            self.inner.constraints(object)?.check(&batch)?;
            changes.push(match object.kind {
                Kind::Stream if object.late_of.is_none() => Change::Events { object: object.id, batch },
                Kind::Table => Change::Table { object: object.id, change: TableChange::Upsert(batch) },
                kind => return Err(Error::input(format!("`{name}` is a {} and takes no rows", kind.name()))),
            });
        }
        Ok(Ticket(self.commit(Commit { changes, ..Commit::default() })))
    }

    pub(super) fn commit(&self, commit: Commit) -> Pending<Committed> {
        ask(&self.inner.engine, |reply| Request::Commit(commit, reply))
    }

    pub(super) fn writable(&self) -> Result<()> {
        if self.inner.read_only {
            return Err(Error::input("the database was opened for reading only"));
        }
        Ok(())
    }

    /// The rows of a table or materialized view, all of one offset, which is returned with them. To see several at
    /// one offset, name them in one query.
    ///
    /// # Errors
    /// When there is none of that name, or the view cannot be read.
    pub fn snapshot(&self, name: &str) -> Result<(u64, Rows)> {
        let object = self.catalog().expect(name)?.clone();
        let snapshot = self.snapshot_of(vec![object.id])?;
        let rows = snapshot.rows.get(&object.id);
        let rows = rows.ok_or_else(|| Error::input(format!("`{name}` is a {}: query it", object.kind.name())))?;
        rows.check(&format!("view `{name}`"))?;
        let batches = rows.chunks.iter().map(|c| c.as_ref().clone()).collect();
        Ok((snapshot.offset, Rows { schema: rows.schema.clone(), batches }))
    }

    /// Whether a view holds what its query gives when run over the whole log.
    ///
    /// # Errors
    /// When there is no such view, or the query cannot be run.
    pub fn verify(&self, view: &str) -> Result<bool> {
        with_room(|| super::verify::verify(self, Some(view), &Cancel::default())).map(|(_, ok)| ok)
    }

    /// Lets queries and views call a Rust function. To be used by views it must be registered on every opening,
    /// with [`Options::functions`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::datatypes::{DataType, Int64Type};
    /// use arrow::array::{AsArray, Int64Array};
    /// use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    /// use millstream::Database;
    ///
    /// let doubled = |arguments: &[ColumnarValue]| {
    ///     let numbers = ColumnarValue::values_to_arrays(arguments)?;
    ///     let twice: Int64Array = numbers[0].as_primitive::<Int64Type>().unary(|n| n * 2);
    ///     Ok(ColumnarValue::Array(Arc::new(twice)))
    /// };
    /// let number = DataType::Int64;
    /// let doubled = create_udf("doubled", vec![number.clone()], number, Volatility::Immutable, Arc::new(doubled));
    ///
    /// let db = Database::in_memory()?;
    /// db.register_function(&doubled)?;
    /// db.execute("CREATE STREAM s (n BIGINT)")?;
    /// db.execute("CREATE MATERIALIZED VIEW v AS SELECT doubled(n) AS n FROM s")?;
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it is not immutable, or there is one of that name.
    pub fn register_function(&self, function: &ScalarUDF) -> Result<()> {
        // One after the other, or one of two functions would be lost.
        let _registering = self.inner.registering.lock().unwrap_or_else(PoisonError::into_inner);
        for session in [&self.inner.session, self.inner.view_session.as_ref()] {
            let mut state = session.load().as_ref().clone();
            add_function(&mut state, function)?;
            session.store(Arc::new(state));
        }
        Ok(())
    }

    /// Lets queries and views call an aggregate written in Rust, as [`Database::register_function`] does for functions of
    /// one row. Its value must not depend on the order of rows, nor on how they are divided among accumulators.
    ///
    /// # Errors
    /// When it is not immutable, or there is a function of that name.
    pub fn register_aggregate(&self, aggregate: &AggregateUDF) -> Result<()> {
        let _registering = self.inner.registering.lock().unwrap_or_else(PoisonError::into_inner);
        for session in [&self.inner.session, self.inner.view_session.as_ref()] {
            let mut state = session.load().as_ref().clone();
            add_aggregate(&mut state, aggregate)?;
            session.store(Arc::new(state));
        }
        Ok(())
    }

    /// Every stream, table and view.
    pub fn relations(&self) -> Vec<Relation> {
        let catalog = self.catalog();
        catalog
            .visible()
            .map(|o| Relation {
                name: o.name.clone(),
                kind: o.kind.name().into(),
                columns: o.schema.fields().iter().map(|f| f.name().clone()).collect(),
                sql: o.sql.clone(),
            })
            .collect()
    }

    /// The names of all functions that SQL can call, in order.
    pub fn functions(&self) -> Vec<String> {
        let session = self.inner.session.load();
        let mut names: Vec<String> = session
            .scalar_functions()
            .keys()
            .chain(session.aggregate_functions().keys())
            .chain(session.window_functions().keys())
            .chain(session.table_functions().keys())
            .cloned()
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The sources that were read since the database was opened.
    pub fn sources(&self) -> Vec<SourceProgress> {
        self.inner.sources.progress()
    }

    /// Blocks until all finite sources are at their end.
    ///
    /// # Errors
    /// The first failure of a source, or [`Error::Cancelled`].
    pub fn wait_for_sources(&self, cancel: &Cancel) -> Result<()> {
        self.inner.sources.wait(None, cancel)
    }

    /// Archives what the log holds and closes the database. Other handles find it closed.
    ///
    /// # Errors
    /// When a file cannot be written. What was acknowledged is safe all the same.
    pub fn close(self) -> Result<()> {
        self.inner.sources.stop();
        let closed = ask(&self.inner.engine, Request::Close).wait();
        self.inner.join();
        // Others may hold handles still; another writer need not wait for them.
        self.inner.unlock();
        closed
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn viewer(&self) -> Option<&Arc<Viewer>> {
        self.viewer.as_ref()
    }
}

/// The batch under the declared columns.
fn fit(object: &Object, batch: RecordBatch) -> Result<RecordBatch> {
    let declared: Vec<String> =
        object.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    let types = object.schema.fields().iter().map(|f| f.data_type());
    if !types.eq(batch.schema().fields().iter().map(|f| f.data_type())) {
        let given: Vec<String> =
            batch.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        return Err(Error::input(format!(
            "`{}` has the columns ({}), not ({})",
            object.name,
            declared.join(", "),
            given.join(", ")
        )));
    }
    let schema = crate::sql::lower::nullable(&object.schema);
    crate::operators::project::batch(&schema, batch.columns().to_vec(), batch.num_rows())
}
