//! The JSON that `vllm bench serve --save-result --save-detailed` writes, for those who read it.
//!
//! Source: vLLM, `vllm/benchmarks/serve.py`, commit 009e6d4. Latencies are summed up as it does it,
//! from the lists of the file, so that a reader who does so again finds the same; what `bench`
//! counts otherwise is TPOT, whose tokens are the engine's. A request is one of all trials, which
//! follow each other without a pause, as the duration is the sum of theirs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::analysis::request_rows::{RequestRow, StreamedRequest};
use crate::plan::cell::ArrivalsPlan;
use crate::published::serving::ServingBlock;
use crate::report::input::Input;
use crate::report::original::{Measured, OriginalFile, base_name, started};
use crate::stats::mean::Moments;
use crate::stats::quantile::quantile;
use crate::units::Nanos;

/// Makes one file for each cell.
pub(super) fn files(input: &Input<'_>, measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let date = started(input, "%Y%m%d-%H%M%S");
    let mut files: Vec<OriginalFile> = Vec::new();
    for it in measured {
        let load = Load::of(it);
        let rate = load.rate.map_or_else(|| "inf".to_owned(), |rate| format!("{rate:?}"));
        let streams = load.concurrency.map_or_else(String::new, |n| format!("-concurrency{n}"));
        let (engine, model) = (base_name(&it.launch.engine), base_name(it.launch.own_model()));
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
    set("model_id", json!(it.launch.own_model()));
    set("tokenizer_id", json!(it.launch.own_model()));
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
    set("request_goodput", json!(block.request_goodput));
    set("output_throughput", json!(block.output_throughput));
    set("total_token_throughput", json!(block.total_throughput));
    let mut requests: Vec<&StreamedRequest> = it.requests.iter().collect();
    requests.sort_by_key(|it| (it.row.trial, it.row.index, it.row.turn));
    let lists = Lists::of(&requests);
    let starts = start_times(&requests);
    let list = |of: fn(&StreamedRequest) -> Value| requests.iter().map(|it| of(it)).collect();
    set("input_lens", list(|it| json!(it.row.prompt_tokens.unwrap_or(0))));
    set("output_lens", list(|it| json!(it.row.output_tokens.unwrap_or(0))));
    set("ttfts", list(|it| json!(secs(it.row.ttft_ms))));
    set("itls", list(|it| json!(gaps(it))));
    set("latencies", list(|it| json!(secs(it.row.e2e_ms))));
    set("start_times", json!(starts));
    set("queue_times", list(|it| json!(secs(it.row.send_lag_ms))));
    set("generated_texts", list(|it| json!(it.text)));
    set("errors", list(|it| json!(it.error)));
    set("max_output_tokens_per_s", json!(lists.tokens_per_s_max));
    set("max_concurrent_requests", json!(lists.in_flight_max));
    set("rtfx", json!(0.0));
    for (name, values) in lists.latencies_ms {
        let moments: Moments = values.iter().copied().collect();
        set(&format!("mean_{name}_ms"), json!(moments.mean()));
        set(&format!("median_{name}_ms"), json!(quantile(&values, 0.5)));
        set(&format!("std_{name}_ms"), json!(of_population(&moments)));
        set(&format!("p99_{name}_ms"), json!(quantile(&values, 0.99)));
    }
    all
}

/// Returns when each request was sent, seconds: the first trial by its own clock, and each other one
/// from the end of the one before. The requests are sorted by trial.
fn start_times(requests: &[&StreamedRequest]) -> Vec<f64> {
    let mut starts = Vec::with_capacity(requests.len());
    let mut end = Nanos::ZERO;
    for trial in requests.chunk_by(|a, b| a.row.trial == b.row.trial) {
        let first = trial.iter().filter_map(|it| it.sent).min().unwrap_or_default();
        let begun = if starts.is_empty() { first } else { end };
        let at = |time: Nanos| Nanos(begun.0 + time.saturating_sub(first).0);
        starts.extend(trial.iter().map(|it| it.sent.map_or(0.0, |sent| at(sent).as_secs_f64())));
        let last = |it: &&StreamedRequest| {
            let after_ms = it.row.e2e_ms.unwrap_or_default();
            Some(Nanos(it.sent?.0 + (after_ms * 1e6) as u64))
        };
        end = at(trial.iter().filter_map(last).max().unwrap_or_default());
    }
    starts
}

/// What failed has no time: the file says 0 of it then.
fn secs(ms: Option<f64>) -> f64 {
    ms.map_or(0.0, |ms| ms / 1e3)
}

/// Times between the events that held tokens, seconds.
fn gaps(it: &StreamedRequest) -> Vec<f64> {
    it.tokens.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0).as_secs_f64()).collect()
}

