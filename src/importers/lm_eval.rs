//! lm-evaluation-harness's `results_….json`: accuracies by task and filter.

use serde_json::{Map, Value};

use crate::importers::measurement::{Measurement, number, text};
use crate::score::Accuracy;
use crate::stats::interval::Interval;
use crate::stats::proportion::wilson;

/// Metrics of the harness that are shares of right answers, the likeliest first.
const SHARES: [&str; 2] = ["exact_match", "acc"];
/// Its filters of GSM8K, and our extractors that find the same.
const FILTERS: [(&str, &str); 2] = [("strict-match", "strict"), ("flexible-extract", "flexible")];
/// Level of the intervals.
const LEVEL: f64 = 0.95;

/// Reads results of the harness.
pub(super) fn read(document: &Value) -> Option<Result<Vec<Measurement>, String>> {
    let results = document.get("results")?.as_object()?;
    document.get("n-samples").or_else(|| document.get("configs"))?;
    let found: Vec<Measurement> =
        results.iter().filter_map(|(name, task)| task_of(document, name, task)).collect();
    let why = "no task of it has `exact_match` or `acc` with a number of samples";
    Some(if found.is_empty() { Err(why.to_owned()) } else { Ok(found) })
}

fn task_of(document: &Value, name: &str, task: &Value) -> Option<Measurement> {
    let samples = document.get("n-samples")?.get(name)?;
    let n = number(samples, "/effective")? as u64;
    let shares = task.as_object()?;
    let accuracy: Vec<Accuracy> = SHARES.iter().flat_map(|it| by_filter(shares, it, n)).collect();
    let model = text(document, "/model_name").filter(|name| !name.is_empty());
    (!accuracy.is_empty()).then(|| Measurement {
        version: text(document, "/lm_eval_version"),
        model: model.or_else(|| text(document, "/config/model")),
        keys: [("task".to_owned(), name.to_owned())].into_iter().collect(),
        n_ok: n,
        accuracy,
        ..Measurement::default()
    })
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
        let correct = (share * n as f64).round() as u64;
        Some(Accuracy {
            extractor: ours.map_or(filter, |(_, ours)| ours).to_owned(),
            n,
            correct,
            wrong: n.saturating_sub(correct),
            share: Some(share),
            interval: wilson(correct, n, LEVEL).map(Interval::ends),
            ..Accuracy::default()
        })
    })
}
