//! `llama-bench -o json` and `-o jsonl`: one object for each test.

use serde_json::Value;

use crate::importers::measurement::{Load, Measurement, count, text};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::plan::cell::ArrivalsPlan;

/// Members that say nothing of the configuration, by how they begin: what was found, when, and what
/// goes with the model.
const FOUND: [&str; 7] =
    ["samples_", "avg_", "stddev_", "test_time", "n_prompt", "n_gen", "model_"];

/// Reads a test: one that reads a prompt gives a rate of its tokens, one that generates a time per
/// token, and one that does both a rate of all.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    document.get("samples_ts")?;
    Some(Ok(test(document).into_iter().collect()))
}

fn test(it: &Value) -> Option<Measurement> {
    let (n_prompt, n_gen) = (count(it, "/n_prompt"), count(it, "/n_gen"));
    let rates = it.get("samples_ts")?.as_array()?.iter().filter_map(Value::as_f64);
    let rates: Vec<f64> = rates.filter(|rate| *rate > 0.0).collect();
    let n_ok = rates.len() as u64;
    let (quantity, values) = match (n_prompt > 0, n_gen > 0) {
        (false, true) => {
            let millis = rates.into_iter().map(|rate| 1e3 / rate).collect();
            (Quantity::mean(MetricId::Tpot), millis)
        }
        (true, false) => (Quantity::figure(MetricId::PromptThroughput), rates),
        (true, true) => (Quantity::figure(MetricId::TotalThroughput), rates),
        (false, false) => return None,
    };
    let tokens = [n_prompt, n_gen].map(|n| (n > 0).then_some(n as f64));
    let model = text(it, "/model_filename")?;
    let file = model.rsplit(['/', '\\']).next().unwrap_or(&model);
    let mut found = Measurement {
        version: it.get("build_number").and_then(Value::as_u64).map(|build| format!("b{build}")),
        model: Some(file.to_owned()),
        prompt_tokens_by: "what was asked for",
        load: Load::Phase(ArrivalsPlan::Closed { concurrency: 1 }, None),
        n_ok,
        tokens,
        values: [(quantity, values)].into(),
        ..Measurement::default()
    };
    // As its own table names them: `pp512`, `tg128`, `pp512+tg128`.
    let parts = [("pp", n_prompt), ("tg", n_gen)].into_iter().filter(|(_, n)| *n > 0);
    let parts: Vec<String> = parts.map(|(name, n)| format!("{name}{n}")).collect();
    found.configured("test", Some(&Value::from(parts.join("+"))));
    for (name, value) in it.as_object()? {
        if !FOUND.iter().any(|found| name.starts_with(found)) {
            found.configured(name, Some(value));
        }
    }
    Some(found)
}
