//! The numbers of a run, each with unit, count, uncertainty and doubts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::CellId;
use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::quantity::Quantity;
use crate::metrics::reference_cell::ReferenceComparison;
use crate::metrics::totals::{CLIENT_RESOURCES, cancel_kind};
use crate::metrics::wall_time::WallTime;
use crate::plan::search::{Reason, SearchOver};
use crate::record::event::{CellOutcome, LoadTimeline};
use crate::record::request::CancelCause;
use crate::score::Accuracy;
use crate::score::as_published::AsPublishedTinyllama;
use crate::stats::quantile::sample_floor;

/// Percentiles of every distribution.
pub(crate) const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Title of the scenario.
    pub title: String,
    /// Whether the run reached its end.
    pub complete: bool,
    /// One per cell of the plan, in its order.
    pub cells: Vec<CellSummary>,
    /// Searches for the highest load that meets the objectives.
    pub searches: Vec<SearchSummary>,
    /// What became of each gate in each cell.
    pub gates: Vec<GateResult>,
    /// Where the run's wall time went.
    pub wall_time: WallTime,
    /// Doubts about the whole run.
    pub caveats: Vec<Caveat>,
}

impl Summary {
    /// Returns how many cells were measured to their end, and how many this machine can run.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let is_wanted = |it: &&CellSummary| it.validity.status != CellStatus::Skipped;
        let wanted = self.cells.iter().filter(is_wanted);
        let is_measured = |it: &&CellSummary| it.outcome == Some(CellOutcome::Complete);
        (wanted.clone().filter(is_measured).count(), wanted.count())
    }
}

/// What one search for the highest load found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct SearchSummary {
    /// The cell with which it began.
    pub first: CellId,
    /// Swept keys and values, without the load.
    pub keys: IndexMap<String, String>,
    /// What was searched.
    #[schemars(with = "String")]
    pub over: SearchOver,
    /// Share of the scheduled requests that had to be good.
    pub goodput: f64,
    /// Highest load that met the objectives; absent when none did or the search is not over.
    pub best: Option<PointSummary>,
    /// Lowest load that missed them.
    pub missed: Option<PointSummary>,
    /// Why it is over; absent while it is not.
    pub reason: Option<Reason>,
    /// The load to try next, while it is not over.
    pub next: Option<f64>,
    /// Loads that were tried, in order.
    pub points: Vec<PointSummary>,
}

/// A load that a search tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct PointSummary {
    /// Streams, or requests per second.
    pub load: f64,
    /// Percent of the scheduled requests that were good; absent when there was none.
    pub good: Option<f64>,
    /// Whether that was enough.
    pub met: bool,
    /// It missed, but the client had fallen behind.
    pub doubtful: bool,
}

/// The numbers of one cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CellSummary {
    /// The cell.
    pub id: CellId,
    /// Its name.
    pub name: String,
    /// Swept keys and values.
    pub keys: IndexMap<String, String>,
    /// The measured phase that this row is of, where the cell has several; counts, figures,
    /// latencies and accuracy are that phase's own.
    pub phase: Option<String>,
    /// Hash of when its requests are due, of their limits and lengths; absent where nobody knows.
    pub asked: Option<String>,
    /// How it ended; absent while it has not.
    pub outcome: Option<CellOutcome>,
    /// Whether its numbers may be believed.
    pub validity: Validity,
    /// Whether the engine was in a steady state while it was measured.
    pub steady: SteadyState,
    /// Complete trials.
    pub n_trials: u32,
    /// Devices of the engine, at least 1.
    pub n_gpus: u32,
    /// Starts of the engine, in order.
    pub load: Arc<[LoadTimeline]>,
    /// Version of the engine.
    pub engine_version: Option<String>,
    /// How requests ended, in the measured phases.
    pub counts: Counts,
    /// Single figures, also of parts: `output_throughput`, `gpu_utilisation/<uuid>`, in the order
    /// of their keys. In a tree they would take half as much again, in ten thousand cells.
    pub figures: IndexMap<MetricKey, Figure>,
    /// Distributions over requests or chunks, in the order of their metrics.
    pub distributions: IndexMap<MetricId, Distribution>,
    /// Values by trial of what is compared between runs, six digits each, for each trial that has
    /// the quantity; absent in a cell of one trial, whose figures are that trial's.
    pub trials: BTreeMap<Quantity, Vec<f64>>,
    /// Correctness, one per extractor, the headline first.
    pub accuracy: Vec<Accuracy>,
    /// What the published way of scoring makes of the same answers; absent without a score.
    pub as_published: Option<AsPublishedTinyllama>,
    /// The answers beside those of reference cells, on the same items.
    pub beside: Vec<ReferenceComparison>,
    /// Hash of the prompt of each row and turn, of the first ones of which it is known. No summary
    /// on disk has it.
    pub prompt_ids: BTreeMap<(u64, u32), u64>,
    /// Doubts about this cell's numbers.
    pub caveats: Vec<Caveat>,
}

