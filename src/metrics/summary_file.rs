//! `summary.json`: the numbers of a run as they are written. What is the same in many cells stands
//! once, before them.
#![expect(clippy::option_option, reason = "a member that is `null` is another than an absent one")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::ids::CellId;
use crate::metrics::bounds::Ends;
use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::quantity::Quantity;
use crate::metrics::reference_cell::ReferenceComparison;
use crate::metrics::summary::{
    Caveat, CellSummary, Counts, Distribution, Figure, GateOutcome, GateResult, Note, NumberState,
    Percentile, SearchSummary, SteadyState, Summary, Validity,
};
use crate::metrics::wall_time::WallTime;
use crate::record::event::{CellOutcome, LoadTimeline};
use crate::score::Accuracy;
use crate::score::as_published::AsPublishedTinyllama;

/// The version of `summary.json`.
pub(crate) const SUMMARY_FORMAT: u32 = 5;
/// The oldest version that is still read. In 3 each cell had its own units, notes, advice and starts;
/// up to 4 each cell said all its metrics, and each gate of each cell its condition.
const READABLE_FROM: u32 = 3;

/// Why a text is no summary.
#[derive(Debug, Error)]
pub(crate) enum NotASummary {
    /// It was written by another version.
    #[error("it has format {0}; this program knows {READABLE_FROM} to {SUMMARY_FORMAT}")]
    Format(u32),
    /// It is something else.
    #[error("it is not a summary: {0}")]
    Json(#[from] serde_json::Error),
}

/// Reads `summary.json`.
pub(crate) fn parse(text: &[u8]) -> Result<Summary, NotASummary> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let Head { format } = serde_json::from_slice(text)?;
    if !(READABLE_FROM..=SUMMARY_FORMAT).contains(&format) {
        return Err(NotASummary::Format(format));
    }
    Ok(serde_json::from_slice::<SummaryFile>(text)?.into())
}

/// The numbers of a run. What is the same in many cells stands once, before them.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Summary")]
pub(crate) struct SummaryFile {
    /// Version of this file.
    #[expect(dead_code, reason = "is read before everything else")]
    format: u32,
    /// Title of the scenario.
    title: String,
    /// Whether the run reached its end.
    complete: bool,
    /// The metrics that cells have, with their units and what is noted at most of their numbers.
    #[serde(default)]
    metrics: BTreeMap<MetricId, MetricFile>,
    /// The percentiles of each distribution, with the samples that each needs. Those for which a
    /// distribution has too few are not in it.
    #[serde(default)]
    percentiles: Vec<Floor>,
    /// The kinds of doubts that cells have, with what most doubts of a kind say.
    #[serde(default)]
    doubts: BTreeMap<Note, DoubtFile>,
    /// Starts of engines, in order; those of one engine together.
    #[serde(default)]
    starts: Vec<Arc<[LoadTimeline]>>,
    /// One per cell of the plan, in its order.
    cells: Vec<CellFile>,
    /// Searches for the highest load that meets the objectives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    searches: Vec<SearchSummary>,
    /// Gates, and what became of each in each cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gates: Vec<GateFile>,
    /// Where the run's wall time went.
    #[serde(default)]
    wall_time: WallTime,
    /// Doubts about the whole run.
    caveats: Vec<Caveat>,
}

impl Serialize for Summary {
    /// Writes one cell at a time, since there may be ten thousand.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { title, complete, cells, searches, gates, wall_time, caveats } = self;
        let common = Common::of(cells);
        let mut file = serializer.serialize_struct("Summary", 12)?;
        file.serialize_field("format", &SUMMARY_FORMAT)?;
        file.serialize_field("title", title)?;
        file.serialize_field("complete", complete)?;
        file.serialize_field("metrics", &common.metrics)?;
        file.serialize_field("percentiles", &common.percentiles)?;
        file.serialize_field("doubts", &common.doubts)?;
        file.serialize_field("starts", &common.starts)?;
        file.serialize_field("cells", &Cells { cells, common: &common })?;
        if !searches.is_empty() {
            file.serialize_field("searches", searches)?;
        }
        if !gates.is_empty() {
            file.serialize_field("gates", &GateFile::of(gates))?;
        }
        file.serialize_field("wall_time", wall_time)?;
        file.serialize_field("caveats", caveats)?;
        file.end()
    }
}

struct Cells<'a> {
    cells: &'a [CellSummary],
    common: &'a Common,
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.cells.iter().map(|cell| self.common.cell(cell)))
    }
}

