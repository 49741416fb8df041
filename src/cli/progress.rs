//! Progress on standard error: a reader of run events, which draws nothing into the run.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::cli::output;
use crate::ids::CellId;
use crate::load::spec::Live;
use crate::plan::Plan;
use crate::record::event::{CellOutcome, RunEvent};
use crate::run::Notice;
use crate::run::conduct::Done;
use crate::units::Nanos;

/// How often a bar is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// Lines of a failed engine's log that are shown at once; the report has more.
const LOG_LINES_SHOWN: usize = 10;

/// Shows a run while it goes on. Drawing happens on a thread of its own, five times a second.
pub(crate) struct Progress {
    notices: Option<Sender<Notice>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show the run of `plan`; `quiet` shows nothing.
    pub(crate) fn start(plan: &Plan, done: &Done, quiet: bool) -> Self {
        if quiet {
            return Self { notices: None, thread: None };
        }
        let (notices, received) = channel();
        let face = Face::new(plan, done);
        let thread = std::thread::spawn(move || face.run(&received));
        Self { notices: Some(notices), thread: Some(thread) }
    }

    /// Takes note of something that happened.
    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(notices) = &self.notices {
            // The face may be gone if standard error is closed; the run goes on without it.
            drop(notices.send(notice));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.notices = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the face must not hide what the run has to say.
            drop(thread.join());
        }
    }
}

/// The trial that a bar stands for.
struct Running {
    live: Arc<Live>,
    started: Instant,
    n_requests: Option<u64>,
    /// Requests that were over before this phase began.
    n_done_before: u64,
    n_tokens_before: u64,
}

struct Face {
    bar: ProgressBar,
    plan: Plan,
    names: Vec<(CellId, String)>,
    /// Cells that are over, those of earlier sessions included.
    finished: BTreeSet<CellId>,
    trial_label: String,
    running: Option<Running>,
    is_terminal: bool,
    /// Time into the wait for an engine at which the next line on it is due.
    next_waiting_line: Nanos,
}