/// Share of the rate that was sent from which on an engine keeps up with it. Below 1 it leaves room
/// for what is by chance under way at the window's edges: 6 % of 100 requests with 20 in flight.
const KEEPS_UP: f64 = 0.9;

impl CellSummary {
    /// Returns a figure of the whole cell.
    pub(crate) fn figure(&self, metric: MetricId) -> Option<&Figure> {
        self.figures.get(&MetricKey::from(metric))
    }

    /// Whether the cell's numbers are compared, ranked and held against each other, but for those
    /// that are INVALID themselves: what makes one number INVALID says nothing of the others.
    /// Where this machine lacked a port or a descriptor the load is not what was asked for, and
    /// no number stands.
    pub(crate) fn takes_part(&self) -> bool {
        match self.validity.status {
            CellStatus::Ok | CellStatus::Doubtful => true,
            CellStatus::Invalid => !self.counts.errors.contains_key(CLIENT_RESOURCES),
            CellStatus::Failed | CellStatus::Skipped | CellStatus::Incomplete => false,
        }
    }

    /// Whether the requests of an open loop were answered about as fast as they were sent; what was
    /// in flight at an end of the window is missing from the rate. `None` where a rate is not known.
    pub(crate) fn keeps_up(&self) -> Option<bool> {
        let (answered, sent) =
            self.value(MetricId::RequestThroughput).zip(self.value(MetricId::AttemptedRate))?;
        Some(answered >= KEEPS_UP * sent)
    }

    /// Returns the sum of a metric's samples, such as all tokens of the answers.
    pub(crate) fn total(&self, metric: MetricId) -> Option<f64> {
        let samples = self.distributions.get(&metric)?;
        Some(samples.mean? * samples.n as f64)
    }

    /// Returns the value of a figure of the whole cell.
    pub(crate) fn value(&self, metric: MetricId) -> Option<f64> {
        self.figure(metric)?.value
    }
}

impl Distribution {
    /// Returns the percentile of that name, without a value where there are too few samples.
    pub(crate) fn percentile(&self, p: f64) -> Option<Percentile> {
        // Percentiles are written and read as the same literal; a tolerance only guards the float.
        let is_it = |other: f64| (other - p).abs() < 1e-9;
        let found = self.percentiles.iter().find(|at| is_it(at.p)).copied();
        let n_floor = sample_floor(p / 100.0);
        let is_untold = PERCENTILES.into_iter().any(is_it) && self.n < n_floor;
        found.or_else(|| is_untold.then(|| Percentile { p, n_floor, ..Percentile::default() }))
    }

    /// Returns the names of its percentiles, also of those for which there are too few samples.
    pub(crate) fn percentile_names(&self) -> Vec<f64> {
        let own = self.percentiles.iter().map(|at| at.p);
        let mut names: Vec<f64> = PERCENTILES.into_iter().chain(own).collect();
        names.sort_by(f64::total_cmp);
        names.dedup();
        names
    }
}

