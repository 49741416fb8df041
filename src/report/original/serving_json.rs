//! The JSON that `vllm bench serve --save-result --save-detailed` writes, for those who read it.
//!
//! Source: vLLM, `vllm/benchmarks/serve.py`. Left out: gaps between tokens and generated texts,
//! which `bench` keeps in its records.

use serde_json::{Map, Value, json};

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::plan::cell::ArrivalsPlan;
use crate::published::serving::ServingBlock;
use crate::report::input::Input;
use crate::report::original::{Measured, OriginalFile, base_name, started};

/// Latencies by the names of the file.
const LATENCIES: [(&str, MetricId); 4] = [
    ("ttft", MetricId::Ttft),
    ("tpot", MetricId::Tpot),
    ("itl", MetricId::Itl),
    ("e2el", MetricId::E2e),
];

/// Makes one file for each cell.
pub(super) fn files(input: &Input<'_>, measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let date = started(input, "%Y%m%d-%H%M%S");
    let mut files: Vec<OriginalFile> = Vec::new();
    for it in measured {
        let load = Load::of(it);
        let rate = load.rate.map_or_else(|| "inf".to_owned(), |rate| format!("{rate:?}"));
        let streams = load.concurrency.map_or_else(String::new, |n| format!("-concurrency{n}"));
        let (engine, model) = (base_name(&it.launch.engine), base_name(&it.launch.model));
        let stem = format!("{engine}-{rate}qps{streams}-{model}-{date}");
        let n_before = files.iter().filter(|file| file.path.starts_with(&stem)).count();
        let number = if n_before == 0 { String::new() } else { format!("-{}", n_before + 1) };
        let document = Value::Object(document(it, &load, &date));
        let text = serde_json::to_string_pretty(&document).expect("plain data") + "\n";
        files.push(OriginalFile { path: format!("{stem}{number}.json"), text });
    }
    files
}

/// How requests were sent, in the file's terms; a rate that is absent is infinite.
struct Load {
    rate: Option<f64>,
    burstiness: f64,
    concurrency: Option<u32>,
}

impl Load {
    fn of(it: &Measured<'_>) -> Self {
        let mut load = Self { rate: None, burstiness: 1.0, concurrency: None };
        let Some(phase) = it.planned.measured_phases().next() else { return load };
        load.concurrency = phase.max_in_flight;
        match &phase.arrivals {
            ArrivalsPlan::Poisson { rate_per_s } => load.rate = Some(*rate_per_s),
            ArrivalsPlan::Gamma { rate_per_s, burstiness } => {
                load.rate = Some(*rate_per_s);
                load.burstiness = *burstiness;
            }
            // Equal gaps are the limit of a gamma process.
            ArrivalsPlan::Constant { rate_per_s } => {
                load.rate = Some(*rate_per_s);
                load.burstiness = f64::MAX;
            }
            ArrivalsPlan::Closed { concurrency } | ArrivalsPlan::Batch { size: concurrency } => {
                load.concurrency = Some(*concurrency);
            }
            ArrivalsPlan::Ramp { .. } | ArrivalsPlan::Trace { .. } | ArrivalsPlan::AllAtOnce => {}
        }
        load
    }
}

fn document(it: &Measured<'_>, load: &Load, date: &str) -> Map<String, Value> {
    let block = ServingBlock::of(it.cell);
    let mut all = Map::new();
    let mut set = |key: &str, value: Value| drop(all.insert(key.to_owned(), value));
    set("date", json!(date));
    set("endpoint_type", json!("openai"));
    set("backend", json!("openai"));
    set("label", json!(it.launch.engine));
    set("model_id", json!(it.launch.model));
    set("tokenizer_id", json!(it.launch.model));
    set("num_prompts", json!(it.cell.counts.scheduled));
    set("request_rate", load.rate.map_or_else(|| json!("inf"), |rate| json!(rate)));
    set("burstiness", json!(load.burstiness));
    set("max_concurrency", json!(load.concurrency));
    set("duration", json!(block.duration_s));
    set("completed", json!(block.completed));
    set("failed", json!(block.failed));
    let whole = |tokens: Option<f64>| json!(tokens.map(|n| n.round() as u64));
    set("total_input_tokens", whole(block.total_input_tokens));
    set("total_output_tokens", whole(block.total_generated_tokens));
    set("request_throughput", json!(block.request_throughput));
    set("request_goodput", json!(Quantity::figure(MetricId::Goodput).value(it.cell)));
    set("output_throughput", json!(block.output_throughput));
    set("total_token_throughput", json!(block.total_throughput));
    let secs = |ms: Option<f64>| ms.map_or(0.0, |ms| ms / 1e3);
    let requests = it.requests;
    set("input_lens", requests.iter().map(|it| it.prompt_tokens.unwrap_or(0)).collect());
    set("output_lens", requests.iter().map(|it| it.output_tokens.unwrap_or(0)).collect());
    set("ttfts", requests.iter().map(|it| secs(it.ttft_ms)).collect());
    set("latencies", requests.iter().map(|it| secs(it.e2e_ms)).collect());
    let error = |outcome: &str| if outcome == "ok" { "" } else { outcome }.to_owned();
    set("errors", requests.iter().map(|it| error(&it.outcome)).collect());
    for (name, metric) in LATENCIES {
        let found = it.cell.distributions.get(&metric);
        let percentile = |p| Quantity::percentile(metric, p).value(it.cell);
        set(&format!("mean_{name}_ms"), json!(found.and_then(|all| all.mean)));
        set(&format!("median_{name}_ms"), json!(percentile(50.0)));
        set(&format!("std_{name}_ms"), json!(found.and_then(|all| all.std)));
        set(&format!("p99_{name}_ms"), json!(percentile(99.0)));
    }
    all
}
