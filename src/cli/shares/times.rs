//! When a run was measured, what it is at, and how long it will still take, by its events.

use std::time::Duration;

use crate::cli::pace::Pace;
use crate::cli::progress_line::shown;
use crate::ids::CellId;
use crate::plan::Plan;
use crate::record::event::{CellOutcome, EventRecord, RunEvent};
use crate::run::conduct::Done;

/// When a run was measured, and what its last session was at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// Begin of the last session, nanoseconds since the Unix epoch.
    pub(crate) begun_ns: Option<u64>,
    /// Time in which it was measured, to the last word of each session.
    pub(crate) measured: Duration,
    /// What the last session did last.
    pub(crate) now: Option<Now>,
    /// How long the last session takes as a whole, where that can be told by now.
    whole: Option<Duration>,
}

/// What a process is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Name of the cell that is measured; absent between cells.
    pub(crate) cell: Option<String>,
    /// In words.
    what: String,
    /// Since when, nanoseconds since the Unix epoch.
    since_ns: u64,
}

impl Now {
    /// Tells it, with how long it has lasted.
    pub(crate) fn told(&self) -> String {
        format!("{} for {}", self.what, shown(since(self.since_ns)))
    }
}

impl Times {
    pub(crate) fn of(plan: &Plan, done: &Done) -> Self {
        let is_start = |record: &EventRecord| matches!(record.event, RunEvent::RunStarted { .. });
        let events = &done.events;
        let starts: Vec<usize> = (0..events.len()).filter(|at| is_start(&events[*at])).collect();
        let Some(&begin) = starts.last() else { return Self::default() };
        let ends = starts.iter().skip(1).copied().chain([events.len()]);
        let took = starts.iter().zip(ends).map(|(&from, to)| {
            Duration::from_nanos(events[to - 1].unix_ns.saturating_sub(events[from].unix_ns))
        });
        let session = &events[begin..];
        Self {
            begun_ns: Some(events[begin].unix_ns),
            measured: took.sum(),
            now: session.iter().fold(None, |now, record| now_after(plan, now, record)),
            whole: whole(plan, done, session),
        }
    }

    /// Returns how long the last session has lasted, if it still does.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        self.begun_ns.map(since)
    }

    /// Returns how long it will still take, where that can be told.
    pub(crate) fn left(&self) -> Option<Duration> {
        Some(self.whole?.saturating_sub(self.elapsed()?))
    }
}

/// Returns the time since an instant.
fn since(unix_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(unix_ns))
}

fn now_ns() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0)
}

/// Returns what a process is at after one more event.
fn now_after(plan: &Plan, now: Option<Now>, record: &EventRecord) -> Option<Now> {
    let name = |id: &CellId| {
        let cell = plan.cells.iter().find(|cell| cell.id == *id);
        cell.map(|cell| cell.name.clone())
    };
    let at = |cell, what| Some(Now { cell, what, since_ns: record.unix_ns });
    match &record.event {
        RunEvent::EngineStarting { engine, .. } => at(None, format!("engine {engine} starts")),
        RunEvent::TrialStarted { cell, trial, .. } => at(name(cell), format!("trial {trial}")),
        RunEvent::PhaseStarted { cell, trial, phase, .. } => {
            at(name(cell), format!("trial {trial}, phase {phase}"))
        }
        RunEvent::EngineReady { .. }
        | RunEvent::EngineFailed { .. }
        | RunEvent::EngineStopped { .. }
        | RunEvent::TrialFinished { .. }
        | RunEvent::CellFinished { .. }
        | RunEvent::RunFinished { .. } => None,
        _ => now,
    }
}

/// Returns how long a session takes as a whole.
fn whole(plan: &Plan, done: &Done, session: &[EventRecord]) -> Option<Duration> {
    let begin = session.first()?.unix_ns;
    let at = |record: &EventRecord| Duration::from_nanos(record.unix_ns.saturating_sub(begin));
    let mut pace = Pace::new(plan, &before(done, session));
    for record in session {
        match &record.event {
            RunEvent::TrialStarted { cell, trial, .. } => {
                pace.trial_started(cell, *trial, at(record));
            }
            RunEvent::TrialFinished { cell, trial } => {
                pace.trial_finished(cell, *trial, at(record));
            }
            RunEvent::CellFinished { cell, .. } => pace.cell_over(cell),
            _ => {}
        }
    }
    pace.whole(Duration::from_nanos(now_ns().saturating_sub(begin)))
}

/// Returns what was done as a session began.
fn before(done: &Done, session: &[EventRecord]) -> Done {
    let mut before = Done {
        trials: done.trials.clone(),
        kept: done.kept.clone(),
        failed: done.failed.clone(),
        ..Done::default()
    };
    for record in session {
        match &record.event {
            RunEvent::TrialFinished { cell, trial } => {
                before.trials.remove(&(cell.clone(), *trial));
                before.kept.remove(cell);
            }
            RunEvent::CellFinished { cell, outcome: CellOutcome::Failed(_) } => {
                before.failed.remove(cell);
            }
            _ => {}
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{self, launch};
    use crate::plan::cell::ArrivalsPlan;
    use crate::units::Nanos;

    #[test]
    fn the_time_left_is_that_of_the_plan_less_what_this_session_has_done() {
        let mut plan = fixture::plan(&["a", "b", "c"]);
        for cell in &mut plan.cells {
            plan.launches.insert(cell.launch.clone(), launch(1));
            cell.phases = fixture::cell(ArrivalsPlan::Closed { concurrency: 4 }).phases;
            cell.phases[0].n_requests = None;
            cell.phases[0].duration = Some(Nanos::from_secs(600));
            cell.n_trials = 1;
        }
        let id = |at: usize| plan.cells[at].id.clone();
        let started = RunEvent::RunStarted { resumed: false, n_cells: 3 };
        let trial = |at: usize| RunEvent::TrialStarted {
            cell: id(at),
            trial: 1,
            launch: plan.cells[at].launch.clone(),
        };
        let finished = |at: usize| RunEvent::TrialFinished { cell: id(at), trial: 1 };
        let phase = RunEvent::PhaseStarted {
            cell: id(1),
            trial: 1,
            phase: "load".to_owned(),
            n_requests: None,
        };
        let begun = now_ns() - 100_000_000_000;
        let event = |secs_before: u64, event| EventRecord {
            seq: 0,
            unix_ns: begun - secs_before * 1_000_000_000,
            event,
        };
        let events = vec![
            // A session before, of 700 s.
            event(9_700, started.clone()),
            event(9_650, trial(0)),
            event(9_000, finished(0)),
            // This one, in the midst of its first trial.
            event(0, started),
            event(0, trial(1)),
            event(0, phase),
        ];
        let trials = [(id(0), 1)].into();
        let done = Done { trials, kept: [id(0)].into(), events, ..Done::default() };
        let times = Times::of(&plan, &done);
        assert_eq!(times.measured.as_secs(), 700);
        let now = times.now.as_ref().unwrap();
        assert_eq!(now.cell.as_deref(), Some(&*plan.cells[1].name));
        assert!(now.told().starts_with("trial 1, phase load for 1m"), "{}", now.told());
        // Two trials of ten minutes, of which 100 s are over.
        let left = times.left().unwrap().as_secs();
        assert!((1_090..=1_100).contains(&left), "{left}");
    }
}
