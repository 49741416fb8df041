//! A run on a screen of its own: cells, curves, GPUs, the engine's log, caveats.

mod curves;
mod frame;
mod machine;
pub(crate) mod terminal;
pub(crate) mod view;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::progress_line::folded;
use crate::cli::screen::frame::Seen;
use crate::cli::screen::machine::Machine;
use crate::cli::screen::terminal::Drawn;
use crate::cli::screen::view::{Second, View};
use crate::engine::interrupt::Interrupt;
use crate::engine::log;
use crate::record::telemetry::TelemetrySample;
use crate::secrets::redact::Redactor;

/// How often the screen is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// Time that one point of a curve stands for.
const SECOND: Duration = Duration::from_secs(1);

/// Notes that the screen may still have room for; the report has all of them.
const NOTES_SHOWN_MAX: usize = 100;

/// What the screen needs of the run beside its events.
pub(crate) struct Stage<'a> {
    /// The run directory, below which the engines' logs lie.
    pub(crate) dir: &'a Path,
    /// Takes secrets out of the engines' words.
    pub(crate) redactor: &'a Redactor,
    pub(crate) is_coloured: bool,
    /// Whether the user has asked the run to end.
    pub(crate) interrupt: &'a Interrupt,
}

/// The screen while a run is shown on it.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Drawn>>,
    seen: Seen,
    dir: PathBuf,
    redactor: Redactor,
    interrupt: Interrupt,
    log: Option<PathBuf>,
    log_bytes: u64,
    /// When it is drawn next, and when the next point of the curves is due.
    next_draw: Instant,
    next_second: Instant,
}

/// Refuses a screen where there is none.
pub(crate) fn refuse_without_terminal() -> Result<(), Failure> {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let why = match (io::stdout().is_terminal(), is_dumb) {
        (false, _) => "standard output is no terminal",
        (true, true) => "TERM names no terminal that can move its cursor",
        (true, false) => return Ok(()),
    };
    let message = format!("--tui draws on a terminal, and {why}");
    Err(Failure::new(Exit::Usage, message).help(
        "leave --tui out: progress goes to standard error, as JSON lines with --progress json",
    ))
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn begin(stage: &Stage<'_>) -> io::Result<Self> {
        terminal::take()?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(Drawn::default()))
                .inspect_err(|_| terminal::give_back())?,
            seen: Seen { is_coloured: stage.is_coloured, ..Seen::default() },
            dir: stage.dir.to_owned(),
            redactor: stage.redactor.clone(),
            interrupt: stage.interrupt.clone(),
            log: None,
            log_bytes: 0,
            next_draw: Instant::now(),
            next_second: Instant::now() + SECOND,
        })
    }

    /// Keeps a line that the first screen gets at the end.
    pub(crate) fn keep(&self, line: &str) {
        let columns = self.terminal.size().map_or(80, |size| size.width);
        // A line as wide as the terminal would be taken for one that goes on.
        terminal::keep(folded(line, usize::from(columns).saturating_sub(1)));
    }

    /// Keeps a line likewise and shows it among the notes.
    pub(crate) fn note(&mut self, line: &str) {
        self.keep(line);
        if self.seen.notes.len() == NOTES_SHOWN_MAX {
            self.seen.notes.remove(0);
        }
        self.seen.notes.push(line.trim_start().to_owned());
    }

    /// Follows this log, named from the run directory.
    pub(crate) fn follow_log(&mut self, log: &str) {
        (self.log, self.log_bytes) = (Some(self.dir.join(log)), 0);
        self.seen.log.clear();
    }

    pub(crate) fn sample(&mut self, sample: TelemetrySample) {
        self.seen.machine.take(sample);
    }

    /// Forgets what probes told of an engine that is gone.
    pub(crate) fn forget_samples(&mut self) {
        self.seen.machine = Machine::default();
    }

    /// Whether the next second of the curves is over.
    pub(crate) fn is_second_over(&mut self) -> bool {
        let is_over = Instant::now() >= self.next_second;
        if is_over {
            self.next_second = Instant::now() + SECOND;
            self.look_at_log();
        }
        is_over
    }

    pub(crate) fn second(&mut self, second: Second) {
        self.seen.curves.push(second);
    }

    /// Looks at the keyboard, and draws if it is time to.
    pub(crate) fn show(&mut self, view: &View<'_>) {
        terminal::look_at_keys();
        if Instant::now() < self.next_draw {
            return;
        }
        self.next_draw = Instant::now() + DRAW_EVERY;
        self.seen.is_ending = self.interrupt.count() > 0;
        // Whoever needs the first screen takes it; the run goes on without this one.
        drop(self.terminal.draw(|frame| frame::draw(frame, view, &self.seen)));
    }

    fn look_at_log(&mut self) {
        let Some(path) = &self.log else { return };
        let n_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if n_bytes != self.log_bytes {
            self.log_bytes = n_bytes;
            self.seen.log = log::glance(path, &self.redactor);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        terminal::give_back();
    }
}
