//! Every metric, declared once: tag, name, unit, direction, definition.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is known of a metric before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// Stable name in `summary.json`, in CSV headers and in templates.
    pub(crate) tag: &'static str,
    /// Name for people.
    pub(crate) name: &'static str,
    /// Unit as printed.
    pub(crate) unit: &'static str,
    /// Whether more is better; `None` where neither is.
    pub(crate) larger_is_better: Option<bool>,
    /// What a cell has of it.
    pub(crate) shape: Shape,
    /// A failed request counts as slower than all others.
    pub(crate) counts_failures: bool,
    /// It describes the run rather than the engine, so that no comparison has it.
    pub(crate) describes_the_run: bool,
    /// Definition in one sentence.
    pub(crate) definition: &'static str,
}

/// What a cell has of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One figure per cell.
    Figure,
    /// A distribution over requests or chunks.
    Distribution,
    /// A share of graded answers, kept with the classes of answers.
    Graded,
}

const MORE: Option<bool> = Some(true);
const LESS: Option<bool> = Some(false);

/// Declares the enum of metrics and its table in one.
macro_rules! metrics {
    ($($id:ident: $shape:ident($tag:literal, $name:literal, $unit:literal, $better:expr $(, $flag:ident)*)
        $definition:literal;)*) => {
        /// A metric. Its text form is the stable tag.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
        )]
        #[serde(into = "&'static str", try_from = "String")]
        pub(crate) enum MetricId {
            $(#[doc = $definition] $id,)*
        }

        impl MetricId {
            /// Every metric, in the order of documents.
            pub(crate) const ALL: &[Self] = &[$(Self::$id,)*];
        }

        const METRICS: &[Metric] = &[$(Metric {
            $($flag: true,)*
            ..declared(Shape::$shape, $tag, $name, $unit, $better, $definition)
        },)*];
    };
}

const fn declared(
    shape: Shape,
    tag: &'static str,
    name: &'static str,
    unit: &'static str,
    larger_is_better: Option<bool>,
    definition: &'static str,
) -> Metric {
    Metric {
        tag,
        name,
        unit,
        larger_is_better,
        shape,
        counts_failures: false,
        describes_the_run: false,
        definition,
    }
}