impl From<SummaryFile> for Summary {
    fn from(file: SummaryFile) -> Self {
        let SummaryFile { metrics, percentiles, doubts, starts, .. } = file;
        let common = Common { metrics, percentiles, doubts, starts };
        Self {
            title: file.title,
            complete: file.complete,
            cells: file.cells.into_iter().map(|cell| common.read(cell)).collect(),
            searches: file.searches,
            gates: file.gates.into_iter().flat_map(GateFile::read).collect(),
            wall_time: file.wall_time,
            caveats: file.caveats,
        }
    }
}

/// What is the same in many cells.
struct Common {
    metrics: BTreeMap<MetricId, MetricFile>,
    percentiles: Vec<Floor>,
    doubts: BTreeMap<Note, DoubtFile>,
    starts: Vec<Arc<[LoadTimeline]>>,
}

/// A metric.
#[derive(Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
struct MetricFile {
    /// Unit as printed: `tok/s`, `ms`, `%`, `J/token`.
    unit: Cow<'static, str>,
    /// Estimator of intervals, or the reason of their absence, wherever a number does not say
    /// another; absent where there is nothing to note.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    note: Note,
    /// Whether the figures without a `bound` are exact to their digits; else theirs is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    exact: bool,
    /// The metric that most cells have the same number of, as a rate for each GPU is that of the
    /// only one. A cell that has that one and does not mention this one has its number, with the
    /// note of this one; `null` says that it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same_as: Option<MetricId>,
}

/// A percentile of distributions.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct Floor {
    /// 50, 90, 95, 99, 99.9.
    p: f64,
    /// Samples that it needs.
    n_floor: u64,
}

/// A kind of doubt.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
struct DoubtFile {
    /// What is doubtful.
    what: Note,
    /// One sentence: what to do.
    advice: Note,
    /// The metrics it touches; empty for all.
    metrics: Vec<MetricId>,
}

/// The numbers of one cell.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "CellSummary")]
pub(crate) struct CellFile {
    /// The cell.
    id: CellId,
    /// Its name.
    name: String,
    /// Swept keys and values.
    keys: IndexMap<String, String>,
    /// The measured phase that this row is of, where the cell has several; counts, figures,
    /// latencies and accuracy are that phase's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    /// Hash of when its requests are due, of their limits and lengths: cells of two runs with one
    /// name and another hash were not asked the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    /// How it ended; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<CellOutcome>,
    /// Whether its numbers may be believed.
    validity: Validity,
    /// Whether the engine was in a steady state while it was measured.
    steady: SteadyState,
    /// Complete trials.
    n_trials: u32,
    /// Devices of the engine, at least 1.
    n_gpus: u32,
    /// Place of its engine's starts among all `starts`, from 0; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts: Option<usize>,
    /// The starts themselves, in format 3.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    load: Vec<LoadTimeline>,
    /// Version of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine_version: Option<String>,
    /// How requests ended, in the measured phases.
    counts: Counts,
    /// Single figures, also of parts: `output_throughput`, `gpu_utilisation/<uuid>`; without those
    /// that are the same as others.
    figures: BTreeMap<MetricKey, Option<FigureFile>>,
    /// Distributions over requests or chunks, without those that are the same as others.
    distributions: BTreeMap<MetricId, Option<DistributionFile>>,
    /// Values by trial of what is compared between runs, six digits each, for each trial that has
    /// the quantity; absent in a cell of one trial, whose figures are that trial's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    trials: BTreeMap<Quantity, Vec<f64>>,
    /// Correctness, one per extractor, the headline first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accuracy: Vec<Accuracy>,
    /// What the published way of scoring makes of the same answers; absent without a score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_published: Option<AsPublishedTinyllama>,
    /// The answers beside those of reference cells, on the same items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beside: Vec<ReferenceComparison>,
    /// Doubts about this cell's numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    caveats: Vec<CaveatFile>,
}

/// One number, to eight digits.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Figure")]
struct FigureFile {
    /// The value in the metric's unit; absent when it cannot be had, then the note says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What was counted.
    n: u64,
    /// Confidence interval, 95 % unless the note says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Ends>,
    /// Estimator of the interval, or the reason of its absence; where it is absent, the metric's
    /// note holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
    /// Ends between which the true value lies, for all that bench may have added to it or taken
    /// from it; the upper is `null` where nothing limits it. Where it is absent, the metric says
    /// whether the value is exact to its digits; `null` is not known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    bound: Option<Option<Ends>>,
    /// What the bound means for the value; where it is absent, a bound is too narrow to matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<NumberState>,
}

