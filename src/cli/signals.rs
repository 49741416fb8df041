//! Ctrl-C as the user sees it: the program ends in order, or at once with a word on what is kept.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::engine::interrupt::Interrupt;
use crate::units::Nanos;

/// The message for the case that an interrupted program is left before its end.
#[derive(Clone, Debug)]
pub(crate) struct LastWords(Arc<Mutex<String>>);

impl Default for LastWords {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("nothing was begun".to_owned())))
    }
}

impl LastWords {
    /// Sets the message from here on.
    pub(crate) fn are(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// Starts to watch for signals.
    pub(crate) fn install(&self) -> Result<Interrupt, Failure> {
        let words = self.clone();
        Interrupt::install(move |signal| words.leave(signal)).map_err(|source| {
            Failure::new(Exit::SystemLimit, format!("failed to watch for signals: {source}"))
        })
    }

    /// Leaves the program because the disk of these records takes nothing, and the thread that
    /// writes to it can be neither waited for nor ended.
    pub(crate) fn leave_hanging_disk(&self, path: &Path, silent: Nanos) -> ! {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        output::message(&format!(
            "error: the disk of {} has not taken a record for {silent}\n  help: see what holds it \
             up (a network file system, a frozen or failing disk); {words}",
            path.display()
        ));
        std::process::exit(i32::from(Exit::InputOutput.code()));
    }

    /// Leaves the program. Guardians hold the other ends of our pipes: when these close, they
    /// take the engines down.
    fn leave(&self, signal: i32) {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        output::message(&format!("interrupted; {words}"));
        std::process::exit(i32::from(Exit::Signal(signal as u8).code()));
    }
}