metrics! {
    Ttft: Distribution("ttft", "TTFT", "ms", LESS, counts_failures)
        "First token event minus sending.";
    TtftScheduled: Distribution("ttft_scheduled", "TTFT (scheduled)", "ms", LESS, counts_failures)
        "First token event minus the instant the arrival process wanted the request sent.";
    Ttfr: Distribution("ttfr", "TTFR", "ms", LESS)
        "First reasoning token minus sending.";
    Ttfa: Distribution("ttfa", "TTFA", "ms", LESS, counts_failures)
        "First answer token minus sending.";
    E2e: Distribution("e2e", "E2E latency", "ms", LESS, counts_failures)
        "Last token event minus sending.";
    E2eScheduled: Distribution("e2e_scheduled", "E2E latency (scheduled)", "ms", LESS, counts_failures)
        "Last token event minus the instant the arrival process wanted the request sent.";
    Tpot: Distribution("tpot", "TPOT", "ms", LESS, counts_failures)
        "(Last minus first token event) / (output tokens minus tokens in the first chunk); undefined when that is 0.";
    Icl: Distribution("icl", "ICL", "ms", LESS)
        "Gap between neighbouring token events: a property of chunks.";
    Itl: Distribution("itl", "ITL", "ms", LESS)
        "Gap between token events divided by the tokens of the later one, weighted by them; equal to ICL and marked so where tokens per chunk are not known.";
    DoneLag: Distribution("done_lag", "[DONE] lag", "ms", LESS)
        "End of the stream minus last token event.";
    SendLag: Distribution("send_lag", "send lag", "ms", LESS)
        "Sending minus the instant it was due.";
    Connect: Distribution("connect", "connect time", "ms", LESS)
        "Connection ready minus the instant the request was due, where one was opened for it.";
    OutputTokens: Distribution("output_tokens", "output tokens", "tok", None)
        "Generated tokens per request.";
    PromptTokens: Distribution("prompt_tokens", "prompt tokens", "tok", None)
        "Prompt tokens per request.";
    WakeLag: Distribution("wake_lag", "wake lag", "ms", LESS)
        "Lateness of a timer thread of bench with a fixed cadence: the sentinel.";
    AddedLatency: Distribution("added_latency", "added latency", "ms", LESS)
        "Stamp of an event's arrival minus the moment just before the simulated engine wrote it: what bench and the loopback device add.";
    RequestThroughput: Figure("request_throughput", "request throughput", "req/s", MORE)
        "Complete requests, each by the share of its tokens that arrived inside the measured window, per second of it.";
    OutputThroughput: Figure("output_throughput", "output throughput", "tok/s", MORE)
        "Output tokens of complete requests that arrived inside the measured window, per second of it.";
    PromptThroughput: Figure("prompt_throughput", "prompt throughput", "tok/s", MORE)
        "Prompt tokens of complete requests whose first token arrived inside the measured window, per second of it.";
    TotalThroughput: Figure("total_throughput", "total throughput", "tok/s", MORE)
        "Output and prompt throughput together.";
    RequestThroughputPerGpu: Figure("request_throughput_per_gpu", "request throughput per GPU", "req/s", MORE)
        "Request throughput divided by all GPUs of the engine: tp · pp · dp.";
    OutputThroughputPerGpu: Figure("output_throughput_per_gpu", "output throughput per GPU", "tok/s", MORE)
        "Output throughput divided by all GPUs of the engine: tp · pp · dp.";
    PromptThroughputPerGpu: Figure("prompt_throughput_per_gpu", "prompt throughput per GPU", "tok/s", MORE)
        "Prompt throughput divided by all GPUs of the engine: tp · pp · dp.";
    TotalThroughputPerGpu: Figure("total_throughput_per_gpu", "total throughput per GPU", "tok/s", MORE)
        "Total throughput divided by all GPUs of the engine: tp · pp · dp.";
    RequestThroughputWhole: Figure("request_throughput_whole", "request throughput, whole run", "req/s", MORE)
        "Complete requests per second from the beginning of the measured phases to the last response.";
    OutputThroughputWhole: Figure("output_throughput_whole", "output throughput, whole run", "tok/s", MORE)
        "Output tokens of complete requests per second from the beginning of the measured phases to the last response.";
    PromptThroughputWhole: Figure("prompt_throughput_whole", "prompt throughput, whole run", "tok/s", MORE)
        "Prompt tokens of complete requests per second from the beginning of the measured phases to the last response.";
    TotalThroughputWhole: Figure("total_throughput_whole", "total throughput, whole run", "tok/s", MORE)
        "Output and prompt tokens of complete requests per second from the beginning of the measured phases to the last response.";
    OutputThroughputPerStream: Figure("output_throughput_per_stream", "output throughput per stream", "tok/s", MORE)
        "Output throughput divided by the concurrency of the load.";
    AttemptedRate: Figure("attempted_rate", "attempted rate", "req/s", None, describes_the_run)
        "Requests due inside the measured window, per second of it.";
    InFlightMean: Figure("in_flight_mean", "mean requests in flight", "req", None, describes_the_run)
        "Time that requests spent in flight inside the measured window, per second of it.";
    Window: Figure("window", "measured window", "s", None, describes_the_run)
        "From the end of warm-up to the last scheduled send or to the stop, summed over trials.";
    WholeRun: Figure("whole_run", "whole run", "s", None, describes_the_run)
        "From the beginning of the measured phases, which is a gap before the first arrival of an open loop, to their last response, summed over trials.";
    Goodput: Figure("goodput", "goodput", "req/s", MORE)
        "Requests that met all SLOs, each by the share of its tokens that arrived inside the measured window, per second of it.";
    GoodputShare: Figure("goodput_share", "goodput share", "%", MORE)
        "Requests that met all SLOs, of all that were due; failed and unsent ones missed.";
    SuccessShare: Figure("success_share", "success share", "%", MORE)
        "Complete answers, of all requests that were due and that no `cancel-after` ended.";
    LoadTime: Figure("load_time", "load time", "s", LESS)
        "Spawn of the engine to the first token of a probe request.";
    LoadPortBound: Figure("load_port_bound", "time to port bound", "s", LESS)
        "Spawn of the engine to its listening socket.";
    LoadHealthy: Figure("load_healthy", "time to healthy", "s", LESS)
        "Spawn of the engine to a healthy answer.";
    LoadStage: Figure("load_stage", "load stage", "s", LESS)
        "Duration of a stage of the start as the engine's log tells it, else the instant its line appeared; `load_stage/<name>` per stage.";
    GpuDaysPer1bTokens: Figure("gpu_days_per_1b_tokens", "GPU-days per 1B output tokens", "GPU-days", LESS)
        "1e9 / output throughput per GPU / 86400.";
    NodeDaysPer1bTokens: Figure("node_days_per_1b_tokens", "node-days per 1B output tokens", "node-days", LESS)
        "GPU-days per 1B output tokens divided by the GPUs of a node (8).";
    GpusFor1bTokensPerHour: Figure("gpus_for_1b_tokens_per_hour", "GPUs for 1B output tokens per hour", "GPUs", LESS)
        "1e9 / 3600 / output throughput per GPU, unrounded.";
    CostPer1mTokens: Figure("cost_per_1m_tokens", "cost per 1M output tokens", "price", LESS)
        "GPU-hours per 1M output tokens times the price of a GPU-hour.";
    CostPerGoodRequest: Figure("cost_per_good_request", "cost per good request", "price", LESS)
        "GPU-hours of the whole run times the price of a GPU-hour, per request that met all SLOs (per complete request where there are none).";
    CostPerCorrectAnswer: Figure("cost_per_correct_answer", "cost per correct answer", "price", LESS)
        "GPU-hours of the whole run times the price of a GPU-hour, per correct answer.";
    Energy: Figure("energy", "energy", "J", LESS)
        "Energy of all GPUs over the whole run of the measured phases: counter difference, else integral of power.";
    EnergyPerToken: Figure("energy_per_token", "energy per output token", "J/token", LESS)
        "Energy over the measured window per output token that arrived in it.";
    EnergyPerGoodRequest: Figure("energy_per_good_request", "energy per good request", "J/req", LESS)
        "Energy over the whole run per request that met all SLOs (per complete request where there are none).";
    EnergyPerCorrectAnswer: Figure("energy_per_correct_answer", "energy per correct answer", "J/answer", LESS)
        "Energy over the whole run per correct answer.";
    CorrectPerS: Figure("correct_per_s", "correct answers per second", "1/s", MORE)
        "Correct answers per second of the whole run.";
    PowerMean: Figure("power_mean", "mean power", "W", LESS)
        "Energy over the measured window per second of it, all GPUs.";
    PowerMax: Figure("power_max", "highest power", "W", LESS)
        "Highest sampled power of all GPUs together inside the measured window.";
    PowerIdle: Figure("power_idle", "idle power", "W", None, describes_the_run)
        "Mean sampled power of all GPUs before the first request of a trial.";
    GpuUtilisation: Figure("gpu_utilisation", "GPU utilisation", "%", None)
        "Mean of samples inside the measured window over all GPUs; `gpu_utilisation/<uuid>` per GPU.";
    GpuUtilisationMax: Figure("gpu_utilisation_max", "highest GPU utilisation", "%", None)
        "Highest sample inside the measured window of any GPU; `gpu_utilisation_max/<uuid>` per GPU.";
    GpuMemoryMean: Figure("gpu_memory_mean", "GPU memory", "GiB", LESS)
        "Mean of sampled memory in use inside the measured window over all GPUs; `gpu_memory_mean/<uuid>` per GPU.";
    GpuMemoryMax: Figure("gpu_memory_max", "highest GPU memory", "GiB", LESS)
        "Highest sampled memory in use of any GPU; `gpu_memory_max/<uuid>` per GPU.";
    TemperatureMean: Figure("temperature_mean", "GPU temperature", "°C", LESS)
        "Mean of sampled temperatures inside the measured window over all GPUs.";
    TemperatureMax: Figure("temperature_max", "highest GPU temperature", "°C", LESS)
        "Highest sampled temperature of any GPU.";
    EngineCpu: Figure("engine_cpu", "engine CPU", "cores", None)
        "CPU time of the engine's processes on this machine per second of the measured window.";
    EngineMemoryMax: Figure("engine_memory_max", "highest engine memory", "GiB", LESS)
        "Highest sampled resident memory of the engine's processes on this machine.";
    PrefixCacheHitRate: Figure("prefix_cache_hit_rate", "prefix cache hit rate", "%", None)
        "Hits of queries of the prefix cache between the edges of the measured window, by the engine's counters; else cached of prompt tokens by its usage.";
    SpecAcceptance: Figure("spec_acceptance", "speculative acceptance", "%", MORE)
        "Accepted of drafted tokens between the edges of the measured window, by the engine's counters; else the mean of its gauge.";
    Preemptions: Figure("preemptions", "preemptions", "", LESS)
        "Requests that the engine put aside, between the edges of the measured window, by its counter.";
    KvCacheUsageMax: Figure("kv_cache_usage_max", "highest KV cache usage", "%", None)
        "Highest sampled share of the KV cache in use inside the measured window.";
    RequestsWaitingMean: Figure("requests_waiting_mean", "mean requests waiting", "req", None)
        "Mean of samples of the engine's queue inside the measured window.";
    EngineOutputThroughput: Figure("engine_output_throughput", "output throughput by the engine", "tok/s", None)
        "The engine's own counter of output tokens between the edges of the measured window: a cross-check, never a result.";
    EngineLogThroughput: Figure("engine_log_throughput", "output throughput by the engine's log", "tok/s", None)
        "Mean of the output rates in the engine's log whose time lies inside the measured window, weighted by that time: a cross-check, never a result.";
    ChunkThroughput: Figure("chunk_throughput", "chunk throughput", "chunks/s", None)
        "Token events of all requests, per second from the beginning of the measured phases to their last byte.";
    ClientCpuPerChunk: Figure("client_cpu_per_chunk", "client CPU per chunk", "us", LESS)
        "CPU time of all of bench in the measured phases, per token event: microseconds each, seconds per million.";
    TtftBoundHeld: Figure("ttft_bound_held", "TTFT bounds held", "%", MORE, describes_the_run)
        "Complete answers whose TTFT, less all that bench may have added to it, holds what the simulated engine's kernel and clock saw, of those that it stamps.";
    ClientCpu: Figure("client_cpu", "client CPU", "%", LESS, describes_the_run)
        "CPU time of the load threads per second and thread in the measured phases.";
    Accuracy: Graded("accuracy", "accuracy", "%", MORE)
        "Correct answers of all graded ones, by the headline extractor.";
}

