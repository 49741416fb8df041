//! What may speak against a cell's numbers, gathered while its records pass by.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::cpu_contention::ProcessorLog;
use crate::metrics::device::Devices;
use crate::metrics::engine_tokens::TokenCounts;
use crate::metrics::lengths::Lengths;
use crate::metrics::request::{Burst, RequestMetrics, TpotBound};
use crate::metrics::summary::Counts;
use crate::metrics::totals::{OutputSteps, Totals, count_failure};
use crate::metrics::window::{ToTheEnd, Window};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength, Phase, Until};
use crate::plan::launch::Launch;
use crate::record::event::{EngineFacts, StopRecord};
use crate::record::request::{Oddity, Outcome, RequestError, RequestRecord, StampSource};
use crate::record::telemetry::{ProbeName, ProbeRecord, ProgramRecord};
use crate::record::trial::{
    DatasetRecord, OverSaturationRecord, PhaseKind, SentinelRecord, Stalls, TrialRecord,
};
use crate::score::findings::Findings;
use crate::score::grade::Graded;
use crate::stats::trend::Trend;
use crate::units::Nanos;

/// A send later than this after it was due counts as late: a visible part of the smallest
/// latencies that engines have.
pub(crate) const LATE: Nanos = Nanos::from_millis(5);

/// Rows of a cell whose prompts are compared with those of other cells.
const IDS_MAX: usize = 10_000;

/// Finish reasons that nobody knows which a report names.
const FINISH_WORDS_MAX: usize = 4;

