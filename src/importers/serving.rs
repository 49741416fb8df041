//! `vllm bench serve` and SGLang's `bench_serving`, which write one flat object for each load.

use serde_json::Value;

use crate::importers::measurement::{AS_ASKED, Load, Measurement, count, number, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Statistic;

/// Names in which the two differ.
struct Names {
    e2e: &'static str,
    total_throughput: &'static str,
    model: &'static str,
    /// Which numbers among the members are settings. Texts and switches are, what people add with
    /// `--metadata` too, but for [`NOT_ASKED`].
    is_setting: fn(&str) -> bool,
}

const NOT_ASKED: [&str; 3] = ["date", "model_id", "request_rate"];
/// Numbers among SGLang's members that were asked for.
const ASKED_OF_SGLANG: [&str; 4] =
    ["sharegpt_output_len", "random_input_len", "random_output_len", "random_range_ratio"];
/// Numbers among vLLM's members that were found, or that say the load, beside those of [`is_found`].
/// `vllm bench sweep` adds all that it varies of the server and of the client to them.
const FOUND_BY_VLLM: [&str; 9] = [
    "completed",
    "failed",
    "duration",
    "rtfx",
    "run_number",
    "num_prompts",
    "request_rate",
    "burstiness",
    "max_concurrency",
];
/// How SGLang's server was configured, of the hundreds of members that it tells.
const OF_SERVER: [&str; 13] = [
    "version",
    "tp_size",
    "pp_size",
    "dp_size",
    "ep_size",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "attention_backend",
    "speculative_algorithm",
    "chunked_prefill_size",
    "max_running_requests",
    "disable_radix_cache",
];

/// Reads what `vllm bench serve --save-result` wrote.
pub(super) fn vllm(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    document.get("model_id")?;
    // Older versions and their kin tell no burstiness: their arrivals are Poisson's.
    document.get("completed")?;
    // `vllm bench sweep serve` numbers runs from 0, but for this one.
    if document.get("run_number").and_then(Value::as_i64) == Some(-1) {
        return Some(Err("it is the warm-up of a sweep".to_owned()));
    }
    let names = Names {
        e2e: "e2el",
        total_throughput: "/total_token_throughput",
        model: "/model_id",
        is_setting: |name| !is_found(name) && !FOUND_BY_VLLM.contains(&name),
    };
    let mut found = flat(document, &names);
    // The client in Rust counts what it sends and is the one that looks for a steady state; that in
    // Python takes the usage, and did not always.
    found.prompt_tokens_by = match document.get("steady_state") {
        Some(_) => AS_ASKED,
        None => "the engine's usage, or the client's tokenizer in older versions",
    };
    Some(Ok(vec![found]))
}

/// Reads a line of what SGLang's client wrote.
pub(super) fn sglang(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    document.get("sharegpt_output_len").or_else(|| document.get("random_range_ratio"))?;
    let names = Names {
        e2e: "e2e_latency",
        total_throughput: "/total_throughput",
        model: "/server_info/model_path",
        is_setting: |name| ASKED_OF_SGLANG.contains(&name),
    };
    let mut found = flat(document, &names);
    found.prompt_tokens_by = AS_ASKED;
    for name in OF_SERVER {
        found.configured(name, document.pointer(&format!("/server_info/{name}")));
    }
    Some(Ok(vec![found]))
}

/// Whether a member of vLLM's is by its name a result.
fn is_found(name: &str) -> bool {
    let begins = ["total_", "max_concurrent_", "max_output_tokens_per_s", "spec_decode_"];
    let has = ["throughput", "goodput"];
    name.ends_with("_ms")
        || begins.iter().any(|start| name.starts_with(start))
        || has.iter().any(|part| name.contains(part))
}

fn flat(document: &Value, names: &Names) -> Measurement {
    let n_ok = count(document, "/completed");
    let n_asked = count(document, "/num_prompts");
    // SGLang tells an error for each request, which is empty where there was none.
    let errors = document.get("errors").and_then(Value::as_array).map(|errors| {
        let is_error = |it: &&Value| it.as_str().is_some_and(|text| !text.is_empty());
        errors.iter().filter(is_error).count() as u64
    });
    let n_failed = document.get("failed").and_then(Value::as_u64).or(errors);
    let n_failed = n_failed.unwrap_or(n_asked.saturating_sub(n_ok));
    let per_request = |pointer| {
        let total = number(document, pointer).filter(|_| n_ok > 0)?;
        Some(total / n_ok as f64)
    };
    let mut found = Measurement {
        model: text(document, names.model),
        n_ok,
        n_failed,
        tokens: ["/total_input_tokens", "/total_output_tokens"].map(per_request),
        failure: (n_ok == 0).then_some("no request of it was complete"),
        ..Measurement::default()
    };
    // `inf` is written as a text, or became null: no rate.
    let rate =
        number(document, "/request_rate").or_else(|| text(document, "/request_rate")?.parse().ok());
    let burst = number(document, "/burstiness").unwrap_or(1.0);
    found.load_by(number(document, "/max_concurrency"), rate, burst);
    let cap = number(document, "/max_concurrency");
    let capped = cap.map_or_else(String::new, |cap| format!(", at most {cap} at once"));
    if let Some(strategy) = text(document, "/ramp_up_strategy") {
        let end = |name: &str| {
            let end = number(document, &format!("/ramp_up_{name}_rps"));
            end.map_or_else(|| "?".to_owned(), |rate| rate.to_string())
        };
        let ends = format!("{} to {} req/s", end("start"), end("end"));
        found.load = Load::Other(format!("{strategy} ramp from {ends}{capped}"));
    } else if text(document, "/request_rate").is_some_and(|it| it == "trace") {
        found.load = Load::Other(format!("trace{capped}"));
    }
    for (name, value) in document.as_object().into_iter().flatten() {
        let is_word = value.is_string() || value.is_boolean();
        let is_word = is_word && !NOT_ASKED.contains(&name.as_str());
        if is_word || (value.is_number() && (names.is_setting)(name)) {
            found.configured(name, Some(value));
        }
    }
    for (metric, tag) in
        [(MetricId::Ttft, "ttft"), (MetricId::Tpot, "tpot"), (MetricId::E2e, names.e2e)]
    {
        found.latency(metric, |statistic| {
            let of = match statistic {
                Statistic::Mean => "mean".to_owned(),
                Statistic::Percentile(p) if (p - 50.0).abs() < 1e-9 => "median".to_owned(),
                Statistic::Percentile(p) => format!("p{p}"),
                Statistic::Value => return None,
            };
            number(document, &format!("/{of}_{tag}_ms"))
        });
    }
    found.figure(MetricId::RequestThroughputWhole, number(document, "/request_throughput"));
    found.figure(MetricId::OutputThroughputWhole, number(document, "/output_throughput"));
    found.figure(MetricId::TotalThroughputWhole, number(document, names.total_throughput));
    found
}
