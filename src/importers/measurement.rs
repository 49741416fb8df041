//! One measurement of another tool: a load, and what it said of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::ids::CellId;
use crate::metrics::axes::{
    ARRIVALS, MAX_IN_FLIGHT, REQUESTS, arrivals_word, at_once, load_of, loads,
};
use crate::metrics::catalogue::MetricId;
use crate::metrics::failures::{self, FailureLimit};
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{
    CellStatus, CellSummary, Counts, Distribution, Percentile, SteadyState, Validity,
};
use crate::plan::cell::ArrivalsPlan;
use crate::record::event::CellOutcome;
use crate::score::Accuracy;
use crate::stats::quantile::sample_floor;
use crate::stats::welch::middle;

/// Who counts tokens, where the engine's own count is taken.
pub(crate) const BY_USAGE: &str = "the engine's usage";
/// Where a client takes what it asked for: of a chat the engine reads more, with its template.
pub(super) const AS_ASKED: &str = "the client's tokenizer, before a chat template";

/// What is asked of other tools for each latency.
const STATISTICS: [Statistic; 5] = [
    Statistic::Mean,
    Statistic::Percentile(50.0),
    Statistic::Percentile(90.0),
    Statistic::Percentile(95.0),
    Statistic::Percentile(99.0),
];

/// What a tool said of one load.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measurement {
    /// Name of the file that told it.
    pub(super) file: String,
    /// The tool's version.
    pub(super) version: Option<String>,
    /// The model that was asked for.
    pub(super) model: Option<String>,
    /// When requests were due.
    pub(super) load: Load,
    /// What always tells it from the others of its file.
    pub(super) keys: IndexMap<String, String>,
    /// How it was configured, as far as the file says it; load and model have their own members.
    pub(super) config: IndexMap<String, String>,
    /// Answers that were complete.
    pub(super) n_ok: u64,
    /// Requests that failed.
    pub(super) n_failed: u64,
    /// Mean prompt and output tokens of a request.
    pub(super) tokens: [Option<f64>; 2],
    /// Who counted those of prompts.
    pub(super) prompt_tokens_by: &'static str,
    /// Values, one each, or one for each repetition.
    pub(super) values: BTreeMap<Quantity, Vec<f64>>,
    /// Correctness, one per extractor.
    pub(super) accuracy: Vec<Accuracy>,
    /// Why it is no measurement, where it is none and the file does not count what failed.
    pub(super) failure: Option<&'static str>,
}

/// When requests were due.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Load {
    /// Nobody says it.
    #[default]
    Unsaid,
    /// As a phase of a scenario says it, with the most that are out at once.
    Phase(ArrivalsPlan, Option<u32>),
    /// In a way that no phase has, in words that are the same for equal loads.
    Other(String),
}

impl Measurement {
    /// Whether it tells the same of the same, in whichever file.
    pub(super) fn is_copy_of(&self, other: &Self) -> bool {
        let is_same = || *self == Self { file: self.file.clone(), ..other.clone() };
        self.values == other.values && is_same()
    }

    /// Whether it tells speeds and not the load at which they were measured.
    pub(super) fn is_of_no_known_load(&self) -> bool {
        self.load == Load::Unsaid && !self.values.is_empty()
    }

    /// Sets a figure that the tool tells.
    pub(super) fn figure(&mut self, metric: MetricId, value: Option<f64>) {
        self.set(Quantity::figure(metric), value);
    }

    /// Sets what the tool tells of a latency; `at` looks a statistic up, in milliseconds.
    pub(super) fn latency(&mut self, metric: MetricId, at: impl Fn(Statistic) -> Option<f64>) {
        for statistic in STATISTICS {
            let quantity = Quantity { metric: metric.into(), statistic };
            self.set(quantity, at(statistic));
        }
    }