/// What may speak against a cell's numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Sends, and late ones among them.
    pub n_sent: u64,
    /// Sends that left more than [`LATE`] after they were due.
    pub n_late: u64,
    /// Whether a cap on requests in flight is part of the plan: waits are then asked for.
    pub is_capped: bool,
    /// Whether requests follow answers: a late client then delays the next request, but no
    /// latency that the kernel stamps.
    pub is_closed: bool,
    /// Lags and the latency to hold them against.
    pub lags: Lags,
    /// Worst trial's CPU time of load threads, as a share of their wall time.
    pub client_cpu_max: Option<f64>,
    /// CPU time of all of `bench` in the measured phases, seconds, over all trials.
    pub process_cpu_s: f64,
    pub(crate) client_cpu_sum: f64,
    /// Trials whose sentinel measured CPU time.
    pub(crate) n_client_cpu: u32,
    /// Worst trial's share of all processors that neither `bench` nor the engine used.
    pub foreign_cpu_max: Option<f64>,
    /// The busiest programs of that trial, and the time over which they were looked at.
    pub(crate) busy_programs: (Vec<ProgramRecord>, Nanos),
    pub(crate) open_programs: (Vec<ProgramRecord>, Nanos),
    /// Why the engine's processes cannot be seen, though it runs on this machine.
    pub(crate) hidden_engine: Option<String>,
    /// How far the clocks of further clients may be from what was taken for them, at most.
    pub(crate) clock_error_max: Nanos,
    /// Longest gap between two beats of the sentinel.
    pub wake_gap_max: Nanos,
    /// Requests for which this machine had no port or descriptor left.
    pub n_short: u64,
    /// What the system said to the first of them.
    pub short_of: Option<String>,
    /// Times that a finished exchange waited for the recorder.
    pub recorder_stalls: u64,
    /// Times in which load threads stood still in measured phases.
    pub(crate) stalls: Stalls,
    /// The longest of them: its phase and how far into it.
    pub(crate) longest_stall: Option<(String, Nanos)>,
    /// Worst trial's share of CPU time that the hypervisor took.
    pub steal_share_max: f64,
    /// Worst trial's drift of wall against monotonic clock, as a share of the trial.
    pub drift_share_max: f64,
    /// Complete answers, and those stamped by this program instead of the kernel.
    pub n_ok: u64,
    /// Complete answers whose stamps are this program's.
    pub n_userspace: u64,
    /// Token events of complete answers after each one's first.
    pub n_gaps: u64,
    /// Those that came in the same read as the one before.
    pub n_coalesced: u64,
    /// Token events of complete answers with a count.
    pub n_counted_events: u64,
    /// Output tokens of the same answers.
    pub n_counted_tokens: u64,
    /// Whether the engine counts words of its own, which are no tokens of any tokenizer.
    pub(crate) is_simulated: bool,
    /// Output tokens by engine and by tokenizer, where both counted.
    pub output_counts: Counts2,
    /// What TPOT can be in the median, where it is not known for sure.
    pub tpot_bound: Option<TpotBound>,
    /// Complete answers of which bench saw too little to tell their TPOT.
    pub(crate) n_tpot_unseen: u64,
    /// Complete answers whose tokens came in one late burst.
    pub n_bursts: u64,
    /// The first of them.
    pub first_burst: Option<Burst>,
    /// Prompt tokens likewise.
    pub prompt_counts: Counts2,
    /// Complete answers without a count of output tokens.
    pub n_unknown: u64,
    /// Complete answers without a count of prompt tokens.
    pub n_prompt_unknown: u64,
    /// Complete answers that were cut off at the length limit.
    pub n_truncated: u64,
    /// Whether answers end by themselves.
    pub is_natural: bool,
    /// Answers that are not as long as asked.
    pub(crate) lengths: Lengths,
    /// Answers, complete or not, with an oddity.
    pub n_odd: u64,
    /// Answers with each kind of oddity.
    pub oddities: BTreeMap<Oddity, u64>,
    /// Finish reasons that nobody knows, the first ones.
    pub(crate) finish_words: BTreeSet<String>,
    /// Data of the last trial.
    pub dataset: Option<DatasetRecord>,
    /// Measured requests of the trial with most of them.
    pub n_requests_max: u64,
    pub(crate) n_requests_open: u64,
    /// Requests of all measured phases, other rows' among them, of the trial with most of them.
    pub(crate) n_drawn_max: u64,
    /// Hashes of the prompts of each trial.
    pub(crate) prompts: BTreeSet<String>,
    /// Hash of the prompt of each row and turn, of the first ones of which it is known.
    pub(crate) prompt_ids: BTreeMap<(u64, u32), u64>,
    /// Whether the same prompts come again and nothing empties the engine's cache.
    pub prompts_repeat: bool,
    /// Whether each prompt has something of its own in front.
    pub is_salted: bool,
    /// Trends of output throughput that were found in windows.
    pub output_trends: Vec<Trend>,
    /// Trends of TTFT likewise.
    pub ttft_trends: Vec<Trend>,
    /// Steps of output throughput likewise.
    pub(crate) output_steps: Vec<OutputSteps>,
    /// Trials with a window in which a trend would have shown.
    pub n_judged_windows: u32,
    /// Trials whose warm-up looked for a steady state.
    pub n_judged_warm_ups: u32,
    /// Those among them that found none.
    pub n_unsteady_warm_ups: u32,
    /// Requests of warm-ups, as they ended.
    pub(crate) warm_up: Counts,
    /// Why the window runs to the last response.
    pub to_the_end: Option<ToTheEnd>,
    /// Whether the window of an open loop begins with an idle engine.
    pub(crate) begins_idle: bool,
    /// How long requests were sent, and for how long they were to be, where there were no more.
    pub(crate) ran_out: Option<(Nanos, Nanos)>,
    /// Requests and wave size of a load whose last wave is not full.
    pub partial_wave: Option<(u64, u64)>,
    /// The number that was to be known.
    pub until: Option<Until>,
    /// The last trial's queue that only grew, and when its phase began and was ended.
    pub(crate) over_saturation: Option<(OverSaturationRecord, Nanos, Nanos)>,
    /// What latencies are at least where that was so.
    pub(crate) at_least: Option<AtLeast>,
    /// Requests that stayed from before an interruption, of how many.
    pub(crate) stayed: (u64, u64),
    /// Whether the rates are of these too.
    pub(crate) stayed_in_rates: bool,
    /// Trials that ended early, with the reason.
    pub aborted: Vec<String>,
    /// Complete trials, and planned ones.
    pub n_trials: u32,
    /// Planned trials.
    pub n_trials_planned: u32,
    /// Processes on the GPUs that are not ours.
    pub foreign_gpu_processes: BTreeSet<String>,
    /// Engines that ran beside trials, and the number of these.
    pub(crate) beside: (BTreeSet<String>, u32),
    /// Trials before or after which the engine had open requests.
    pub n_busy: u32,
    /// Processes that outlived the engine's stop.
    pub survivors: BTreeSet<String>,
    /// Device memory that a stop left behind, bytes.
    pub memory_left_bytes: u64,
    /// Texts on which a scoring pattern gave up.
    pub n_gave_up: u64,
    /// Repeated questions, and those whose answer changed.
    pub repeats: (u64, u64),
    /// The engine's count of output tokens, and that of what arrived in the same time.
    pub(crate) engine_tokens: Option<TokenCounts>,
    /// Items that were due and have no answer, of how many.
    pub unanswered: (u64, u64),
    /// What the grades say of the grader.
    pub(crate) findings: Findings,
    /// So many that no accuracy is told.
    pub(crate) is_accuracy_withheld: bool,
    /// What each probe beside the load lost, over all trials.
    pub(crate) probes: BTreeMap<ProbeName, ProbeLoss>,
    /// Longest time for which a GPU's energy counter stood still in the window, seconds.
    pub(crate) counter_still_s: f64,
}

