//! GuideLLM's `benchmarks.json`: one benchmark for each load.

use serde_json::Value;

use crate::importers::measurement::{
    AS_ASKED, BY_USAGE, Load, Measurement, count, load_words, number, text,
};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Statistic;

/// Reads a report of GuideLLM.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let version = text(document, "/metadata/guidellm_version")?;
    let benchmarks = document.get("benchmarks")?.as_array()?;
    let data = document.pointer("/config/spec/data");
    let of = |it| {
        let mut found = benchmark(it, &version);
        found.configured("data", data);
        found
    };
    Some(Ok(benchmarks.iter().map(of).collect()))
}

fn benchmark(it: &Value, version: &str) -> Measurement {
    let metric = |name: &str, of: &str| number(it, &format!("/metrics/{name}/successful/{of}"));
    let mut found = Measurement {
        version: Some(version.to_owned()),
        model: text(it, "/config/backend/model"),
        n_ok: count(it, "/metrics/request_totals/successful"),
        n_failed: count(it, "/metrics/request_totals/errored"),
        prompt_tokens_by: match it.pointer("/config/prefer_response_metrics") {
            Some(Value::Bool(false)) => AS_ASKED,
            _ => BY_USAGE,
        },
        tokens: ["prompt_token_count", "output_token_count"].map(|name| metric(name, "mean")),
        ..Measurement::default()
    };
    for name in ["request_format", "stream", "max_tokens", "extras"] {
        found.configured(name, it.pointer(&format!("/config/backend/{name}")));
    }
    let of_strategy = |key: &str| number(it, &format!("/config/strategy/{key}"));
    let cap = of_strategy("max_concurrency");
    match text(it, "/config/strategy/type_").as_deref() {
        Some("concurrent") => found.load_by(of_strategy("streams"), None, 1.0),
        Some("synchronous") => found.load_by(Some(1.0), None, 1.0),
        Some("poisson") => found.load_by(cap, of_strategy("rate"), 1.0),
        Some("constant") => found.load_by(cap, of_strategy("rate"), f64::INFINITY),
        Some("throughput") => {
            found.load_by(cap, None, 1.0);
            // How many it sends in a time is a result; how many it was told to send is the load.
            let limits = it.pointer("/config/constraints").and_then(Value::as_object);
            let limits = limits.filter(|it| cap.is_none() && !it.contains_key("max_requests"));
            if let Some(limits) = limits.filter(|it| !it.is_empty()) {
                let told = limits
                    .iter()
                    .map(|(name, limit)| load_words(name, limit.get("args").unwrap_or(limit), &[]));
                let told: Vec<String> = told.collect();
                found.load = Load::Other(format!("all at once: {}", told.join(", ")));
            }
        }
        Some(other) => {
            let strategy = it.pointer("/config/strategy").unwrap_or(&Value::Null);
            found.load = Load::Other(load_words(other, strategy, &["worker_count"]));
        }
        None => {}
    }
    // Its time per output token counts the first one too; ITL is (last - first) over the rest.
    let latencies = [
        (MetricId::Ttft, "time_to_first_token_ms", 1.0),
        (MetricId::Tpot, "inter_token_latency_ms", 1.0),
        (MetricId::E2e, "request_latency", 1e3),
    ];
    for (id, name, millis) in latencies {
        found.latency(id, |statistic| {
            let value = match statistic {
                Statistic::Mean => metric(name, "mean"),
                Statistic::Percentile(p) => metric(name, &format!("percentiles/p{p}")),
                Statistic::Value => None,
            };
            value.map(|value| value * millis)
        });
    }
    found.figure(MetricId::RequestThroughputWhole, metric("requests_per_second", "mean"));
    found.figure(MetricId::OutputThroughputWhole, metric("output_tokens_per_second", "mean"));
    found.figure(MetricId::TotalThroughputWhole, metric("tokens_per_second", "mean"));
    found
}