/// Whether a cell's numbers may be believed, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validity {
    /// The state of the cell.
    pub status: CellStatus,
    /// What led to the state, one sentence each; empty where nothing did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The state of a cell's numbers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CellStatus {
    /// Measured, and nothing speaks against it.
    #[default]
    Ok,
    /// Measured, and what the client may have added to a number is more than nothing.
    Doubtful,
    /// Measured, but not what it says: the client fell behind, say.
    Invalid,
    /// The engine failed, or more requests than may.
    Failed,
    /// It could not run here.
    Skipped,
    /// Interrupted, or not reached.
    Incomplete,
}

impl CellStatus {
    /// Returns the word for the state, as files hold it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Doubtful => "doubtful",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Incomplete => "incomplete",
        }
    }

    /// Whether the cell was measured to its end, believed or not.
    pub(crate) const fn is_measured(self) -> bool {
        matches!(self, Self::Ok | Self::Doubtful | Self::Invalid)
    }
}

impl Validity {
    /// Returns a state with its reasons.
    pub(crate) fn new(status: CellStatus, reasons: impl IntoIterator<Item = String>) -> Self {
        Self { status, reasons: reasons.into_iter().collect() }
    }
}

/// Whether a cell was in a steady state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct SteadyState {
    /// What is known of it.
    pub status: SteadyStatus,
    /// Why it was not steady, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What is known of a steady state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SteadyStatus {
    /// No trend was found where one was looked for: over rounds of a warm-up, or in the window.
    Steady,
    /// A warm-up ended at its last round, or the window has a trend.
    NotSteady,
    /// Nothing can tell: no warm-up looked for it, and the window holds too few requests.
    #[default]
    Unknown,
}

/// What the bound of a number means for it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NumberState {
    /// The bound is too narrow to matter.
    Ok,
    /// The bound is a visible part of the number, which is shown with it.
    Doubtful,
    /// The bound is so wide that the number says too little: it is neither ranked nor compared.
    Invalid,
}

impl NumberState {
    /// Returns the word for the state, as files hold it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Doubtful => "doubtful",
            Self::Invalid => "invalid",
        }
    }
}

/// How requests ended. `scheduled` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Counts {
    /// Requests that were due.
    pub scheduled: u64,
    /// Complete answers.
    pub ok: u64,
    /// Failures by kind (`status-500`, `first-token-timeout` …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, u64>,
    /// Words of the first failure of each kind, where it came with words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub examples: BTreeMap<String, String>,
    /// Ended by `bench`, by cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cancelled: BTreeMap<String, u64>,
}

impl Counts {
    /// Returns requests by how they failed, those included whose answer never came in the time
    /// that there was.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&String, &u64)> {
        let unplanned = self.cancelled.iter().filter(|(cause, _)| !is_planned(cause));
        self.errors.iter().chain(unplanned)
    }

    /// Returns how many requests failed or never came.
    pub(crate) fn n_failed(&self) -> u64 {
        self.failures().map(|(_, n)| n).sum()
    }

    /// Returns how many requests `bench` cancelled after a time because the scenario asks for it:
    /// nobody failed.
    pub(crate) fn n_cancelled_as_planned(&self) -> u64 {
        self.n_cancelled(CancelCause::AfterTime)
    }

    /// Returns how many requests were under way, or not even sent, when a phase ended whose queue
    /// only grew.
    pub(crate) fn n_over_saturated(&self) -> u64 {
        self.n_cancelled(CancelCause::OverSaturated)
    }

    fn n_cancelled(&self, cause: CancelCause) -> u64 {
        self.cancelled.get(cancel_kind(cause)).copied().unwrap_or_default()
    }
}

fn is_planned(cause: &str) -> bool {
    [CancelCause::AfterTime, CancelCause::OverSaturated].map(cancel_kind).contains(&cause)
}

/// One number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figure {
    /// The value in `unit`; absent when it cannot be had, then `note` says why.
    pub value: Option<f64>,
    /// Unit as printed: `tok/s`, `ms`, `%`, `J/token`.
    pub unit: &'static str,
    /// What was counted.
    pub n: u64,
    /// Confidence interval, 95 % unless `note` says otherwise.
    pub interval: Option<(f64, f64)>,
    /// Estimator of the interval, or the reason of its absence.
    pub note: Note,
    /// Ends between which the true value lies, for all that bench may have added to it or taken
    /// from it; the upper is the largest number where nothing limits it. Absent where
    /// that is not known.
    pub bound: Option<(f64, f64)>,
    /// What the bound means for the value; absent without one.
    pub state: Option<NumberState>,
}

