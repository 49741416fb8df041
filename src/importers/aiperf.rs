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
/// What makes one load another within its kind, of a phase and of `loadgen`.
const OF_LOAD: [&str; 5] = [
    "prefill_concurrency",
    "concurrency_ramp",
    "rate_ramp",
    "concurrency_ramp_duration",
    "request_rate_ramp_duration",
];

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
    if let Some(asked) = document.pointer("/input_config") {
        load(&mut found, asked);
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

/// Sets the load by the phase that counts, or by `loadgen`, which is what versions below 0.9 have.
/// Warm-ups are phases as well.
fn load(found: &mut Measurement, asked: &Value) {
    let is_profiling = |phase: &&Value| {
        let kind = text(phase, "/kind").or_else(|| text(phase, "/name"));
        kind.as_deref() == Some("profiling")
    };
    let phases = asked.get("phases").and_then(Value::as_array);
    let mut profiling = phases.into_iter().flatten().filter(is_profiling);
    let asked = match (profiling.next(), profiling.next()) {
        (Some(phase), None) => {
            by_phase(found, phase);
            phase
        }
        // Numbers of several phases are of no one load.
        (Some(_), Some(_)) => return,
        (None, _) => {
            let Some(loadgen) = asked.get("loadgen") else { return };
            let is_scheduled = asked.pointer("/input/fixed_schedule") == Some(&Value::Bool(true));
            by_loadgen(found, loadgen, is_scheduled);
            loadgen
        }
    };
    for name in OF_LOAD {
        found.configured(name, asked.get(name));
    }
}

/// Sets the load by a phase, of which a file tells what was said alone. A smoothness is what vLLM calls
/// burstiness.
fn by_phase(found: &mut Measurement, phase: &Value) {
    let rate = number(phase, "/rate").or_else(|| number(phase, "/request_rate"));
    let concurrency = number(phase, "/concurrency");
    let burst = match text(phase, "/type").as_deref() {
        None | Some("concurrency") if rate.is_none() => {
            return found.load_by(concurrency.or(Some(1.0)), None, 1.0);
        }
        None | Some("poisson") => 1.0,
        Some("constant") => f64::INFINITY,
        Some("gamma") => number(phase, "/smoothness").unwrap_or(1.0),
        Some(other) => {
            found.load = Load::Other(load_words(other, phase, &["requests"]));
            return;
        }
    };
    if rate.is_some() {
        found.load_by(concurrency, rate, burst);
    } else {
        found.configured("rate_series", phase.get("rate_series"));
        found.load = Load::Other(load_words("rate series", phase, &["requests"]));
    }
}

/// Sets the load by the options of older versions, which set what decides where nobody said it.
fn by_loadgen(found: &mut Measurement, loadgen: &Value, is_scheduled: bool) {
    let rate = number(loadgen, "/request_rate");
    let concurrency = number(loadgen, "/concurrency");
    let pattern = text(loadgen, "/arrival_pattern").or_else(|| text(loadgen, "/request_rate_mode"));
    let words = |kind: &str| {
        let of_load = [
            "concurrency",
            "prefill_concurrency",
            "request_rate",
            "user_centric_rate",
            "num_users",
        ];
        let asked = of_load.iter().filter_map(|name| Some((*name, loadgen.get(*name)?.clone())));
        Load::Other(load_words(kind, &asked.collect(), &[]))
    };
    if is_scheduled {
        found.load = words("fixed_schedule");
    } else if loadgen.get("user_centric_rate").is_some_and(Value::is_number) {
        found.load = words("user_centric");
    } else if rate.is_some() {
        let smoothness = number(loadgen, "/arrival_smoothness");
        match pattern.as_deref() {
            Some("constant") => found.load_by(concurrency, rate, f64::INFINITY),
            None | Some("poisson" | "gamma") => {
                found.load_by(concurrency, rate, smoothness.unwrap_or(1.0));
            }
            Some(other) => found.load = words(other),
        }
    } else if concurrency.is_some() {
        found.load_by(concurrency, None, 1.0);
    } else if loadgen.get("prefill_concurrency").is_some_and(Value::is_number) {
        found.load = words("prefill");
    }
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