/// What a probe beside the load lost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProbeLoss {
    pub(crate) n_due: u64,
    pub(crate) n_missed: u64,
    pub(crate) n_dropped: u64,
    /// Trials in which it did not come back.
    pub(crate) trials_gone: u32,
}

impl ProbeLoss {
    fn add(&mut self, record: &ProbeRecord) {
        self.n_due += record.n_due;
        self.n_missed += record.n_missed;
        self.n_dropped += record.n_dropped;
        self.trials_gone += u32::from(record.is_gone);
    }
}

/// The same tokens counted twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts2 {
    /// By the engine.
    pub engine: u64,
    /// By the tokenizer.
    pub tokenizer: u64,
}

impl Counts2 {
    fn add(&mut self, engine: Option<u32>, tokenizer: Option<u32>) {
        if let (Some(engine), Some(tokenizer)) = (engine, tokenizer) {
            self.engine += u64::from(engine);
            self.tokenizer += u64::from(tokenizer);
        }
    }

    /// Returns how far the tokenizer's count is from the engine's, as a share of the engine's.
    pub(crate) fn divergence(self) -> Option<f64> {
        (self.engine > 0).then(|| self.tokenizer as f64 / self.engine as f64 - 1.0)
    }
}

/// What latencies are at least, milliseconds: median and p99.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct AtLeast {
    pub(crate) ttft_ms: [f64; 2],
    pub(crate) e2e_ms: [f64; 2],
}

/// Lags of the instrument, and the latency to hold them against.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "a unit stands last in a name")]
pub(crate) struct Lags {
    /// Worst trial's p99 of the sentinel's wake lag, milliseconds.
    pub wake_p99_ms: Option<f64>,
    /// p99 of the send lag, milliseconds.
    pub send_p99_ms: Option<f64>,
    /// Mean of the send lag, milliseconds.
    pub send_mean_ms: Option<f64>,
    /// Median TTFT, milliseconds.
    pub ttft_median_ms: Option<f64>,
    /// Median E2E latency, milliseconds.
    pub e2e_median_ms: Option<f64>,
}

