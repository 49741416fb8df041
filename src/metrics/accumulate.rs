//! Records of one cell in, its summary out, in bounded memory.

use std::collections::BTreeMap;

use crate::ids::CellId;
use crate::metrics::caveats;
use crate::metrics::device::{DeviceLog, Devices};
use crate::metrics::engine_counters::EngineLog;
use crate::metrics::engine_figures::{self, EngineTotals};
use crate::metrics::evidence::Evidence;
use crate::metrics::figures::{self, Figures};
use crate::metrics::latencies::Latencies;
use crate::metrics::load_time;
use crate::metrics::request::RequestMetrics;
use crate::metrics::resources;
use crate::metrics::summary::{CellSummary, Counts};
use crate::metrics::totals::Totals;
use crate::metrics::validity;
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell};
use crate::plan::launch::Launch;
use crate::record::event::{CellOutcome, EngineFacts, LoadTimeline, StopRecord};
use crate::record::request::RequestRecord;
use crate::record::telemetry::TelemetrySample;
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::score::Accuracy;
use crate::score::grade::Graded;

/// Takes the records of one cell in and gives its summary.
///
/// Order: for each complete trial [`begin_trial`](Self::begin_trial) with the record that ends
/// it on disk (it holds the window), then its requests and telemetry in any order, then
/// [`end_trial`](Self::end_trial). Everything else at any time before
/// [`finish`](Self::finish). A trial without a `TrialRecord` was interrupted and is left out.
#[derive(Debug)]
pub struct CellAccumulator<'a> {
    plan: &'a Plan,
    cell: &'a Cell,
    launch: Option<&'a Launch>,
    open: Option<OpenTrial>,
    trials: Vec<Totals>,
    latencies: Latencies,
    devices: Vec<Devices>,
    engine: EngineTotals,
    evidence: Evidence,
    load: Vec<LoadTimeline>,
    facts: Option<EngineFacts>,
    graded: Option<(Vec<Accuracy>, u64)>,
    outcome: Option<CellOutcome>,
}

#[derive(Debug)]
struct OpenTrial {
    record: TrialRecord,
    window: Window,
    totals: Totals,
    devices: DeviceLog,
    engine: EngineLog,
}

impl<'a> CellAccumulator<'a> {
    /// Creates an accumulator for a cell of a plan.
    pub fn new(plan: &'a Plan, cell: &'a Cell) -> Self {
        Self {
            plan,
            cell,
            launch: plan.launches.get(&cell.launch),
            open: None,
            trials: Vec::new(),
            latencies: Latencies::new(plan.seed),
            devices: Vec::new(),
            engine: EngineTotals::default(),
            evidence: Evidence::default(),
            load: Vec::new(),
            facts: None,
            graded: None,
            outcome: None,
        }
    }

    /// Returns the cell.
    pub fn id(&self) -> &CellId {
        &self.cell.id
    }

    /// Begins a trial that is complete on disk; ends the one before.
    pub fn begin_trial(&mut self, record: &TrialRecord) {
        self.end_trial();
        let window = Window::of(record, self.cell);
        self.evidence.begin_trial(record, &window);
        self.latencies.begin_trial(&record.sentinel.wake_lag);
        self.open = Some(OpenTrial {
            totals: Totals::new(&window),
            record: record.clone(),
            window,
            devices: DeviceLog::default(),
            engine: EngineLog::default(),
        });
    }

    /// Takes a request of the open trial in; those of warm-up phases are left out.
    pub fn request(&mut self, record: &RequestRecord) {
        let Some(open) = self.open.as_mut().filter(|open| open.window.measures_phase(record.phase))
        else {
            return;
        };
        let metrics = RequestMetrics::of(record);
        open.totals.push(&open.window, self.cell.slo.as_ref(), record, &metrics);
        self.latencies.push(record, &metrics);
        self.evidence.push(record, &metrics);
    }

    /// Takes a telemetry sample of the open trial in.
    pub fn telemetry(&mut self, sample: &TelemetrySample) {
        if let Some(open) = &mut self.open {
            open.devices.push(sample);
            open.engine.push(sample);
        }
    }

    /// Ends the open trial, if there is one.
    pub fn end_trial(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let phases = open.record.phases.iter().filter(|phase| phase.kind == PhaseKind::Measure);
        let n_due: u64 = phases.map(|phase| phase.n_scheduled).sum();
        open.totals.add_lost(n_due.saturating_sub(open.totals.n_scheduled));
        let began = open.record.phases.first().map_or_else(Default::default, |p| p.started);
        self.devices.push(open.devices.devices(&open.window, began));
        self.engine.push(&open.engine, &open.window);
        self.evidence.end_trial(&open.totals);
        self.trials.push(open.totals);
    }

