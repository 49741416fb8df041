//! Progress on standard error: a reader of run events, which draws nothing into the run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::args::ProgressAs;
use crate::cli::output;
use crate::cli::pace::Pace;
use crate::cli::progress_line::{Line, Rate, cut, figures, folded, shown};
use crate::cli::screen::view::{CellRow, CellState, Second, View};
use crate::cli::screen::{Screen, Stage};
use crate::ids::{CellId, LaunchId};
use crate::load::spec::{Live, RecentAnswers};
use crate::plan::Plan;
use crate::plan::cell::{Cell, Phase};
use crate::record::event::{CellOutcome, RunEvent};
use crate::run::Notice;
use crate::run::conduct::Done;
use crate::units::Nanos;

/// Columns of a terminal that does not tell.
const USUAL_COLUMNS: usize = 80;

/// How often a bar is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// Time from which on the counts that progress looks at make a rate.
const RATE_AFTER: Duration = Duration::from_secs(2);

/// How often a running cell is told of in JSON.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Lines of a failed engine's log that are shown at once; the report has more.
const LOG_LINES_SHOWN: usize = 10;

/// Shows a run while it goes on. Drawing happens on a thread of its own, five times a second.
pub(crate) struct Progress {
    notices: Option<Sender<Notice>>,
    thread: Option<JoinHandle<()>>,
    /// Whether samples of the machine are shown; else nobody is woken for them.
    shows_samples: bool,
}

impl Progress {
    /// Begins to show the run of `plan`; nothing without a way to tell it.
    ///
    /// # Errors
    /// When the terminal cannot be had for a screen.
    pub(crate) fn start(
        plan: &Plan,
        done: &Done,
        told_as: Option<ProgressAs>,
        stage: &Stage<'_>,
    ) -> io::Result<Self> {
        let Some(told_as) = told_as else {
            return Ok(Self { notices: None, thread: None, shows_samples: false });
        };
        let is_screen = told_as == ProgressAs::Screen;
        let screen = is_screen.then(|| Screen::begin(stage)).transpose()?;
        let (notices, received) = channel();
        let face = Face::new(plan, done, told_as, screen);
        let thread = Builder::new().name("progress".to_owned());
        let thread = thread.spawn(move || face.run(&received))?;
        Ok(Self { notices: Some(notices), thread: Some(thread), shows_samples: is_screen })
    }