impl Evidence {
    fn take_sentinel(&mut self, sentinel: &SentinelRecord) {
        let wall = sentinel.wall.as_secs_f64();
        self.process_cpu_s += sentinel.process_cpu.as_secs_f64();
        if wall > 0.0 && sentinel.n_load_threads > 0 {
            let share = sentinel.load_cpu.as_secs_f64() / wall / f64::from(sentinel.n_load_threads);
            self.client_cpu_sum += share;
            self.n_client_cpu += 1;
            self.client_cpu_max = self.client_cpu_max.into_iter().chain([share]).reduce(f64::max);
        }
        if wall > 0.0 {
            let steal = sentinel.steal.as_secs_f64() / wall;
            let drift = sentinel.wall_drift_ns.unsigned_abs() as f64 / 1e9 / wall;
            self.steal_share_max = self.steal_share_max.max(steal);
            self.drift_share_max = self.drift_share_max.max(drift);
        }
        self.wake_gap_max = self.wake_gap_max.max(sentinel.wake_gap_max);
        self.recorder_stalls += sentinel.recorder_stalls;
    }

    pub(crate) fn begin_trial(&mut self, record: &TrialRecord, window: &Window) {
        record.sentinels().for_each(|sentinel| self.take_sentinel(sentinel));
        for client in &record.clients {
            let drift = Nanos(client.clock_drift_ns.unsigned_abs());
            self.clock_error_max = self.clock_error_max.max(client.clock_error.max(drift));
        }
        for phase in window.measured(record) {
            self.stayed.0 += phase.n_stayed();
            self.stayed.1 += phase.n_scheduled;
            if phase.stalls.longest > self.stalls.longest {
                let into = phase.stalls.longest_from.saturating_sub(phase.started);
                self.longest_stall = Some((phase.name.clone(), into));
            }
            self.stalls = self.stalls.and(phase.stalls);
            let found = phase.over_saturation.map(|found| (found, phase.started, phase.drained));
            self.over_saturation = found.or(self.over_saturation);
        }
        let mut warm_ups = record.phases.iter().filter_map(|phase| phase.steadiness).peekable();
        self.n_judged_warm_ups += u32::from(warm_ups.peek().is_some());
        self.n_unsteady_warm_ups += u32::from(warm_ups.any(|found| !found.steady));
        self.to_the_end = self.to_the_end.or(window.to_the_end);
        self.begins_idle |= window.begins_idle;
        self.ran_out = self.ran_out.or(window.ran_out);
        self.aborted.extend(record.aborted.clone());
        self.n_busy += u32::from(record.idle.is_denied());
        let programs = record.telemetry.programs.clone();
        self.open_programs = (programs, record.telemetry.programs_over);
        for probe in &record.telemetry.probes {
            self.probes.entry(probe.probe).or_default().add(probe);
        }
        if let Some(dataset) = &record.dataset {
            let is_new = self.prompts.insert(dataset.prompts_hash.clone());
            self.prompts_repeat |= !is_new;
            let n_of = |kind: PhaseKind| -> u64 {
                let phases = record.phases.iter().filter(|phase| phase.kind == kind);
                phases.map(|phase| phase.n_scheduled).sum()
            };
            // Both begin at the same row, and time may end them before they have sent all.
            let n_both = n_of(PhaseKind::WarmUp).min(n_of(PhaseKind::Measure));
            self.dataset = Some(DatasetRecord {
                n_shared_with_warm_up: dataset.n_shared_with_warm_up.min(n_both),
                ..dataset.clone()
            });
        }
        self.n_requests_open = 0;
        let measured = record.phases.iter().filter(|phase| phase.kind == PhaseKind::Measure);
        self.n_drawn_max = self.n_drawn_max.max(measured.map(|phase| phase.n_scheduled).sum());
    }

    /// Takes a request of a warm-up in.
    pub(crate) fn push_warm_up(&mut self, outcome: &Outcome) {
        self.warm_up.scheduled += 1;
        match outcome {
            Outcome::Ok => self.warm_up.ok += 1,
            Outcome::Error(error) => {
                count_failure(&mut self.warm_up.errors, &mut self.warm_up.examples, error);
            }
            Outcome::Cancelled(_) => {}
        }
    }

