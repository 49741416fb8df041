//! Old results as the published lineup's programs leave them, `MODEL/tpT-ppP-dpD/SPEC/…/`, and logs of
//! servers, as cells of the capacity table.
//!
//! Source: huggingface/datatrove, `examples/inference/benchmark/analyze_results.py`, 05c0fea.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::importers::measurement::{Measurement, cell};
use crate::importers::server_log::LoggedRates;
use crate::metrics::catalogue::MetricId;
use crate::metrics::figures::of_told_rates;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary, Counts, NumberState, Validity};

/// `tp8-pp2-dp1`, and the older `tp_8` and `tp-8`.
static PARALLEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^tp[_-]?(\d+)(?:[_-]?pp[_-]?(\d+))?(?:[_-]?dp[_-]?(\d+))?$").expect("it is right")
});

/// What the folders of a result say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Model; empty where no folder says it.
    pub(crate) model: String,
    /// Tensor, pipeline and data parallel size.
    pub(crate) parallel: [u32; 3],
    /// Speculative decoding, `ngram_5`; absent for none.
    pub(crate) speculative: Option<String>,
    /// Folders below that of the speculation, by which results of one configuration are told apart.
    pub(crate) rest: Vec<String>,
}

impl Place {
    /// Reads the path of a result's folder.
    pub(crate) fn of(path: &Path) -> Self {
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        });
        let parts: Vec<String> = parts.collect();
        // Folders above the tree may be called alike.
        let found =
            (0..parts.len()).rev().find_map(|at| Some((at, PARALLEL.captures(&parts[at])?)));
        let Some((at, sizes)) = found else {
            let model = parts.last().cloned().unwrap_or_default();
            return Self { model, parallel: [1; 3], ..Self::default() };
        };
        let size = |n: usize| {
            let size = sizes.get(n).and_then(|size| size.as_str().parse().ok());
            size.filter(|size: &u32| *size > 0).unwrap_or(1)
        };
        let spec = parts.get(at + 1).and_then(|part| part.strip_prefix("spec_"));
        let below = at + 1 + usize::from(spec.is_some());
        let is_own =
            |part: &&String| !matches!(part.as_str(), "logs" | "inference" | "inference_logs");
        Self {
            model: at.checked_sub(1).map(|model| parts[model].clone()).unwrap_or_default(),
            parallel: [size(1), size(2), size(3)],
            speculative: spec.filter(|spec| *spec != "none").map(str::to_owned),
            rest: parts.get(below..).unwrap_or_default().iter().filter(is_own).cloned().collect(),
        }
    }

    fn keys(&self) -> IndexMap<String, String> {
        let mut keys = IndexMap::from([("model".to_owned(), self.model.clone())]);
        let names = ["tensor-parallel", "pipeline-parallel", "data-parallel"];
        keys.extend(
            names.iter().zip(self.parallel).map(|(name, n)| ((*name).to_owned(), n.to_string())),
        );
        keys.extend(self.speculative.clone().map(|spec| ("speculative".to_owned(), spec)));
        if !self.rest.is_empty() {
            keys.insert("result".to_owned(), self.rest.join("/"));
        }
        keys
    }
}

/// Counts of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    /// Tokens of all prompts.
    pub(crate) prompt_tokens: f64,
    /// Tokens of all answers.
    pub(crate) output_tokens: f64,
    /// Requests that were answered.
    pub(crate) n_ok: u64,
    /// Requests that failed.
    pub(crate) n_failed: u64,
}

/// What `bench` measured of a result, and whether it may be believed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OwnResult {
    prompt_tokens: f64,
    output_tokens: f64,
    n_ok: u64,
    n_failed: u64,
    /// Prompt and output tokens per second in the measured window.
    prompt_rate: Option<f64>,
    output_rate: Option<f64>,
    /// Ends between which the rates truly lie.
    #[serde(default)]
    prompt_bound: Option<(f64, f64)>,
    #[serde(default)]
    output_bound: Option<(f64, f64)>,
    /// What bounds mean for the numbers, by metric.
    #[serde(default)]
    states: BTreeMap<String, NumberState>,
    /// State of all of it; absent in older trees.
    #[serde(default)]
    validity: Option<Validity>,
    /// How requests ended.
    #[serde(default)]
    counts: Option<Counts>,
}

