//! Which engines ran beside a trial, where a run has several at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::LaunchId;
use crate::plan::Plan;
use crate::record::event::{EventRecord, RunEvent};
use crate::record::trial::TrialRecord;

/// Stretches of wall-clock time in which engines ran, nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineTimes(BTreeMap<LaunchId, Vec<(u64, u64)>>);

impl EngineTimes {
    /// Reads them from the events of a run whose shares stand behind each other.
    ///
    /// An engine whose session was cut ran until the last event of that session. One that was not
    /// started again may run still, where the run goes on.
    pub(crate) fn of(events: &[EventRecord], is_in_progress: bool) -> Self {
        let mut times: BTreeMap<LaunchId, Vec<(u64, u64)>> = BTreeMap::new();
        // When each engine that runs was started, and when its session was cut.
        let mut open: BTreeMap<&LaunchId, (u64, Option<u64>)> = BTreeMap::new();
        let mut seen = 0;
        for EventRecord { unix_ns, event, .. } in events {
            match event {
                RunEvent::RunStarted { .. } => {
                    for (_, cut) in open.values_mut() {
                        *cut = cut.or(Some(seen));
                    }
                }
                RunEvent::EngineStarting { launch, .. } => {
                    // On another port, if somebody else was faster on the first.
                    let before = open.insert(launch, (*unix_ns, None));
                    if let Some((begin, cut)) = before {
                        let end = cut.unwrap_or(*unix_ns);
                        times.entry(launch.clone()).or_default().push((begin, end));
                    }
                }
                RunEvent::EngineStopped { launch, .. } | RunEvent::EngineFailed { launch, .. } => {
                    if let Some((begin, _)) = open.remove(launch) {
                        times.entry(launch.clone()).or_default().push((begin, *unix_ns));
                    }
                }
                _ => {}
            }
            seen = *unix_ns;
        }
        for (launch, (begin, cut)) in open {
            let end = if is_in_progress { u64::MAX } else { cut.unwrap_or(seen) };
            times.entry(launch.clone()).or_default().push((begin, end));
        }
        Self(times)
    }

    /// Returns the names of the other engines that ran during a trial of a launch.
    pub(crate) fn beside(
        &self,
        own: &LaunchId,
        trial: &TrialRecord,
        plan: &Plan,
    ) -> BTreeSet<String> {
        let begin = trial.epoch_unix_ns + trial.last_attempt_at().0;
        let drained = trial.phases.iter().map(|phase| phase.drained).max().unwrap_or_default();
        let end = trial.epoch_unix_ns + drained.0;
        let runs = |times: &[(u64, u64)]| times.iter().any(|(from, to)| *from < end && *to > begin);
        let others = self.0.iter().filter(|(launch, times)| *launch != own && runs(times));
        others.filter_map(|(launch, _)| Some(plan.launches.get(launch)?.told())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{launch, phase_record, plan, trial};
    use crate::record::event::{EngineFailure, FailureClass, StopRecord};
    use crate::record::trial::PhaseKind;

    fn id(name: &str) -> LaunchId {
        LaunchId(name.to_owned())
    }

    fn starting(name: &str) -> RunEvent {
        RunEvent::EngineStarting {
            launch: id(name),
            engine: name.to_owned(),
            attempt: 1,
            argv: Vec::new(),
            port: 1,
            log: String::new(),
        }
    }

    fn stopped(name: &str) -> RunEvent {
        RunEvent::EngineStopped { launch: id(name), stop: StopRecord::default() }
    }

    fn failed(name: &str) -> RunEvent {
        let failure = EngineFailure {
            class: FailureClass::ExitedEarly,
            message: String::new(),
            after: crate::units::Nanos::ZERO,
            exit: None,
            log_tail: Vec::new(),
        };
        RunEvent::EngineFailed { launch: id(name), failure }
    }

    fn stage(name: &str) -> RunEvent {
        RunEvent::EngineStage {
            launch: id(name),
            stage: String::new(),
            at: crate::units::Nanos::ZERO,
        }
    }

    /// Returns who ran beside a trial of `a` from 1.0 s to 2.0 s, by events and their milliseconds.
    fn beside_a(events: Vec<(u64, RunEvent)>, is_in_progress: bool) -> Vec<String> {
        let record = |(at_ms, event)| EventRecord { seq: 0, unix_ns: at_ms * 1_000_000, event };
        let events: Vec<EventRecord> = events.into_iter().map(record).collect();
        let mut plan = plan(&["a"]);
        for name in ["a", "b", "c"] {
            let mut launch = launch(1);
            (launch.engine, launch.precision) = (name.to_owned(), None);
            plan.launches.insert(id(name), launch);
        }
        let mut trial = trial(&[phase_record(PhaseKind::Measure, 0, 900, 1_000)]);
        trial.epoch_unix_ns = 1_000_000_000;
        EngineTimes::of(&events, is_in_progress)
            .beside(&id("a"), &trial, &plan)
            .into_iter()
            .collect()
    }

    #[test]
    fn engines_that_ran_at_the_same_time_are_named_and_no_others() {
        let started = || RunEvent::RunStarted { resumed: true, n_cells: 1 };
        let own = || vec![(0, started()), (1, starting("a")), (3_000, stopped("a"))];
        let check = |others: Vec<(u64, RunEvent)>, expected: &[&str]| {
            assert_eq!(beside_a([own(), others].concat(), true), expected);
        };
        check(Vec::new(), &[]);
        check(vec![(500, starting("b")), (1_500, stopped("b"))], &["b"]);
        check(vec![(1_900, starting("b")), (9_000, failed("b"))], &["b"]);
        check(vec![(1, starting("b")), (999, stopped("b"))], &[]);
        check(vec![(2_001, starting("b")), (9_000, stopped("b"))], &[]);
        // Its session was killed, and another one started it again behind the trial.
        let killed = |last: u64| {
            let cut = vec![(100, started()), (200, starting("b")), (last, stage("b"))];
            let again = vec![(5_000, started()), (5_001, starting("b")), (6_000, stopped("b"))];
            [cut, again].concat()
        };
        check(killed(900), &[]);
        check(killed(1_200), &["b"]);
        // It runs still, if anything does.
        let open =
            || [own(), vec![(100, started()), (200, starting("c")), (300, stage("c"))]].concat();
        assert_eq!(beside_a(open(), true), ["c"]);
        assert!(beside_a(open(), false).is_empty());
    }
}