    pub(crate) fn push(&mut self, record: &RequestRecord, metrics: &RequestMetrics) {
        self.n_requests_open += 1;
        if let Some(lag) = metrics.send_lag {
            self.n_sent += 1;
            self.n_late += u64::from(lag > LATE);
        }
        if let Outcome::Error(RequestError::ClientResources(why)) = &record.outcome {
            self.n_short += 1;
            self.short_of.get_or_insert_with(|| why.clone());
        }
        if let Some(hash) = record.prompt_ids_hash.filter(|_| self.prompt_ids.len() < IDS_MAX) {
            self.prompt_ids.insert((record.sample, record.turn), hash);
        }
        let is_odd = |oddity: &&Oddity| **oddity != Oddity::CountsDiffer;
        self.n_odd += u64::from(record.oddities.iter().any(|oddity| is_odd(&oddity)));
        for oddity in record.oddities.iter().filter(is_odd) {
            *self.oddities.entry(*oddity).or_default() += 1;
        }
        if let Some(word) = record.unknown_finish()
            && self.finish_words.len() < FINISH_WORDS_MAX
        {
            self.finish_words.insert(word.to_owned());
        }
        if !metrics.is_ok {
            return;
        }
        self.n_ok += 1;
        self.n_userspace += u64::from(record.stamps == StampSource::Userspace);
        self.n_gaps += u64::from(metrics.n_token_events.saturating_sub(1));
        self.n_coalesced += u64::from(metrics.n_coalesced);
        self.n_bursts += u64::from(metrics.burst.is_some());
        self.first_burst = self.first_burst.or(metrics.burst);
        self.n_prompt_unknown += u64::from(metrics.prompt.tokens.is_none());
        match metrics.shown {
            None => self.n_unknown += 1,
            Some(tokens) => {
                self.n_counted_tokens += u64::from(tokens);
                self.n_counted_events += u64::from(metrics.n_token_events);
            }
        }
        let usage = record.usage;
        self.output_counts
            .add(usage.and_then(|usage| usage.completion), record.output_tokens_counted);
        self.prompt_counts.add(usage.and_then(|usage| usage.prompt), record.prompt_tokens_counted);
        self.n_truncated += u64::from(record.finish.as_deref() == Some("length"));
        self.lengths.push(record, metrics);
    }

    pub(crate) fn end_trial(&mut self, totals: &Totals, processors: &ProcessorLog) {
        let foreign = processors.foreign_share();
        if foreign > self.foreign_cpu_max {
            self.foreign_cpu_max = foreign;
            self.busy_programs = std::mem::take(&mut self.open_programs);
        }
        let hidden = processors.hidden_engine().map(str::to_owned);
        self.hidden_engine = self.hidden_engine.take().or(hidden);
        self.n_requests_max = self.n_requests_max.max(self.n_requests_open);
        let (output, ttft) = (totals.output_trend(), totals.ttft_trend());
        self.n_judged_windows += u32::from(output.is_some() || ttft.is_some());
        self.output_trends.extend(output.filter(Trend::is_trending));
        self.ttft_trends.extend(ttft.filter(Trend::is_trending));
        self.output_steps.extend(totals.output_steps());
    }

    /// Takes the engine's count of tokens in, and that of what arrived.
    pub(crate) fn engine_tokens(&mut self, counts: Option<TokenCounts>) {
        if let Some(counts) = counts {
            self.engine_tokens.get_or_insert_default().add(&counts);
        }
    }

    pub(crate) fn devices(&mut self, devices: &Devices) {
        self.counter_still_s = self.counter_still_s.max(devices.counter_still_s);
    }

    pub(crate) fn engine(&mut self, facts: &EngineFacts) {
        self.foreign_gpu_processes.extend(facts.foreign_gpu_processes.iter().cloned());
    }

    pub(crate) fn beside(&mut self, engines: BTreeSet<String>) {
        self.beside.1 += u32::from(!engines.is_empty());
        self.beside.0.extend(engines);
    }

    pub(crate) fn stopped(&mut self, stop: &StopRecord) {
        self.survivors.extend(stop.survivors.iter().cloned());
        self.memory_left_bytes += stop.memory_left_bytes.values().sum::<u64>();
    }