/// Where the numbers of a result come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// What `bench` measured, if it did.
    pub(crate) own: Option<OwnResult>,
    /// What `stats.json` counts.
    pub(crate) counted: Option<Counted>,
    /// What the server's log tells.
    pub(crate) logged: Option<LoggedRates>,
}

/// Reads a merged `stats.json`: the entry whose name has "Model call".
pub(crate) fn counted(text: &[u8]) -> Option<Counted> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let is_call =
        |entry: &&Value| entry["name"].as_str().is_some_and(|it| it.contains("Model call"));
    let stats = &document.as_array()?.iter().find(is_call)?["stats"];
    let total = |key: &str| {
        let value = &stats[key];
        value.as_f64().or_else(|| value["total"].as_f64()).unwrap_or(0.0)
    };
    Some(Counted {
        prompt_tokens: total("prompt_tokens"),
        output_tokens: total("completion_tokens"),
        n_ok: total("successful_requests") as u64,
        n_failed: total("failed_requests") as u64,
    })
}

/// Makes the cell of a result: its rates become machines and money as those of a run do.
pub(crate) fn cell_of(place: &Place, told: Told, gpu_hour_price: Option<f64>) -> CellSummary {
    let Told { own, counted, logged } = told;
    let own_counted = own.as_ref().map(|own| Counted {
        prompt_tokens: own.prompt_tokens,
        output_tokens: own.output_tokens,
        n_ok: own.n_ok,
        n_failed: own.n_failed,
    });
    let counted = own_counted.or(counted).unwrap_or_default();
    let logged = logged.unwrap_or_default();
    let measured = own.as_ref().map(|own| [own.prompt_rate, own.output_rate]).unwrap_or_default();
    let rates = [measured[0].or(logged.prompt), measured[1].or(logged.output)];
    let bounds = own.as_ref().map(|own| [own.prompt_bound, own.output_bound]).unwrap_or_default();
    let per_request = |tokens: f64| (counted.n_ok > 0).then(|| tokens / counted.n_ok as f64);
    let keys = place.keys();
    let mut told = Measurement {
        model: Some(place.model.clone()),
        n_ok: counted.n_ok,
        n_failed: counted.n_failed,
        tokens: [counted.prompt_tokens, counted.output_tokens].map(per_request),
        ..Measurement::default()
    };
    told.figure(MetricId::OutputThroughput, rates[1]);
    let name: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let n_gpus = place.parallel.iter().product();
    let mut made = cell(name.join(","), keys, &[told]);
    if let Some(doubt) = doubt_of_replicas(place, logged.n_replicas)
        && made.validity == Validity::default()
    {
        made.validity = doubt;
    }
    made.n_gpus = n_gpus;
    made.figures = of_told_rates(rates, bounds, n_gpus, counted.n_ok, gpu_hour_price);
    made.trials.remove(&Quantity::figure(MetricId::OutputThroughput));
    if let Some(own) = own {
        let of_rate = own.states.get(&MetricId::OutputThroughput.to_string()).copied();
        for (key, figure) in &mut made.figures {
            let state = own.states.get(&key.to_string()).copied();
            // A price is asked for here, and was not there.
            figure.state = state.or(of_rate.filter(|_| key.metric == MetricId::CostPer1mTokens));
        }
        made.counts = own.counts.unwrap_or(made.counts);
        made.validity = own.validity.unwrap_or(made.validity);
    }
    made
}

