//! The threads that batch queries run on.

use std::path::Path;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, Result};

/// Stack of the threads that plan and run SQL: plans are recursive.
pub const THREAD_STACK_BYTES: usize = 64 << 20;

/// A runtime that may be dropped anywhere, inside an async program too, where nobody may wait for its threads.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts a thread for each partition of a query.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(partitions: usize) -> Result<Threads> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(partitions)
            .thread_stack_size(THREAD_STACK_BYTES)
            .thread_name("millstream-query")
            .build();
        let runtime = runtime.map_err(|e| Error::io("starting threads for", Path::new("queries"), &e))?;
        Ok(Threads(Some(runtime)))
    }

    /// Where tasks are given to the threads.
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("the runtime is taken by drop alone").handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
