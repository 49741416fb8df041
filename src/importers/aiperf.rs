//! AIPerf's `profile_export_aiperf.json`: one load.

use serde_json::Value;

use crate::importers::measurement::{Measurement, count, number, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Statistic;

/// Reads an export of AIPerf.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let version = text(document, "/aiperf_version")?;
    Some(profile(document, version))
}

fn profile(document: &Value, version: String) -> Result<Vec<Measurement>, String> {
    let metric = |name: &str, of: &str| number(document, &format!("/{name}/{of}"));
    let n_ok = count(document, "/request_count/avg");
    if n_ok == 0 {
        return Err("no request of it was complete".to_owned());
    }
    let mut found = Measurement {
        version: Some(version),
        model: text(document, "/input_config/models/items/0/name"),
        n_ok,
        n_failed: count(document, "/error_request_count/avg"),
        tokens: ["input_sequence_length", "output_sequence_length"].map(|name| metric(name, "avg")),
        ..Measurement::default()
    };
    // Warm-ups are phases as well; the load is that of the one that counts.
    let phases = document.pointer("/input_config/phases").and_then(Value::as_array);
    let profiling = phases.and_then(|phases| {
        phases.iter().find(|it| text(it, "/name").as_deref() == Some("profiling"))
    });
    if let Some(phase) = profiling {
        let rate = number(phase, "/rate").or_else(|| number(phase, "/request_rate"));
        let is_constant = text(phase, "/type").is_some_and(|it| it == "constant");
        let burst = if is_constant { f64::INFINITY } else { 1.0 };
        found.load_by(number(phase, "/concurrency"), rate, burst);
    }
    let latencies = [
        (MetricId::Ttft, "time_to_first_token"),
        // (E2E - TTFT) / (output tokens - 1): of a request, as TPOT is.
        (MetricId::Tpot, "inter_token_latency"),
        (MetricId::E2e, "request_latency"),
    ];
    for (id, name) in latencies {
        found.latency(id, |statistic| match statistic {
            Statistic::Mean => metric(name, "avg"),
            Statistic::Percentile(p) => metric(name, &format!("p{p}")),
            Statistic::Value => None,
        });
    }
    found.figure(MetricId::RequestThroughputWhole, metric("request_throughput", "avg"));
    found.figure(MetricId::OutputThroughputWhole, metric("output_token_throughput", "avg"));
    found.figure(MetricId::TotalThroughputWhole, metric("total_token_throughput", "avg"));
    Ok(vec![found])
}
