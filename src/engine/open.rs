//! Opening a database, and everything that is open while it is.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use arrow::datatypes::SchemaRef;
use crossbeam_channel::Sender;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Volatility};

use super::budget::{Budget, User, default_limit};
use super::catalog::{Catalog, Check, Object};
use super::constraint::Constraints;
use super::core::{Core, QUEUE_REQUESTS, ask};
use super::event_time::Clocks;
use super::ingest::Sources;
use super::memory::Memory;
use super::query::Cancel;
use super::request::Request;
use super::store::Store;
use super::threads::{THREAD_STACK_BYTES, Threads};
use super::wake::Wake;
use crate::circuit::{Circuit, Tick};
use crate::error::{Error, Result};
use crate::log::{Durability, LogOptions};
use crate::sql::context::session_state;

/// The file whose lock makes a database's only writer.
const LOCK_FILE: &str = "LOCK";
/// How often the lock is tried. A process that is being started holds copies of all our files until it runs its own
/// program, so a lock that was just given up may be held for a moment longer.
const LOCK_TRIES: usize = 20;
/// The time between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

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
    /// Bytes of memory that tables, views and queries may take together; by default most of the machine's. A query
    /// that needs more is refused with [`Error::Limit`]. When the state of tables and views does not fit, the largest
    /// views go out of service, until the database is opened with a larger limit or they are created anew; after
    /// the last of them, tables take no more rows.
    pub memory_limit: usize,
    /// Functions that views may call, beside the built-in ones. They must be immutable.
    pub functions: Vec<ScalarUDF>,
    /// Aggregates that views may call, beside the built-in ones. They must be immutable, and their value must not
    /// depend on the order of rows.
    pub aggregates: Vec<AggregateUDF>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            path: None,
            durability: Durability::default(),
            read_only: false,
            segment_bytes: LogOptions::default().segment_bytes,
            memory_limit: default_limit(),
            functions: Vec::new(),
            aggregates: Vec::new(),
        }
    }
}

/// What the handles of a database share.
pub struct Inner {
    pub engine: Sender<Request>,
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// For batch queries.
    pub session: ArcSwap<SessionState>,
    /// For views: one partition, so that it gives the same rows every time.
    pub view_session: Arc<ArcSwap<SessionState>>,
    pub sources: Arc<Sources>,
    /// Constraints by object, made when first needed. Ids are never used again.
    constraints: Mutex<HashMap<u32, Made>>,
    /// Held while a function is added to the sessions.
    pub registering: Mutex<()>,
    pub threads: Threads,
    pub read_only: bool,
    engine_thread: Mutex<Option<JoinHandle<()>>>,
    /// Held until the database is closed.
    lock: Mutex<Option<File>>,
}

/// Constraints, and what they were made of: an object may have been altered since.
struct Made {
    checks: Vec<Check>,
    schema: SchemaRef,
    constraints: Arc<Constraints>,
}

impl Made {
    fn is_of(&self, object: &Object) -> bool {
        self.checks == object.checks && self.schema == object.schema
    }
}

impl Inner {
    /// Opens a database as the options say.
    ///
    /// # Errors
    /// When another process has it open, a file is damaged, or the operating system refuses.
    pub fn open(options: Options) -> Result<Inner> {
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
        let budget = Budget::new(options.memory_limit);
        let mut view_session = session_state(1, budget.runtime(User::View)?)?;
        let mut session = session_state(partitions, budget.runtime(User::Query)?)?;
        for function in &options.functions {
            add_function(&mut view_session, function)?;
            add_function(&mut session, function)?;
        }
        for aggregate in &options.aggregates {
            add_aggregate(&mut view_session, aggregate)?;
            add_aggregate(&mut session, aggregate)?;
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
            clocks: Clocks::default(),
            tick: Tick { offset: opened.offset, time: opened.time, ..Tick::default() },
            session: view_session.clone(),
            each_alone: options.durability == Durability::Always,
            memory: Memory::new(budget),
            wake: Wake::default(),
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
            registering: Mutex::default(),
            threads,
            read_only: options.read_only,
            engine_thread: Mutex::new(Some(thread)),
            lock: Mutex::new(lock),
        };
        if !options.read_only {
            inner.resume_sources(&marks);
        }
        Ok(inner)
    }