    fn set(&mut self, quantity: Quantity, value: Option<f64>) {
        // A latency of 0 is what tools write where they measured none.
        if let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) {
            self.values.insert(quantity, vec![value]);
        }
    }

    /// Adds every text, number and switch of a value to what it was configured with, by the way to it.
    /// A list of one is its element.
    pub(super) fn configured(&mut self, name: &str, value: Option<&Value>) {
        let below =
            |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => {
                members.iter().for_each(|(key, value)| self.configured(&below(key), Some(value)));
            }
            Some(Value::Array(elements)) => match elements.as_slice() {
                [element] => self.configured(name, Some(element)),
                elements => elements
                    .iter()
                    .enumerate()
                    .for_each(|(at, value)| self.configured(&below(&at.to_string()), Some(value))),
            },
            Some(Value::String(text)) => drop(self.config.insert(name.to_owned(), text.clone())),
            Some(Value::Bool(_) | Value::Number(_)) => {
                self.config.extend(value.map(|value| (name.to_owned(), value.to_string())));
            }
        }
    }

    /// Sets the load of a closed loop, or of arrivals at a rate that a cap may hold back.
    pub(super) fn load_by(&mut self, concurrency: Option<f64>, rate: Option<f64>, burst: f64) {
        let cap = concurrency.filter(|streams| *streams >= 1.0).map(|streams| streams as u32);
        self.load = match (rate, cap) {
            (Some(rate_per_s), _) if rate_per_s.is_finite() && rate_per_s > 0.0 => {
                let is_poisson = (burst - 1.0).abs() < 1e-9;
                let arrivals = if is_poisson {
                    ArrivalsPlan::Poisson { rate_per_s }
                } else if burst.is_finite() {
                    ArrivalsPlan::Gamma { rate_per_s, burstiness: burst }
                } else {
                    ArrivalsPlan::Constant { rate_per_s }
                };
                Load::Phase(arrivals, cap)
            }
            (_, Some(concurrency)) => Load::Phase(ArrivalsPlan::Closed { concurrency }, None),
            // Neither a rate nor a cap: everything at once.
            _ => Load::Phase(ArrivalsPlan::AllAtOnce, None),
        };
    }

    /// Returns the load as the text by which cells are matched.
    pub(super) fn load(&self) -> Option<String> {
        match &self.load {
            Load::Unsaid => None,
            Load::Phase(arrivals, cap) => {
                Some(loads(&[load_of(arrivals, *cap, Some(self.n_sent()))]))
            }
            Load::Other(words) => Some(words.clone()),
        }
    }

    /// Returns how many requests were sent: those that a tool was asked for.
    const fn n_sent(&self) -> u64 {
        self.n_ok + self.n_failed
    }

    /// Returns how requests arrive at the load, where it is known.
    pub(super) fn arrivals_word(&self) -> Option<String> {
        match &self.load {
            Load::Unsaid => None,
            Load::Phase(arrivals, _) => Some(arrivals_word(arrivals)),
            Load::Other(words) => Some(words.clone()),
        }
    }

    /// Returns the load as keys and values, as far as numbers say it, and in words where they do not.
    pub(super) fn load_keys(&self) -> Vec<(String, String)> {
        let (key, value, cap) = match &self.load {
            Load::Phase(ArrivalsPlan::Closed { concurrency }, _) => {
                ("concurrency", concurrency.to_string(), None)
            }
            Load::Phase(
                ArrivalsPlan::Poisson { rate_per_s }
                | ArrivalsPlan::Constant { rate_per_s }
                | ArrivalsPlan::Gamma { rate_per_s, .. },
                cap,
            ) => ("rate", rate_per_s.to_string(), *cap),
            Load::Phase(arrivals, _) => {
                let n = at_once(arrivals, Some(self.n_sent()));
                return n.map(|n| (REQUESTS.to_owned(), n.to_string())).into_iter().collect();
            }
            Load::Unsaid => return Vec::new(),
            Load::Other(words) => (ARRIVALS, words.clone(), None),
        };
        let cap = cap.map(|cap| (MAX_IN_FLIGHT.to_owned(), cap.to_string()));
        [(key.to_owned(), value)].into_iter().chain(cap).collect()
    }
}