/// A distribution, its numbers to eight digits.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Distribution")]
struct DistributionFile {
    /// Samples.
    n: u64,
    /// Arithmetic mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    /// Ends between which the true mean lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_bound: Option<Ends>,
    /// What they mean for the mean; where it is absent, they are too narrow to matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_state: Option<NumberState>,
    /// Standard deviation of the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<f64>,
    /// Least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    /// Most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    /// Percentiles of which there are enough samples, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    percentiles: Vec<PercentileFile>,
    /// Anything that qualifies all of it; where it is absent, the metric's note holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
}

/// One percentile.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Percentile")]
struct PercentileFile {
    /// 50, 90, 95, 99, 99.9.
    p: f64,
    /// Hyndman–Fan type 7 on the raw samples.
    value: Option<f64>,
    /// Order-statistic interval, 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Ends>,
    /// Ends between which the true percentile lies: that of the low ends of the samples and that
    /// of their high ends. Absent where these are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<Ends>,
    /// What they mean for the value; where it is absent, they are too narrow to matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<NumberState>,
    /// The same with every failed request counted as slower than all others: the value where it
    /// is absent, and `null` when the percentile falls among the failures or takes none in.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    with_failures: Option<Option<f64>>,
    /// Samples that it needs, in format 3.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    n_floor: Option<u64>,
}

/// A gate.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Gate")]
struct GateFile {
    /// The condition as written: `ttft.p99 < 500ms`.
    condition: String,
    /// Whether it must hold (`[gate]`) or must not (`--fail-if`).
    must_hold: bool,
    /// Name of the number for people.
    label: String,
    /// Unit of value, interval and limit.
    unit: String,
    /// The limit wherever a cell does not say another; absent where none has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    /// What became of it, cell by cell.
    #[serde(default)]
    cells: Vec<GateOfCell>,
    /// The only cell, up to format 4.
    #[serde(flatten, skip_serializing)]
    #[schemars(skip)]
    alone: Option<GateOfCell>,
}

/// What became of a gate in one cell.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct GateOfCell {
    /// Name of the cell.
    cell: String,
    /// The number; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// Its confidence interval, 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<(f64, f64)>,
    /// The limit, where it is not that of the gate; `null` where a baseline lacks the number, or
    /// where nothing was held against it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    limit: Option<Option<f64>>,
    /// What became of it.
    outcome: GateOutcome,
    /// Whether it is not decided and taken for missed: `undecided = "fail"`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    counts_as_missed: bool,
    /// Name of the first cell with the same number of the same start, of which reports tell it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same_start_as: Option<String>,
    /// Why, where no number decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A doubt about a cell's numbers.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct CaveatFile {
    /// Stable name of the kind: `late-sends`, `counts-differ`, `partial-wave` …
    code: Note,
    /// What is doubtful, with the measured value in it; where it is absent, the kind says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    what: Option<Note>,
    /// What to do; where it is absent, the kind says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice: Option<Note>,
    /// The metrics it touches, empty for all; where it is absent, the kind says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Vec<MetricId>>,
}

/// Keeps a member that is `null` apart from one that is not there.
fn said<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// The state that is written: what is not said is that a bound does not matter.
fn state_said(state: Option<NumberState>) -> Option<NumberState> {
    state.filter(|state| *state != NumberState::Ok)
}

/// The state that was written beside a bound.
fn state_meant(
    said: Option<NumberState>,
    value: Option<f64>,
    bound: Option<(f64, f64)>,
) -> Option<NumberState> {
    said.or(bound.and(value).map(|_| NumberState::Ok))
}

/// Whether the ends of a figure's bound are its value, to the eight digits that are written.
fn is_exact(figure: &Figure) -> bool {
    let is_near = |end: f64, value: f64| (end - value).abs() <= 5e-9 * value.abs();
    figure
        .bound
        .zip(figure.value)
        .is_some_and(|((low, high), value)| is_near(low, value) && is_near(high, value))
}

/// How many have each value, in the order in which they came.
struct Counted<T>(IndexMap<T, usize>);

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T: Hash + Eq> Counted<T> {
    fn add(&mut self, value: T) {
        *self.0.entry(value).or_default() += 1;
    }

    /// The value that most have; the first one of those that equally many have.
    fn most(self) -> Option<T> {
        self.0.into_iter().rev().max_by_key(|(_, n)| *n).map(|(value, _)| value)
    }
}

impl<T: Hash + Eq> FromIterator<T> for Counted<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut counted = Self::default();
        values.into_iter().for_each(|value| counted.add(value));
        counted
    }
}

