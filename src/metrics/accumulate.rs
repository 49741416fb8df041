//! Records of one cell in, its summary out; until then four bytes for each request and metric.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::axes;
use crate::metrics::bounds;
use crate::metrics::bounds_held::BoundsHeld;
use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats;
use crate::metrics::client_lag::{OwnLag, lateness, longest_wait, phase_of};
use crate::metrics::cpu_contention::ProcessorLog;
use crate::metrics::device::{DeviceLog, Devices};
use crate::metrics::engine_counters::EngineLog;
use crate::metrics::engine_figures::{self, EngineTotals};
use crate::metrics::engine_tokens::ArrivedTokens;
use crate::metrics::evidence::Evidence;
use crate::metrics::failures::FailureLimit;
use crate::metrics::figures::{self, Figures};
use crate::metrics::latencies::Latencies;
use crate::metrics::load_time;
use crate::metrics::per_trial::{self, TrialValues};
use crate::metrics::request::RequestMetrics;
use crate::metrics::resources;
use crate::metrics::steady::steady_state;
use crate::metrics::summary::{CellSummary, Counts, NumberState, Validity};
use crate::metrics::totals::Totals;
use crate::metrics::validity::{self, Doubts};
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell};
use crate::plan::launch::Launch;
use crate::record::event::{CellOutcome, EngineFacts, LoadTimeline, StopRecord};
use crate::record::request::RequestRecord;
use crate::record::telemetry::TelemetrySample;
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::score::Accuracy;
use crate::score::as_published::AsPublishedTinyllama;
use crate::score::grade::Graded;
use crate::units::Nanos;

/// Takes the records of one cell in and gives its summary.
///
/// Order: for each complete trial [`begin_trial`](Self::begin_trial) with the record that ends
/// it on disk (it holds the window), then its telemetry, then its requests (the engine's samples
/// say which of their tokens its counter holds), then [`end_trial`](Self::end_trial). Everything else at any time before
/// [`finish`](Self::finish). A trial without a `TrialRecord` was interrupted and is left out.
#[derive(Debug)]
pub(crate) struct CellAccumulator<'a> {
    plan: &'a Plan,
    cell: &'a Cell,
    launch: Option<&'a Launch>,
    open: Option<OpenTrial>,
    trials: Vec<Totals>,
    /// What each trial's stretches before an interruption add up to. Of them answers count, and
    /// where the load is static batches, rates; everything else is of the last stretch alone: with
    /// the others went the instrument's own record of how it fared.
    earlier: Vec<Option<Totals>>,
    latencies: Latencies,
    trial_values: TrialValues,
    devices: Vec<Devices>,
    engine: EngineTotals,
    evidence: Evidence,
    bounds_held: BoundsHeld,
    load: Vec<LoadTimeline>,
    facts: Option<EngineFacts>,
    graded: Option<Grades>,
    outcome: Option<CellOutcome>,
}

/// What a summary says of a cell's grades.
#[derive(Debug)]
struct Grades {
    accuracies: Vec<Accuracy>,
    n_correct_answers: u64,
    as_published: Option<AsPublishedTinyllama>,
}

#[derive(Debug)]
struct OpenTrial {
    record: TrialRecord,
    window: Window,
    earlier: Option<(Window, Totals)>,
    /// How late bench was at most.
    lateness: Nanos,
    /// For how long at most something that had arrived waited to be read.
    wait: Nanos,
    totals: Totals,
    /// Its own samples, in a cell of several trials.
    latencies: Option<Latencies>,
    devices: DeviceLog,
    engine: EngineLog,
    /// Absent until the first request.
    arrived: Option<ArrivedTokens>,
    processors: ProcessorLog,
}

impl<'a> CellAccumulator<'a> {
    /// Creates an accumulator for a cell of a plan.
    pub(crate) fn new(plan: &'a Plan, cell: &'a Cell) -> Self {
        let launch = plan.launches.get(&cell.launch);
        let is_simulated = launch.is_some_and(Launch::is_simulated);
        Self {
            plan,
            cell,
            launch,
            open: None,
            trials: Vec::new(),
            earlier: Vec::new(),
            latencies: Latencies::new(plan.seed),
            trial_values: TrialValues::new(),
            devices: Vec::new(),
            engine: EngineTotals::default(),
            evidence: Evidence { is_simulated, ..Evidence::default() },
            bounds_held: BoundsHeld::default(),
            load: Vec::new(),
            facts: None,
            graded: None,
            outcome: None,
        }
    }