/// Puts measurements that are trials of one cell together; `keys` tell it from the others.
pub(super) fn cell(
    name: String,
    keys: IndexMap<String, String>,
    trials: &[Measurement],
) -> CellSummary {
    let first = &trials[0];
    let mut values: BTreeMap<Quantity, Vec<f64>> = BTreeMap::new();
    for trial in trials {
        for (quantity, of_trial) in &trial.values {
            values.entry(quantity.clone()).or_default().extend(of_trial);
        }
    }
    let n_trials = values.values().map(Vec::len).max().unwrap_or(1) as u32;
    let sum = |of: fn(&Measurement) -> u64| trials.iter().map(of).sum::<u64>();
    let (n_ok, n_failed) = (sum(|it| it.n_ok), sum(|it| it.n_failed));
    let mut counts = Counts { scheduled: n_ok + n_failed, ok: n_ok, ..Counts::default() };
    if n_failed > 0 {
        counts.errors.insert("failed".to_owned(), n_failed);
    }
    let uncounted = || trials.iter().find_map(|it| it.failure.map(str::to_owned));
    let failure = failures::too_many(&counts, FailureLimit::Usual).or_else(uncounted);
    let validity =
        failure.map_or_else(Validity::default, |why| Validity::new(CellStatus::Failed, [why]));
    let tokens =
        [MetricId::PromptTokens, MetricId::OutputTokens].into_iter().zip(first.tokens).rev();
    let tokens = tokens.filter_map(|(metric, mean)| {
        let unit = metric.unit();
        Some((metric, Distribution { unit, n: n_ok, mean: Some(mean?), ..Distribution::default() }))
    });
    let mut distributions = latencies(&values, n_ok);
    distributions.extend(tokens);
    CellSummary {
        id: CellId(name.clone()),
        keys,
        name,
        phase: None,
        asked: None,
        outcome: Some(CellOutcome::Complete),
        validity,
        steady: SteadyState::default(),
        n_trials,
        n_gpus: 1,
        load: Arc::default(),
        engine_version: None,
        counts,
        figures: IndexMap::new(),
        distributions,
        trials: values,
        accuracy: first.accuracy.clone(),
        as_published: None,
        beside: Vec::new(),
        prompt_ids: BTreeMap::new(),
        caveats: Vec::new(),
    }
}

/// Returns what was told of latencies, each of all answers: a percentile of too few has no value.
fn latencies(values: &BTreeMap<Quantity, Vec<f64>>, n: u64) -> IndexMap<MetricId, Distribution> {
    let mut found: IndexMap<MetricId, Distribution> = IndexMap::new();
    for (quantity, of_trials) in values {
        let metric = quantity.id();
        let new = || Distribution { unit: metric.unit(), n, ..Distribution::default() };
        match quantity.statistic {
            Statistic::Value => {}
            Statistic::Mean => found.entry(metric).or_insert_with(new).mean = middle(of_trials),
            Statistic::Percentile(p) => {
                let n_floor = sample_floor(p / 100.0);
                let value = middle(of_trials).filter(|_| n >= n_floor);
                let told = Percentile { p, value, n_floor, ..Percentile::default() };
                found.entry(metric).or_insert_with(new).percentiles.push(told);
            }
        }
    }
    found
}

/// Returns the words of a load that no phase has: its kind, and the numbers that it was asked with but
/// for those of `left_out`.
pub(super) fn load_words(kind: &str, asked: &Value, left_out: &[&str]) -> String {
    let numbers = asked
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| value.is_number() && !left_out.contains(&name.as_str()));
    let mut told: Vec<String> = numbers.map(|(name, value)| format!(", {name} {value}")).collect();
    told.sort();
    format!("{kind}{}", told.concat())
}

/// Returns the number at a JSON pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer)?.as_f64()
}

/// Returns the count at a JSON pointer; 0 where there is none.
pub(super) fn count(value: &Value, pointer: &str) -> u64 {
    number(value, pointer).map_or(0, |n| n.max(0.0) as u64)
}

/// Returns the text at a JSON pointer.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}