impl MetricId {
    /// Returns the metric's row of the catalogue.
    pub(crate) const fn row(self) -> &'static Metric {
        &METRICS[self as usize]
    }

    /// Whether it is of an engine's start, which cells that differ in load alone share.
    pub(crate) const fn is_of_start(self) -> bool {
        matches!(self, Self::LoadTime | Self::LoadStage)
    }

    /// Returns the stable tag.
    pub(crate) const fn tag(self) -> &'static str {
        self.row().tag
    }

    /// Returns the unit as printed.
    pub(crate) const fn unit(self) -> &'static str {
        self.row().unit
    }

    /// Returns the metric of one part: a GPU, a stage.
    pub(crate) fn of(self, part: impl Into<String>) -> MetricKey {
        MetricKey { metric: self, part: Some(part.into()) }
    }
}

/// In the order of tags, so that documents keep theirs when the catalogue grows.
impl Ord for MetricId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.tag().cmp(other.tag())
    }
}

impl PartialOrd for MetricId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// A tag that this version does not know.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a metric of this version")]
pub(crate) struct UnknownMetric(String);

impl FromStr for MetricId {
    type Err = UnknownMetric;

    fn from_str(tag: &str) -> Result<Self, UnknownMetric> {
        let found = Self::ALL.iter().find(|metric| metric.tag() == tag);
        found.copied().ok_or_else(|| UnknownMetric(tag.to_owned()))
    }
}

