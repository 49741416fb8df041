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
    lines: Mutex<Lines>,
}

/// Lines that were printed where there is no terminal.
struct Lines {
    /// When the last one was, or the work began.
    last: Instant,
    /// Whether any was of the work that goes on.
    is_told: bool,
}

impl DownloadBar {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { bar, lines: Mutex::new(Lines { last: Instant::now(), is_told: false }) }
    }

    /// Shows bytes that have come.
    pub(crate) fn show(&self, progress: &Progress<'_>) {
        let of = |total| format!(" of {}", BinaryBytes(total));
        let total = progress.total.map_or_else(String::new, of);
        let is_end = progress.total == Some(progress.done);
        self.message(&format!("{}: {}{total}", progress.file, BinaryBytes(progress.done)), is_end);
    }

    /// Shows rows that were read.
    pub(crate) fn rows(&self, name: &str, n_rows: u64) {
        self.message(&format!("{name}: {n_rows} rows read"), false);
    }

    /// Shows prompts that were rendered and cut into tokens.
    pub(crate) fn prompts(&self, name: &str, n: usize, n_all: usize) {
        self.message(&format!("{name}: {n} of {n_all} prompts made ready"), n == n_all);
    }

    /// Says how far a work has come, and that it has come to its end if it was told of before.
    fn message(&self, text: &str, is_end: bool) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text.to_owned());
            self.bar.tick();
            return;
        }
        let Ok(mut lines) = self.lines.lock() else { return };
        if lines.is_due(is_end, Instant::now()) {
            output::message(&format!("  {text}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Lines {
    /// Whether a line is printed now: one of a work that takes long, and the last of those.
    fn is_due(&mut self, is_end: bool, now: Instant) -> bool {
        let is_late = now.duration_since(self.last) >= LINE_EVERY;
        let is_due = if is_end { self.is_told } else { is_late };
        if is_due || is_end {
            (self.last, self.is_told) = (now, is_due && !is_end);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_that_is_told_of_is_told_to_its_end_and_a_short_one_not_at_all() {
        let start = Instant::now();
        let mut lines = Lines { last: start, is_told: false };
        let mut due = |seconds, is_end| lines.is_due(is_end, start + Duration::from_secs(seconds));
        assert_eq!([due(0, false), due(1, false), due(1, true)], [false; 3]);
        assert_eq!([due(2, false), due(6, false), due(7, false)], [false, true, false]);
        assert_eq!([due(8, true), due(8, true), due(9, false)], [true, false, false]);
    }
}