impl Common {
    fn of(cells: &[CellSummary]) -> Self {
        // Counted as they come: a list of all would take a tenth of the memory of the cells.
        let mut told: BTreeMap<MetricId, (Counted<&str>, Counted<bool>)> = BTreeMap::new();
        let mut tell = |metric, note, is_exact| {
            let (notes, exact) = told.entry(metric).or_default();
            notes.add(note);
            exact.add(is_exact);
        };
        let mut doubts: BTreeMap<&Note, Vec<&Caveat>> = BTreeMap::new();
        let mut starts: Vec<Arc<[LoadTimeline]>> = Vec::new();
        let mut percentiles: Vec<Floor> = Vec::new();
        for cell in cells {
            for (key, figure) in &cell.figures {
                tell(key.metric, &figure.note, is_exact(figure));
            }
            for (metric, found) in &cell.distributions {
                tell(*metric, found.note.as_deref().unwrap_or_default(), false);
                if percentiles.is_empty() {
                    percentiles = found.percentiles.iter().map(floor).collect();
                }
            }
            for caveat in &cell.caveats {
                doubts.entry(&caveat.code).or_default().push(caveat);
            }
            if !cell.load.is_empty() && place(&starts, &cell.load).is_none() {
                starts.push(Arc::clone(&cell.load));
            }
        }
        let metric = |(metric, (notes, exact)): (MetricId, (Counted<&str>, Counted<bool>))| {
            let note = notes.most().unwrap_or_default().to_owned().into();
            let exact = exact.most().unwrap_or_default();
            (metric, MetricFile { unit: metric.unit().into(), note, exact, same_as: None })
        };
        let doubt = |(code, all): (&Note, Vec<&Caveat>)| {
            let whats: Counted<&Note> = all.iter().map(|it| &it.what).collect();
            let what = whats.most().cloned().unwrap_or_default();
            let kinds: Counted<_> = all.iter().map(|it| (&it.advice, &it.metrics)).collect();
            let (advice, metrics) = kinds.most().expect("no kind is without a doubt");
            (code.clone(), DoubtFile { what, advice: advice.clone(), metrics: metrics.clone() })
        };
        let mut common = Self {
            metrics: told.into_iter().map(metric).collect(),
            percentiles,
            doubts: doubts.into_iter().map(doubt).collect(),
            starts,
        };
        for (metric, other) in TWINS {
            let note = common.metric(metric).note;
            let told = cells.iter().filter_map(|cell| {
                twin_of(&cell.figures, &metric.into(), &other.into(), &note)
                    .or_else(|| twin_of(&cell.distributions, &metric, &other, &note))
            });
            let (same, others): (Vec<bool>, Vec<bool>) = told.partition(|is_same| *is_same);
            if let Some(file) =
                common.metrics.get_mut(&metric).filter(|_| same.len() > others.len())
            {
                file.same_as = Some(other);
            }
        }
        common
    }

    /// Returns the metrics of which cells have the same number as of another, and those others.
    fn twins(&self) -> impl Iterator<Item = (MetricId, MetricId)> {
        self.metrics.iter().filter_map(|(metric, file)| Some((*metric, file.same_as?)))
    }

    /// Returns numbers as they are written: without those that are the same as others, and with
    /// `null` for those that are missing beside others.
    fn without_twins<K: From<MetricId> + Clone + Ord + Hash, N: Number, F>(
        &self,
        numbers: &IndexMap<K, N>,
        written: impl Fn(&K, &N) -> F,
    ) -> BTreeMap<K, Option<F>> {
        let all = numbers.iter().map(|(key, number)| (key.clone(), Some(written(key, number))));
        let mut all: BTreeMap<K, Option<F>> = all.collect();
        for (metric, other) in self.twins() {
            let note = self.metric(metric).note;
            match twin_of(numbers, &metric.into(), &other.into(), &note) {
                Some(true) => drop(all.remove(&metric.into())),
                Some(false) => drop(all.entry(metric.into()).or_insert(None)),
                None => {}
            }
        }
        all
    }

    /// Returns numbers with those that were not written because they are the same as others.
    fn with_twins<K: From<MetricId> + Ord + Hash, N: Number, F>(
        &self,
        written: BTreeMap<K, Option<F>>,
        read: impl Fn(&K, F) -> N,
    ) -> IndexMap<K, N> {
        let read = |(key, file): (K, Option<F>)| {
            let number = file.map(|file| read(&key, file));
            (key, number)
        };
        let mut all: BTreeMap<K, Option<N>> = written.into_iter().map(read).collect();
        for (metric, other) in self.twins() {
            if !all.contains_key(&metric.into())
                && let Some(Some(number)) = all.get(&other.into())
            {
                let number = number.as_another(metric, self.metric(metric).note);
                all.insert(metric.into(), Some(number));
            }
        }
        all.into_iter().filter_map(|(key, number)| Some((key, number?))).collect()
    }

