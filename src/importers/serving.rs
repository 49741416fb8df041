//! `vllm bench serve` and SGLang's `bench_serving`, which write one flat object for each load.

use serde_json::Value;

use crate::importers::measurement::{Measurement, count, number, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Statistic;

/// Names in which the two differ.
struct Names {
    e2e: &'static str,
    total_throughput: &'static str,
    model: &'static str,
}

/// Reads what `vllm bench serve --save-result` wrote.
pub(super) fn vllm(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    document.get("model_id")?;
    document.get("burstiness")?;
    let names =
        Names { e2e: "e2el", total_throughput: "/total_token_throughput", model: "/model_id" };
    Some(flat(document, &names))
}

/// Reads a line of what SGLang's client wrote.
pub(super) fn sglang(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    document.get("sharegpt_output_len").or_else(|| document.get("random_range_ratio"))?;
    let names = Names {
        e2e: "e2e_latency",
        total_throughput: "/total_throughput",
        model: "/server_info/model_path",
    };
    Some(flat(document, &names))
}

fn flat(document: &Value, names: &Names) -> Result<Vec<Measurement>, String> {
    let n_ok = count(document, "/completed");
    if n_ok == 0 {
        return Err("no request of it was complete".to_owned());
    }
    let per_request = |pointer| Some(number(document, pointer)? / n_ok as f64);
    let mut found = Measurement {
        model: text(document, names.model),
        n_ok,
        n_failed: count(document, "/failed"),
        tokens: ["/total_input_tokens", "/total_output_tokens"].map(per_request),
        ..Measurement::default()
    };
    // `inf` is written as a text, or became null: no rate.
    let rate = number(document, "/request_rate");
    let burst = number(document, "/burstiness").unwrap_or(1.0);
    found.load_by(number(document, "/max_concurrency"), rate, burst);
    if document.get("ramp_up_strategy").is_some_and(Value::is_string)
        || text(document, "/request_rate").is_some_and(|it| it == "trace")
    {
        found.arrivals = None;
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
    Ok(vec![found])
}