    pub(crate) fn graded(&mut self, graded: &Graded) {
        self.n_gave_up = graded.n_gave_up;
        self.findings = graded.findings.clone();
        self.repeats = (graded.n_repeats, graded.n_repeats_changed);
        if let Some(headline) = graded.accuracies.first() {
            self.unanswered = (headline.request_errors, headline.request_errors + headline.n);
        }
    }

    /// Returns the mean CPU time of load threads as a share of their wall time.
    pub(crate) fn client_cpu_share(&self) -> Option<f64> {
        (self.n_client_cpu > 0).then(|| self.client_cpu_sum / f64::from(self.n_client_cpu))
    }

    /// Adds what the plan knows.
    pub(crate) fn close(
        mut self,
        plan: &Plan,
        cell: &Cell,
        launch: Option<&Launch>,
        n_trials: u32,
        lags: Lags,
    ) -> Self {
        let measured = || cell.measured_phases();
        self.lags = lags;
        self.n_trials = n_trials;
        self.n_trials_planned = cell.n_trials;
        self.is_natural = matches!(cell.request.output, OutputLength::Natural { .. });
        // Answers may end before, by themselves or at a text that the scenario names.
        if self.is_natural || !cell.request.sampling.stop.is_empty() {
            self.lengths.may_be_shorter();
        }
        self.is_capped = measured().any(|phase| phase.max_in_flight.is_some());
        self.is_closed = measured().all(|phase| phase.arrivals.waits_for_answers());
        self.stayed_in_rates = cell.sends_batches();
        self.until = measured().find_map(|phase| phase.until.clone());
        self.partial_wave = measured().find_map(|phase| partial_wave(phase, self.n_requests_max));
        let cycles = plan.datasets.get(&cell.dataset).is_some_and(|dataset| dataset.cycle)
            && self.dataset.as_ref().is_some_and(|dataset| dataset.n_samples < self.n_drawn_max);
        self.is_salted = cell.request.salt;
        let is_emptied = cell.request.salt || launch.is_some_and(|l| l.cache_reset.is_some());
        self.prompts_repeat =
            (self.prompts_repeat && !is_emptied) || (cycles && !cell.request.salt);
        self
    }
}

/// Waves from which an incomplete last one no longer shows in a rate.
const MANY_WAVES: u64 = 10;

/// Returns requests and wave size when the last of few waves is not full.
///
/// 100 requests at concurrency 80 are a wave of 80 and one of 20: a published artefact.
fn partial_wave(phase: &Phase, n_measured: u64) -> Option<(u64, u64)> {
    let size = u64::from(match phase.arrivals {
        ArrivalsPlan::Closed { concurrency } => concurrency,
        ArrivalsPlan::Batch { size } => size,
        _ => return None,
    });
    // A phase that ends when a number is known need not send all that it may.
    let n_requests = phase.n_requests.filter(|_| phase.until.is_none()).unwrap_or(n_measured);
    (size > 0 && !n_requests.is_multiple_of(size) && n_requests / size < MANY_WAVES)
        .then_some((n_requests, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::cell;

    #[test]
    fn a_hundred_requests_at_eighty_are_a_partial_wave() {
        let check = |arrivals: ArrivalsPlan, n_requests, expected| {
            let mut phase = cell(arrivals).phases.remove(0);
            phase.n_requests = n_requests;
            assert_eq!(partial_wave(&phase, 90), expected);
        };
        check(ArrivalsPlan::Closed { concurrency: 80 }, Some(100), Some((100, 80)));
        check(ArrivalsPlan::Closed { concurrency: 50 }, Some(100), None);
        check(ArrivalsPlan::Closed { concurrency: 8 }, Some(100), None);
        check(ArrivalsPlan::Closed { concurrency: 60 }, None, Some((90, 60)));
        check(ArrivalsPlan::Batch { size: 32 }, Some(100), Some((100, 32)));
        check(ArrivalsPlan::Poisson { rate_per_s: 1.0 }, Some(100), None);
    }
}
