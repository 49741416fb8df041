//! What a report is made from, as values.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::ids::{CellId, LaunchId};
use crate::metrics::axes::is_load;
use crate::metrics::catalogue::MetricId;
use crate::plan::cell::Cell;
use crate::record::event::{EngineFacts, EngineFailure, EventRecord, RunEvent, StopRecord};

/// Which run this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunFacts {
    /// The run's name: the last part of its directory as it was made, from `run.json`.
    pub name: String,
    /// When it began, nanoseconds since the Unix epoch: the first event's stamp.
    pub started_unix_ns: u64,
    /// Where a person finds the report, as the terminal says it last; no file contains it.
    pub report_at: String,
}

/// One start of an engine, pieced together from the run's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EngineStart {
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

/// What figures draw of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CellSeries {
    /// Distributions, in the distribution's unit.
    pub distributions: BTreeMap<MetricId, Curve>,
    /// Quantities over time, of the first trial: seconds from the start of its measured window,
    /// value; what came before and after it included.
    pub over_time: BTreeMap<MetricId, Vec<(f64, f64)>>,
    /// Length of that window in seconds.
    pub window_s: f64,
    /// The first requests of the first trial, by the instant of their sending.
    pub requests: Vec<RequestSpan>,
    /// GPUs, in the driver's order.
    pub gpus: Vec<GpuSeries>,
}

/// When a request was in flight: seconds from the start of the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RequestSpan {
    /// Sending.
    pub sent: f32,
    /// First token; absent where none came.
    pub first_token: Option<f32>,
    /// Last token, or what ended the request.
    pub end: f32,
    /// It was answered to its end.
    pub is_ok: bool,
}

/// A distribution as a figure draws it: a point for each of a few evenly spaced ranks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    /// Samples that it was made of.
    pub n: usize,
    /// The least sample first, the greatest last.
    values: Vec<f64>,
}

/// Points of one distribution's curve: more cannot be told apart at its width.
const CURVE_POINTS: usize = 200;

impl Curve {
    /// Returns the curve of samples in any order; `None` when there is none.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.retain(|value| value.is_finite());
        samples.sort_by(f64::total_cmp);
        let n = samples.len();
        let values = (0..n.min(CURVE_POINTS)).map(|point| samples[rank(point, n)]).collect();
        (n > 0).then_some(Self { n, values })
    }

    /// Returns the least and the greatest sample.
    pub(crate) fn ends(&self) -> [f64; 2] {
        [self.values[0], self.values[self.values.len() - 1]]
    }

    /// Returns the distribution function, which begins at nothing and ends at everything. Where all
    /// samples are in it, it rises at each and nowhere between.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        let share = |point| (rank(point, self.n) + 1) as f64 / self.n as f64;
        let (mut points, mut before) = (Vec::new(), 0.0);
        for (value, point) in self.values.iter().zip(0..) {
            if point == 0 || self.values.len() == self.n {
                points.push((*value, before));
            }
            before = share(point);
            points.push((*value, before));
        }
        points
    }
}

/// Cells or lines that a figure draws at most. Of the others what is counted is kept.
pub(crate) const DRAWN_MAX: usize = 16;
/// Alternatives whose requests are drawn: of each the cell that comes last, with the highest load.
pub(crate) const REQUESTS_DRAWN_MAX: usize = 4;

/// The series of a run's cells, no more of each than figures draw.
#[derive(Debug, Default)]
pub(crate) struct RunSeries {
    pub(crate) by_cell: BTreeMap<CellId, CellSeries>,
    n_distributions: BTreeMap<MetricId, usize>,
    n_over_time: BTreeMap<MetricId, usize>,
    n_gpus: usize,
    /// The cell whose requests are kept, by the alternative that it is of.
    requests_of: IndexMap<Vec<String>, CellId>,
}

impl RunSeries {
    /// Takes the series of the next cell in.
    pub(crate) fn push(&mut self, cell: &Cell, mut series: CellSeries) {
        let is_full = |n: &mut usize| {
            *n += 1;
            *n > DRAWN_MAX
        };
        for (metric, curve) in &mut series.distributions {
            if is_full(self.n_distributions.entry(*metric).or_default()) {
                curve.values = curve.ends().into();
            }
        }
        for (metric, points) in &mut series.over_time {
            if is_full(self.n_over_time.entry(*metric).or_default()) {
                first_alone(points);
            }
        }
        for gpu in &mut series.gpus {
            if is_full(&mut self.n_gpus) {
                let GpuSeries {
                    power_w,
                    utilisation_pct,
                    memory_gib,
                    temperature_c,
                    clock_mhz,
                    ..
                } = gpu;
                let all = [power_w, utilisation_pct, memory_gib, temperature_c, clock_mhz];
                all.into_iter().for_each(first_alone);
            }
        }
        if series.requests.len() > 1 {
            self.choose_requests(cell, &mut series);
        }
        self.by_cell.insert(cell.id.clone(), series);
    }