    fn metric(&self, metric: MetricId) -> MetricFile {
        self.metrics.get(&metric).cloned().unwrap_or_default()
    }

    fn cell(&self, cell: &CellSummary) -> CellFile {
        let figure =
            |key: &MetricKey, figure: &Figure| FigureFile::of(figure, &self.metric(key.metric));
        let distribution = |metric: &MetricId, found: &Distribution| {
            DistributionFile::of(found, &self.metric(*metric).note, &self.percentiles)
        };
        let caveat = |caveat: &Caveat| {
            let usual = self.doubts.get(&caveat.code).cloned().unwrap_or_default();
            CaveatFile {
                code: caveat.code.clone(),
                what: Some(caveat.what.clone()).filter(|what| *what != usual.what),
                advice: Some(caveat.advice.clone()).filter(|advice| *advice != usual.advice),
                metrics: Some(caveat.metrics.clone()).filter(|all| *all != usual.metrics),
            }
        };
        CellFile {
            id: cell.id.clone(),
            name: cell.name.clone(),
            keys: cell.keys.clone(),
            phase: cell.phase.clone(),
            asked: cell.asked.clone(),
            outcome: cell.outcome.clone(),
            validity: cell.validity.clone(),
            steady: cell.steady.clone(),
            n_trials: cell.n_trials,
            n_gpus: cell.n_gpus,
            starts: place(&self.starts, &cell.load),
            load: Vec::new(),
            engine_version: cell.engine_version.clone(),
            counts: cell.counts.clone(),
            figures: self.without_twins(&cell.figures, figure),
            distributions: self.without_twins(&cell.distributions, distribution),
            trials: cell.trials.clone(),
            accuracy: cell.accuracy.clone(),
            as_published: cell.as_published,
            beside: cell.beside.clone(),
            caveats: cell.caveats.iter().map(caveat).collect(),
        }
    }

    fn read(&self, cell: CellFile) -> CellSummary {
        let figure =
            |key: &MetricKey, figure: FigureFile| figure.read(key.metric, self.metric(key.metric));
        let distribution = |metric: &MetricId, found: DistributionFile| {
            found.read(*metric, self.metric(*metric).note, &self.percentiles)
        };
        let caveat = |CaveatFile { code, what, advice, metrics }: CaveatFile| {
            let usual = self.doubts.get(&code).cloned().unwrap_or_default();
            Caveat {
                code,
                what: what.unwrap_or(usual.what),
                advice: advice.unwrap_or(usual.advice),
                metrics: metrics.unwrap_or(usual.metrics),
            }
        };
        let starts = cell.starts.and_then(|at| self.starts.get(at)).cloned();
        CellSummary {
            id: cell.id,
            name: cell.name,
            keys: cell.keys,
            phase: cell.phase,
            asked: cell.asked,
            outcome: cell.outcome,
            validity: cell.validity,
            steady: cell.steady,
            n_trials: cell.n_trials,
            n_gpus: cell.n_gpus,
            load: starts.unwrap_or_else(|| cell.load.into()),
            engine_version: cell.engine_version,
            counts: cell.counts,
            figures: self.with_twins(cell.figures, figure),
            distributions: self.with_twins(cell.distributions, distribution),
            trials: cell.trials,
            accuracy: cell.accuracy,
            as_published: cell.as_published,
            beside: cell.beside,
            prompt_ids: BTreeMap::new(),
            caveats: cell.caveats.into_iter().map(caveat).collect(),
        }
    }
}

/// Metrics that are another one in most cells: of one GPU, of an engine that sends a token at a
/// time and reasons about nothing, of cells whose requests all meet their objectives.
const TWINS: [(MetricId, MetricId); 7] = [
    (MetricId::RequestThroughputPerGpu, MetricId::RequestThroughput),
    (MetricId::OutputThroughputPerGpu, MetricId::OutputThroughput),
    (MetricId::PromptThroughputPerGpu, MetricId::PromptThroughput),
    (MetricId::TotalThroughputPerGpu, MetricId::TotalThroughput),
    (MetricId::Goodput, MetricId::RequestThroughput),
    (MetricId::Ttfa, MetricId::Ttft),
    (MetricId::Itl, MetricId::Icl),
];

/// A number that may be the same for two metrics.
trait Number {
    /// Whether it is another one but for its unit, with this note.
    fn is_same(&self, other: &Self, note: &str) -> bool;

    /// Returns it for a metric, with a note.
    fn as_another(&self, metric: MetricId, note: Note) -> Self;
}

impl Number for Figure {
    fn is_same(&self, other: &Self, note: &str) -> bool {
        let of = |it: &Self| (it.value, it.n, it.interval, it.bound, it.state);
        of(self) == of(other) && self.note == note
    }