/// Returns what a log of several replicas means where the folders tell of others: rates are of all
/// replicas, and are divided by the GPUs of the folders.
fn doubt_of_replicas(place: &Place, n_replicas: u32) -> Option<Validity> {
    let n_gpus: u32 = place.parallel.iter().product();
    if n_replicas <= 1 || n_replicas == place.parallel[2] {
        return None;
    }
    let status = if n_replicas > n_gpus { CellStatus::Invalid } else { CellStatus::Doubtful };
    let why = format!(
        "its log is of {n_replicas} replicas, which its place does not say: rates per GPU are those \
         of {n_gpus}"
    );
    Some(Validity::new(status, [why]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_say_model_parallel_sizes_and_speculation() {
        let check = |path: &str, model: &str, parallel, spec: Option<&str>, rest: &[&str]| {
            let found = Place::of(Path::new(path));
            let expected = Place {
                model: model.to_owned(),
                parallel,
                speculative: spec.map(str::to_owned),
                rest: rest.iter().map(|part| (*part).to_owned()).collect(),
            };
            assert_eq!(found, expected, "{path}");
        };
        check("r/Qwen3-4B/tp2-pp1-dp4/spec_none/logs/inference", "Qwen3-4B", [2, 1, 4], None, &[]);
        check("m/tp_8/spec_ngram_5/a/inference_logs", "m", [8, 1, 1], Some("ngram_5"), &["a"]);
        check("m/tp-4", "m", [4, 1, 1], None, &[]);
        check("tp8/M/tp2-pp1-dp1/spec_none", "M", [2, 1, 1], None, &[]);
        check("tp4_results/M/tp2-pp1-dp1/spec_none", "M", [2, 1, 1], None, &[]);
        check("tp4_results/server.log", "server.log", [1, 1, 1], None, &[]);
        check("logs/server.log", "server.log", [1, 1, 1], None, &[]);
    }

    #[test]
    fn counts_are_totals_or_numbers() {
        let text = br#"[{"name": "Reader", "stats": {}}, {"name": "Model call: Inference", "stats":
            {"prompt_tokens": {"total": 90, "n": 3}, "completion_tokens": 30, "successful_requests": {"total": 3}}}]"#;
        let found = counted(text).unwrap();
        assert_eq!((found.prompt_tokens, found.output_tokens, found.n_ok), (90.0, 30.0, 3));
        assert_eq!(counted(b"[]"), None);
        assert_eq!(counted(b"{"), None);
    }

    #[test]
    fn all_gpus_are_counted_data_parallel_ones_too() {
        let place = Place::of(Path::new("m/tp2-pp2-dp2/spec_none"));
        let logged = LoggedRates { prompt: Some(800.0), output: Some(8_000.0), n_replicas: 2 };
        let told = Told { logged: Some(logged), ..Told::default() };
        let cell = cell_of(&place, told, Some(3.6));
        assert_eq!((cell.n_gpus, cell.validity.status), (8, CellStatus::Ok));
        assert_eq!(cell.value(MetricId::OutputThroughputPerGpu), Some(1_000.0));
        assert_eq!(cell.value(MetricId::PromptThroughputPerGpu), Some(100.0));
        assert_eq!(cell.value(MetricId::CostPer1mTokens), Some(1.0));
        // Folders that tell of fewer replicas than the log are not believed.
        for (folder, status) in [
            ("m/tp1-pp1-dp1", CellStatus::Invalid),
            ("m/tp4-pp1-dp1", CellStatus::Doubtful),
            ("m/tp_2", CellStatus::Doubtful),
        ] {
            let told = Told { logged: Some(logged), ..Told::default() };
            let cell = cell_of(&Place::of(Path::new(folder)), told, None);
            assert_eq!(cell.validity.status, status, "{folder}");
        }
        // Nothing is known: nothing is 0.
        let none = cell_of(&place, Told::default(), None);
        assert_eq!(none.value(MetricId::OutputThroughputPerGpu), None);
        assert_eq!(none.value(MetricId::GpusFor1bTokensPerHour), None);
    }
}
