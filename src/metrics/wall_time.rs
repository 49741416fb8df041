//! Where the wall time of a run went, by its events and the phases of its trials.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::ids::CellId;
use crate::metrics::window;
use crate::plan::cell::Cell;
use crate::record::event::{EventRecord, PORT_BOUND, RunEvent};
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::units::Nanos;

/// Where the wall time of a run went. The parts add up to `total`.
///
/// Only time in which bench ran counts: from the first event of each session to its last before
/// the report. A session that was killed ends with the last event that it wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WallTime {
    /// All of it.
    pub total: Nanos,
    /// From the order to start an engine until it listens on its port.
    pub starting: Nanos,
    /// From then until its first token and the facts that it tells of itself; all of the wait for an
    /// engine that bench did not start.
    pub waiting_for_ready: Nanos,
    /// Phases of warm-up of complete trials, with their last responses.
    pub warming_up: Nanos,
    /// Measured windows of complete trials.
    pub measuring: Nanos,
    /// From the end of a measured window to its last response.
    pub draining: Nanos,
    /// From an engine's last trial until nothing of it was left.
    pub stopping: Nanos,
    /// Trials that were interrupted, failed or replaced: their numbers do not count.
    pub unfinished: Nanos,
    /// Between all these: workloads, records, searches, checks.
    pub between: Nanos,
    /// `measuring` as a share of `total`; absent for a run without time.
    pub measuring_share: Option<f64>,
}

/// What a stretch of time was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Starting,
    WaitingForReady,
    WarmingUp,
    Measuring,
    Draining,
    Stopping,
    Unfinished,
    Between,
}

/// The phases of one complete trial in wall-clock time.
#[derive(Clone, Debug)]
pub(crate) struct TrialTimes {
    epoch_unix_ns: u64,
    /// When the attempt began that ended it.
    begun_unix_ns: u64,
    stretches: Vec<(Activity, Nanos, Nanos)>,
}

/// The phases of the complete trials of a run.
pub(crate) type TimesByTrial = HashMap<(CellId, u32), TrialTimes>;

impl TrialTimes {
    /// Returns the times of a trial, whatever row of the report its phases are in.
    pub(crate) fn of(trial: &TrialRecord, cell: &Cell) -> Self {
        let mut stretches = Vec::new();
        for (place, phase) in trial.phases.iter().enumerate() {
            if phase.kind == PhaseKind::WarmUp {
                stretches.push((Activity::WarmingUp, phase.started, phase.drained));
                continue;
            }
            let end = window::end(phase, cell.phases.get(place));
            stretches.push((Activity::Measuring, phase.started, end));
            stretches.push((Activity::Draining, end, phase.drained));
        }
        let epoch_unix_ns = trial.epoch_unix_ns;
        let begun_unix_ns = epoch_unix_ns + trial.last_attempt_at().0;
        Self { epoch_unix_ns, begun_unix_ns, stretches }
    }

    /// Returns when the attempt that ended the trial began and ended, on the wall clock.
    pub(crate) fn span(&self) -> (u64, u64) {
        let last = self.stretches.last().map_or(0, |(_, _, end)| end.0);
        (self.begun_unix_ns, self.begun_unix_ns.max(self.epoch_unix_ns + last))
    }
}

/// Says where the wall time of a run went.
pub(crate) fn wall_time(events: &[EventRecord], trials: &TimesByTrial) -> WallTime {
    let at = events.first().map_or(0, |record| record.unix_ns);
    let mut account = Account {
        trials,
        spent: WallTime::default(),
        at,
        seen: at,
        now: Activity::Between,
        trial: None,
    };
    for record in events {
        account.event(record);
    }
    account.until(account.seen, Activity::Between);
    let mut spent = account.spent;
    let total = spent.total.as_secs_f64();
    spent.measuring_share = (total > 0.0).then(|| spent.measuring.as_secs_f64() / total);
    spent
}