/// Standard deviation of all values there are (divided by `n`), as the source computes it.
fn of_population(moments: &Moments) -> Option<f64> {
    let n = moments.n() as f64;
    if moments.n() == 1 { Some(0.0) } else { Some(moments.std()? * ((n - 1.0) / n).sqrt()) }
}

/// What is computed from the requests that were answered.
struct Lists {
    /// By the names of the file, ascending.
    latencies_ms: [(&'static str, Vec<f64>); 4],
    /// Most tokens in a whole second since the first request of its trial.
    tokens_per_s_max: f64,
    /// Most requests between sending and last token.
    in_flight_max: i64,
}

impl Lists {
    fn of(requests: &[&StreamedRequest]) -> Self {
        let answered: Vec<&StreamedRequest> =
            requests.iter().copied().filter(|it| it.row.outcome == "ok").collect();
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let of = |of: fn(&RequestRow) -> Option<f64>| {
            sorted(answered.iter().filter_map(|it| of(&it.row)).collect())
        };
        let itls = answered.iter().flat_map(|it| gaps(it)).map(|secs| secs * 1e3).collect();
        let trials = answered.chunk_by(|a, b| a.row.trial == b.row.trial);
        let peaks: Vec<(f64, i64)> = trials.map(peaks).collect();
        Self {
            latencies_ms: [
                ("ttft", of(|row| row.ttft_ms)),
                ("tpot", of(|row| row.tpot_ms)),
                ("itl", sorted(itls)),
                ("e2el", of(|row| row.e2e_ms)),
            ],
            tokens_per_s_max: peaks.iter().map(|(tokens, _)| *tokens).fold(0.0, f64::max),
            in_flight_max: peaks.iter().map(|(_, n)| *n).max().unwrap_or(0),
        }
    }
}

/// Returns the most tokens in a second and the most requests at once of one trial.
fn peaks(requests: &[&StreamedRequest]) -> (f64, i64) {
    let Some(first) = requests.iter().filter_map(|it| it.sent).min() else { return (0.0, 0) };
    let mut seconds: BTreeMap<u64, f64> = BTreeMap::new();
    let mut changes: Vec<(Nanos, i64)> = Vec::new();
    for it in requests {
        for (at, tokens) in &it.tokens {
            let second = at.saturating_sub(first).0 / 1_000_000_000;
            *seconds.entry(second).or_default() += f64::from(tokens.unwrap_or(1));
        }
        if let (Some(sent), Some((last, _))) = (it.sent, it.tokens.last()) {
            changes.extend([(sent, 1), (*last, -1)]);
        }
    }
    // What ends at an instant is gone before what begins there.
    changes.sort_unstable();
    let in_flight = changes.iter().scan(0, |n, (_, change)| {
        *n += change;
        Some(*n)
    });
    (seconds.into_values().fold(0.0, f64::max), in_flight.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_follow_each_other_in_the_file() {
        let request = |trial, sent_ms, e2e_ms| StreamedRequest {
            row: RequestRow { trial, e2e_ms: Some(e2e_ms), ..RequestRow::default() },
            sent: Some(Nanos::from_millis(sent_ms)),
            ..StreamedRequest::default()
        };
        let all = [
            request(1, 1_000, 500.0),
            request(1, 2_000, 500.0),
            // By the second trial's own clock again.
            request(2, 900, 250.0),
            request(2, 1_900, 250.0),
        ];
        assert_eq!(start_times(&all.iter().collect::<Vec<_>>()), [1.0, 2.0, 2.5, 3.5]);
    }
}