    /// Takes a start of the cell's engine in, in order.
    pub fn engine(&mut self, timeline: &LoadTimeline, facts: &EngineFacts) {
        self.load.push(timeline.clone());
        self.evidence.engine(facts);
        self.facts = Some(facts.clone());
    }

    /// Takes a stop of the cell's engine in.
    pub fn stopped(&mut self, stop: &StopRecord) {
        self.evidence.stopped(stop);
    }

    /// Takes the grades of the cell's answers in.
    pub fn graded(&mut self, graded: &Graded) {
        self.evidence.graded(graded);
        self.graded = Some((graded.accuracies.clone(), graded.n_correct_answers));
    }

    /// Takes the end of the cell in.
    pub fn outcome(&mut self, outcome: &CellOutcome) {
        self.outcome = Some(outcome.clone());
    }

    /// Returns the cell's summary.
    pub fn finish(mut self) -> CellSummary {
        self.end_trial();
        let n_gpus = self.launch.map_or(1, |launch| launch.n_gpus).max(1);
        let counts = counts(&self.trials);
        let mut figures = Figures::default();
        load_time::figures(&mut figures, &self.load);
        if !self.trials.is_empty() {
            self.measured_figures(&mut figures, &counts, n_gpus);
        }
        let lags = self.latencies.lags();
        let distributions = self.latencies.distributions(&counts);
        let n_trials = self.trials.len() as u32;
        let evidence = self.evidence.close(self.plan, self.cell, self.launch, n_trials, lags);
        let instrument = validity::instrument(&evidence);
        let verdict =
            validity::verdict(self.cell, self.outcome.as_ref(), &counts, n_trials, &instrument);
        let caveats = caveats::of_cell(&evidence, &counts, &distributions, &figures);
        CellSummary {
            id: self.cell.id.clone(),
            name: self.cell.name.clone(),
            keys: self.cell.keys.clone(),
            outcome: self.outcome,
            verdict,
            n_trials,
            n_gpus,
            load: self.load,
            engine_version: self.facts.and_then(|facts| facts.version),
            counts,
            figures: figures.by_tag,
            distributions,
            accuracy: self.graded.map_or_else(Vec::new, |(accuracy, _)| accuracy),
            caveats,
        }
    }

    fn measured_figures(&self, figures: &mut Figures, counts: &Counts, n_gpus: u32) {
        figures::throughput(figures, &self.trials, n_gpus);
        if let Some(concurrency) = concurrency(self.cell) {
            figures::per_stream(figures, concurrency);
        }
        figures.share("success_share", counts.ok, counts.scheduled);
        if self.cell.slo.is_some() {
            figures::goodput(figures, &self.trials);
        }
        figures::derived_capacity(figures, self.plan.gpu_hour_price);
        let answers = self.graded.as_ref().map(|(_, n_correct)| *n_correct);
        let use_of = resources::Use {
            devices: &self.devices,
            trials: &self.trials,
            n_correct: answers,
            has_slo: self.cell.slo.is_some(),
            gpu_hours_price: self.plan.gpu_hour_price.map(|price| price * f64::from(n_gpus)),
        };
        resources::figures(figures, &use_of);
        engine_figures::figures(figures, &self.engine, &self.trials);
        if let Some(share) = self.evidence.client_cpu_share() {
            let note = "load threads, mean over trials";
            figures.set("client_cpu", share * 100.0, self.trials.len() as u64, note);
        }
    }
}

/// Returns the streams of a cell whose measured phases are one closed loop.
pub(crate) fn concurrency(cell: &Cell) -> Option<u32> {
    let mut measured = cell.phases.iter().filter(|phase| phase.kind == PhaseKind::Measure);
    match (measured.next().map(|phase| &phase.arrivals), measured.next()) {
        (Some(ArrivalsPlan::Closed { concurrency }), None) => Some(*concurrency),
        _ => None,
    }
}

fn counts(trials: &[Totals]) -> Counts {
    let mut counts = Counts::default();
    let add = |sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>| {
        for (kind, n) in more {
            *sums.entry(kind.clone()).or_default() += n;
        }
    };
    for trial in trials {
        counts.scheduled += trial.n_scheduled;
        counts.ok += trial.n_ok;
        add(&mut counts.errors, &trial.errors);
        add(&mut counts.cancelled, &trial.cancelled);
    }
    counts
}