    /// Begins a trial that is complete on disk; ends the one before.
    pub(crate) fn begin_trial(&mut self, record: &TrialRecord) {
        self.end_trial();
        let window = Window::of(record, self.cell);
        self.evidence.begin_trial(record, &window);
        let lateness = lateness(record);
        let wait = longest_wait(record);
        self.latencies.begin_trial(record, wait);
        let dataset = self.plan.datasets.get(&self.cell.dataset);
        let totals = Totals::new(&window);
        self.open = Some(OpenTrial {
            totals: if dataset.is_some_and(|dataset| dataset.multi_turn) {
                totals.of_conversations()
            } else {
                totals
            },
            earlier: Window::earlier(record, self.cell).map(|earlier| {
                let totals = Totals::new(&earlier);
                (earlier, totals)
            }),
            latencies: (self.cell.n_trials > 1).then(|| Latencies::new(self.plan.seed)),
            record: record.clone(),
            window,
            lateness,
            wait,
            devices: DeviceLog::default(),
            engine: EngineLog::default(),
            arrived: None,
            processors: ProcessorLog::default(),
        });
    }

    /// Takes a request of the open trial in. Those of warm-up phases are left out, but for what the
    /// engine's counter holds and for whether they failed.
    pub(crate) fn request(&mut self, record: &RequestRecord) {
        let Some(open) = self.open.as_mut() else { return };
        open.arrived
            .get_or_insert_with(|| ArrivedTokens::between(&open.engine, &open.window))
            .push(record);
        if !open.window.measures_phase(record.phase) {
            if phase_of(self.cell, record).is_some_and(|phase| phase.kind == PhaseKind::WarmUp) {
                self.evidence.push_warm_up(&record.outcome);
            }
            return;
        }
        if let Some((window, totals)) =
            open.earlier.as_mut().filter(|_| open.window.is_earlier(record))
        {
            let metrics = RequestMetrics::of(record);
            let own = OwnLag::of(phase_of(self.cell, record), record, &metrics, Nanos::ZERO);
            totals.push(window, None, record, &metrics, own);
            self.evidence.push(record, &metrics);
            return;
        }
        let metrics = RequestMetrics::beside(record, open.wait);
        let own = OwnLag::of(phase_of(self.cell, record), record, &metrics, open.lateness);
        open.totals.push(&open.window, self.cell.slo.as_ref(), record, &metrics, own);
        self.latencies.push(record, &metrics, own.late);
        self.bounds_held.push(record, &metrics);
        if let Some(latencies) = &mut open.latencies {
            latencies.push(record, &metrics, own.late);
        }
        self.evidence.push(record, &metrics);
    }

    /// Takes a telemetry sample of the open trial in.
    pub(crate) fn telemetry(&mut self, sample: &TelemetrySample) {
        if let Some(open) = &mut self.open {
            open.devices.push(sample);
            open.engine.push(sample);
            open.processors.push(sample);
        }
    }

    /// Ends the open trial, if there is one.
    pub(crate) fn end_trial(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let n_due: u64 = open.window.measured(&open.record).map(|phase| phase.n_scheduled).sum();
        let earlier = open.earlier.map(|(_, totals)| totals);
        let n_stayed = earlier.as_ref().map_or(0, |earlier| earlier.n_scheduled);
        open.totals.add_lost(n_due.saturating_sub(open.totals.n_scheduled + n_stayed));
        let began = open.record.phases.first().map_or_else(Default::default, |p| p.started);
        let devices = open.devices.devices(&open.window, began, open.record.telemetry.interval);
        self.evidence.devices(&devices);
        if let Some(latencies) = open.latencies.take() {
            let figures = self.figures_of_trial(&open.totals, earlier.as_ref(), &devices);
            per_trial::push(&mut self.trial_values, &figures, latencies);
        }
        self.devices.push(devices);
        self.engine.push(&open.engine, &open.window);
        self.evidence.engine_tokens(
            open.arrived.and_then(|arrived| arrived.beside(&open.engine, &open.window)),
        );
        self.evidence.end_trial(&open.totals, &open.processors);
        self.trials.push(open.totals);
        self.earlier.push(earlier);
    }