    /// Takes note of something that happened.
    pub(crate) fn tell(&self, notice: Notice) {
        let is_shown = self.shows_samples || !matches!(notice, Notice::Sample(_));
        if let (Some(notices), true) = (&self.notices, is_shown) {
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
    phase: String,
    n_requests: Option<u64>,
    /// Time that the phase takes, where it ends by the clock.
    limit: Option<Duration>,
    /// Requests that were over before this phase began.
    n_done_before: u64,
    n_tokens_before: u64,
    /// Tokens per second when this was last looked at within the phase's time.
    rate: Rate,
    /// When the last second of the curves ended, and how many tokens there were.
    second: (Instant, u64),
}

impl Running {
    /// Takes note of the rate. What comes when the time is over belongs to no second of it.
    fn look(&mut self) {
        let elapsed = self.started.elapsed();
        if self.limit.is_none_or(|limit| elapsed <= limit) {
            let n_tokens = self.live.tokens.load(Ordering::Relaxed) - self.n_tokens_before;
            self.rate = Rate {
                per_s: n_tokens as f64 / elapsed.as_secs_f64().max(1e-3),
                is_of_chunks: self.live.uncounted.load(Ordering::Relaxed) > 0,
            };
        }
    }

    /// Returns what the time since the last call was like.
    fn second(&mut self) -> Second {
        let (now, n_tokens) = (Instant::now(), self.live.tokens.load(Ordering::Relaxed));
        let (before, n_before) = std::mem::replace(&mut self.second, (now, n_tokens));
        let elapsed = (now - before).as_secs_f64();
        let per_s = n_tokens.saturating_sub(n_before) as f64 / elapsed.max(1e-3);
        let (ttft_ms, tpot_ms) = self.latencies();
        Second { n_tokens: Some(per_s), ttft_ms, tpot_ms }
    }

    /// Returns the medians of TTFT and TPOT of the answers that ended last, ms.
    fn latencies(&self) -> (Option<f64>, Option<f64>) {
        let recent = self.live.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (recent.ttft_p50().map(Nanos::as_millis_f64), recent.tpot_p50().map(Nanos::as_millis_f64))
    }

    /// Returns which share of the phase is over, and what is left of it.
    fn course(&self) -> (Option<f64>, Option<Duration>) {
        let elapsed = self.started.elapsed();
        if let Some(limit) = self.limit {
            let share = elapsed.as_secs_f64() / limit.as_secs_f64().max(1e-3);
            return (Some(share), Some(limit.saturating_sub(elapsed)));
        }
        let Some(n) = self.n_requests.filter(|n| *n > 0) else { return (None, None) };
        let n_done = self.live.done.load(Ordering::Relaxed) - self.n_done_before;
        let left =
            (n_done > 0).then(|| elapsed.mul_f64(n.saturating_sub(n_done) as f64 / n_done as f64));
        (Some(n_done as f64 / n as f64), left)
    }
}

struct Face {
    bar: ProgressBar,
    plan: Plan,
    rows: IndexMap<CellId, CellRow>,
    /// Cells that are over, those of earlier sessions included.
    finished: BTreeSet<CellId>,
    /// The cell that is being measured, and its trial.
    trial: Option<(CellId, u32)>,
    started: Instant,
    pace: Pace,
    running: Option<Running>,
    /// Figures of trials that have ended, of cells that are not said to be over yet.
    ended: HashMap<CellId, String>,
    is_terminal: bool,
    /// Takes what would be lines, where the run has a screen of its own.
    screen: Option<Screen>,
    /// What is waited for while nothing is measured.
    waiting: String,
    /// Whether lines are for programs.
    is_json: bool,
    /// When the running cell is next told of in JSON.
    next_json: Instant,
    /// Time into the wait for an engine at which the next line on it is due.
    next_waiting_line: Nanos,
}

impl Face {
    fn new(plan: &Plan, done: &Done, told_as: ProgressAs, screen: Option<Screen>) -> Self {
        let is_terminal = told_as == ProgressAs::Auto && std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let mut plan = plan.clone();
        for record in &done.events {
            if let RunEvent::PointAdded { first, load } = &record.event {
                plan.add_point(first, *load);
            }
        }
        Self {
            bar,
            rows: rows(&plan, &done.kept),
            finished: done.kept.clone(),
            trial: None,
            started: Instant::now(),
            pace: Pace::new(&plan, done),
            running: None,
            ended: HashMap::new(),
            is_terminal,
            screen,
            waiting: String::new(),
            is_json: told_as == ProgressAs::Json,
            next_json: Instant::now(),
            next_waiting_line: Nanos::ZERO,
            plan,
        }
    }

    fn run(mut self, notices: &Receiver<Notice>) {
        loop {
            match notices.recv_timeout(REDRAW_EVERY) {
                Ok(Notice::Event(event)) => {
                    self.json(|| json!({ "event": event }));
                    self.on_event(&event);
                }
                Ok(Notice::Live(live)) => self.on_live(live),
                Ok(Notice::Sample(sample)) => {
                    if let Some(screen) = &mut self.screen {
                        screen.sample(sample);
                    }
                }
                Ok(Notice::Waiting { engine, what, last, elapsed, limit }) => {
                    self.json(|| {
                        json!({ "waiting": {
                            "engine": engine,
                            "what": what,
                            "last": last,
                            "elapsed_s": elapsed.as_secs_f64(),
                            "limit_s": limit.as_secs_f64(),
                        } })
                    });
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
                self.pace.cell_over(cell);
                self.row(cell, CellState::Skipped, reason);
                self.finished_line(&format!("- {}: skipped: {reason}", self.name(cell)));
            }
            RunEvent::EngineStarting { launch, engine, attempt, log, .. } => {
                self.running = None;
                if let Some(screen) = &mut self.screen {
                    screen.follow_log(log);
                }
                self.next_waiting_line = Nanos::ZERO;
                let again =
                    if *attempt > 1 { format!(" (start {attempt})") } else { String::new() };
                let limit = self.limit(launch);
                self.wait(&format!("starting {engine}{again}: 0 s{limit}"));
            }
            RunEvent::EngineStage { launch, stage, at } => {
                let limit = self.limit(launch);
                self.wait(&format!("{stage} after {at}{limit}"));
            }
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
                if let (Some((before, _)), Some(last)) = (&self.trial, self.running.take()) {
                    self.ended.insert(before.clone(), key_figures(&last));
                }
                self.row(cell, CellState::Running, "");
                self.pace.trial_started(cell, *trial, self.started.elapsed());
                self.trial = Some((cell.clone(), *trial));
            }
            RunEvent::PhaseStarted { phase, n_requests, .. } => self.on_phase(phase, *n_requests),
            RunEvent::TrialFinished { cell, trial } => {
                self.pace.trial_finished(cell, *trial, self.started.elapsed());
            }
            RunEvent::CellFinished { cell, outcome } => {
                self.pace.cell_over(cell);
                self.finished.insert(cell.clone());
                let is_running = self.trial.as_ref().is_some_and(|(running, _)| running == cell);
                let last = self.running.take_if(|_| is_running);
                let ended = self.ended.remove(cell).unwrap_or_default();
                let told = last.as_ref().map_or(ended, key_figures);
                // What the numbers are worth, the report says: it knows all records.
                let (state, told) = match outcome {
                    CellOutcome::Complete => (CellState::Measured, told),
                    CellOutcome::Skipped(_) => return,
                    CellOutcome::Failed(failure) => (CellState::Failed, failure.message.clone()),
                    CellOutcome::Interrupted => (CellState::Interrupted, String::new()),
                };
                let colon = if state == CellState::Failed { ":" } else { "" };
                let gap = if told.is_empty() { "" } else { " " };
                let name = self.name(cell);
                let line = format!("{} {name}: {state}{colon}{gap}{told}", self.position());
                self.row(cell, state, &told);
                self.finished_line(&line);
            }
            RunEvent::Interrupted { signal } => {
                self.wait(&format!(
                    "{signal}: ending requests and engines, keeping what was measured"
                ));
            }
            RunEvent::PointAdded { first, load } => {
                if let Some(point) = self.plan.add_point(first, *load) {
                    self.pace.added(point);
                    let row = CellRow { name: point.name.clone(), ..CellRow::default() };
                    self.rows.insert(point.id.clone(), row);
                }
            }
            RunEvent::Caveat { what, .. } => {
                let note = format!("  note: {what}");
                // The report has all of it.
                self.line(&if self.is_terminal { cut(note, columns()) } else { note });
            }
            RunEvent::EngineStopped { .. } => {
                if let Some(screen) = &mut self.screen {
                    screen.forget_samples();
                }
            }
            RunEvent::RunStarted { .. }
            | RunEvent::ScenarioChanged { .. }
            | RunEvent::RetryAsked { .. }
            | RunEvent::Reused { .. }
            | RunEvent::RunFinished { .. } => {}
        }
    }

    /// Returns the time that a start may take, behind that it has taken.
    fn limit(&self, launch: &LaunchId) -> String {
        let launch = self.plan.launches.get(launch);
        launch.map_or_else(String::new, |launch| format!(" of {}", launch.readiness.timeout))
    }

    /// Tells how long an engine is waited for and why. Where lines stay, they are told ever more
    /// rarely: after 1, 2, 4 … s.
    fn on_waiting(&mut self, engine: &str, what: &str, last: &str, elapsed: Nanos, limit: Nanos) {
        if elapsed < self.next_waiting_line && !self.is_terminal && self.screen.is_none() {
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
            phase: String::new(),
            n_requests: None,
            limit: None,
            n_done_before: 0,
            n_tokens_before: 0,
            rate: Rate::default(),
            second: (Instant::now(), 0),
        });
    }

    fn on_phase(&mut self, name: &str, n_requests: Option<u64>) {
        let limit = self.phase(name).filter(|phase| phase.until_steady.is_none());
        let limit = limit.and_then(|phase| phase.duration).map(Duration::from);
        let Some(running) = &mut self.running else { return };
        running.started = Instant::now();
        self.next_json = running.started;
        name.clone_into(&mut running.phase);
        running.n_requests = n_requests;
        running.limit = limit;
        running.n_done_before = running.live.done.load(Ordering::Relaxed);
        running.n_tokens_before = running.live.tokens.load(Ordering::Relaxed);
        // Of this phase alone.
        *running.live.recent.lock().unwrap_or_else(PoisonError::into_inner) =
            RecentAnswers::default();
        self.bar.set_style(style("{spinner} {wide_msg}"));
    }

    fn phase(&self, name: &str) -> Option<&Phase> {
        let (cell, _) = self.trial.as_ref()?;
        self.planned(cell)?.phases.iter().find(|phase| phase.name == name)
    }

    /// Returns a cell of the plan, whose rows stand in its order.
    fn planned(&self, cell: &CellId) -> Option<&Cell> {
        self.plan.cells.get(self.rows.get_index_of(cell)?)
    }

    fn redraw(&mut self) {
        if let Some(running) = &mut self.running {
            running.look();
        }
        if let Some(running) = &self.running {
            let line = self.line_on(running);
            if self.is_json && self.next_json <= Instant::now() {
                self.next_json = Instant::now() + JSON_EVERY;
                self.json(|| line.to_json());
            }
            // The spinner and its space stand in front.
            let line = line.fitted(columns().saturating_sub(3));
            self.bar.set_message(output::shown(&line).into_owned());
        }
        self.bar.tick();
        self.draw();
    }

    /// Shows what is known on the run's own screen, if it has one.
    fn draw(&mut self) {
        let running = self.running.as_ref().filter(|_| self.screen.is_some());
        // The screen has a place of its own for the time of the whole run.
        let line = running.map(|running| Line { whole: None, ..self.line_on(running) });
        let Some(mut screen) = self.screen.take() else { return };
        if screen.is_second_over() {
            screen.second(self.running.as_mut().map_or_else(Second::default, Running::second));
        }
        let current = self.trial.as_ref().and_then(|(cell, _)| self.rows.get_index_of(cell));
        screen.show(&View {
            title: &self.plan.title,
            rows: &self.rows,
            current: current.unwrap_or(0),
            line,
            waiting: &self.waiting,
            whole: self.whole(),
            elapsed: self.started.elapsed(),
        });
        self.screen = Some(screen);
    }

    fn line_on(&self, running: &Running) -> Line {
        let (share, left) = running.course();
        let (ttft_ms, tpot_ms) = running.latencies();
        let name = self.trial.as_ref().map_or_else(String::new, |(cell, trial)| {
            let trial = self
                .planned(cell)
                .filter(|cell| cell.n_trials > 1)
                .map(|_| format!(" trial {trial}"));
            self.name(cell).to_owned() + &trial.unwrap_or_default()
        });
        Line {
            position: self.position(),
            name,
            phase: running.phase.clone(),
            share,
            elapsed: running.started.elapsed(),
            left,
            rate: running.rate,
            ttft_ms,
            tpot_ms,
            n_errors: running.live.failed.load(Ordering::Relaxed),
            whole: self.whole(),
        }
    }

    /// Returns how long the run lasts so far, and how long all of it will at this pace.
    fn whole(&self) -> Option<(Duration, Duration)> {
        let elapsed = self.started.elapsed();
        self.pace.whole(elapsed).map(|whole| (elapsed, whole))
    }

    fn wait(&mut self, message: &str) {
        let message = output::shown(message).into_owned();
        if self.screen.is_some() {
            self.waiting = message;
        } else if self.is_terminal {
            self.bar.set_style(style("{spinner} {wide_msg}"));
            self.bar.set_message(message);
        } else {
            self.line(&format!("  {message}"));
        }
    }

    /// Writes a value on a line of its own, where lines are for programs.
    fn json(&self, value: impl FnOnce() -> Value) {
        if self.is_json {
            anstream::eprintln!("{}", output::shown(&value().to_string()));
        }
    }

    /// Tells a line on a cell that is over; a screen has a row for it.
    fn finished_line(&mut self, text: &str) {
        match &self.screen {
            Some(screen) => screen.keep(&output::shown(text)),
            None => self.line(text),
        }
    }

    fn line(&mut self, text: &str) {
        if self.is_json {
            return;
        }
        let text = &*output::shown(text);
        if let Some(screen) = &mut self.screen {
            screen.note(text);
        } else if self.is_terminal {
            // A line as wide as the terminal would be taken for one that goes on.
            self.bar.println(folded(text, columns() - 1));
        } else {
            anstream::eprintln!("{text}");
        }
    }

    fn position(&self) -> String {
        format!("[{}/{}]", self.finished.len().min(self.rows.len()), self.rows.len())
    }

    fn name<'a>(&'a self, cell: &'a CellId) -> &'a str {
        self.rows.get(cell).map_or(cell.0.as_str(), |row| row.name.as_str())
    }

    fn row(&mut self, cell: &CellId, state: CellState, told: &str) {
        if let Some(row) = self.rows.get_mut(cell) {
            (row.state, row.told) = (state, output::shown(told).into_owned());
        }
    }
}

/// Returns how wide the terminal is.
fn columns() -> usize {
    output::width().map_or(USUAL_COLUMNS, usize::from).max(1)
}

/// Returns the figures of a phase that is over, as they were shown last.
fn key_figures(running: &Running) -> String {
    let (ttft_ms, tpot_ms) = running.latencies();
    let named = |name: &str, ms: Option<f64>| {
        ms.map_or_else(String::new, |ms| format!("  {name} {} ms", figures(ms)))
    };
    let elapsed = running.started.elapsed();
    // Short of that the last look at the counts may lie long before the end, and waiting for the
    // last answers is much of the time. The report has the rate of the window.
    let rate =
        if elapsed < RATE_AFTER { String::new() } else { format!("  about {}", running.rate) };
    format!("{}{rate}{}{}", shown(elapsed), named("TTFT", ttft_ms), named("TPOT", tpot_ms))
}

/// Keys whose values speak for themselves.
const PLAIN_KEYS: [&str; 3] = ["engine", "precision", "dataset"];

/// Returns a row for each cell, named by what tells it from the others of its plan; by the engine
/// where nothing does.
fn rows(plan: &Plan, kept: &BTreeSet<CellId>) -> IndexMap<CellId, CellRow> {
    let mut values: HashMap<&str, &str> = HashMap::new();
    let mut varies: HashSet<&str> = HashSet::new();
    for (key, value) in plan.cells.iter().flat_map(|cell| &cell.keys) {
        if *values.entry(key).or_insert(value) != value {
            varies.insert(key);
        }
    }
    let row = |cell: &Cell| {
        let is_kept = kept.contains(&cell.id);
        let state = if is_kept { CellState::Measured } else { CellState::Waiting };
        let told = if is_kept { "before" } else { "" }.to_owned();
        (cell.id.clone(), CellRow { name: short_name(cell, &varies), state, told })
    };
    plan.cells.iter().map(row).collect()
}

fn short_name(cell: &Cell, varies: &HashSet<&str>) -> String {
    let parts = cell.keys.iter().filter(|(key, _)| varies.contains(key.as_str()));
    let parts = parts.map(|(key, value)| match key.as_str() {
        key if PLAIN_KEYS.contains(&key) => value.clone(),
        "concurrency" => format!("c={value}"),
        key => format!("{key}={value}"),
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return cell.keys.first().map_or_else(|| cell.name.clone(), |(_, engine)| engine.clone());
    }
    parts.join(" ")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are constants of this file")
}
