//! Ctrl-C: stops what runs, not the program.
//!
//! ```text
//!            a statement runs    nothing runs    pressed again
//! prompt     cancel it           nothing         nothing
//! script     cancel it           exit            exit
//! ```
//!
//! Leaving at once is safe: the log is made for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream::Cancel;

/// The exit code of a program that Ctrl-C ended, by custom of the shells.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Who reacts to Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A person at a prompt, who leaves by Ctrl-D.
    Prompt,
    /// A program or a script.
    Script,
}

/// What Ctrl-C would stop now.
#[derive(Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
    running: Arc<Mutex<Option<Cancel>>>,
}

/// While it lives, Ctrl-C stops one piece of work.
pub struct Running<'a>(&'a Interrupt);

impl Interrupt {
    /// Takes over Ctrl-C for the whole program. Where the system does not allow it, Ctrl-C ends the program.
    pub fn install(mode: Mode) -> Interrupt {
        let interrupt = Interrupt::default();
        let seen = interrupt.clone();
        if let Err(error) = ctrlc::set_handler(move || seen.raise(mode)) {
            tracing::warn!(%error, "Ctrl-C will end the program");
        }
        interrupt
    }

    /// Lets Ctrl-C stop the work behind `cancel`.
    pub fn running(&self, cancel: Cancel) -> Running<'_> {
        self.raised.store(false, Ordering::SeqCst);
        self.set(Some(cancel));
        Running(self)
    }

    /// Whether Ctrl-C was pressed since the work began.
    pub fn raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    fn raise(&self, mode: Mode) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let again = running.is_some() && self.raised.swap(true, Ordering::SeqCst);
        match running {
            Some(cancel) if !again || mode == Mode::Prompt => cancel.cancel(),
            _ if mode == Mode::Script => std::process::exit(EXIT_INTERRUPTED.into()),
            _ => {}
        }
    }

    fn set(&self, running: Option<Cancel>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(None);
        self.0.raised.store(false, Ordering::SeqCst);
    }
}
