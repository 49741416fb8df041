//! llm-d's Benchmark Report: one document for each cell.
//!
//! Source: the schema `v0.2` of llm-d-benchmark (`schema_v0_2.py`).

use serde_json::{Map, Value, json};

use crate::analysis::input::RunFacts;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Summary};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell};
use crate::report::view::utc;

/// Version of the schema.
const VERSION: &str = "0.2";
/// Version of the parts that describe a load.
const LOAD_VERSION: &str = "0.0.1";

/// Renders a document a line, for each cell that was measured; numbers that are INVALID or lower bounds
/// are left out.
pub(crate) fn render(run: &RunFacts, bench: &str, plan: &Plan, summary: &Summary) -> String {
    let planned = plan.cells_by_id();
    let measured = summary.cells.iter().filter(|cell| cell.validity.status.is_measured());
    let document = |cell: &CellSummary| {
        let load = planned.get(&cell.id).and_then(|planned| load(bench, planned, cell));
        let document = json!({
            "version": VERSION,
            "run": {
                "uid": format!("{}/{}", run.name, cell.id),
                "eid": run.name,
                "time": { "start": utc(run.started_unix_ns) },
            },
            "scenario": without_nulls(json!({ "load": load })),
            "results": { "request_performance": { "aggregate": aggregate(cell) } },
        });
        document.to_string() + "\n"
    };
    measured.map(document).collect()
}

fn load(bench: &str, planned: &Cell, cell: &CellSummary) -> Option<Value> {
    // A report without the length of prompts may not tell a load.
    let input = length(cell, MetricId::PromptTokens)?;
    let arrivals = planned.measured_phases().next().map(|phase| &phase.arrivals);
    let (rate, concurrency) = match arrivals {
        Some(ArrivalsPlan::Closed { concurrency }) => (None, Some(*concurrency)),
        Some(
            ArrivalsPlan::Constant { rate_per_s }
            | ArrivalsPlan::Poisson { rate_per_s }
            | ArrivalsPlan::Gamma { rate_per_s, .. },
        ) => (Some(*rate_per_s), None),
        _ => (None, None),
    };
    let standardized = without_nulls(json!({
        "tool": "bench",
        "tool_version": bench,
        "source": "sampled",
        "input_seq_len": input,
        "output_seq_len": length(cell, MetricId::OutputTokens),
        "rate_qps": rate,
        "concurrency": concurrency,
    }));
    Some(json!({
        "metadata": {
            "schema_version": LOAD_VERSION,
            "cfg_id": cell.id,
            "description": cell.name,
        },
        "standardized": standardized,
        "native": { "args": cell.keys },
    }))
}

fn length(cell: &CellSummary, metric: MetricId) -> Option<Value> {
    let found = cell.distributions.get(&metric)?;
    let value = found.mean.filter(|mean| *mean >= 1.0)?;
    let ends = [found.min, found.max].map(|end| end.map(|tokens| tokens as u64));
    Some(without_nulls(
        json!({ "distribution": "other", "value": value, "min": ends[0], "max": ends[1] }),
    ))
}

fn aggregate(cell: &CellSummary) -> Value {
    let counts = &cell.counts;
    let n_cancelled: u64 = counts.cancelled.values().sum();
    let requests = without_nulls(json!({
        "total": counts.scheduled,
        "failures": counts.errors.values().sum::<u64>(),
        "incomplete": n_cancelled,
        "input_length": statistics(cell, MetricId::PromptTokens, "count"),
        "output_length": statistics(cell, MetricId::OutputTokens, "count"),
    }));
    let latency = without_nulls(json!({
        "time_to_first_token": statistics(cell, MetricId::Ttft, "ms"),
        "time_per_output_token": statistics(cell, MetricId::Tpot, "ms/token"),
        "inter_token_latency": statistics(cell, MetricId::Itl, "ms/token"),
        "request_latency": statistics(cell, MetricId::E2e, "ms"),
    }));
    let rate = |metric: MetricId, units: &str| {
        let mean = Quantity::figure(metric).believed(cell)?.value?;
        Some(json!({ "units": units, "mean": mean }))
    };
    let throughput = without_nulls(json!({
        "input_token_rate": rate(MetricId::PromptThroughput, "tokens/s"),
        "output_token_rate": rate(MetricId::OutputThroughput, "tokens/s"),
        "total_token_rate": rate(MetricId::TotalThroughput, "tokens/s"),
        "request_rate": rate(MetricId::RequestThroughput, "queries/s"),
    }));
    json!({ "requests": requests, "latency": latency, "throughput": throughput })
}