    fn choose_requests(&mut self, cell: &Cell, series: &mut CellSeries) {
        let own = cell.keys.iter().filter(|(key, _)| !is_load(key));
        let alternative = own.map(|(key, value)| format!("{key}={value}")).collect();
        if let Some(earlier) = self.requests_of.get_mut(&alternative) {
            if let Some(earlier) = self.by_cell.get_mut(earlier) {
                earlier.requests = Vec::new();
            }
            earlier.clone_from(&cell.id);
        } else if self.requests_of.len() < REQUESTS_DRAWN_MAX {
            self.requests_of.insert(alternative, cell.id.clone());
        } else {
            series.requests = Vec::new();
        }
    }
}

/// Keeps one point, which says that there is a line.
fn first_alone(points: &mut Vec<(f64, f64)>) {
    points.truncate(1);
    points.shrink_to_fit();
}

/// Returns the rank that a point of a curve stands for, both ends included.
fn rank(point: usize, n: usize) -> usize {
    let n_points = n.min(CURVE_POINTS);
    if n_points > 1 { point * (n - 1) / (n_points - 1) } else { 0 }
}

/// One GPU over time: seconds from the start of the measured phase, value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GpuSeries {
    /// Name in figures: `GPU 0`.
    pub name: String,
    /// Watts.
    pub power_w: Vec<(f64, f64)>,
    /// Per cent of time with a kernel running.
    pub utilisation_pct: Vec<(f64, f64)>,
    /// Memory in use, GiB.
    pub memory_gib: Vec<(f64, f64)>,
    /// Degrees Celsius.
    pub temperature_c: Vec<(f64, f64)>,
    /// Clock of the processors, MHz.
    pub clock_mhz: Vec<(f64, f64)>,
}

/// Pieces the starts of engines together from the run's events, in order.
pub(crate) fn engine_starts(events: &[EventRecord]) -> Vec<EngineStart> {
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
    use crate::metrics::tests::fixture::plan;

    #[test]
    fn a_curve_begins_at_nothing_and_ends_at_everything() {
        assert_eq!(Curve::of(vec![f64::NAN]), None);
        assert_eq!(Curve::of(vec![3.0]).unwrap().points(), [(3.0, 0.0), (3.0, 1.0)]);
        let steps = Curve::of(vec![2.0, 1.0]).unwrap().points();
        assert_eq!(steps, [(1.0, 0.0), (1.0, 0.5), (2.0, 0.5), (2.0, 1.0)]);
        let curve = Curve::of((0..1000).rev().map(f64::from).collect()).unwrap();
        let points = curve.points();
        assert_eq!((curve.n, curve.ends()), (1000, [0.0, 999.0]));
        assert_eq!(points.len(), CURVE_POINTS + 1);
        assert_eq!(*points.last().unwrap(), (999.0, 1.0));
    }

    #[test]
    fn series_that_no_figure_draws_are_counted_alone() {
        let mut kept = RunSeries::default();
        let span = RequestSpan::default();
        let points = vec![(0.0, 1.0), (1.0, 2.0)];
        let plan = plan(&["a"]);
        for at in 0..DRAWN_MAX + 2 {
            let (id, engine) = (CellId(format!("{at:02}")), format!("engine-{}", at / 2));
            let keys = [("engine", engine), ("concurrency", at.to_string())];
            let keys = keys.map(|(key, value)| (key.to_owned(), value)).into();
            let curve = Curve::of((0..100).map(f64::from).collect()).unwrap();
            let series = CellSeries {
                distributions: [(MetricId::Ttft, curve)].into(),
                over_time: [(MetricId::OutputThroughput, points.clone())].into(),
                gpus: vec![GpuSeries { power_w: points.clone(), ..GpuSeries::default() }],
                requests: vec![span; 2],
                window_s: 1.0,
            };
            kept.push(&Cell { id, keys, ..plan.cells[0].clone() }, series);
        }
        let cell = |at: usize| &kept.by_cell[&CellId(format!("{at:02}"))];
        let size = |at: usize| {
            let curve = &cell(at).distributions[&MetricId::Ttft];
            let over_time = &cell(at).over_time[&MetricId::OutputThroughput];
            (curve.n, curve.values.len(), over_time.len(), cell(at).gpus[0].power_w.len())
        };
        assert_eq!([size(DRAWN_MAX - 1), size(DRAWN_MAX)], [(100, 100, 2, 2), (100, 2, 1, 1)]);
        let with_requests: Vec<usize> =
            (0..DRAWN_MAX + 2).filter(|at| !cell(*at).requests.is_empty()).collect();
        assert_eq!(with_requests, [1, 3, 5, 7], "the last cell of each of four alternatives");
    }

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
