//! What is on disk: the log, the archive behind it, and the thread that turns the one into the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};

use super::catalog::{Catalog, Ddl};
use super::datasets::Datasets;
use super::history::History;
use super::system;
use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::log::{Log, LogOptions, Record, Segment, Statement};

/// The folder of a database's log.
const LOG_FOLDER: &str = "log";
/// The folder of a database's archive.
const ARCHIVE_FOLDER: &str = "archive";
/// Sealed segments that may wait for the archiver; then the engine waits.
const ARCHIVER_SEGMENTS: usize = 4;

/// The log and the archive of one database.
pub struct Store {
    log: Option<Log>,
    archiver: Option<Archiver>,
    archive: Option<Arc<Archive>>,
    /// The segments as readers see them.
    segments: Arc<Vec<Arc<Segment>>>,
    /// How far each source has been read.
    marks: BTreeMap<u32, String>,
    datasets: Arc<Datasets>,
    read_only: bool,
    /// Bytes of the records of a log that lies in memory.
    memory_bytes: usize,
}

/// A segment's first offset, and what became of archiving it.
pub type ArchivedSegment = (u64, Result<()>);

/// The thread that archives.
struct Archiver {
    segments: Sender<Arc<Segment>>,
    results: Receiver<ArchivedSegment>,
    thread: JoinHandle<()>,
    /// First offsets of the segments that it was given and has not answered for.
    sent: BTreeSet<u64>,
}

/// What opening a store found.
pub struct Opened {
    /// The log and the archive.
    pub store: Store,
    /// The objects.
    pub catalog: Catalog,
    /// The last commit.
    pub offset: u64,
    /// Its time.
    pub time: i64,
    /// The table that the last commit made, if its rows were to come next.
    unfilled: Option<u32>,
}

impl Store {
    /// A store that is gone with the process.
    pub fn in_memory() -> Opened {
        let log = Log::in_memory();
        let segments = Arc::new(log.segments());
        let store = Store {
            log: Some(log),
            archiver: None,
            archive: None,
            segments,
            marks: BTreeMap::new(),
            datasets: Arc::default(),
            read_only: false,
            memory_bytes: 0,
        };
        Opened { store, catalog: Catalog::default(), offset: 0, time: 0, unfilled: None }
    }

    /// Opens the store in a folder, making it if need be.
    ///
    /// # Errors
    /// When a file is damaged, or the operating system refuses.
    pub fn open(folder: &Path, options: LogOptions) -> Result<Opened> {
        let mut archive = Archive::open(&folder.join(ARCHIVE_FOLDER), options.read_only)?;
        loop {
            let sealed_to = archive.manifest().sealed_to;
            let opened = Store::with_archive(folder, options.clone(), archive);
            if opened.is_ok() || !options.read_only {
                return opened;
            }
            // A writer beside may have moved a segment to the archive between our looking there and in the log.
            archive = Archive::open(&folder.join(ARCHIVE_FOLDER), true)?;
            if archive.manifest().sealed_to == sealed_to {
                return opened;
            }
        }
    }

    fn with_archive(folder: &Path, options: LogOptions, archive: Archive) -> Result<Opened> {
        let read_only = options.read_only;
        let manifest = archive.manifest();
        let (log, recovery) = Log::open(&folder.join(LOG_FOLDER), options, manifest.sealed_to)?;
        if recovery.cut_bytes > 0 {
            tracing::warn!(
                bytes = recovery.cut_bytes,
                "the end of the log is not whole and was never synced, as after a crash: it has been cut"
            );
        }
        let store = Store {
            segments: Arc::new(log.segments()),
            log: Some(log),
            archiver: None,
            archive: Some(Arc::new(archive)),
            marks: manifest.marks.iter().map(|m| (m.object, m.value.clone())).collect(),
            datasets: Arc::default(),
            read_only,
            memory_bytes: 0,
        };
        let time = manifest.last_time.unwrap_or(0);
        let (catalog, offset) = (Catalog::default(), manifest.sealed_to);
        let mut opened = Opened { store, catalog, offset, time, unfilled: None };
        system::streams().iter().for_each(|stream| opened.store.datasets.learn(stream));
        for statement in &manifest.statements {
            opened.apply(&statement.text)?;
            // Whether its rows are in the archive is told by what came last there.
            opened.unfilled.take_if(|_| statement.offset < manifest.sealed_to);
        }
        opened.read_log(manifest.sealed_to)?;
        opened.drop_unfilled()?;
        Ok(opened)
    }