    /// Takes a start of the cell's engine in, in order.
    pub(crate) fn engine(&mut self, timeline: &LoadTimeline, facts: &EngineFacts) {
        // An engine that was attached to has not been loaded.
        if self.launch.is_none_or(Launch::is_started) {
            self.load.push(timeline.clone());
        }
        self.evidence.engine(facts);
        self.facts = Some(facts.clone());
    }

    /// Takes the engines in that ran beside a trial.
    pub(crate) fn beside(&mut self, engines: BTreeSet<String>) {
        self.evidence.beside(engines);
    }

    /// Takes a stop of the cell's engine in.
    pub(crate) fn stopped(&mut self, stop: &StopRecord) {
        self.evidence.stopped(stop);
    }

    /// Takes the grades of the cell's answers in.
    pub(crate) fn graded(&mut self, graded: &Graded) {
        self.evidence.graded(graded);
        self.graded = Some(Grades {
            accuracies: graded.accuracies.clone(),
            n_correct_answers: graded.n_correct_answers,
            as_published: Some(graded.as_published),
        });
    }

    /// Takes the end of the cell in.
    pub(crate) fn outcome(&mut self, outcome: &CellOutcome) {
        self.outcome = Some(outcome.clone());
    }

    /// Notes that more trials are asked for than there are: a cell that was closed is open again.
    pub(crate) fn lacks_trials(&mut self) {
        if self.outcome == Some(CellOutcome::Complete) {
            self.outcome = Some(CellOutcome::Interrupted);
        }
    }

    /// Returns the cell's summary.
    pub(crate) fn finish(mut self) -> CellSummary {
        self.end_trial();
        let n_gpus = self.n_gpus();
        let counts = counts(self.trials.iter().chain(self.earlier.iter().flatten()));
        let mut figures = Figures::default();
        load_time::figures(&mut figures, &self.load);
        if !self.trials.is_empty() {
            self.measured_figures(&mut figures, &counts, n_gpus);
        }
        self.withhold_accuracy();
        let lags = self.latencies.lags();
        self.evidence.tpot_bound = self.latencies.tpot_bound();
        self.evidence.at_least = self.latencies.at_least();
        let (mut distributions, open) = self.latencies.distributions(&counts);
        self.evidence.n_tpot_unseen = open.n_unseen;
        let n_trials = self.trials.len() as u32;
        let mut evidence = self.evidence.close(self.plan, self.cell, self.launch, n_trials, lags);
        let limits = &self.plan.validity;
        bounds::judge(limits, &mut figures.by_key, &mut distributions);
        bounds::widen_by_cut(limits, &mut distributions, &open);
        if let Some(tpot) = distributions.get_mut(&MetricId::Tpot) {
            bounds::widen_by_unseen(limits, tpot, &open);
        }
        let prompt_ids = std::mem::take(&mut evidence.prompt_ids);
        let caveats = caveats::of_cell(&evidence, &counts, &distributions, &figures);
        let mut cell = CellSummary {
            id: self.cell.id.clone(),
            name: self.cell.name.clone(),
            keys: self.cell.keys.clone(),
            phase: self.cell.row.as_ref().map(|row| row.phase.clone()),
            asked: Some(axes::asked(self.plan, self.cell)),
            outcome: self.outcome,
            validity: Validity::default(),
            steady: steady_state(&evidence),
            n_trials,
            n_gpus,
            load: self.load.into(),
            engine_version: self.facts.and_then(|facts| facts.version),
            counts,
            figures: figures.by_key.into_iter().collect(),
            distributions: distributions.into_iter().collect(),
            trials: self.trial_values,
            as_published: self.graded.as_ref().and_then(|graded| graded.as_published),
            accuracy: self.graded.map_or_else(Vec::new, |graded| graded.accuracies),
            beside: Vec::new(),
            prompt_ids,
            caveats,
        };
        let doubts = Doubts {
            shortage: validity::shortage(&evidence),
            invalid: bounds::reasons(limits, &cell, NumberState::Invalid),
            doubtful: bounds::reasons(limits, &cell, NumberState::Doubtful),
        };
        let (outcome, limit) = (cell.outcome.as_ref(), FailureLimit::of(self.plan));
        cell.validity =
            validity::of_cell(self.cell, outcome, &cell.counts, limit, n_trials, &doubts);
        // What nobody counted is no fault of the instrument.
        if let Some(tpot) = cell.distributions.get_mut(&MetricId::Tpot) {
            bounds::widen_by_uncounted(limits, tpot, &open);
        }
        compact(&mut cell);
        cell
    }

