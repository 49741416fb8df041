//! Every metric by its tag: one table that reports, documents and comparisons read.

/// What is known of a metric before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Stable name, the key in [`crate::metrics::summary::CellSummary`].
    pub tag: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Unit as printed.
    pub unit: &'static str,
    /// Whether more is better; `None` where neither is.
    pub larger_is_better: Option<bool>,
    /// Whether it is one figure or a distribution.
    pub shape: Shape,
    /// Definition in one sentence.
    pub definition: &'static str,
}

/// Whether a metric is one figure or a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One figure per cell.
    Figure,
    /// A distribution over requests or chunks.
    Distribution,
}

const MORE: Option<bool> = Some(true);
const LESS: Option<bool> = Some(false);

const fn figure(
    tag: &'static str,
    name: &'static str,
    unit: &'static str,
    larger_is_better: Option<bool>,
    definition: &'static str,
) -> Metric {
    Metric { tag, name, unit, larger_is_better, shape: Shape::Figure, definition }
}

const fn distribution(
    tag: &'static str,
    name: &'static str,
    unit: &'static str,
    larger_is_better: Option<bool>,
    definition: &'static str,
) -> Metric {
    Metric { tag, name, unit, larger_is_better, shape: Shape::Distribution, definition }
}

/// Every metric, in the order of documents.
pub const METRICS: &[Metric] = &[
    distribution("ttft", "TTFT", "ms", LESS, "First token event minus sending."),
    distribution(
        "ttft_scheduled",
        "TTFT (scheduled)",
        "ms",
        LESS,
        "First token event minus the instant the arrival process wanted the request sent.",
    ),
    distribution("ttfr", "TTFR", "ms", LESS, "First reasoning token minus sending."),
    distribution("ttfa", "TTFA", "ms", LESS, "First answer token minus sending."),
    distribution("e2e", "E2E latency", "ms", LESS, "Last token event minus sending."),
    distribution(
        "e2e_scheduled",
        "E2E latency (scheduled)",
        "ms",
        LESS,
        "Last token event minus the instant the arrival process wanted the request sent.",
    ),
    distribution(
        "tpot",
        "TPOT",
        "ms",
        LESS,
        "(Last minus first token event) / (output tokens minus tokens in the first chunk); undefined when that is 0.",
    ),
    distribution(
        "icl",
        "ICL",
        "ms",
        LESS,
        "Gap between neighbouring token events: a property of chunks.",
    ),
    distribution(
        "itl",
        "ITL",
        "ms",
        LESS,
        "Gap between token events divided by the tokens of the later one, weighted by them; equal to ICL and marked so where tokens per chunk are not known.",
    ),
    distribution("done_lag", "[DONE] lag", "ms", LESS, "End of the stream minus last token event."),
    distribution("send_lag", "send lag", "ms", LESS, "Sending minus the instant it was due."),
    distribution(
        "connect",
        "connect time",
        "ms",
        LESS,
        "Connection ready minus the instant the request was due, where one was opened for it.",
    ),
    distribution("output_tokens", "output tokens", "tok", None, "Generated tokens per request."),
    distribution("prompt_tokens", "prompt tokens", "tok", None, "Prompt tokens per request."),
    distribution(
        "wake_lag",
        "wake lag",
        "ms",
        LESS,
        "Lateness of a timer thread of bench with a fixed cadence: the sentinel.",
    ),
    distribution(
        "added_latency",
        "added latency",
        "ms",
        LESS,
        "Stamp of an event's arrival minus the moment just before the simulated engine wrote it: what bench and the loopback device add.",
    ),
    figure(
        "request_throughput",
        "request throughput",
        "req/s",
        MORE,
        "Requests completed inside the measured window, per second of it.",
    ),
    figure(
        "output_throughput",
        "output throughput",
        "tok/s",
        MORE,
        "Output tokens of complete requests that arrived inside the measured window, per second of it.",
    ),
    figure(
        "prompt_throughput",
        "prompt throughput",
        "tok/s",
        MORE,
        "Prompt tokens of complete requests whose first token arrived inside the measured window, per second of it.",
    ),
    figure(
        "total_throughput",
        "total throughput",
        "tok/s",
        MORE,
        "Output and prompt throughput together.",
    ),
    figure(
        "request_throughput_per_gpu",
        "request throughput per GPU",
        "req/s",
        MORE,
        "Request throughput divided by all GPUs of the engine: tp · pp · dp.",
    ),
    figure(
        "output_throughput_per_gpu",
        "output throughput per GPU",
        "tok/s",
        MORE,
        "Output throughput divided by all GPUs of the engine: tp · pp · dp.",
    ),
    figure(
        "prompt_throughput_per_gpu",
        "prompt throughput per GPU",
        "tok/s",
        MORE,
        "Prompt throughput divided by all GPUs of the engine: tp · pp · dp.",
    ),
    figure(
        "total_throughput_per_gpu",
        "total throughput per GPU",
        "tok/s",
        MORE,
        "Total throughput divided by all GPUs of the engine: tp · pp · dp.",
    ),
    figure(
        "request_throughput_whole",
        "request throughput, whole run",
        "req/s",
        MORE,
        "Complete requests per second from the first due request to the last response.",
    ),
    figure(
        "output_throughput_whole",
        "output throughput, whole run",
        "tok/s",
        MORE,
        "Output tokens of complete requests per second from the first due request to the last response.",
    ),
    figure(
        "prompt_throughput_whole",
        "prompt throughput, whole run",
        "tok/s",
        MORE,
        "Prompt tokens of complete requests per second from the first due request to the last response.",
    ),
    figure(
        "total_throughput_whole",
        "total throughput, whole run",
        "tok/s",
        MORE,
        "Output and prompt tokens of complete requests per second from the first due request to the last response.",
    ),
    figure(
        "output_throughput_per_stream",
        "output throughput per stream",
        "tok/s",
        MORE,
        "Output throughput divided by the concurrency of the load.",
    ),
    figure(
        "attempted_rate",
        "attempted rate",
        "req/s",
        None,
        "Requests due inside the measured window, per second of it.",
    ),
    figure(
        "in_flight_mean",
        "mean requests in flight",
        "req",
        None,
        "Time that requests spent in flight inside the measured window, per second of it.",
    ),
    figure(
        "window",
        "measured window",
        "s",
        None,
        "From the end of warm-up to the last scheduled send or to the stop, summed over trials.",
    ),
    figure(
        "whole_run",
        "whole run",
        "s",
        None,
        "From the first due request to the last response of the measured phases, summed over trials.",
    ),
    figure(
        "goodput",
        "goodput",
        "req/s",
        MORE,
        "Requests that met all SLOs and completed inside the measured window, per second of it.",
    ),
    figure(
        "goodput_share",
        "goodput share",
        "%",
        MORE,
        "Requests that met all SLOs, of all that were due; failed and unsent ones missed.",
    ),
    figure(
        "success_share",
        "success share",
        "%",
        MORE,
        "Complete answers, of all requests that were due.",
    ),
    figure(
        "load_time",
        "load time",
        "s",
        LESS,
        "Spawn of the engine to the first token of a probe request.",
    ),
    figure(
        "load_port_bound",
        "time to port bound",
        "s",
        LESS,
        "Spawn of the engine to its listening socket.",
    ),
    figure(
        "load_healthy",
        "time to healthy",
        "s",
        LESS,
        "Spawn of the engine to a healthy answer.",
    ),
    figure(
        "load_stage",
        "load stage",
        "s",
        LESS,
        "Duration of a stage of the start as the engine's log tells it, else the instant its line appeared; `load_stage/<name>` per stage.",
    ),
    figure(
        "gpu_days_per_1b_tokens",
        "GPU-days per 1B output tokens",
        "GPU-days",
        LESS,
        "1e9 / output throughput per GPU / 86400.",
    ),
    figure(
        "node_days_per_1b_tokens",
        "node-days per 1B output tokens",
        "node-days",
        LESS,
        "GPU-days per 1B output tokens divided by the GPUs of a node (8).",
    ),
    figure(
        "gpus_for_1b_tokens_per_hour",
        "GPUs for 1B output tokens per hour",
        "GPUs",
        LESS,
        "1e9 / 3600 / output throughput per GPU, unrounded.",
    ),
    figure(
        "cost_per_1m_tokens",
        "cost per 1M output tokens",
        "price",
        LESS,
        "GPU-hours per 1M output tokens times the price of a GPU-hour.",
    ),
    figure(
        "cost_per_correct_answer",
        "cost per correct answer",
        "price",
        LESS,
        "GPU-hours of the whole run times the price of a GPU-hour, per correct answer.",
    ),
    figure(
        "energy",
        "energy",
        "J",
        LESS,
        "Energy of all GPUs over the whole run of the measured phases: counter difference, else integral of power.",
    ),
    figure(
        "energy_per_token",
        "energy per output token",
        "J/token",
        LESS,
        "Energy over the measured window per output token that arrived in it.",
    ),
    figure(
        "energy_per_good_request",
        "energy per good request",
        "J/req",
        LESS,
        "Energy over the whole run per request that met all SLOs (per complete request where there are none).",
    ),
    figure(
        "energy_per_correct_answer",
        "energy per correct answer",
        "J/answer",
        LESS,
        "Energy over the whole run per correct answer.",
    ),
    figure(
        "correct_per_s",
        "correct answers per second",
        "1/s",
        MORE,
        "Correct answers per second of the whole run.",
    ),
    figure(
        "power_mean",
        "mean power",
        "W",
        LESS,
        "Energy over the measured window per second of it, all GPUs.",
    ),
    figure(
        "power_max",
        "highest power",
        "W",
        LESS,
        "Highest sampled power of any GPU inside the measured window.",
    ),
    figure(
        "power_idle",
        "idle power",
        "W",
        None,
        "Mean sampled power of all GPUs before the first request of a trial.",
    ),
    figure(
        "gpu_utilisation",
        "GPU utilisation",
        "%",
        None,
        "Mean of samples inside the measured window over all GPUs; `gpu_utilisation/<uuid>` per GPU.",
    ),
    figure(
        "gpu_memory_max",
        "highest GPU memory",
        "GiB",
        LESS,
        "Highest sampled memory in use of any GPU; `gpu_memory_max/<uuid>` per GPU.",
    ),
    figure(
        "temperature_max",
        "highest GPU temperature",
        "°C",
        LESS,
        "Highest sampled temperature of any GPU.",
    ),
    figure(
        "prefix_cache_hit_rate",
        "prefix cache hit rate",
        "%",
        None,
        "Hits of queries of the prefix cache between the edges of the measured window, by the engine's counters; else cached of prompt tokens by its usage.",
    ),
    figure(
        "spec_acceptance",
        "speculative acceptance",
        "%",
        MORE,
        "Accepted of drafted tokens between the edges of the measured window, by the engine's counters; else the mean of its gauge.",
    ),
    figure(
        "preemptions",
        "preemptions",
        "",
        LESS,
        "Requests that the engine put aside, between the edges of the measured window, by its counter.",
    ),
    figure(
        "kv_cache_usage_max",
        "highest KV cache usage",
        "%",
        None,
        "Highest sampled share of the KV cache in use inside the measured window.",
    ),
    figure(
        "requests_waiting_mean",
        "mean requests waiting",
        "req",
        None,
        "Mean of samples of the engine's queue inside the measured window.",
    ),
    figure(
        "engine_output_throughput",
        "output throughput by the engine",
        "tok/s",
        None,
        "The engine's own counter of output tokens between the edges of the measured window: a cross-check, never a result.",
    ),
    figure(
        "engine_log_throughput",
        "output throughput by the engine's log",
        "tok/s",
        None,
        "Mean of the output rates in the engine's log whose time lies inside the measured window, weighted by that time: a cross-check, never a result.",
    ),
    figure(
        "chunk_throughput",
        "chunk throughput",
        "chunks/s",
        None,
        "Token events of all requests, per second from the first due request to the last byte of the measured phases.",
    ),
    figure(
        "client_cpu_per_chunk",
        "client CPU per chunk",
        "us",
        LESS,
        "CPU time of all of bench in the measured phases, per token event: microseconds each, seconds per million.",
    ),
    figure(
        "client_cpu",
        "client CPU",
        "%",
        LESS,
        "CPU time of the load threads per second and thread in the measured phases.",
    ),
];

/// Returns the catalogue's row of a tag.
///
/// A tag with a suffix after `/` (`gpu_utilisation/GPU-1`, `load_stage/weights`) belongs to the
/// row of the part before it.
pub fn metric(tag: &str) -> Option<&'static Metric> {
    let stem = tag.split_once('/').map_or(tag, |(stem, _)| stem);
    METRICS.iter().find(|metric| metric.tag == stem)
}

/// Returns the catalogue's unit of a tag.
///
/// # Panics
/// If the tag is not in the catalogue, which a test rules out.
pub(crate) fn unit(tag: &str) -> &'static str {
    metric(tag).unwrap_or_else(|| panic!("metric `{tag}` is in the catalogue")).unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_unique_and_definitions_are_sentences() {
        for (i, row) in METRICS.iter().enumerate() {
            assert!(METRICS[..i].iter().all(|other| other.tag != row.tag), "{}", row.tag);
            assert!(row.definition.ends_with('.'), "{}", row.tag);
        }
        assert_eq!(metric("gpu_utilisation/GPU-7").unwrap().tag, "gpu_utilisation");
        assert_eq!(metric("nothing"), None);
    }
}
