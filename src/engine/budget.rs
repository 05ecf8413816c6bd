//! The memory budget of a database: one limit for what tables and views keep and for what batch queries use.
//!
//! ```text
//! limit  |<-------------- kept state -------------->|<-- queries of views -->|<-- queries -->|   room   |
//!        |<---------------------- at most kept_max ---------------------->|<-- a sixteenth, for queries -->|
//! ```
//!
//! The engine's thread says what is kept. The batch engine asks before its operators take memory, through a pool per
//! kind of user, and is refused past the limit; operators that can go on with less, or on disk, then do.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::error::Result;

/// The part of the limit that queries may use even where tables and views fill the rest: rows can be deleted then.
const QUERY_PART: usize = 16;
/// The default limit as a part of the machine's memory, in percent.
const MACHINE_PERCENT: usize = 80;

/// How much memory a database may use, and how much it does.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    kept: AtomicUsize,
    used: [AtomicUsize; 2],
}

/// Who runs a batch plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A view that is kept by running its plan again. It is not refused because others' queries use memory.
    View,
    /// A query, a change of rows or VERIFY.
    Query,
}

impl Budget {
    /// A budget of so many bytes, none of it used.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { limit, kept: AtomicUsize::new(0), used: Default::default() })
    }

    /// A budget of what is left to queries, for state that goes with the statement that makes it.
    pub fn beside(&self) -> Arc<Budget> {
        Budget::new(self.room(User::Query))
    }

    /// Bytes that tables and views may keep.
    pub fn kept_max(&self) -> usize {
        self.limit - self.limit / QUERY_PART
    }

    /// Bytes that tables and views keep.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// Says how many bytes tables and views keep.
    pub fn set_kept(&self, bytes: usize) {
        self.kept.store(bytes, Ordering::Relaxed);
    }

    /// The limit in words.
    pub fn words(&self) -> String {
        format!("the memory limit of {} (--memory-limit)", size(self.limit))
    }

    /// What batch plans of this user run in.
    ///
    /// # Errors
    /// When the batch engine cannot make it.
    pub fn runtime(self: &Arc<Self>, user: User) -> Result<Arc<RuntimeEnv>> {
        let pool = Arc::new(Pool { budget: self.clone(), user });
        Ok(RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?)
    }

    fn used(&self, user: User) -> usize {
        self.used[user as usize].load(Ordering::Relaxed)
    }

    /// Bytes that this user may have in all.
    fn room(&self, user: User) -> usize {
        let state = self.limit.saturating_sub(self.kept()).max(self.limit / QUERY_PART);
        match user {
            User::View => state,
            User::Query => state.saturating_sub(self.used(User::View)),
        }
    }
}

/// The budget as the batch engine sees it.
#[derive(Debug)]
struct Pool {
    budget: Arc<Budget>,
    user: User,
}

impl Pool {
    fn counter(&self) -> &AtomicUsize {
        &self.budget.used[self.user as usize]
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "millstream"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        self.counter().fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _: &MemoryReservation, bytes: usize) {
        self.counter().fetch_sub(bytes, Ordering::Relaxed);
    }

    fn try_grow(&self, _: &MemoryReservation, additional: usize) -> datafusion::error::Result<()> {
        let room = self.budget.room(self.user);
        let grown = |used: usize| used.checked_add(additional).filter(|sum| *sum <= room);
        match self.counter().fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            // Operators that can write to disk look for this kind of error.
            Err(_) => Err(DataFusionError::ResourcesExhausted(format!(
                "{} is reached: the query asks for {} more, while tables and views have {} and queries {}",
                self.budget.words(),
                size(additional),
                size(self.budget.kept()),
                size(self.budget.used(User::View) + self.budget.used(User::Query)),
            ))),
        }
    }

    fn reserved(&self) -> usize {
        self.budget.used(self.user)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.budget.limit)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.budget.words(), self.user)
    }
}

/// A number of bytes in words: in the units of 1024 where it is a whole number of them, else in those of 1000.
pub fn size(bytes: usize) -> String {
    const BINARY: [(usize, &str); 3] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")];
    const DECIMAL: [(usize, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    if let Some((unit, name)) = BINARY.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        return format!("{} {name}", bytes / unit);
    }
    match DECIMAL.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            match tenths % 10 {
                0 => format!("{} {name}", tenths / 10),
                tenth => format!("{}.{tenth} {name}", tenths / 10),
            }
        }
        None => format!("{bytes} bytes"),
    }
}

/// The limit of a database whose options name none: most of the memory that the process may have.
pub fn default_limit() -> usize {
    let found = [machine_bytes(), group_bytes()].into_iter().flatten().min();
    found.map_or(usize::MAX, |bytes| bytes / 100 * MACHINE_PERCENT)
}

/// The memory of a Linux machine.
fn machine_bytes() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// What the process's control group leaves it: a container's limit.
fn group_bytes() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let files = [format!("/sys/fs/cgroup{own}/memory.max"), "/sys/fs/cgroup/memory.max".to_string()];
    files.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;
    use crate::error::Error;

    fn reservation(budget: &Arc<Budget>, user: User) -> MemoryReservation {
        MemoryConsumer::new("test").register(&budget.runtime(user).unwrap().memory_pool)
    }

    #[test]
    fn queries_get_what_state_leaves_and_a_sixteenth_at_least() {
        let budget = Budget::new(16_000_000);
        budget.set_kept(10_000_000);
        let query = reservation(&budget, User::Query);
        query.try_grow(6_000_000).unwrap();
        let error = Error::from(query.try_grow(500_000).unwrap_err());
        assert_eq!(
            error.to_string(),
            "the memory limit of 16 MB (--memory-limit) is reached: the query asks for 500 kB more, while tables and \
             views have 10 MB and queries 6 MB"
        );
        assert_eq!(error.exit_code(), 4);
        query.shrink(5_000_000);
        budget.set_kept(40_000_000);
        assert!(query.try_grow(1).is_err());
        query.free();
        query.try_grow(1_000_000).unwrap();
        assert!(query.try_grow(1).is_err());
    }

    #[test]
    fn views_go_before_queries() {
        let budget = Budget::new(16_000_000);
        let (view, query) = (reservation(&budget, User::View), reservation(&budget, User::Query));
        query.try_grow(15_000_000).unwrap();
        view.try_grow(12_000_000).unwrap();
        assert!(query.try_grow(1).is_err());
        assert!(view.try_grow(5_000_000).is_err());
        drop(view);
        query.try_grow(1_000_000).unwrap();
        assert_eq!(budget.used(User::Query), 16_000_000);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let budget = Budget::new(usize::MAX);
        budget.set_kept(usize::MAX / 2);
        reservation(&budget, User::Query).try_grow(usize::MAX / 4).unwrap();
    }

    #[test]
    fn sizes_in_words() {
        let words = [0, 999, 1000, 1536, 10_550_000, 4 << 30, 8 << 20, 1_500_000_000].map(size);
        assert_eq!(words, ["0 bytes", "999 bytes", "1 kB", "1.5 kB", "10.5 MB", "4 GiB", "8 MiB", "1.5 GB"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_default_is_most_of_the_machine() {
        assert!((1 << 20..machine_bytes().unwrap()).contains(&default_limit()));
    }
}
