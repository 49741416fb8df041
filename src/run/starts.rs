//! The starts of a run's engines, by its events: what each told, and which trials it served.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{CellId, LaunchId};
use crate::plan::cell::Cell;
use crate::record::event::{EngineFacts, EventRecord, RunEvent};
use crate::store::gather::OTHER_MACHINES;
use crate::store::writer::OTHER_MACHINE;

/// One start of an engine.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) launch: LaunchId,
    /// What is known of it.
    pub(super) events: Vec<RunEvent>,
    /// In what its machine was another one than that of the run's begin.
    pub(super) machine: Option<String>,
}

impl Start {
    /// Returns what it told of itself; nothing where it was never ready.
    pub(super) fn facts(&self) -> Option<&EngineFacts> {
        self.events.iter().find_map(|event| match event {
            RunEvent::EngineReady { facts, .. } => Some(facts),
            _ => None,
        })
    }
}

/// The starts of a run's engines, in their order.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) all: Vec<Start>,
    /// The start that served a trial.
    of_trial: BTreeMap<(CellId, u32), usize>,
    /// Cells that were themselves taken from another run.
    reused: BTreeSet<CellId>,
    /// The starts that were taken with them.
    of_reused: BTreeSet<usize>,
}

impl Starts {
    pub(super) fn of(events: &[EventRecord]) -> Self {
        let mut starts = Self::default();
        let mut now: BTreeMap<&LaunchId, usize> = BTreeMap::new();
        let (mut is_reusing, mut machine, mut next_machine) = (false, None, None);
        for EventRecord { event, .. } in events {
            match event {
                RunEvent::RunStarted { .. } => {
                    is_reusing = false;
                    machine = next_machine.take();
                }
                // It is said before the session that it is of begins.
                RunEvent::Caveat { what, .. } if what.starts_with(OTHER_MACHINE) => {
                    next_machine = Some(what.clone());
                }
                RunEvent::Reused { cells, .. } => {
                    is_reusing = true;
                    starts.reused.extend(cells.iter().cloned());
                }
                RunEvent::EngineStarting { launch, .. } => {
                    now.insert(launch, starts.all.len());
                    starts.begin(launch, machine.clone(), is_reusing);
                }
                // Of an engine that bench does not start nothing is told before.
                RunEvent::EngineReady { launch, .. } if !now.contains_key(launch) => {
                    now.insert(launch, starts.all.len());
                    starts.begin(launch, machine.clone(), is_reusing);
                }
                RunEvent::TrialStarted { cell, trial, launch } => {
                    starts.reused.remove(cell);
                    if let Some(start) = now.get(launch) {
                        starts.of_trial.insert((cell.clone(), *trial), *start);
                    }
                }
                _ => {}
            }
            let (RunEvent::EngineStarting { launch, .. }
            | RunEvent::EngineStage { launch, .. }
            | RunEvent::EngineReady { launch, .. }
            | RunEvent::EngineStopped { launch, .. }) = event
            else {
                continue;
            };
            if let Some(start) = now.get(launch) {
                starts.all[*start].events.push(event.clone());
            }
            if matches!(event, RunEvent::EngineStopped { .. }) {
                now.remove(launch);
            }
        }
        // Which of the tasks ran on which machine is not known any more.
        let others = events.iter().find_map(|record| match &record.event {
            RunEvent::Caveat { what, .. } if what.starts_with(OTHER_MACHINES) => Some(what),
            _ => None,
        });
        if let Some(others) = others {
            for start in &mut starts.all {
                start.machine.get_or_insert_with(|| others.clone());
            }
        }
        starts
    }

    fn begin(&mut self, launch: &LaunchId, machine: Option<String>, is_reused: bool) {
        if is_reused {
            self.of_reused.insert(self.all.len());
        }
        self.all.push(Start { launch: launch.clone(), events: Vec::new(), machine });
    }