    fn as_another(&self, metric: MetricId, note: Note) -> Self {
        Self { unit: metric.unit(), note, ..self.clone() }
    }
}

impl Number for Distribution {
    fn is_same(&self, other: &Self, note: &str) -> bool {
        let mean = |it: &Self| (it.n, it.mean, it.mean_bound, it.mean_state);
        let rest = |it: &Self| (it.std, it.min, it.max);
        (mean(self), rest(self)) == (mean(other), rest(other))
            && self.percentiles == other.percentiles
            && self.note.as_deref().unwrap_or_default() == note
    }

    fn as_another(&self, metric: MetricId, note: Note) -> Self {
        let note = Some(note).filter(|note| !note.is_empty());
        Self { unit: metric.unit(), note, ..self.clone() }
    }
}

/// Whether a number is the same as another one; `None` where there is no such other one.
fn twin_of<K: Ord + Hash, N: Number>(
    numbers: &IndexMap<K, N>,
    key: &K,
    other: &K,
    note: &str,
) -> Option<bool> {
    let other = numbers.get(other)?;
    Some(numbers.get(key).is_some_and(|number| number.is_same(other, note)))
}

impl GateFile {
    /// Puts the results of a gate, which follow each other, together.
    fn of(results: &[GateResult]) -> Vec<Self> {
        let is_one = |a: &GateResult, b: &GateResult| {
            (&a.condition, a.must_hold, &a.label, &a.unit)
                == (&b.condition, b.must_hold, &b.label, &b.unit)
        };
        results.chunk_by(is_one).map(Self::of_one).collect()
    }

    fn of_one(results: &[GateResult]) -> Self {
        let first = &results[0];
        let limits = results.iter().filter_map(|it| it.limit).map(f64::to_bits);
        let limit = limits.collect::<Counted<_>>().most().map(f64::from_bits);
        let cells = results.iter().map(|it| GateOfCell {
            cell: it.cell.clone(),
            value: it.value,
            interval: it.interval,
            limit: (it.limit != limit).then_some(it.limit),
            outcome: it.outcome,
            counts_as_missed: it.counts_as_missed,
            same_start_as: it.same_start_as.clone(),
            why: it.why.clone(),
        });
        Self {
            condition: first.condition.clone(),
            must_hold: first.must_hold,
            label: first.label.clone(),
            unit: first.unit.clone(),
            limit,
            cells: cells.collect(),
            alone: None,
        }
    }

    fn read(self) -> impl Iterator<Item = GateResult> {
        let Self { condition, must_hold, label, unit, limit, cells, alone } = self;
        let result = move |it: GateOfCell| GateResult {
            cell: it.cell,
            condition: condition.clone(),
            must_hold,
            label: label.clone(),
            unit: unit.clone(),
            value: it.value,
            interval: it.interval,
            limit: it.limit.unwrap_or(limit),
            outcome: it.outcome,
            counts_as_missed: it.counts_as_missed,
            same_start_as: it.same_start_as,
            side: None,
            why: it.why,
        };
        cells.into_iter().chain(alone).map(result)
    }
}

/// Whether two percentiles are one: they are written and read as the same literal.
fn is_same(one: f64, other: f64) -> bool {
    one.total_cmp(&other).is_eq()
}

fn floor(of: &Percentile) -> Floor {
    Floor { p: of.p, n_floor: of.n_floor }
}

fn place(all: &[Arc<[LoadTimeline]>], starts: &Arc<[LoadTimeline]>) -> Option<usize> {
    all.iter().position(|it| Arc::ptr_eq(it, starts) || it == starts)
}

impl FigureFile {
    fn of(figure: &Figure, usual: &MetricFile) -> Self {
        let bound = match figure.bound {
            _ if usual.exact && is_exact(figure) => None,
            Some(bound) => Some(Some(bound.into())),
            None => usual.exact.then_some(None),
        };
        Self {
            value: figure.value,
            n: figure.n,
            interval: figure.interval.map(Ends::from),
            note: Some(&figure.note).filter(|note| **note != usual.note).cloned(),
            bound,
            state: state_said(figure.state),
        }
    }

    fn read(self, metric: MetricId, usual: MetricFile) -> Figure {
        let exact = || Some(self.value?).filter(|_| usual.exact).map(|value| (value, value));
        let bound = self.bound.map_or_else(exact, |said| said.map(Into::into));
        Figure {
            value: self.value,
            unit: metric.unit(),
            n: self.n,
            interval: self.interval.map(Into::into),
            note: self.note.unwrap_or(usual.note),
            bound,
            state: state_meant(self.state, self.value, bound),
        }
    }
}