fn statistics(cell: &CellSummary, metric: MetricId, units: &str) -> Option<Value> {
    let found = cell.distributions.get(&metric)?;
    // Without a mean there are no statistics: an extreme of times that had no end is none.
    let exact = |quantity: Quantity| quantity.exact(cell)?.value;
    let mut told = Map::from_iter([
        ("units".to_owned(), json!(units)),
        ("mean".to_owned(), json!(exact(Quantity::mean(metric))?)),
        ("stddev".to_owned(), json!(found.std)),
        ("min".to_owned(), json!(found.min)),
        ("max".to_owned(), json!(found.max)),
    ]);
    for at in &found.percentiles {
        let name = format!("p{}", at.p.to_string().replace('.', "p"));
        let statistic = Statistic::Percentile(at.p);
        told.insert(name, json!(exact(Quantity { metric: metric.into(), statistic })));
    }
    Some(without_nulls(Value::Object(told)))
}

/// Takes away members of an object that are `null`: what is absent is not said.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::with_mean;
    use crate::report::tests::sample_run;

    #[test]
    fn a_measured_cell_is_a_document() {
        let text =
            sample_run::with_input(|input| render(input.run, "0.1.0", input.plan, input.summary));
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&first).unwrap());
    }

    /// What the published schema asks for, and that it knows no other members: `Load`,
    /// `LoadStandardized`, `Statistics`, `AggregateRequests`, `AggregateLatency`,
    /// `AggregateThroughput` of `br_v0_2_json_schema.json` and `schema_v0_2.py`
    /// (llm-d/llm-d-benchmark at 8bc9f1d). Documents of this function were held against both.
    #[test]
    fn documents_have_what_the_schema_requires_and_nothing_that_it_does_not_know() {
        let text = sample_run::with_input(|input| {
            let mut summary = input.summary.clone();
            let lengths = |cell| with_mean(cell, MetricId::PromptTokens, 64.0);
            summary.cells = summary.cells.into_iter().map(lengths).collect();
            render(input.run, "0.1.0", input.plan, &summary)
        });
        let statistics = [
            "units", "mean", "mode", "stddev", "min", "p0p1", "p1", "p5", "p10", "p25", "p50",
            "p75", "p90", "p95", "p99", "p99p9", "max",
        ];
        let members = |value: &Value, required: &[&str], known: &[&str], at: &str| {
            let members = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
            for name in required {
                assert!(members.contains_key(*name), "{at} has no {name}");
            }
            for name in members.keys() {
                assert!(required.contains(&&**name) || known.contains(&&**name), "{at}/{name}");
            }
        };
        let units = |value: &Value, name: &str, allowed: &[&str]| {
            let Some(told) = value.get(name) else { return };
            members(told, &["units", "mean"], &statistics, name);
            assert!(allowed.contains(&told["units"].as_str().unwrap()), "{name}: {told}");
        };
        let mut n_loads = 0;
        for line in text.lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            members(&document, &["version", "run", "results"], &["scenario"], "");
            assert_eq!(document["version"], "0.2");
            members(&document["run"], &["uid", "time"], &["eid"], "run");
            if let Some(load) = document["scenario"].get("load") {
                n_loads += 1;
                members(load, &["metadata", "standardized", "native"], &[], "load");
                let required = ["tool", "tool_version", "source", "input_seq_len"];
                let known = ["output_seq_len", "rate_qps", "concurrency"];
                members(&load["standardized"], &required, &known, "standardized");
                let length = &load["standardized"]["input_seq_len"];
                members(length, &["distribution", "value"], &["min", "max"], "input_seq_len");
                assert!(length["value"].as_f64().unwrap() >= 1.0, "{length}");
            }
            let aggregate = &document["results"]["request_performance"]["aggregate"];
            members(aggregate, &[], &["requests", "latency", "throughput"], "aggregate");
            let known = ["failures", "incomplete", "input_length", "output_length"];
            members(&aggregate["requests"], &["total"], &known, "requests");
            let [requests, latency, throughput] =
                ["requests", "latency", "throughput"].map(|part| &aggregate[part]);
            for length in ["input_length", "output_length"] {
                units(requests, length, &["count"]);
            }
            let known = [
                ("time_to_first_token", &["ms", "s", "us"][..]),
                ("time_per_output_token", &["ms/token", "s/token"]),
                ("inter_token_latency", &["ms/token", "s/token"]),
                ("request_latency", &["ms", "s", "us"]),
            ];
            members(latency, &[], &known.map(|(name, _)| name), "latency");
            for (name, allowed) in known {
                units(latency, name, allowed);
            }
            let rates =
                ["input_token_rate", "output_token_rate", "total_token_rate", "request_rate"];
            members(throughput, &[], &rates, "throughput");
            for rate in &rates[..3] {
                units(throughput, rate, &["tokens/s"]);
            }
            units(throughput, "request_rate", &["queries/s"]);
        }
        assert!(n_loads > 0, "a load is told: {text}");
    }
}