/// Returns the wall time of the sessions since a run last came to its end. One that was interrupted
/// is still to come to it.
pub(crate) fn since_last_end(events: &[EventRecord]) -> Nanos {
    let (mut since, mut is_interrupted) = (0, false);
    for (behind, record) in (1..).zip(events) {
        match record.event {
            RunEvent::RunStarted { .. } => is_interrupted = false,
            RunEvent::Interrupted { .. } => is_interrupted = true,
            RunEvent::RunFinished { .. } if !is_interrupted => since = behind,
            _ => {}
        }
    }
    wall_time(&events[since..], &TimesByTrial::new()).total
}

/// The account up to an event.
struct Account<'a> {
    trials: &'a TimesByTrial,
    spent: WallTime,
    /// The instant up to which time is accounted for, and what goes on since then.
    at: u64,
    now: Activity,
    /// When the session was last seen to run.
    seen: u64,
    /// The trial that goes on.
    trial: Option<(CellId, u32)>,
}

impl Account<'_> {
    fn event(&mut self, record: &EventRecord) {
        let at = record.unix_ns;
        match &record.event {
            // The report is made before the last event, and what changed since an earlier session
            // is said before `RunStarted`.
            RunEvent::RunFinished { .. }
            | RunEvent::ScenarioChanged { .. }
            | RunEvent::RetryAsked { .. }
            | RunEvent::Reused { .. }
            | RunEvent::Caveat { .. } => return,
            RunEvent::RunStarted { .. } => {
                self.until(self.seen, Activity::Between);
                // Nobody ran since then.
                self.at = at;
            }
            RunEvent::EngineStarting { .. } => self.until(at, Activity::Starting),
            RunEvent::EngineStage { stage, .. } if stage == PORT_BOUND => {
                self.until(at, Activity::WaitingForReady);
            }
            RunEvent::TrialStarted { cell, trial, .. } => {
                // Short trials are said to be finished some at a time: the next one ends this one.
                self.until(at, Activity::Unfinished);
                self.trial = Some((cell.clone(), *trial));
            }
            // Of cells whose trials ended before this one.
            RunEvent::CellFinished { cell, .. } if !self.is_in(cell) => {}
            RunEvent::EngineStopped { stop, .. } => {
                let since =
                    if self.trial.is_some() { at.saturating_sub(stop.took.0) } else { self.at };
                self.until(since.max(self.at), Activity::Stopping);
                self.until(at, Activity::Between);
            }
            RunEvent::EngineFailed { .. } if self.trial.is_some() => {}
            RunEvent::EngineFailed { failure, .. } => self.waited(at, failure.after),
            RunEvent::EngineReady { timeline, .. } => {
                self.waited(at, timeline.first_token.unwrap_or_default());
            }
            RunEvent::TrialFinished { .. } | RunEvent::CellFinished { .. } => {
                self.until(at, Activity::Between);
            }
            _ => {}
        }
        self.seen = at;
    }

    /// Ends the wait for an engine. Of one that bench attaches to nothing is told before that but how
    /// long it was waited for.
    fn waited(&mut self, at: u64, waited: Nanos) {
        if self.now == Activity::Between {
            let since = at.saturating_sub(waited.0);
            self.until(since.max(self.at), Activity::WaitingForReady);
        }
        self.until(at, Activity::Between);
    }

    fn is_in(&self, cell: &CellId) -> bool {
        self.trial.as_ref().is_none_or(|(trials, _)| trials == cell)
    }

    /// Accounts for the time until `at`, after which something else goes on. That of a complete
    /// trial is split by its phases.
    fn until(&mut self, at: u64, next: Activity) {
        let known = self.trial.take().and_then(|trial| self.trials.get(&trial));
        // The record of a trial that was measured again is that of the last time.
        if let Some(times) = known.filter(|it| (self.at..=at).contains(&it.begun_unix_ns)) {
            self.now = Activity::Between;
            for (activity, start, end) in &times.stretches {
                let clamped = |of: &Nanos| (times.epoch_unix_ns + of.0).clamp(self.at, at);
                let (start, end) = (clamped(start), clamped(end));
                self.spend(start, *activity);
                self.spend(end, Activity::Between);
            }
        }
        self.spend(at, next);
    }

    fn spend(&mut self, at: u64, next: Activity) {
        let took = Nanos(at.saturating_sub(self.at));
        let part = match self.now {
            Activity::Starting => &mut self.spent.starting,
            Activity::WaitingForReady => &mut self.spent.waiting_for_ready,
            Activity::WarmingUp => &mut self.spent.warming_up,
            Activity::Measuring => &mut self.spent.measuring,
            Activity::Draining => &mut self.spent.draining,
            Activity::Stopping => &mut self.spent.stopping,
            Activity::Unfinished => &mut self.spent.unfinished,
            Activity::Between => &mut self.spent.between,
        };
        *part += took;
        self.spent.total += took;
        // The wall clock may be set back; what was accounted for stays.
        self.at = self.at.max(at);
        self.now = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LaunchId;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::event::{
        CellOutcome, EngineFacts, EngineFailure, FailureClass, LoadTimeline, StopRecord,
    };

    /// Seconds since the Unix epoch at which the run began.
    const BEGAN: u64 = 1_000;

    fn launch() -> LaunchId {
        LaunchId("l0".to_owned())
    }

    fn cell_id() -> CellId {
        CellId("c0".to_owned())
    }

    /// Events at so many milliseconds from the beginning.
    fn events(events: Vec<(u64, RunEvent)>) -> Vec<EventRecord> {
        let record = |(at_ms, event)| EventRecord {
            seq: 0,
            unix_ns: BEGAN * 1_000_000_000 + at_ms * 1_000_000,
            event,
        };
        events.into_iter().map(record).collect()
    }

    fn run_started(resumed: bool) -> RunEvent {
        RunEvent::RunStarted { resumed, n_cells: 1 }
    }

    fn engine_starting() -> RunEvent {
        RunEvent::EngineStarting {
            launch: launch(),
            engine: "tiny".to_owned(),
            attempt: 1,
            argv: Vec::new(),
            port: 1,
            log: String::new(),
        }
    }

    fn stage(stage: &str) -> RunEvent {
        RunEvent::EngineStage { launch: launch(), stage: stage.to_owned(), at: Nanos::ZERO }
    }

    fn engine_ready() -> RunEvent {
        let (timeline, facts) = (LoadTimeline::default(), EngineFacts::default());
        RunEvent::EngineReady { launch: launch(), timeline, facts }
    }

    fn engine_stopped(took_ms: u64) -> RunEvent {
        let took = Nanos::from_millis(took_ms);
        RunEvent::EngineStopped {
            launch: launch(),
            stop: StopRecord { took, ..StopRecord::default() },
        }
    }

    fn trial_started() -> RunEvent {
        RunEvent::TrialStarted { cell: cell_id(), trial: 1, launch: launch() }
    }

    fn phase_started() -> RunEvent {
        let phase = "load".to_owned();
        RunEvent::PhaseStarted { cell: cell_id(), trial: 1, phase, n_requests: None }
    }

    fn finished(outcome: CellOutcome) -> RunEvent {
        RunEvent::CellFinished { cell: cell_id(), outcome }
    }

    /// A complete trial whose epoch is at so many milliseconds: it warms up from 10 to 110, and
    /// sends from 120 to 1120, to which the last response comes 80 later.
    fn complete_trial(epoch_ms: u64) -> TimesByTrial {
        let mut record = trial(&[
            phase_record(PhaseKind::WarmUp, 10, 100, 110),
            phase_record(PhaseKind::Measure, 120, 1_120, 1_200),
        ]);
        record.epoch_unix_ns = BEGAN * 1_000_000_000 + epoch_ms * 1_000_000;
        let mut cell = cell(ArrivalsPlan::Constant { rate_per_s: 10.0 });
        cell.phases.insert(0, cell.phases[0].clone());
        [((cell_id(), 1), TrialTimes::of(&record, &cell))].into()
    }

    const fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn parts(of: &WallTime) -> Nanos {
        let loaded = of.warming_up + of.measuring + of.draining + of.unfinished;
        of.starting + of.waiting_for_ready + of.stopping + of.between + loaded
    }

    #[test]
    fn the_time_of_a_run_is_split_by_its_events_and_the_phases_of_its_trials() {
        let events = events(vec![
            (0, run_started(false)),
            (5, engine_starting()),
            (205, stage(PORT_BOUND)),
            (300, stage("healthy")),
            (405, engine_ready()),
            (410, trial_started()),
            (430, phase_started()),
            (550, phase_started()),
            (1_700, RunEvent::TrialFinished { cell: cell_id(), trial: 1 }),
            (1_701, finished(CellOutcome::Complete)),
            (1_761, engine_stopped(50)),
            (9_999, RunEvent::RunFinished { code: 0 }),
        ]);
        let found = wall_time(&events, &complete_trial(420));
        let expected = WallTime {
            total: ms(1_761),
            starting: ms(200),
            waiting_for_ready: ms(200),
            warming_up: ms(100),
            measuring: ms(1_000),
            draining: ms(80),
            stopping: ms(60),
            unfinished: ms(0),
            // 5 to the start, 5 to the trial, 10 + 10 to the warm-up, 10 to the load, 80 + 1 after it.
            between: ms(121),
            measuring_share: Some(1_000.0 / 1_761.0),
        };
        assert_eq!(found, expected);
        assert_eq!(parts(&found), found.total);
    }

    #[test]
    fn time_in_which_bench_did_not_run_is_not_counted_and_a_lost_attempt_is_no_measuring() {
        let events = events(vec![
            (0, run_started(false)),
            (10, engine_starting()),
            (20, stage(PORT_BOUND)),
            (30, engine_ready()),
            (40, trial_started()),
            (60, phase_started()),
            // Killed; an hour later:
            (3_599_999, RunEvent::ScenarioChanged { changes: Vec::new() }),
            (3_600_000, run_started(true)),
            (3_600_010, engine_starting()),
            (3_600_030, stage(PORT_BOUND)),
            (3_600_040, engine_ready()),
            (3_600_050, trial_started()),
            (3_601_300, RunEvent::TrialFinished { cell: cell_id(), trial: 1 }),
            (3_601_300, finished(CellOutcome::Complete)),
            (3_601_310, engine_stopped(10)),
        ]);
        let found = wall_time(&events, &complete_trial(3_600_050));
        assert_eq!(found.total, ms(60 + 1_310));
        assert_eq!((found.unfinished, found.measuring), (ms(20), ms(1_000)));
        assert_eq!((found.starting, found.waiting_for_ready), (ms(30), ms(20)));
        assert_eq!(parts(&found), found.total);
    }

    #[test]
    fn a_trial_that_its_engine_ended_is_lost_and_the_stop_after_it_is_a_stop() {
        let failure = EngineFailure {
            class: FailureClass::Died,
            message: String::new(),
            exit: None,
            after: Nanos::ZERO,
            log_tail: Vec::new(),
        };
        let events = events(vec![
            (0, run_started(false)),
            (10, trial_started()),
            (110, RunEvent::EngineFailed { launch: launch(), failure: failure.clone() }),
            (120, finished(CellOutcome::Failed(failure))),
            (150, engine_stopped(20)),
            (160, trial_started()),
            // Interrupted: no word of the trial's end, and the stop took the last 30 ms.
            (260, engine_stopped(30)),
            (261, RunEvent::Interrupted { signal: "SIGINT".to_owned() }),
            (262, finished(CellOutcome::Interrupted)),
        ]);
        let found = wall_time(&events, &TimesByTrial::new());
        assert_eq!((found.unfinished, found.stopping), (ms(110 + 70), ms(30 + 30)));
        assert_eq!((found.between, found.total), (ms(10 + 10 + 2), ms(262)));
        assert_eq!(found.measuring_share, Some(0.0));
    }

    #[test]
    fn the_wait_for_an_engine_that_was_not_started_is_a_wait() {
        let failure = EngineFailure {
            class: FailureClass::TimedOut,
            message: String::new(),
            exit: None,
            after: ms(900),
            log_tail: Vec::new(),
        };
        let ready = RunEvent::EngineReady {
            launch: launch(),
            timeline: LoadTimeline { first_token: Some(ms(30)), ..LoadTimeline::default() },
            facts: EngineFacts::default(),
        };
        let events = events(vec![
            (0, run_started(false)),
            (1_000, RunEvent::EngineFailed { launch: launch(), failure: failure.clone() }),
            (1_001, finished(CellOutcome::Failed(failure))),
            (1_051, ready),
        ]);
        let found = wall_time(&events, &TimesByTrial::new());
        assert_eq!((found.waiting_for_ready, found.between), (ms(930), ms(121)));
    }

    #[test]
    fn sessions_that_were_killed_or_interrupted_are_of_one_run_and_those_after_its_end_are_not() {
        let interrupted = || RunEvent::Interrupted { signal: "SIGINT".to_owned() };
        let over = || RunEvent::RunFinished { code: 0 };
        let mut seen = vec![
            (0, run_started(false)),
            (100, engine_starting()), // Killed.
            (5_000, run_started(true)),
            (5_020, interrupted()),
            (5_021, over()),
        ];
        let since = |seen: &[(u64, RunEvent)]| since_last_end(&events(seen.to_vec()));
        assert_eq!(since(&[]), ms(0));
        assert_eq!(since(&seen), ms(120));
        seen.extend([(9_000, run_started(true)), (9_003, engine_starting())]);
        assert_eq!(since(&seen), ms(123));
        seen.push((9_004, over()));
        assert_eq!(since(&seen), ms(0));
        seen.extend([(9_900, run_started(true)), (9_907, engine_starting())]);
        assert_eq!(since(&seen), ms(7));
    }

    #[test]
    fn trials_that_are_said_to_be_finished_together_keep_their_own_times() {
        let again = |event: RunEvent| match event {
            RunEvent::TrialStarted { cell, launch, .. } => {
                RunEvent::TrialStarted { cell, trial: 2, launch }
            }
            other => other,
        };
        let finished = |trial| RunEvent::TrialFinished { cell: cell_id(), trial };
        let events = events(vec![
            (0, run_started(false)),
            (10, trial_started()),
            (1_300, again(trial_started())),
            (2_600, finished(1)),
            (2_600, finished(2)),
        ]);
        let mut trials = complete_trial(20);
        trials.insert((cell_id(), 2), complete_trial(1_310)[&(cell_id(), 1)].clone());
        let found = wall_time(&events, &trials);
        assert_eq!((found.measuring, found.draining), (ms(2_000), ms(160)));
        assert_eq!((found.unfinished, found.total), (ms(0), ms(2_600)));
    }

    #[test]
    fn a_clock_that_is_set_back_takes_no_time_away() {
        let events = events(vec![
            (100, run_started(false)),
            (200, engine_starting()),
            (50, stage(PORT_BOUND)),
            (250, engine_ready()),
        ]);
        let found = wall_time(&events, &TimesByTrial::new());
        assert_eq!(
            (found.between, found.starting, found.waiting_for_ready),
            (ms(100), ms(0), ms(50))
        );
        assert_eq!(wall_time(&[], &TimesByTrial::new()), WallTime::default());
    }
}