    /// Takes accuracies away where too few items were answered: who answers one question of two
    /// hundred rightly is not right in all.
    fn withhold_accuracy(&mut self) {
        let limit = FailureLimit::of(self.plan);
        let (n_missing, n) = self.evidence.unanswered;
        self.evidence.is_accuracy_withheld = limit.is_exceeded(n_missing, n);
        if let Some(graded) = self.graded.as_mut().filter(|_| self.evidence.is_accuracy_withheld) {
            for accuracy in &mut graded.accuracies {
                (accuracy.share, accuracy.interval) = (None, None);
            }
            graded.as_published = None;
        }
    }

    /// Returns the figures of one trial by the definitions of those of a cell.
    fn figures_of_trial(
        &self,
        totals: &Totals,
        earlier: Option<&Totals>,
        devices: &Devices,
    ) -> Figures {
        let mut figures = Figures::default();
        let trials = std::slice::from_ref(totals);
        figures::throughput(&mut figures, &[self.rated(totals, earlier)], self.n_gpus());
        if self.cell.slo.is_some() {
            figures::goodput(&mut figures, trials);
        }
        let use_of = resources::Use {
            devices: std::slice::from_ref(devices),
            trials,
            n_correct: None,
            has_slo: self.cell.slo.is_some(),
            gpu_hours_price: None,
        };
        resources::figures(&mut figures, &use_of);
        figures
    }

    /// Returns the sums of a trial of which its rates are: each static batch begins with an idle
    /// engine, so that those before an interruption count as those after it.
    fn rated(&self, totals: &Totals, earlier: Option<&Totals>) -> Totals {
        let mut rated = totals.clone();
        if let Some(earlier) = earlier.filter(|_| self.cell.sends_batches()) {
            rated.add_earlier(earlier);
        }
        rated
    }

    fn n_gpus(&self) -> u32 {
        self.launch.map_or(1, |launch| launch.n_gpus).max(1)
    }

    fn measured_figures(&self, figures: &mut Figures, counts: &Counts, n_gpus: u32) {
        let each = self.trials.iter().zip(&self.earlier);
        let rated: Vec<Totals> =
            each.map(|(totals, earlier)| self.rated(totals, earlier.as_ref())).collect();
        figures::throughput(figures, &rated, n_gpus);
        if let Some(concurrency) = concurrency(self.cell) {
            figures::per_stream(figures, concurrency);
        }
        let n_asked =
            counts.scheduled - counts.n_cancelled_as_planned() - counts.n_over_saturated();
        figures.share(MetricId::SuccessShare, counts.ok, n_asked);
        if self.cell.slo.is_some() {
            figures::goodput(figures, &self.trials);
        }
        figures::derived_capacity(figures, self.plan.gpu_hour_price);
        // Correct answers from before an interruption took none of the time after it.
        let is_one_stretch = self.earlier.iter().all(Option::is_none);
        let graded = self.graded.as_ref().filter(|_| is_one_stretch);
        let answers = graded.map(|graded| graded.n_correct_answers);
        let use_of = resources::Use {
            devices: &self.devices,
            trials: &self.trials,
            n_correct: answers,
            has_slo: self.cell.slo.is_some(),
            gpu_hours_price: self.plan.gpu_hour_price.map(|price| price * f64::from(n_gpus)),
        };
        resources::figures(figures, &use_of);
        engine_figures::figures(figures, &self.engine, &self.trials);
        self.client_figures(figures);
    }