impl Face {
    fn new(plan: &Plan, done: &Done) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self {
            bar,
            plan: plan.clone(),
            names: plan.cells.iter().map(|cell| (cell.id.clone(), cell.name.clone())).collect(),
            finished: done.kept.clone(),
            trial_label: String::new(),
            running: None,
            is_terminal,
            next_waiting_line: Nanos::ZERO,
        }
    }

    fn run(mut self, notices: &Receiver<Notice>) {
        loop {
            match notices.recv_timeout(REDRAW_EVERY) {
                Ok(Notice::Event(event)) => self.on_event(&event),
                Ok(Notice::Live(live)) => self.on_live(live),
                Ok(Notice::Waiting { engine, what, last, elapsed, limit }) => {
                    self.on_waiting(&engine, &what, &last, elapsed, limit);
                }
                // Whoever conducts the run leaves the program before this is shown.
                Ok(Notice::DiskHangs { .. }) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.redraw();
        }
        self.bar.finish_and_clear();
    }

    fn on_event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::CellSkipped { cell, reason } => {
                self.line(&format!("- {}: skipped: {reason}", self.name(cell)));
            }
            RunEvent::EngineStarting { engine, attempt, .. } => {
                self.running = None;
                self.next_waiting_line = Nanos::ZERO;
                let again =
                    if *attempt > 1 { format!(" (start {attempt})") } else { String::new() };
                self.wait(&format!("starting {engine}{again}"));
            }
            RunEvent::EngineStage { stage, at, .. } => self.wait(&format!("{stage} after {at}")),
            RunEvent::EngineReady { timeline, .. } => match timeline.first_token {
                Some(at) => self.line(&format!("  engine ready, first token after {at}")),
                None => self.line("  engine ready; it runs already"),
            },
            RunEvent::EngineFailed { failure, .. } => {
                self.running = None;
                self.line(&format!("! engine failed: {}", failure.message));
                let n_hidden = failure.log_tail.len().saturating_sub(LOG_LINES_SHOWN);
                for line in &failure.log_tail[n_hidden..] {
                    self.line(&format!("  | {line}"));
                }
            }
            RunEvent::TrialStarted { cell, trial, .. } => {
                self.trial_label = format!("{} trial {trial}", self.name(cell));
            }
            RunEvent::PhaseStarted { phase, n_requests, .. } => self.on_phase(phase, *n_requests),
            RunEvent::CellFinished { cell, outcome } => {
                self.finished.insert(cell.clone());
                self.running = None;
                let word = match outcome {
                    CellOutcome::Complete => "done".to_owned(),
                    CellOutcome::Skipped(_) => return,
                    CellOutcome::Failed(failure) => format!("failed: {}", failure.message),
                    CellOutcome::Interrupted => "interrupted".to_owned(),
                };
                self.line(&format!("{} {}: {word}", self.position(), self.name(cell)));
            }
            RunEvent::Interrupted { signal } => {
                self.wait(&format!(
                    "{signal}: ending requests and engines, keeping what was measured"
                ));
            }
            RunEvent::PointAdded { first, load } => {
                if let Some(point) = self.plan.add_point(first, *load) {
                    self.names.push((point.id.clone(), point.name.clone()));
                }
            }
            RunEvent::Caveat { what, .. } => self.line(&format!("  note: {what}")),
            RunEvent::RunStarted { .. }
            | RunEvent::ScenarioChanged { .. }
            | RunEvent::EngineStopped { .. }
            | RunEvent::TrialFinished { .. }
            | RunEvent::RunFinished { .. } => {}
        }
    }

    /// Tells how long an engine is waited for and why. Where lines stay, they are told ever more
    /// rarely: after 1, 2, 4 … s.
    fn on_waiting(&mut self, engine: &str, what: &str, last: &str, elapsed: Nanos, limit: Nanos) {
        if elapsed < self.next_waiting_line && !self.is_terminal {
            return;
        }
        self.next_waiting_line = elapsed + elapsed;
        let last = if last.is_empty() { String::new() } else { format!(": {last}") };
        let elapsed = elapsed.as_secs_f64();
        self.wait(&format!("{engine}: {elapsed:.0} s of {limit}, waiting for {what}{last}"));
    }

    fn on_live(&mut self, live: Arc<Live>) {
        self.running = Some(Running {
            live,
            started: Instant::now(),
            n_requests: None,
            n_done_before: 0,
            n_tokens_before: 0,
        });
    }

    fn on_phase(&mut self, phase: &str, n_requests: Option<u64>) {
        let Some(running) = &mut self.running else { return };
        running.started = Instant::now();
        running.n_requests = n_requests;
        running.n_done_before = running.live.done.load(Ordering::Relaxed);
        running.n_tokens_before = running.live.tokens.load(Ordering::Relaxed);
        let label = format!("{} {} {phase}", self.position(), self.trial_label);
        match n_requests {
            Some(n_requests) => {
                self.bar.set_length(n_requests);
                self.bar.set_style(style("{prefix} [{bar:24}] {pos}/{len} {msg}"));
            }
            None => self.bar.set_style(style("{prefix} {spinner} {pos} requests {msg}")),
        }
        self.bar.set_prefix(label);
    }

    fn redraw(&mut self) {
        let Some(running) = &self.running else { return self.bar.tick() };
        let n_done = running.live.done.load(Ordering::Relaxed) - running.n_done_before;
        let n_tokens = running.live.tokens.load(Ordering::Relaxed) - running.n_tokens_before;
        let elapsed = running.started.elapsed();
        let rate = n_tokens as f64 / elapsed.as_secs_f64().max(1e-3);
        let left = running
            .n_requests
            .filter(|_| n_done > 0)
            .map(|n| elapsed.mul_f64(n.saturating_sub(n_done) as f64 / n_done as f64))
            .map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
        self.bar.set_position(n_done);
        self.bar.set_message(format!("{rate:.0} tok/s{left}"));
        self.bar.tick();
    }

    fn wait(&self, message: &str) {
        let message = output::shown(message).into_owned();
        if self.is_terminal {
            self.bar.set_style(style("{spinner} {msg}"));
            self.bar.set_message(message);
        } else {
            self.line(&format!("  {message}"));
        }
    }

    fn line(&self, text: &str) {
        let text = &*output::shown(text);
        if self.is_terminal {
            self.bar.println(text);
        } else {
            anstream::eprintln!("{text}");
        }
    }

    fn position(&self) -> String {
        format!("[{}/{}]", self.finished.len().min(self.names.len()), self.names.len())
    }

    fn name<'a>(&'a self, cell: &'a CellId) -> &'a str {
        let found = self.names.iter().find(|(id, _)| id == cell);
        found.map_or(cell.0.as_str(), |(_, name)| name.as_str())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("templates are constants of this file")
        .progress_chars("=> ")
}
