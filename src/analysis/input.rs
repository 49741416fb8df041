//! What a report is made from, as values.

use std::collections::BTreeMap;

use crate::ids::LaunchId;
use crate::record::event::{EngineFacts, EngineFailure, EventRecord, RunEvent, StopRecord};

/// Which run this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// The run's name: the last part of its directory as it was made, from `run.json`.
    pub name: String,
    /// When it began, nanoseconds since the Unix epoch: the first event's stamp.
    pub started_unix_ns: u64,
    /// Where a person finds the report, as the terminal says it last; no file contains it.
    pub report_at: String,
}

/// One start of an engine, pieced together from the run's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineStart {
    /// The launch; empty where the events do not say.
    pub launch: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// Number of the start of this launch, from 1.
    pub attempt: u32,
    /// Exact argv.
    pub argv: Vec<String>,
    /// Log file, relative to the run directory.
    pub log: String,
    /// What it said of itself, once it was ready.
    pub facts: Option<EngineFacts>,
    /// How it failed, if it did.
    pub failure: Option<EngineFailure>,
    /// How it was stopped.
    pub stop: Option<StopRecord>,
}

/// What figures draw of one cell. Metric tags are those of the summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellSeries {
    /// Samples of a distribution by metric tag, in the distribution's unit, any order.
    pub samples: BTreeMap<String, Vec<f64>>,
    /// Quantities over time by metric tag: seconds from the start of the measured phase, value.
    pub over_time: BTreeMap<String, Vec<(f64, f64)>>,
    /// GPUs, in the driver's order.
    pub gpus: Vec<GpuSeries>,
}

/// One GPU over time: seconds from the start of the measured phase, value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuSeries {
    /// Name in figures: `GPU 0`.
    pub name: String,
    /// Watts.
    pub power_w: Vec<(f64, f64)>,
    /// Per cent of time with a kernel running.
    pub utilisation_pct: Vec<(f64, f64)>,
}

/// Pieces the starts of engines together from the run's events, in order.
pub fn engine_starts(events: &[EventRecord]) -> Vec<EngineStart> {
    let mut starts: Vec<EngineStart> = Vec::new();
    for record in events {
        match &record.event {
            RunEvent::EngineStarting { launch, engine, attempt, argv, log, .. } => {
                starts.push(EngineStart {
                    launch: launch.0.clone(),
                    engine: engine.clone(),
                    attempt: *attempt,
                    argv: argv.clone(),
                    log: log.clone(),
                    ..EngineStart::default()
                });
            }
            RunEvent::EngineReady { launch, facts, .. } => {
                if let Some(start) = last_of(&mut starts, launch) {
                    start.facts = Some(facts.clone());
                }
            }
            RunEvent::EngineFailed { launch, failure } => {
                if let Some(start) = last_of(&mut starts, launch) {
                    start.failure = Some(failure.clone());
                }
            }
            RunEvent::EngineStopped { launch, stop } => {
                if let Some(start) = last_of(&mut starts, launch) {
                    start.stop = Some(stop.clone());
                }
            }
            _ => {}
        }
    }
    starts
}

fn last_of<'a>(starts: &'a mut [EngineStart], launch: &LaunchId) -> Option<&'a mut EngineStart> {
    starts.iter_mut().rev().find(|start| start.launch == launch.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_of_a_launch_is_a_start_of_its_own() {
        let launch = LaunchId("a".to_owned());
        let starting = |attempt: u32| RunEvent::EngineStarting {
            launch: launch.clone(),
            engine: "tiny".to_owned(),
            attempt,
            argv: vec!["tiny".to_owned()],
            port: 1,
            log: format!("log-{attempt}"),
        };
        let stopped =
            RunEvent::EngineStopped { launch: launch.clone(), stop: StopRecord::default() };
        let ready = RunEvent::EngineReady {
            launch: launch.clone(),
            timeline: crate::record::event::LoadTimeline::default(),
            facts: EngineFacts::default(),
        };
        let events: Vec<EventRecord> = [starting(1), ready, stopped, starting(2)]
            .into_iter()
            .zip(0..)
            .map(|(event, seq)| EventRecord { seq, unix_ns: 0, event })
            .collect();
        let starts = engine_starts(&events);
        assert_eq!(starts.len(), 2);
        assert!(starts[0].facts.is_some() && starts[0].stop.is_some());
        assert!(starts[1].facts.is_none() && starts[1].stop.is_none());
        assert_eq!(starts[1].log, "log-2");
    }
}