    /// Returns the starts that may have served a trial of a cell: of one that was measured here it
    /// is one, of one that was taken they are those that were taken with it.
    pub(super) fn of_trial(&self, cell: &Cell, trial: u32) -> Vec<usize> {
        if !self.reused.contains(&cell.id) {
            return self.of_trial.get(&(cell.id.clone(), trial)).copied().into_iter().collect();
        }
        let is_of = |start: &&usize| self.all[**start].launch == cell.launch;
        self.of_reused.iter().filter(is_of).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::plan;
    use crate::record::event::LoadTimeline;

    fn events(events: Vec<RunEvent>) -> Vec<EventRecord> {
        let record = |event| EventRecord { seq: 0, unix_ns: 0, event };
        events.into_iter().map(record).collect()
    }

    fn starting(launch: &LaunchId) -> RunEvent {
        RunEvent::EngineStarting {
            launch: launch.clone(),
            engine: "x".to_owned(),
            attempt: 1,
            argv: Vec::new(),
            port: 1,
            log: String::new(),
        }
    }

    fn ready(launch: &LaunchId, version: &str) -> RunEvent {
        let facts = EngineFacts { version: Some(version.to_owned()), ..EngineFacts::default() };
        let timeline = LoadTimeline::default();
        RunEvent::EngineReady { launch: launch.clone(), timeline, facts }
    }

    fn trial(cell: &Cell, trial: u32) -> RunEvent {
        let (cell, launch) = (cell.id.clone(), cell.launch.clone());
        RunEvent::TrialStarted { cell, trial, launch }
    }

    fn caveat(what: &str) -> RunEvent {
        RunEvent::Caveat { what: what.to_owned(), advice: String::new() }
    }

    const BEGUN: RunEvent = RunEvent::RunStarted { resumed: false, n_cells: 1 };

    /// Returns the versions and the machines of the starts that may have served a trial.
    fn served(starts: &Starts, cell: &Cell, trial: u32) -> Vec<(String, bool)> {
        let told = |start: usize| {
            let start = &starts.all[start];
            let version = start.facts().and_then(|facts| facts.version.clone());
            (version.unwrap_or_default(), start.machine.is_some())
        };
        starts.of_trial(cell, trial).into_iter().map(told).collect()
    }

    #[test]
    fn each_trial_is_of_the_start_that_served_it() {
        let cell = plan(&["a"]).cells.remove(0);
        let launch = &cell.launch;
        let starts = Starts::of(&events(vec![
            BEGUN,
            starting(launch),
            ready(launch, "1.0"),
            trial(&cell, 1),
            trial(&cell, 2),
            caveat(&format!("{OTHER_MACHINE}: driver: 1 -> 2")),
            BEGUN,
            starting(launch),
            starting(launch),
            ready(launch, "2.0"),
            trial(&cell, 2),
            BEGUN,
            starting(launch),
            ready(launch, "3.0"),
            trial(&cell, 3),
        ]));
        let one = |version: &str, is_elsewhere| vec![(version.to_owned(), is_elsewhere)];
        assert_eq!(served(&starts, &cell, 1), one("1.0", false));
        assert_eq!(served(&starts, &cell, 2), one("2.0", true));
        assert_eq!(served(&starts, &cell, 3), one("3.0", false));
        assert!(served(&starts, &cell, 4).is_empty());
    }

    #[test]
    fn what_was_taken_is_of_the_starts_that_were_taken_with_it_until_it_is_measured_here() {
        let cells = plan(&["a", "b"]).cells;
        let (a, b) = (&cells[0], &cells[1]);
        let reused = RunEvent::Reused { from: "x".to_owned(), cells: vec![a.id.clone()] };
        let taken = vec![
            reused,
            starting(&a.launch),
            ready(&a.launch, "1.0"),
            BEGUN,
            starting(&b.launch),
            ready(&b.launch, "9.0"),
            trial(b, 1),
        ];
        let starts = Starts::of(&events(taken.clone()));
        assert_eq!(served(&starts, a, 7), [("1.0".to_owned(), false)]);
        assert_eq!(served(&starts, b, 1), [("9.0".to_owned(), false)]);
        let again = [BEGUN, starting(&a.launch), ready(&a.launch, "2.0"), trial(a, 1)];
        let starts = Starts::of(&events(taken.into_iter().chain(again).collect()));
        assert_eq!(served(&starts, a, 1), [("2.0".to_owned(), false)]);
        let mixed = caveat(&format!("{OTHER_MACHINES} GPU"));
        let starts = Starts::of(&events(vec![BEGUN, starting(&b.launch), trial(b, 1), mixed]));
        assert_eq!(served(&starts, b, 1), [(String::new(), true)]);
    }
}