impl DistributionFile {
    fn of(found: &Distribution, usual: &str, floors: &[Floor]) -> Self {
        let note = found.note.clone().unwrap_or_default();
        let is_told = |at: &&Percentile| at.value.is_some() || !floors.contains(&floor(at));
        Self {
            n: found.n,
            mean: found.mean,
            mean_bound: found.mean_bound.map(Ends::from),
            mean_state: state_said(found.mean_state),
            std: found.std,
            min: found.min,
            max: found.max,
            percentiles: found.percentiles.iter().filter(is_told).map(PercentileFile::of).collect(),
            note: Some(note).filter(|note| note != usual),
        }
    }

    fn read(self, metric: MetricId, usual: Note, floors: &[Floor]) -> Distribution {
        let note = self.note.unwrap_or(usual);
        let n_floor =
            |p: f64| floors.iter().find(|floor| is_same(floor.p, p)).map(|floor| floor.n_floor);
        let mut percentiles: Vec<Percentile> =
            self.percentiles.into_iter().map(|at| at.read(n_floor)).collect();
        let untold =
            floors.iter().filter(|floor| !percentiles.iter().any(|at| is_same(at.p, floor.p)));
        let untold = untold.map(|floor| Percentile {
            p: floor.p,
            n_floor: floor.n_floor,
            ..Percentile::default()
        });
        percentiles.extend(untold.collect::<Vec<_>>());
        percentiles.sort_by(|a, b| a.p.total_cmp(&b.p));
        let mean_bound = self.mean_bound.map(Into::into);
        Distribution {
            unit: metric.unit(),
            n: self.n,
            mean: self.mean,
            mean_bound,
            mean_state: state_meant(self.mean_state, self.mean, mean_bound),
            std: self.std,
            min: self.min,
            max: self.max,
            percentiles,
            note: Some(note).filter(|note| !note.is_empty()),
        }
    }
}

impl PercentileFile {
    fn of(at: &Percentile) -> Self {
        Self {
            p: at.p,
            value: at.value,
            interval: at.interval.map(Ends::from),
            bound: at.bound.map(Ends::from),
            state: state_said(at.state),
            with_failures: (at.with_failures != at.value).then_some(at.with_failures),
            n_floor: None,
        }
    }

    fn read(self, n_floor: impl Fn(f64) -> Option<u64>) -> Percentile {
        let bound = self.bound.map(Into::into);
        Percentile {
            p: self.p,
            value: self.value,
            interval: self.interval.map(Into::into),
            bound,
            state: state_meant(self.state, self.value, bound),
            with_failures: self.with_failures.unwrap_or(self.value),
            n_floor: self.n_floor.or_else(|| n_floor(self.p)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_figure, with_mean};

    /// What is not usual is said at its place, and comes back from there.
    #[test]
    fn a_number_that_is_unlike_those_of_other_cells_comes_back_as_it_was() {
        let usual = |name: &str| {
            let cell = measured_cell(name, "fp16");
            let cell = with_figure(cell, MetricId::Window, 2.0, None);
            let mut cell = with_mean(cell, MetricId::Ttft, 5.0);
            let window = cell.figures.get_mut(&MetricKey::from(MetricId::Window)).unwrap();
            (window.note, window.bound) = ("usual".into(), Some((2.0, 2.0)));
            window.state = Some(NumberState::Ok);
            cell
        };
        let mut cells = ["a", "b", "c", "d"].map(usual).to_vec();
        let window = cells[1].figures.get_mut(&MetricKey::from(MetricId::Window)).unwrap();
        *window = Figure { note: Note::default(), bound: None, state: None, ..window.clone() };
        let window = cells[2].figures.get_mut(&MetricKey::from(MetricId::Window)).unwrap();
        (window.bound, window.state) = (Some((1.0, 3.0)), Some(NumberState::Invalid));
        let ttft = cells[3].distributions.get_mut(&MetricId::Ttft).unwrap();
        let median = Percentile { p: 50.0, value: Some(4.0), n_floor: 11, ..Percentile::default() };
        ttft.percentiles[0] = Percentile { with_failures: Some(6.0), ..median };
        cells[2].distributions.get_mut(&MetricId::Ttft).unwrap().percentiles[0] = median;
        let written = Summary { cells, ..Summary::default() };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), written);
        assert_eq!(text.matches("usual").count(), 1, "{text}");
    }

