//! `llama-bench -o json` and `-o jsonl`: one object for each test.

use serde_json::Value;

use crate::importers::measurement::{Load, Measurement, count, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::plan::cell::ArrivalsPlan;

/// Members that say nothing of the configuration, by how they begin: what was found, when, and what
/// goes with the model.
const FOUND: [&str; 6] = ["samples_", "avg_", "stddev_", "test_time", "n_prompt", "model_"];

/// Reads tests that generate; those that only read a prompt measure nothing that a served engine
/// shows by itself.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let tests = document.as_array().map_or(std::slice::from_ref(document), Vec::as_slice);
    tests.first()?.get("samples_ts")?;
    Some(Ok(tests.iter().filter_map(test).collect()))
}

fn test(it: &Value) -> Option<Measurement> {
    let (n_prompt, n_gen) = (count(it, "/n_prompt"), count(it, "/n_gen"));
    if n_prompt > 0 || n_gen == 0 {
        return None;
    }
    let rates = it.get("samples_ts")?.as_array()?.iter().filter_map(Value::as_f64);
    let millis: Vec<f64> = rates.filter(|rate| *rate > 0.0).map(|rate| 1e3 / rate).collect();
    let model = text(it, "/model_filename")?;
    let file = model.rsplit(['/', '\\']).next().unwrap_or(&model);
    let mut found = Measurement {
        version: it.get("build_number").and_then(Value::as_u64).map(|build| format!("b{build}")),
        model: Some(file.to_owned()),
        load: Load::Phase(ArrivalsPlan::Closed { concurrency: 1 }, None),
        n_ok: millis.len() as u64,
        tokens: [None, Some(n_gen as f64)],
        values: [(Quantity::mean(MetricId::Tpot), millis)].into(),
        ..Measurement::default()
    };
    for (name, value) in it.as_object()? {
        if !FOUND.iter().any(|found| name.starts_with(found)) {
            found.configured(name, Some(value));
        }
    }
    Some(found)
}