impl TryFrom<String> for MetricId {
    type Error = UnknownMetric;

    fn try_from(tag: String) -> Result<Self, UnknownMetric> {
        tag.parse()
    }
}

impl From<MetricId> for &'static str {
    fn from(metric: MetricId) -> Self {
        metric.tag()
    }
}

/// A metric of a cell, or of one part of it: `gpu_utilisation`, `gpu_utilisation/GPU-1`.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct MetricKey {
    /// The metric.
    pub metric: MetricId,
    /// The part: the UUID of a GPU, the name of a stage.
    pub part: Option<String>,
}

impl MetricKey {
    /// Returns the name for people, the part in brackets.
    pub(crate) fn label(&self) -> String {
        let name = self.metric.row().name;
        match &self.part {
            Some(part) => format!("{name} ({part})"),
            None => name.to_owned(),
        }
    }
}

impl From<MetricId> for MetricKey {
    fn from(metric: MetricId) -> Self {
        Self { metric, part: None }
    }
}

impl fmt::Display for MetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{}/{part}", self.metric),
            None => write!(f, "{}", self.metric),
        }
    }
}

impl From<MetricKey> for String {
    fn from(key: MetricKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for MetricKey {
    type Error = UnknownMetric;

    fn try_from(text: String) -> Result<Self, UnknownMetric> {
        match text.split_once('/') {
            Some((tag, part)) => Ok(tag.parse::<MetricId>()?.of(part)),
            None => Ok(text.parse::<MetricId>()?.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_unique_and_definitions_are_sentences() {
        for (i, metric) in MetricId::ALL.iter().enumerate() {
            let row = metric.row();
            assert_eq!(*metric as usize, i);
            assert!(METRICS[..i].iter().all(|other| other.tag != row.tag), "{metric}");
            assert!(row.definition.ends_with('.'), "{metric}");
            assert!(!row.tag.contains('/'), "{metric}");
        }
    }

    #[test]
    fn a_metric_and_its_parts_are_written_as_text_and_read_back() {
        for metric in MetricId::ALL {
            assert_eq!(metric.tag().parse(), Ok(*metric));
        }
        let key = MetricId::GpuUtilisation.of("GPU-7");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, "\"gpu_utilisation/GPU-7\"");
        assert_eq!(serde_json::from_str::<MetricKey>(&text).unwrap(), key);
        assert_eq!(key.label(), "GPU utilisation (GPU-7)");
        let unknown = serde_json::from_str::<MetricKey>("\"no_such/x\"").unwrap_err();
        assert!(unknown.to_string().contains("`no_such` is not a metric"), "{unknown}");
    }

    #[test]
    fn keys_sort_as_their_text_does() {
        let mut keys: Vec<MetricKey> = MetricId::ALL.iter().map(|&id| id.into()).collect();
        keys.extend(["a", "b"].map(|part| MetricId::GpuUtilisation.of(part)));
        keys.sort();
        let texts: Vec<String> = keys.iter().map(MetricKey::to_string).collect();
        let mut sorted = texts.clone();
        sorted.sort();
        assert_eq!(texts, sorted);
    }
}