    /// One GPU's rate is that of all: the file says it once, and what is otherwise at its place.
    #[test]
    fn a_number_that_is_the_same_as_another_in_most_cells_is_not_written() {
        let (per_gpu, all) = (MetricId::OutputThroughputPerGpu, MetricId::OutputThroughput);
        let cell = |name: &str, of_gpu: Option<f64>| {
            let cell = with_figure(measured_cell(name, "fp16"), all, 30.0, Some((29.0, 31.0)));
            let mut cell = with_mean(with_mean(cell, MetricId::Icl, 7.0), MetricId::Itl, 7.0);
            let mut figure = cell.figure(all).unwrap().clone();
            (figure.note, figure.value) = ("of a GPU".into(), of_gpu);
            if of_gpu.is_some() {
                cell.figures.insert(per_gpu.into(), figure);
            }
            cell
        };
        let cells =
            [Some(30.0), Some(30.0), Some(30.0), Some(15.0), None].map(|value| cell("a", value));
        let written = Summary { cells: cells.into(), ..Summary::default() };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), written);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let of = |at: usize| told["cells"][at]["figures"].get(per_gpu.tag()).cloned();
        assert_eq!((of(0), of(4)), (None, Some(serde_json::Value::Null)));
        assert_eq!(of(3).unwrap()["value"], 15.0);
        assert_eq!(told["metrics"][MetricId::Itl.tag()]["same_as"], MetricId::Icl.tag());
        assert!(told["cells"][0]["distributions"].get(MetricId::Itl.tag()).is_none(), "{text}");
    }

    #[test]
    fn a_gate_is_written_once_and_read_from_before() {
        let result = |cell: &str, limit, outcome| GateResult {
            value: Some(9.0),
            interval: Some((8.0, 10.0)),
            limit,
            outcome,
            ..GateResult::missed(cell, "ttft.p50 < 10ms", true, "TTFT p50".to_owned())
        };
        let absent = GateResult {
            value: None,
            interval: None,
            counts_as_missed: true,
            ..result("d", None, GateOutcome::Undecided)
        };
        let other = GateResult::missed("a", "steady", true, "steady state".to_owned());
        let gates = vec![
            result("a", Some(10.0), GateOutcome::Met),
            GateResult {
                same_start_as: Some("a".to_owned()),
                ..result("b", Some(10.0), GateOutcome::Met)
            },
            result("c", Some(11.0), GateOutcome::Undecided),
            absent,
            other,
        ];
        let written = Summary { gates, ..Summary::default() };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(text.matches("TTFT p50").count(), 1, "{text}");
        assert_eq!(parse(text.as_bytes()).unwrap(), written);

        let before: Vec<serde_json::Value> =
            written.gates.iter().map(|gate| serde_json::to_value(gate).unwrap()).collect();
        let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
        (file["format"], file["gates"]) = (4.into(), before.into());
        assert_eq!(parse(file.to_string().as_bytes()).unwrap(), written);
    }

    #[test]
    fn the_format_before_is_read_and_others_are_refused_by_their_number() {
        let text = r#"{"format": 3, "title": "t", "complete": true, "cells": [{
            "id": "1", "name": "a", "keys": {}, "outcome": "complete",
            "validity": {"status": "ok", "reasons": []}, "steady": {"status": "steady"},
            "n_trials": 1, "n_gpus": 1, "engine_version": null,
            "load": [{"port_bound": 1, "healthy": 2, "first_token": 3, "log_stages": [],
                      "page_cache": "as-found"}],
            "counts": {"scheduled": 1, "ok": 1, "errors": {}, "cancelled": {}},
            "figures": {"window": {"value": 2.0, "unit": "s", "n": 1, "interval": null,
                                   "note": "one trial"}},
            "distributions": {"ttft": {"unit": "ms", "n": 1, "mean": 2.0, "std": null,
                "min": 2.0, "max": 2.0, "note": null, "percentiles": [{"p": 50.0, "value": null,
                "interval": null, "with_failures": null, "n_floor": 11}]}},
            "accuracy": [], "caveats": [{"code": "run", "what": "w", "advice": "a",
                                         "metrics": ["ttft"]}]}], "caveats": []}"#;
        let read = parse(text.as_bytes()).unwrap();
        let cell = &read.cells[0];
        assert_eq!(cell.load[0].first_token.map(|at| at.0), Some(3));
        let window = cell.figure(MetricId::Window).unwrap();
        assert_eq!((window.unit, &*window.note, window.bound), ("s", "one trial", None));
        assert_eq!(cell.distributions[&MetricId::Ttft].percentiles[0].n_floor, 11);
        assert_eq!((&*cell.caveats[0].advice, cell.caveats[0].metrics.len()), ("a", 1));
        let later = parse(text.replace("\"format\": 3", "\"format\": 6").as_bytes());
        insta::assert_snapshot!(later.unwrap_err(), @"it has format 6; this program knows 3 to 5");
    }
}
