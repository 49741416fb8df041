//! Progress of downloads and of long files, on standard error.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar};

use crate::cli::output;
use crate::datasets::download::Progress;

/// Time between two lines where there is no terminal to redraw.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a download has come: a bar on a terminal, else a line now and then.
pub(crate) struct DownloadBar {
    bar: ProgressBar,
    last_line: Mutex<Option<Instant>>,
}

impl DownloadBar {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { bar, last_line: Mutex::new(None) }
    }

    /// Shows bytes that have come.
    pub(crate) fn show(&self, progress: &Progress<'_>) {
        let of = |total| format!(" of {}", BinaryBytes(total));
        let total = progress.total.map_or_else(String::new, of);
        self.message(&format!("{}: {}{total}", progress.file, BinaryBytes(progress.done)));
    }

    /// Shows rows that were read.
    pub(crate) fn rows(&self, name: &str, n_rows: u64) {
        self.message(&format!("{name}: {n_rows} rows read"));
    }

    /// Shows prompts that were rendered and cut into tokens.
    pub(crate) fn prompts(&self, name: &str, n: usize, n_all: usize) {
        self.message(&format!("{name}: {n} of {n_all} prompts made ready"));
    }

    fn message(&self, text: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text.to_owned());
            self.bar.tick();
            return;
        }
        let Ok(mut last_line) = self.last_line.lock() else { return };
        if last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            *last_line = Some(Instant::now());
            output::message(&format!("  {text}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
