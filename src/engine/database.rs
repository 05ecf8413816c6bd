//! The handle of an open database: what a program embeds.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use crossbeam_channel::Sender;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::catalog::{Catalog, Kind, Object};
use super::constraint::Constraints;
use super::core::{Core, QUEUE_REQUESTS, ask};
use super::ingest::{SourceProgress, Sources};
use super::query::{Cancel, Rows};
use super::request::{Change, Commit, Committed, Pending, Request};
use super::session::{Outcome, Session};
use super::store::Store;
use super::subscribe::{QUEUE_CHANGES, Subscription};
use super::table::TableChange;
use super::threads::{THREAD_STACK_BYTES, Threads};
use crate::circuit::{Circuit, Tick};
use crate::error::{Error, Result};
use crate::log::{Durability, LogOptions};
use crate::sql::context::session_state;

/// The file whose lock makes a database's only writer.
const LOCK_FILE: &str = "LOCK";

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database's folder; `None` for one in memory that is gone with the process.
    pub path: Option<PathBuf>,
    /// When a commit is durable.
    pub durability: Durability,
    /// Changes nothing and needs no lock: a writer may be at work beside. What is seen is what was there on opening.
    pub read_only: bool,
    /// Size in bytes at which a segment of the log is sealed and archived.
    pub segment_bytes: u64,
    /// Functions that views may call, beside the built-in ones. They must be immutable.
    pub functions: Vec<ScalarUDF>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            path: None,
            durability: Durability::default(),
            read_only: false,
            segment_bytes: LogOptions::default().segment_bytes,
            functions: Vec::new(),
        }
    }
}

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
}