    /// Starts the thread that archives sealed segments.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_archiver(&mut self) -> Result<()> {
        let Some(archive) = self.archive.clone() else { return Ok(()) };
        if self.read_only {
            return Ok(());
        }
        let (segments, todo) = crossbeam_channel::bounded::<Arc<Segment>>(ARCHIVER_SEGMENTS);
        let (done, results) = crossbeam_channel::unbounded();
        let datasets = self.datasets.clone();
        let folder = archive.folder().to_path_buf();
        let run = move || {
            for segment in todo {
                let span = tracing::debug_span!("archive", from = segment.first_offset(), to = segment.last_offset());
                let _entered = span.enter();
                let result = archive.add_segment(&segment, &datasets.all());
                if done.send((segment.first_offset(), result)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("millstream-archive".into()).spawn(run);
        let thread = thread.map_err(|e| Error::io("starting a thread for", &folder, &e))?;
        self.archiver = Some(Archiver { segments, results, thread, sent: BTreeSet::new() });
        self.hand_over();
        Ok(())
    }

    /// Where the archiver's results arrive; they are for [`Store::archived`].
    pub fn archiver_results(&self) -> Receiver<ArchivedSegment> {
        self.archiver.as_ref().map_or_else(crossbeam_channel::never, |a| a.results.clone())
    }

    /// Writes a record to the log and makes it durable.
    ///
    /// # Errors
    /// When the log cannot be written; it is then poisoned.
    pub fn append(&mut self, record: Record) -> Result<()> {
        if self.read_only {
            return Err(Error::input("the database was opened for reading only"));
        }
        let log = self.log.as_mut().ok_or_else(closed)?;
        let marks: Vec<(u32, String)> = match &record {
            Record::Rows(group) => group.marks.iter().map(|m| (m.object, m.value.clone())).collect(),
            Record::Statement(_) => Vec::new(),
        };
        let bytes = if self.archive.is_none() { record.bytes() } else { 0 };
        log.append(record)?;
        log.sync()?;
        tracing::trace!("logged");
        self.memory_bytes += bytes;
        self.marks.extend(marks);
        if log.segments().len() != self.segments.len() {
            self.segments = Arc::new(log.segments());
            self.hand_over();
        }
        Ok(())
    }

    /// Whether the log lies in memory.
    pub fn is_in_memory(&self) -> bool {
        self.archive.is_none()
    }

    /// Bytes of memory that the log holds.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// How to read everything up to an offset.
    pub fn history(&self, to: u64) -> History {
        let archived_to = self.archive.as_ref().map_or(0, |a| a.manifest().sealed_to);
        History {
            archive: self.archive.clone(),
            archived_to,
            segments: self.segments.clone(),
            to,
            added: self.datasets.added(),
            pending: Arc::default(),
        }
    }

    /// The same log and archive, for reading what they hold now.
    pub fn past(&self) -> Store {
        Store {
            log: None,
            archiver: None,
            archive: self.archive.clone(),
            segments: self.segments.clone(),
            marks: BTreeMap::new(),
            datasets: self.datasets.clone(),
            read_only: true,
            memory_bytes: 0,
        }
    }

    /// Notes the streams and tables that DDL makes, before any row of them is logged.
    pub fn learn(&mut self, entries: &[Ddl]) {
        for entry in entries {
            match entry {
                Ddl::Create(object) | Ddl::Alter(object) => self.datasets.learn(object),
                Ddl::Drop(ids) => self.datasets.forget(ids),
                Ddl::Fill(_) | Ddl::CreateIndex(_) | Ddl::DropIndex(_) => {}
                Ddl::CreateFunction(_) | Ddl::DropFunction(_) => {}
            }
        }
    }

    /// How far a source has been read.
    pub fn mark(&self, object: u32) -> Option<&str> {
        self.marks.get(&object).map(String::as_str)
    }

    /// Gives the archiver every sealed segment that it does not have yet. Only a few may wait there: when the
    /// archiver does not keep up, neither may ingestion.
    fn hand_over(&mut self) {
        let Some(archiver) = &mut self.archiver else { return };
        for segment in self.segments.iter().filter(|s| s.is_sealed()) {
            if archiver.sent.insert(segment.first_offset()) && archiver.segments.send(segment.clone()).is_err() {
                tracing::error!("the archive's thread has ended");
            }
        }
    }

    /// Takes note that the archiver is done with a segment.
    ///
    /// # Errors
    /// When the segment could not be archived. Nothing is lost: it stays in the log, and is tried again with the next
    /// one, at a checkpoint, and when the database is closed or opened.
    pub fn archived(&mut self, (first, result): ArchivedSegment) -> Result<()> {
        if let Some(archiver) = &mut self.archiver {
            archiver.sent.remove(&first);
        }
        result?;
        let log = self.log.as_mut().ok_or_else(closed)?;
        log.remove(first)?;
        self.segments = Arc::new(log.segments());
        Ok(())
    }

    /// Seals the active segment and archives all that is sealed.
    ///
    /// # Errors
    /// When a file cannot be written. Nothing is lost: the log keeps what is not archived.
    pub fn checkpoint(&mut self) -> Result<()> {
        let span = tracing::debug_span!("checkpoint");
        let _entered = span.enter();
        let log = self.log.as_mut().ok_or_else(closed)?;
        if self.archive.is_none() || self.read_only {
            return Ok(());
        }
        log.seal()?;
        self.segments = Arc::new(log.segments());
        // What failed on its way is tried again, in order: it says better than what came after it what is wrong.
        while let Some(result) = self.next_archived()? {
            let _ = self.archived(result);
        }
        self.hand_over();
        while let Some(result) = self.next_archived()? {
            self.archived(result)?;
        }
        Ok(())
    }

    /// Waits for a segment that the archiver has; there is none when it has none.
    fn next_archived(&self) -> Result<Option<ArchivedSegment>> {
        let Some(archiver) = self.archiver.as_ref().filter(|a| !a.sent.is_empty()) else { return Ok(None) };
        let result = archiver.results.recv();
        result.map(Some).map_err(|_| Error::Internal("the archive's thread has ended".into()))
    }

    /// Archives what there is and closes the log.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn close(&mut self) -> Result<()> {
        let sealed = self.checkpoint();
        if let Some(archiver) = self.archiver.take() {
            drop(archiver.segments);
            // A panic of the archiver has been reported as a missing result.
            let _ = archiver.thread.join();
        }
        let closed = self.log.take().map_or(Ok(()), Log::close);
        sealed.and(closed)
    }
}

impl Opened {
    fn apply(&mut self, text: &str) -> Result<()> {
        let entries = Ddl::decode(text)?;
        self.store.learn(&entries);
        self.unfilled = entries.iter().find_map(|entry| match entry {
            Ddl::Fill(table) => Some(*table),
            _ => None,
        });
        entries.iter().try_for_each(|entry| self.catalog.apply(entry))
    }

    fn read_log(&mut self, archived_to: u64) -> Result<()> {
        for segment in self.store.segments.clone().iter() {
            for record in segment.records(archived_to + 1, u64::MAX) {
                let record = record?;
                (self.offset, self.time) = (record.last_offset(), record.last_time());
                match record {
                    Record::Statement(statement) => self.apply(&statement.text)?,
                    Record::Rows(group) => {
                        self.unfilled = None;
                        self.store.marks.extend(group.marks.into_iter().map(|m| (m.object, m.value)));
                    }
                }
            }
        }
        Ok(())
    }

    /// A crash came between a table and the rows with which it begins: it has never been there.
    fn drop_unfilled(&mut self) -> Result<()> {
        let Some(table) = self.unfilled.take() else { return Ok(()) };
        let text = Ddl::encode(&[Ddl::Drop(vec![table])])?;
        self.apply(&text)?;
        if self.store.read_only {
            return Ok(());
        }
        self.offset += 1;
        self.store.append(Record::Statement(Statement { offset: self.offset, time: self.time, text }))
    }
}

fn closed() -> Error {
    Error::Poisoned("the database is closed".into())
}
