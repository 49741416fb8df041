//! AIPerf's `profile_export_aiperf.json`: one load.

use serde_json::Value;

use crate::importers::measurement::{Load, Measurement, count, load_words, number, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Statistic;

/// Reads an export of AIPerf.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let version = text(document, "/aiperf_version")?;
    Some(profile(document, version))
}

/// What says how the requests were made, below `input_config`.
const ASKED: [&str; 6] =
    ["datasets", "input", "tokenizer", "endpoint/type", "endpoint/streaming", "endpoint/extra"];

fn profile(document: &Value, version: String) -> Result<Vec<Measurement>, String> {
    let metric = |name: &str, of: &str| number(document, &format!("/{name}/{of}"));
    let n_ok = count(document, "/request_count/avg");
    let model = text(document, "/input_config/models/items/0/name");
    let mut found = Measurement {
        version: Some(version),
        model: model.or_else(|| text(document, "/input_config/endpoint/model_names/0")),
        n_ok,
        failure: match document.get("was_cancelled").and_then(Value::as_bool) {
            Some(true) => Some("it was cancelled before its end"),
            _ => (n_ok == 0).then_some("no request of it was complete"),
        },
        n_failed: count(document, "/error_request_count/avg"),
        prompt_tokens_by: "the client's tokenizer, before a chat template, unless AIPerf is told to \
                           take the server's count",
        tokens: ["input_sequence_length", "output_sequence_length"].map(|name| metric(name, "avg")),
        ..Measurement::default()
    };
    // Warm-ups are phases as well; the load is that of the one that counts.
    let phases = document.pointer("/input_config/phases").and_then(Value::as_array);
    let profiling = phases.and_then(|phases| {
        phases.iter().find(|it| text(it, "/name").as_deref() == Some("profiling"))
    });
    if let Some(phase) = profiling {
        load(&mut found, phase);
    }
    for name in ASKED {
        found.configured(name, document.pointer(&format!("/input_config/{name}")));
    }
    let latencies = [
        (MetricId::Ttft, "time_to_first_token"),
        // (E2E - TTFT) / (output tokens - 1): of a request, as TPOT is.
        (MetricId::Tpot, "inter_token_latency"),
        (MetricId::E2e, "request_latency"),
    ];
    for (id, name) in latencies {
        let millis = millis(document, name, 1.0)?;
        found.latency(id, |statistic| {
            let value = match statistic {
                Statistic::Mean => metric(name, "avg"),
                Statistic::Percentile(p) => metric(name, &format!("p{p}")),
                Statistic::Value => None,
            };
            value.map(|value| value * millis)
        });
    }
    let rates = [
        (MetricId::RequestThroughputWhole, "request_throughput"),
        (MetricId::OutputThroughputWhole, "output_token_throughput"),
        (MetricId::TotalThroughputWhole, "total_token_throughput"),
    ];
    for (id, name) in rates {
        let millis = millis(document, name, 1e3)?;
        found.figure(id, metric(name, "avg").map(|value| value * 1e3 / millis));
    }
    Ok(vec![found])
}

/// Sets the load by the phase that counts. A smoothness is what vLLM calls burstiness.
fn load(found: &mut Measurement, phase: &Value) {
    let rate = number(phase, "/rate").or_else(|| number(phase, "/request_rate"));
    let concurrency = number(phase, "/concurrency");
    match text(phase, "/type").as_deref() {
        Some("constant") => found.load_by(concurrency, rate, f64::INFINITY),
        Some("gamma") => {
            found.load_by(concurrency, rate, number(phase, "/smoothness").unwrap_or(1.0));
        }
        None | Some("concurrency" | "poisson") => found.load_by(concurrency, rate, 1.0),
        Some(other) => {
            found.load = Load::Other(load_words(other, phase, &["requests"]));
        }
    }
    found.configured("prefill_concurrency", phase.get("prefill_concurrency"));
}

/// Returns the milliseconds of the unit of time that a metric is told in, or per unit of; `usual` where
/// it says none.
fn millis(document: &Value, name: &str, usual: f64) -> Result<f64, String> {
    let Some(unit) = text(document, &format!("/{name}/unit")) else { return Ok(usual) };
    match unit.rsplit('/').next() {
        Some("ns") => Ok(1e-6),
        Some("us") => Ok(1e-3),
        Some("ms") => Ok(1.0),
        Some("sec" | "s") => Ok(1e3),
        Some("min") => Ok(60e3),
        Some(_) | None => Err(format!("its `{name}` is in `{unit}`, a unit that is not known")),
    }
}