    /// What the client did, and what it cost.
    fn client_figures(&self, figures: &mut Figures) {
        let n_chunks: u64 = self.trials.iter().map(|trial| trial.n_token_events).sum();
        let whole_secs: f64 = self.trials.iter().map(|trial| trial.whole_secs).sum();
        if n_chunks > 0 && whole_secs > 0.0 {
            let note = "all requests, from the first due one to the last response";
            figures.set(MetricId::ChunkThroughput, n_chunks as f64 / whole_secs, n_chunks, note);
            // The sentinel does not tell the phases of a trial apart.
            if self.cell.row.is_none() {
                let micros = self.evidence.process_cpu_s * 1e6 / n_chunks as f64;
                figures.set(MetricId::ClientCpuPerChunk, micros, n_chunks, "all threads of bench");
            }
        }
        if let Some((percent, n)) = self.bounds_held.percent() {
            figures.set(MetricId::TtftBoundHeld, percent, n, "answers that the engine stamped");
        }
        if let Some(share) = self.evidence.client_cpu_share() {
            let note = "load threads, mean over trials";
            figures.set(MetricId::ClientCpu, share * 100.0, self.trials.len() as u64, note);
        }
    }
}

/// Takes away what says nothing and what is left free: there may be ten thousand such cells.
fn compact(cell: &mut CellSummary) {
    for found in cell.distributions.values_mut() {
        found.percentiles.retain(|at| at.value.is_some());
        found.percentiles.shrink_to_fit();
    }
    cell.figures.shrink_to_fit();
    cell.distributions.shrink_to_fit();
}

/// Returns the streams of a cell whose measured phases are one closed loop.
pub(crate) fn concurrency(cell: &Cell) -> Option<u32> {
    let mut measured = cell.measured_phases();
    match (measured.next().map(|phase| &phase.arrivals), measured.next()) {
        (Some(ArrivalsPlan::Closed { concurrency }), None) => Some(*concurrency),
        _ => None,
    }
}