pub(super) struct Inner {
    pub(super) engine: Sender<Request>,
    pub(super) catalog: Arc<ArcSwap<Catalog>>,
    /// For batch queries.
    pub(super) session: ArcSwap<SessionState>,
    /// For views: one partition, so that it gives the same rows every time.
    pub(super) view_session: Arc<ArcSwap<SessionState>>,
    pub(super) sources: Arc<Sources>,
    /// Constraints by object, made when first needed. Ids are never used again.
    constraints: Mutex<HashMap<u32, Arc<Constraints>>>,
    pub(super) threads: Threads,
    pub(super) read_only: bool,
    engine_thread: Mutex<Option<JoinHandle<()>>>,
    /// Held until the database is closed.
    lock: Mutex<Option<File>>,
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
        let span = tracing::info_span!("open", path = ?options.path);
        let _entered = span.enter();
        let lock = lock(&options)?;
        let opened = match &options.path {
            None => Store::in_memory(),
            Some(path) => {
                let log = LogOptions {
                    segment_bytes: options.segment_bytes,
                    durability: options.durability,
                    read_only: options.read_only,
                };
                Store::open(path, log)?
            }
        };
        let partitions = std::thread::available_parallelism().map_or(1, usize::from);
        let mut view_session = session_state(1)?;
        let mut session = session_state(partitions)?;
        for function in &options.functions {
            add_function(&mut view_session, function)?;
            add_function(&mut session, function)?;
        }
        let view_session = Arc::new(ArcSwap::from_pointee(view_session));
        let threads = Threads::start(partitions)?;
        let catalog = Arc::new(ArcSwap::from_pointee(opened.catalog.clone()));
        let core = Core {
            catalog: Arc::new(opened.catalog),
            published_catalog: catalog.clone(),
            store: opened.store,
            circuit: Circuit::new(),
            tables: Default::default(),
            views: Default::default(),
            changed: Default::default(),
            tick: Tick { offset: opened.offset, time: opened.time },
            session: view_session.clone(),
            each_alone: options.durability == Durability::Always,
        };
        let (engine, requests) = crossbeam_channel::bounded(QUEUE_REQUESTS);
        let (thread, marks) = start(core, requests, threads.handle().clone())?;
        let inner = Inner {
            engine,
            catalog,
            session: ArcSwap::from_pointee(session),
            view_session,
            sources: Arc::default(),
            constraints: Mutex::default(),
            threads,
            read_only: options.read_only,
            engine_thread: Mutex::new(Some(thread)),
            lock: Mutex::new(lock),
        };
        let database = Database { inner: Arc::new(inner) };
        if !options.read_only {
            database.resume_sources(&marks)?;
        }
        Ok(database)
    }

    fn resume_sources(&self, marks: &[(u32, String)]) -> Result<()> {
        let catalog = self.inner.catalog.load_full();
        for object in catalog.objects().filter(|o| o.has_source()) {
            let progress = marks.iter().find(|(id, _)| *id == object.id).map(|(_, text)| text.as_str());
            let session = self.inner.view_session.load();
            if let Err(error) = self.inner.sources.start(object, progress, &session, &self.inner.engine) {
                // The file may be gone; what was read of it is in the log, and can be used.
                tracing::warn!(%error, stream = object.name, "a source cannot be resumed");
            }
        }
        Ok(())
    }

    /// A session: statements one after another, with transactions.
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What is wrong with the statement, and where.
    pub fn execute(&self, sql: &str) -> Result<Outcome> {
        self.session().execute(sql)
    }

    /// Runs one query.
    ///
    /// # Errors
    /// As [`Database::execute`]; also for a statement that gives no rows.
    pub fn query(&self, sql: &str) -> Result<Rows> {
        match self.execute(sql)? {
            Outcome::Rows(rows) | Outcome::Verified { rows, .. } => Ok(rows),
            Outcome::Done { tag } => Err(Error::input(format!("{tag} gives no rows"))),
            Outcome::Subscribed(_) => Err(Error::input("SUBSCRIBE gives no rows; use `subscribe`")),
        }
    }

    /// Appends a batch to a stream, or upserts it into a table, as one commit. Columns are taken by place and must
    /// have the declared types.
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
        let catalog = self.inner.catalog.load();
        let mut changes = Vec::new();
        for (name, batch) in batches {
            let object = catalog.expect(name)?;
            let batch = fit(object, batch)?;
            self.constraints(object)?.check(&batch)?;
            changes.push(match object.kind {
                Kind::Stream => Change::Events { object: object.id, batch },
                Kind::Table => Change::Table { object: object.id, change: TableChange::Upsert(batch) },
                kind => return Err(Error::input(format!("`{name}` is a {} and takes no rows", kind.name()))),
            });
        }
        Ok(Ticket(self.commit(Commit { changes, ..Commit::default() })))
    }

    fn constraints(&self, object: &Object) -> Result<Arc<Constraints>> {
        let mut known = self.inner.constraints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(constraints) = known.get(&object.id) {
            return Ok(constraints.clone());
        }
        let constraints = Arc::new(Constraints::new(&self.inner.view_session.load(), object)?);
        known.insert(object.id, constraints.clone());
        Ok(constraints)
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

    /// The rows of a table or materialized view, all of one offset, which is returned with them.
    ///
    /// # Errors
    /// When there is none of that name, or the view cannot be read.
    pub fn snapshot(&self, name: &str) -> Result<(u64, Rows)> {
        let object = self.inner.catalog.load().expect(name)?.clone();
        let snapshot = ask(&self.inner.engine, |reply| Request::Snapshot(vec![object.id], reply)).wait()?;
        let rows = snapshot.rows.get(&object.id);
        let rows = rows.ok_or_else(|| Error::input(format!("`{name}` is a {}: query it", object.kind.name())))?;
        if let Some(failure) = &rows.failure {
            return Err(Error::input(format!("view `{name}` cannot be read: {failure}")));
        }
        let batches = rows.chunks.iter().map(|c| c.as_ref().clone()).collect();
        Ok((snapshot.offset, Rows { schema: rows.schema.clone(), batches }))
    }

    /// The rows of a materialized view and every change of them from now on.
    ///
    /// # Errors
    /// As [`Database::snapshot`].
    pub fn subscribe(&self, view: &str) -> Result<Subscription> {
        let object = self.inner.catalog.load().expect(view)?.clone();
        if object.kind != Kind::MaterializedView {
            return Err(Error::input(format!(
                "`{view}` is a {}; only a materialized view can be subscribed to",
                object.kind.name()
            )));
        }
        let feed = ask(&self.inner.engine, |reply| Request::Subscribe(object.id, QUEUE_CHANGES, reply)).wait()?;
        Ok(Subscription::new(object.name.clone(), object.schema.clone(), feed))
    }

    /// Whether a view holds what its query gives when run over the whole log.
    ///
    /// # Errors
    /// When there is no such view, or the query cannot be run.
    pub fn verify(&self, view: &str) -> Result<bool> {
        super::verify::verify(self, &[view.to_string()], &Cancel::default()).map(|(_, ok)| ok)
    }

    /// Lets queries and views call a Rust function. To be used by views it must be registered on every opening,
    /// with [`Options::functions`].
    ///
    /// # Errors
    /// When it is not immutable, or there is one of that name.
    pub fn register_function(&self, function: &ScalarUDF) -> Result<()> {
        for session in [&self.inner.session, self.inner.view_session.as_ref()] {
            let mut state = session.load().as_ref().clone();
            add_function(&mut state, function)?;
            session.store(Arc::new(state));
        }
        Ok(())
    }

    /// Every stream, table and view.
    pub fn relations(&self) -> Vec<Relation> {
        let catalog = self.inner.catalog.load();
        catalog
            .objects()
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
        self.inner.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        closed
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    fn join(&self) {
        let thread = self.engine_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic has been told to all who waited for an answer.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sources.stop();
        if self.engine_thread.get_mut().is_ok_and(|thread| thread.is_some()) {
            if let Err(error) = ask(&self.engine, Request::Close).wait() {
                tracing::error!(%error, "the database could not be closed");
            }
            self.join();
        }
    }
}

/// What the log says of sources, by stream or table.
type Marks = Vec<(u32, String)>;

/// Starts the engine's thread, which rebuilds the state from the log before it serves requests.
fn start(
    mut core: Core,
    requests: crossbeam_channel::Receiver<Request>,
    threads: tokio::runtime::Handle,
) -> Result<(JoinHandle<()>, Marks)> {
    let (reply, pending) = super::request::reply();
    let run = move || {
        // Parts of a batch plan may be spawned; they go to the query threads.
        let _entered = threads.enter();
        let rebuilt = core.rebuild().and_then(|()| core.store.start_archiver());
        let ready = rebuilt.is_ok();
        let ids = core.catalog.objects().filter(|o| o.has_source()).map(|o| o.id);
        let marks = ids.filter_map(|id| Some((id, core.store.mark(id)?.to_string()))).collect();
        reply.send(rebuilt.map(|()| marks));
        if ready {
            core.run(&requests);
        }
    };
    let builder = std::thread::Builder::new().name("millstream-engine".into()).stack_size(THREAD_STACK_BYTES);
    let thread = builder.spawn(run).map_err(|e| Error::io("starting a thread for", Path::new("the engine"), &e))?;
    Ok((thread, pending.wait()?))
}

fn lock(options: &Options) -> Result<Option<File>> {
    let Some(path) = &options.path else { return Ok(None) };
    if options.read_only {
        if !path.is_dir() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::io("opening the database", path, &missing));
        }
        return Ok(None);
    }
    std::fs::create_dir_all(path).map_err(|e| Error::io("making the folder", path, &e))?;
    let file = path.join(LOCK_FILE);
    let lock = File::options().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(|e| Error::io("opening", &file, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(Error::Io {
            context: format!("opening the database {}", path.display()),
            message: "another process is writing to it; open it with --readonly to read beside".into(),
            kind: std::io::ErrorKind::WouldBlock,
        }),
        Err(TryLockError::Error(e)) => Err(Error::io("locking", &file, &e)),
    }
}

fn add_function(state: &mut SessionState, function: &ScalarUDF) -> Result<()> {
    use datafusion::execution::FunctionRegistry;
    let name = function.name();
    if function.signature().volatility != Volatility::Immutable {
        return Err(Error::input(format!(
            "function `{name}` must be immutable, so that views can be rebuilt from the log"
        )));
    }
    if state.scalar_functions().contains_key(name) {
        return Err(Error::input(format!("there is a function `{name}` already")));
    }
    state.register_udf(Arc::new(function.clone()))?;
    Ok(())
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