/// What qualifies a number. Most notes are the same in thousands of cells.
pub(crate) type Note = Cow<'static, str>;

/// A distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distribution {
    /// Unit as printed.
    pub unit: &'static str,
    /// Samples.
    pub n: u64,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Ends between which the true mean lies.
    pub mean_bound: Option<(f64, f64)>,
    /// What they mean for the mean.
    pub mean_state: Option<NumberState>,
    /// Standard deviation of the sample.
    pub std: Option<f64>,
    /// Least.
    pub min: Option<f64>,
    /// Most.
    pub max: Option<f64>,
    /// Percentiles, ascending; those for which there are too few samples may be absent.
    pub percentiles: Vec<Percentile>,
    /// Anything that qualifies all of it.
    pub note: Option<Note>,
}

/// One percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Percentile {
    /// 50, 90, 95, 99, 99.9.
    pub p: f64,
    /// Hyndman–Fan type 7 on the raw samples; absent below the sample floor.
    pub value: Option<f64>,
    /// Order-statistic interval, 95 %.
    pub interval: Option<(f64, f64)>,
    /// Ends between which the true percentile lies: that of the low ends of the samples and that
    /// of their high ends. Absent where these are not known.
    pub bound: Option<(f64, f64)>,
    /// What they mean for the value; absent without them.
    pub state: Option<NumberState>,
    /// The same with every failed request counted as slower than all others; absent when
    /// the percentile falls among the failures.
    pub with_failures: Option<f64>,
    /// Samples that this percentile needs.
    pub n_floor: u64,
}

/// What became of one gate in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct GateResult {
    /// Name of the cell.
    pub cell: String,
    /// The condition as written: `ttft.p99 < 500ms`.
    pub condition: String,
    /// Whether it must hold (`[gate]`) or must not (`--fail-if`).
    pub must_hold: bool,
    /// Name of the number for people.
    pub label: String,
    /// Unit of value, interval and limit.
    pub unit: String,
    /// The number; absent where there is none.
    pub value: Option<f64>,
    /// Its confidence interval, 95 %.
    pub interval: Option<(f64, f64)>,
    /// The limit; absent where a baseline lacks the number.
    pub limit: Option<f64>,
    /// What became of it.
    pub outcome: GateOutcome,
    /// Whether it is not decided and taken for missed: `undecided = "fail"`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_as_missed: bool,
    /// Name of the first cell with the same number of the same start, of which reports tell it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_start_as: Option<String>,
    /// Name of the side that the cell is of, where a comparison has several beside the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
    /// Why, where no number decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl GateResult {
    /// Whether it ends a command with a failure.
    pub(crate) fn fails(&self) -> bool {
        self.outcome == GateOutcome::Missed || self.counts_as_missed
    }

    /// Returns a gate that is missed for want of a number, until one says otherwise.
    pub(crate) fn missed(cell: &str, condition: &str, must_hold: bool, label: String) -> Self {
        Self {
            cell: cell.to_owned(),
            condition: condition.to_owned(),
            must_hold,
            label,
            unit: String::new(),
            value: None,
            interval: None,
            limit: None,
            outcome: GateOutcome::Missed,
            counts_as_missed: false,
            same_start_as: None,
            side: None,
            why: None,
        }
    }
}

/// Whether a gate was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GateOutcome {
    /// The number is what it must be, with its whole interval.
    Met,
    /// It is not, or there is no number.
    Missed,
    /// The limit lies within the interval, or too little is known.
    Undecided,
}

/// A doubt that travels with numbers.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub(crate) struct Caveat {
    /// Stable name of the kind: `late-sends`, `counts-differ`, `partial-wave` …
    pub code: Note,
    /// What is doubtful, with the measured value in it.
    pub what: Note,
    /// One sentence: what to do.
    pub advice: Note,
    /// The metrics it touches; empty for all.
    pub metrics: Vec<MetricId>,
}
