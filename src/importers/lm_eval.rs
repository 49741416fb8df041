//! lm-evaluation-harness's `results_….json`: accuracies by task and filter.

use serde_json::{Map, Value};

use crate::importers::measurement::{Measurement, number, text};
use crate::score::Accuracy;
use crate::stats::interval::Interval;
use crate::stats::proportion::wilson;

/// Metrics of the harness that are shares of right answers, the likeliest first.
const SHARES: [&str; 3] = ["exact_match", "acc", "acc_norm"];
/// Its filters of GSM8K, and our extractors that find the same.
const FILTERS: [(&str, &str); 2] = [("strict-match", "strict"), ("flexible-extract", "flexible")];
/// How it calls a metric without a filter.
const NO_FILTER: &str = "none";
/// How a model was loaded, of the arguments of the harness; others hold addresses and keys.
const OF_MODEL: [&str; 8] = [
    "pretrained",
    "revision",
    "dtype",
    "peft",
    "quantization",
    "load_in_4bit",
    "load_in_8bit",
    "enable_thinking",
];
/// Level of the intervals.
const LEVEL: f64 = 0.95;

/// Reads results of the harness.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let results = document.get("results")?.as_object()?;
    document.get("n-samples").or_else(|| document.get("configs"))?;
    let found: Vec<Measurement> =
        results.iter().filter_map(|(name, task)| task_of(document, name, task)).collect();
    let why = "no task of it has `exact_match`, `acc` or `acc_norm` with a number of samples";
    Some(if found.is_empty() { Err(why.to_owned()) } else { Ok(found) })
}

fn task_of(document: &Value, name: &str, task: &Value) -> Option<Measurement> {
    let samples = document.get("n-samples")?.get(name)?;
    let n = number(samples, "/effective")? as u64;
    let shares = task.as_object()?;
    let mut accuracy: Vec<Accuracy> =
        SHARES.iter().flat_map(|it| by_filter(shares, it, n)).collect();
    // The harness writes its filters in the order of their names; ours come in theirs.
    let rank = |it: &Accuracy| FILTERS.iter().position(|(_, ours)| *ours == it.extractor);
    accuracy.sort_by_key(|it| rank(it).unwrap_or(FILTERS.len()));
    let model = text(document, "/model_name").filter(|name| !name.is_empty());
    if accuracy.is_empty() {
        return None;
    }
    let mut found = Measurement {
        version: text(document, "/lm_eval_version"),
        model: model.or_else(|| text(document, "/config/model")),
        keys: [("task".to_owned(), name.to_owned())].into_iter().collect(),
        n_ok: n,
        accuracy,
        ..Measurement::default()
    };
    let of_task = |of: &str| document.get(of).and_then(|it| it.get(name));
    found.configured("shots", of_task("n-shot"));
    found.configured("samples", Some(&Value::from(n)));
    found.configured("version", of_task("versions"));
    found.configured("generation", of_task("configs").and_then(|it| it.get("generation_kwargs")));
    found.configured("generation", document.pointer("/config/gen_kwargs"));
    for name in ["chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn"] {
        found.configured(name, document.get(name));
    }
    let model_args = document.pointer("/config/model_args");
    for name in OF_MODEL {
        let in_text = || text_arg(model_args?.as_str()?, name);
        let value = model_args.and_then(|it| it.get(name)).cloned().or_else(in_text);
        found.configured(name, value.as_ref());
    }
    Some(found)
}

/// Returns an argument of `pretrained=…,dtype=…`.
fn text_arg(args: &str, name: &str) -> Option<Value> {
    let mut pairs = args.split(',').filter_map(|arg| arg.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| Value::from(value))
}

/// Returns the accuracy of each filter of a metric, written as `exact_match,strict-match`.
fn by_filter<'a>(
    shares: &'a Map<String, Value>,
    metric: &'a str,
    n: u64,
) -> impl Iterator<Item = Accuracy> + 'a {
    shares.iter().filter_map(move |(key, share)| {
        let (of, filter) = key.split_once(',')?;
        let share = share.as_f64().filter(|_| of == metric)?;
        let ours = FILTERS.iter().find(|(theirs, _)| *theirs == filter);
        let named =
            ours.map_or(if filter == NO_FILTER { metric } else { filter }, |(_, ours)| ours);
        let correct = (share * n as f64).round() as u64;
        Some(Accuracy {
            extractor: named.to_owned(),
            n,
            correct,
            wrong: n.saturating_sub(correct),
            share: Some(share),
            interval: wilson(correct, n, LEVEL).map(Interval::ends),
            ..Accuracy::default()
        })
    })
}