    fn resume_sources(&self, marks: &[(u32, String)]) {
        let catalog = self.catalog.load_full();
        for object in catalog.objects().filter(|o| o.has_source()) {
            let progress = marks.iter().find(|(id, _)| *id == object.id).map(|(_, text)| text.as_str());
            let session = self.view_session.load();
            if let Err(error) = self.sources.start(object, progress, &session, &self.engine) {
                tracing::warn!(%error, stream = object.name, "a source cannot be resumed");
                self.sources.lost(object, error);
            }
        }
    }

    /// The constraints of an object.
    ///
    /// # Errors
    /// When they do not fit its columns.
    pub fn constraints(&self, object: &Object) -> Result<Arc<Constraints>> {
        let mut known = self.constraints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = known.get(&object.id).filter(|made| made.is_of(object)) {
            return Ok(made.constraints.clone());
        }
        let constraints = Arc::new(Constraints::new(&self.view_session.load(), object)?);
        let (checks, schema) = (object.checks.clone(), object.schema.clone());
        known.insert(object.id, Made { checks, schema, constraints: constraints.clone() });
        Ok(constraints)
    }

    /// Lets another process open the database for writing.
    pub fn unlock(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for the engine's thread to end.
    pub fn join(&self) {
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
        let rebuilt = core.rebuild(&Cancel::default()).and_then(|()| core.store.start_archiver());
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

/// Refuses a folder that holds other things than a database.
fn refuse_foreign(path: &Path) -> Result<()> {
    let is_ours = [LOCK_FILE, "log", "archive"].iter().any(|name| path.join(name).exists());
    let mut entries = std::fs::read_dir(path).map_err(|e| Error::io("listing the folder", path, &e))?;
    match entries.next() {
        Some(_) if !is_ours => {
            Err(Error::input(format!("the folder {} is not a database and not empty", path.display()))
                .with_hint("name a folder that is to be made, or an empty one"))
        }
        _ => Ok(()),
    }
}

fn lock(options: &Options) -> Result<Option<File>> {
    let Some(path) = &options.path else { return Ok(None) };
    if options.read_only {
        if !path.is_dir() {
            return Err(Error::Io {
                context: format!("opening the database {}", path.display()),
                message: "there is no such folder".into(),
                kind: std::io::ErrorKind::NotFound,
            });
        }
        return Ok(None);
    }
    std::fs::create_dir_all(path).map_err(|e| Error::io("making the folder", path, &e))?;
    refuse_foreign(path)?;
    let file = path.join(LOCK_FILE);
    let lock = File::options().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(|e| Error::io("opening", &file, &e))?;
    for _ in 1..LOCK_TRIES {
        if lock.try_lock().is_ok() {
            return Ok(Some(lock));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
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

/// Adds a function to a session.
///
/// # Errors
/// When it is not immutable, or there is one of that name.
pub fn add_function(state: &mut SessionState, function: &ScalarUDF) -> Result<()> {
    check_function(state, function.name(), function.signature().volatility)?;
    state.register_udf(Arc::new(function.clone()))?;
    Ok(())
}

/// Adds an aggregate to a session.
///
/// # Errors
/// When it is not immutable, or there is one of that name.
pub fn add_aggregate(state: &mut SessionState, aggregate: &AggregateUDF) -> Result<()> {
    check_function(state, aggregate.name(), aggregate.signature().volatility)?;
    state.register_udaf(Arc::new(aggregate.clone()))?;
    Ok(())
}

fn check_function(state: &SessionState, name: &str, volatility: Volatility) -> Result<()> {
    if volatility != Volatility::Immutable {
        return Err(Error::input(format!(
            "function `{name}` must be immutable, so that views can be rebuilt from the log"
        )));
    }
    if state.scalar_functions().contains_key(name) || state.aggregate_functions().contains_key(name) {
        return Err(Error::input(format!("there is a function `{name}` already")));
    }
    Ok(())
}