fn counts<'t>(trials: impl Iterator<Item = &'t Totals>) -> Counts {
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
        for (kind, words) in &trial.examples {
            counts.examples.entry(kind.clone()).or_insert_with(|| words.clone());
        }
        add(&mut counts.cancelled, &trial.cancelled);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::quantity::Quantity;
    use crate::metrics::request::tests::request;
    use crate::metrics::summary::CellStatus;
    use crate::metrics::tests::fixture::{launch, phase_record, plan, trial};
    use crate::record::request::{Outcome, RequestError};
    use crate::record::trial::Stretch;

    /// A plan of one cell with a warm-up and a measured phase at `rate` per second.
    fn constant_rate_plan(n_trials: u32) -> Plan {
        let mut plan = plan(&["a"]);
        let cell = &mut plan.cells[0];
        cell.n_trials = n_trials;
        cell.phases[0].arrivals = ArrivalsPlan::Constant { rate_per_s: 100.0 };
        let mut warm_up = cell.phases[0].clone();
        warm_up.kind = PhaseKind::WarmUp;
        cell.phases.insert(0, warm_up);
        plan.launches.insert(plan.cells[0].launch.clone(), launch(2));
        plan
    }

    /// Warm-up to 1 s, measured to 11 s, drained at 12 s.
    fn trial_record(n_scheduled: u64) -> TrialRecord {
        let mut measured = phase_record(PhaseKind::Measure, 1_000, 11_000, 12_000);
        measured.n_scheduled = n_scheduled;
        trial(&[phase_record(PhaseKind::WarmUp, 0, 900, 1_000), measured])
    }

    /// Request `i` of the measured phase, due every 10 ms: first token after `wait`, four more
    /// every 10 ms.
    fn measured(i: u64, sent: u64, wait: u64) -> RequestRecord {
        let first = sent + wait;
        let at: Vec<u64> = (0..5).map(|token| first + 10 * token).collect();
        RequestRecord { phase: 1, ..request(i, 1_000 + 10 * i, sent, &at) }
    }

    #[test]
    fn a_warm_up_that_failed_is_told_and_counts_in_no_number() {
        let plan = constant_rate_plan(1);
        let summary = |n_failed| {
            let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
            cell.begin_trial(&trial_record(1_000));
            for i in 0..40 {
                let mut warm_up = request(i, 100, 100, &[500]);
                if i < n_failed {
                    warm_up.outcome = Outcome::Error(RequestError::Status(500, "cold".to_owned()));
                }
                cell.request(&warm_up);
            }
            (0..1_000).for_each(|i| cell.request(&measured(i, 1_000 + 10 * i, 20)));
            cell.outcome(&CellOutcome::Complete);
            cell.finish()
        };
        let told = |n_failed| {
            let found = summary(n_failed);
            assert_eq!((found.counts.scheduled, found.counts.n_failed()), (1_000, 0));
            let caveat = found.caveats.into_iter().find(|caveat| caveat.code == "warm-up-failed");
            caveat.map(|caveat| caveat.what.to_string())
        };
        let expected = "20 of 40 requests of the warm-up failed: 20 status-500 (\"cold\")";
        assert_eq!(told(20).as_deref(), Some(expected));
        assert_eq!((told(0), told(1)), (None, None));
    }

    #[test]
    fn a_cell_is_summed_up_from_its_trials() {
        let plan = constant_rate_plan(2);
        let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
        for _ in 0..2 {
            cell.begin_trial(&trial_record(1_000));
            cell.request(&request(5_000, 100, 100, &[5_000]));
            for i in 0..999 {
                cell.request(&measured(i, 1_000 + 10 * i, 20));
            }
            let mut failed = measured(999, 10_990, 20);
            failed.outcome = Outcome::Error(RequestError::Status(503, String::new()));
            cell.request(&failed);
            cell.end_trial();
        }
        cell.outcome(&CellOutcome::Complete);
        let found = cell.finish();
        assert_eq!(found.validity, Validity::default());
        assert_eq!((found.n_trials, found.n_gpus), (2, 2));
        assert_eq!((found.counts.scheduled, found.counts.ok), (2_000, 1_998));
        assert_eq!(found.counts.errors, BTreeMap::from([("status-503".to_owned(), 2)]));
        let value = |metric| found.value(metric).unwrap();
        // The window begins at 2 s: those under way then stand for those under way at its end.
        assert!(
            (value(MetricId::RequestThroughput) - 100.0).abs() < 0.2,
            "{}",
            value(MetricId::RequestThroughput)
        );
        assert!(
            (value(MetricId::OutputThroughput) - 500.0).abs() < 1.0,
            "{}",
            value(MetricId::OutputThroughput)
        );
        assert!(
            (value(MetricId::OutputThroughputPerGpu) - value(MetricId::OutputThroughput) / 2.0)
                .abs()
                < 1e-9
        );
        assert!((value(MetricId::OutputThroughputWhole) - 999.0 * 5.0 / 11.0).abs() < 1e-6);
        let ttft = &found.distributions[&MetricId::Ttft];
        assert_eq!((ttft.n, ttft.percentiles[0].value), (1_998, Some(20.0)));
        assert_eq!(found.distributions[&MetricId::Tpot].mean, Some(10.0));
        let of_trials = |name: &str| {
            let quantity = Quantity::try_from(name.to_owned()).unwrap();
            found.trials.get(&quantity).cloned().unwrap_or_default()
        };
        assert_eq!(of_trials("ttft.p99"), [20.0, 20.0]);
        assert_eq!(of_trials("itl.p50"), [10.0, 10.0]);
        let rates = of_trials("request_throughput");
        assert_eq!(rates.len(), 2);
        assert!((rates[0] - value(MetricId::RequestThroughput)).abs() < 0.01, "{rates:?}");
        let codes: Vec<&str> = found.caveats.iter().map(|c| &*c.code).collect();
        assert_eq!(codes, ["failures"], "{:?}", found.caveats);
    }

    /// So many requests, the first eight of which stayed from before an interruption: 100 ms to the
    /// first token and 500 ms to the last, then 200 ms and 1 s.
    fn interrupted(arrivals: ArrivalsPlan, n: u64) -> CellSummary {
        let mut plan = constant_rate_plan(1);
        let cell = &mut plan.cells[0];
        cell.phases[1].arrivals = arrivals;
        cell.phases[1].n_requests = Some(n);
        let mut record = trial_record(n);
        let phase = &mut record.phases[1];
        phase.started = Nanos::from_millis(4_000);
        let left_ms = 1_000 * (n - 8) / 4;
        phase.stopped = phase.started + Nanos::from_millis(left_ms.saturating_sub(1_000));
        phase.drained = phase.started + Nanos::from_millis(left_ms);
        let ended = Nanos::from_millis(2_000);
        phase.earlier = vec![Stretch { started: Nanos::from_millis(1_000), ended, n: 8 }];
        let mut found = CellAccumulator::new(&plan, &plan.cells[0]);
        found.begin_trial(&record);
        for i in 0..8 {
            let at = 1_000 + 500 * (i / 4);
            found.request(&RequestRecord { phase: 1, ..request(i, at, at, &[at + 100, at + 500]) });
        }
        for i in 8..n {
            let at = 4_000 + 1_000 * (i / 4 - 2);
            let tokens = [at + 200, at + 1_000];
            found.request(&RequestRecord { phase: 1, ..request(i, at, at, &tokens) });
        }
        found.outcome(&CellOutcome::Complete);
        found.finish()
    }

    #[test]
    fn answers_count_from_before_an_interruption_and_latencies_from_behind_it() {
        let found = interrupted(ArrivalsPlan::Closed { concurrency: 4 }, 20);
        assert_eq!((found.counts.scheduled, found.counts.ok), (20, 20));
        let ttft = &found.distributions[&MetricId::Ttft];
        assert_eq!((ttft.n, ttft.mean), (12, Some(200.0)));
        // Of the last stretch, 4 s to 6 s: eight answers came in it.
        assert!((found.value(MetricId::RequestThroughput).unwrap() - 4.0).abs() < 1e-9);
        assert!((found.value(MetricId::WholeRun).unwrap() - 3.0).abs() < 1e-9);
        let told = found.caveats.iter().find(|caveat| caveat.code == "went-on").unwrap();
        assert_eq!(
            told.what.to_string(),
            "8 of 20 answers come from an attempt that was interrupted: answers are of all, \
             everything else is of the 12 behind it"
        );
    }

    #[test]
    fn a_trial_that_had_all_its_answers_before_an_interruption_has_no_latencies() {
        let found = interrupted(ArrivalsPlan::Closed { concurrency: 4 }, 8);
        assert_eq!((found.counts.scheduled, found.counts.ok), (8, 8));
        assert_eq!(found.value(MetricId::RequestThroughput), None);
        assert!(found.distributions.get(&MetricId::Ttft).is_none_or(|ttft| ttft.n == 0));
        let codes: Vec<&str> = found.caveats.iter().map(|caveat| &*caveat.code).collect();
        assert_eq!(codes, ["went-on", "single-trial"]);
        let found = interrupted(ArrivalsPlan::Batch { size: 4 }, 8);
        assert!((found.value(MetricId::RequestThroughput).unwrap() - 8.0).abs() < 1e-9);
    }

    #[test]
    fn batches_count_in_rates_from_before_an_interruption() {
        let found = interrupted(ArrivalsPlan::Batch { size: 4 }, 20);
        assert_eq!((found.counts.scheduled, found.counts.ok), (20, 20));
        assert_eq!(found.distributions[&MetricId::Ttft].n, 12);
        // Twenty requests of two tokens in 1 s and 3 s.
        let value = |metric| found.value(metric).unwrap();
        assert!((value(MetricId::RequestThroughput) - 5.0).abs() < 1e-9);
        assert!((value(MetricId::OutputThroughput) - 10.0).abs() < 1e-9);
        assert!((value(MetricId::OutputThroughputWhole) - 10.0).abs() < 1e-9);
        assert!((value(MetricId::WholeRun) - 4.0).abs() < 1e-9);
        let told = found.caveats.iter().find(|caveat| caveat.code == "went-on").unwrap();
        assert!(told.what.contains("answers and rates are of all"), "{}", told.what);
    }

    #[test]
    fn a_server_that_stalls_shows_in_scheduled_latencies_and_not_in_service_ones() {
        // 100 requests per second, and a server that stands still for the first second of every
        // ten. A client that waits for it sends late: from its own sending all is well. From the
        // schedule a tenth of the requests waits up to a second, evenly spread, so p95 is half of
        // the stall and p99 nine tenths (faults.md's C9; G. Tene, "How NOT to Measure Latency").
        let plan = constant_rate_plan(1);
        let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
        cell.begin_trial(&trial_record(1_000));
        for i in 0..1_000 {
            let due = 1_000 + 10 * i;
            let sent = if i < 100 { 2_000 } else { due };
            cell.request(&measured(i, sent, 1));
        }
        cell.outcome(&CellOutcome::Complete);
        let found = cell.finish();
        let p = |metric: MetricId, place: usize| {
            found.distributions[&metric].percentiles[place].value.unwrap()
        };
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found}");
        near(p(MetricId::TtftScheduled, 2), 500.0);
        near(p(MetricId::TtftScheduled, 3), 900.0);
        near(p(MetricId::Ttft, 3), 1.0);
        // The client did not do what was asked, so its own numbers are not to be believed.
        let state = |metric: MetricId| found.distributions[&metric].percentiles[3].state;
        assert_eq!(state(MetricId::TtftScheduled), Some(NumberState::Invalid));
        assert_eq!(state(MetricId::Ttft), Some(NumberState::Ok));
        assert!(found.caveats.iter().any(|caveat| caveat.code == "late-sends"));
    }

    #[test]
    fn a_request_without_a_record_is_counted_as_lost() {
        let plan = constant_rate_plan(1);
        let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
        cell.begin_trial(&trial_record(3));
        cell.request(&measured(0, 1_000, 20));
        cell.outcome(&CellOutcome::Complete);
        let found = cell.finish();
        assert_eq!((found.counts.scheduled, found.counts.ok), (3, 1));
        assert_eq!(found.counts.errors["no-record"], 2);
    }

    #[test]
    fn a_cell_in_which_everything_failed_has_no_number_and_no_panic() {
        let plan = constant_rate_plan(1);
        let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
        cell.begin_trial(&trial_record(10));
        for i in 0..10 {
            let mut record = measured(i, 1_000, 20);
            record.outcome = Outcome::Error(RequestError::Connect("refused".to_owned()));
            record.events = crate::record::request::Events::default();
            record.sent = None;
            cell.request(&record);
        }
        cell.outcome(&CellOutcome::Complete);
        let found = cell.finish();
        let why = "none of 10 requests succeeded: 10 connect (\"refused\")".to_owned();
        assert_eq!(found.validity, Validity::new(CellStatus::Failed, [why]));
        assert!(!found.distributions.contains_key(&MetricId::Ttft));
        assert_eq!(found.value(MetricId::OutputThroughput), None, "nothing was counted");
    }

    #[test]
    fn a_machine_that_was_late_is_a_doubt_and_only_what_it_added_counts() {
        let plan = constant_rate_plan(1);
        let found = |slack| {
            let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
            let mut record = trial_record(1_000);
            record.sentinel.wake_lag = vec![Nanos::from_millis(43); 100];
            cell.begin_trial(&record);
            for i in 0..1_000 {
                let mut request = measured(i, 1_000 + 10 * i, 50);
                request.events.slacken(0, 1, Nanos::from_millis(slack));
                cell.request(&request);
            }
            cell.outcome(&CellOutcome::Complete);
            cell.finish()
        };
        let late = found(0);
        assert_eq!(late.validity, Validity::default());
        assert!(late.caveats.iter().any(|caveat| caveat.code == "wake-lag"));
        assert_eq!(late.distributions[&MetricId::Ttft].percentiles[0].bound, Some((49.98, 50.02)));
        let doubtful = found(2).validity;
        let expected = "TTFT p50 (50 ms) may be up to 2.02 ms high, 4.1 % in all; limit 1 %";
        assert_eq!((doubtful.status, &*doubtful.reasons[0]), (CellStatus::Doubtful, expected));
        let invalid = found(20).validity;
        let expected = "TTFT p50 (50 ms) may be up to 20 ms high, 40.1 % in all; limit 10 %";
        assert_eq!((invalid.status, &*invalid.reasons[0]), (CellStatus::Invalid, expected));
    }

    #[test]
    fn a_skipped_cell_has_its_reason_and_nothing_else() {
        let plan = constant_rate_plan(1);
        let mut cell = CellAccumulator::new(&plan, &plan.cells[0]);
        cell.outcome(&CellOutcome::Skipped("vllm: not on PATH".to_owned()));
        let found = cell.finish();
        let why = "vllm: not on PATH".to_owned();
        assert_eq!(found.validity, Validity::new(CellStatus::Skipped, [why]));
        assert!(found.figures.is_empty() && found.caveats.is_empty());
    }
}
