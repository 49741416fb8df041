//! lm-evaluation-harness's `results_….json`: accuracies by task and filter.

use std::collections::BTreeSet;

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
/// Why a task is no measurement.
const NO_SHARE: &str = "it has none of `exact_match`, `acc` and `acc_norm`";
/// Level of the intervals.
const LEVEL: f64 = 0.95;

/// Reads results of the harness.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let results = document.get("results")?.as_object()?;
    document.get("n-samples").or_else(|| document.get("configs"))?;
    let found: Vec<Measurement> =
        results.iter().filter_map(|(name, task)| task_of(document, name, task).ok()).collect();
    let why = "no task of it has `exact_match`, `acc` or `acc_norm` with a number of samples";
    Some(if found.is_empty() { Err(why.to_owned()) } else { Ok(found) })
}

/// Names the tasks of results of the harness that are no measurement, and why.
pub(super) fn left_out(document: &Value) -> Vec<String> {
    let results = document.get("results").and_then(Value::as_object);
    let why = |(name, task): (&String, &Value)| {
        let why = task_of(document, name, task).err()?;
        Some(format!("task {name}: {why}"))
    };
    results.into_iter().flatten().filter_map(why).collect()
}

/// Returns of how many samples a task is; of a group, the sum over all tasks below it.
fn n_samples(document: &Value, name: &str) -> Result<u64, &'static str> {
    let n_of = |task: &str| {
        let samples = document.get("n-samples")?.get(task)?;
        Some(number(samples, "/effective")? as u64)
    };
    let of_group = || tasks_below(document, name).into_iter().map(n_of).sum::<Option<u64>>();
    let n = n_of(name).or_else(of_group).filter(|n| *n > 0);
    n.ok_or("the file does not say of how many samples it is")
}

/// Returns the tasks of a group, those of the groups in it too, each once.
fn tasks_below<'d>(document: &'d Value, group: &'d str) -> BTreeSet<&'d str> {
    let members = |of: &str| document.get("group_subtasks")?.get(of)?.as_array();
    let (mut tasks, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![group]);
    while let Some(of) = open.pop() {
        if !seen.insert(of) {
            continue;
        }
        match members(of).filter(|members| !members.is_empty()) {
            Some(members) => open.extend(members.iter().filter_map(Value::as_str)),
            None => drop(tasks.insert(of)),
        }
    }
    tasks.remove(group);
    tasks
}

/// Whether a share is one of samples: of a group, whether it is that of all samples below it. Groups
/// can be means of their tasks instead.
fn is_of_samples(document: &Value, name: &str, key: &str, share: &Value) -> bool {
    let below = tasks_below(document, name);
    let Some(share) = share.as_f64().filter(|_| !below.is_empty()) else { return true };
    let correct = |task: &&str| {
        let share = document.get("results")?.get(*task)?.get(key)?.as_f64()?;
        Some(share * n_samples(document, task).ok()? as f64)
    };
    let correct: Option<f64> = below.iter().map(correct).sum();
    let n = n_samples(document, name).unwrap_or(0) as f64;
    // Half a sample is what rounding can make of a count.
    correct.is_some_and(|correct| (correct - share * n).abs() < 0.5)
}

fn task_of(document: &Value, name: &str, task: &Value) -> Result<Measurement, &'static str> {
    let told = task.as_object().ok_or(NO_SHARE)?;
    let is_share = |key: &str| {
        let metric = key.split_once(',').map(|(metric, _)| metric);
        metric.is_some_and(|metric| SHARES.contains(&metric))
    };
    if !told.iter().any(|(key, share)| is_share(key) && share.is_number()) {
        return Err(NO_SHARE);
    }
    let n = n_samples(document, name)?;
    let shares = told.iter().filter(|(key, share)| is_of_samples(document, name, key, share));
    let shares: Map<String, Value> =
        shares.map(|(key, share)| (key.clone(), share.clone())).collect();
    let mut accuracy: Vec<Accuracy> =
        SHARES.iter().flat_map(|it| by_filter(&shares, it, n)).collect();
    // The harness writes its filters in the order of their names; ours come in theirs.
    let rank = |it: &Accuracy| FILTERS.iter().position(|(_, ours)| *ours == it.extractor);
    accuracy.sort_by_key(|it| rank(it).unwrap_or(FILTERS.len()));
    let model = text(document, "/model_name").filter(|name| !name.is_empty());
    if accuracy.is_empty() {
        return Err("it is a mean over its tasks, which is no share of samples");
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
    Ok(found)
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
