//! One measurement of another tool: a load, and what it said of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::ids::CellId;
use crate::metrics::axes::load_of;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Counts, Distribution, SteadyState, Validity};
use crate::plan::cell::ArrivalsPlan;
use crate::record::event::CellOutcome;
use crate::score::Accuracy;

/// Latencies whose mean and percentiles other tools tell, with statistics that are compared.
const STATISTICS: [Statistic; 3] =
    [Statistic::Mean, Statistic::Percentile(50.0), Statistic::Percentile(99.0)];

/// What a tool said of one load.
#[derive(Clone, Debug, Default)]
pub(super) struct Measurement {
    /// The tool's version.
    pub(super) version: Option<String>,
    /// The model that was asked for.
    pub(super) model: Option<String>,
    /// When requests were due; absent where nobody says it.
    pub(super) arrivals: Option<ArrivalsPlan>,
    /// What else tells it from the others of its file.
    pub(super) keys: IndexMap<String, String>,
    /// Answers that were complete.
    pub(super) n_ok: u64,
    /// Requests that failed.
    pub(super) n_failed: u64,
    /// Mean prompt and output tokens of a request.
    pub(super) tokens: [Option<f64>; 2],
    /// Values, one each, or one for each repetition.
    pub(super) values: BTreeMap<Quantity, Vec<f64>>,
    /// Correctness, one per extractor.
    pub(super) accuracy: Vec<Accuracy>,
}

impl Measurement {
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

    /// Sets the load of a closed loop, or of arrivals at a rate that a cap may hold back.
    pub(super) fn load_by(&mut self, concurrency: Option<f64>, rate: Option<f64>, burst: f64) {
        self.arrivals = match (rate, concurrency) {
            (Some(rate_per_s), _) if rate_per_s.is_finite() && rate_per_s > 0.0 => {
                let is_poisson = (burst - 1.0).abs() < 1e-9;
                Some(if is_poisson {
                    ArrivalsPlan::Poisson { rate_per_s }
                } else if burst.is_finite() {
                    ArrivalsPlan::Gamma { rate_per_s, burstiness: burst }
                } else {
                    ArrivalsPlan::Constant { rate_per_s }
                })
            }
            (_, Some(streams)) if streams >= 1.0 => {
                Some(ArrivalsPlan::Closed { concurrency: streams as u32 })
            }
            // Neither a rate nor a cap: everything at once.
            _ => Some(ArrivalsPlan::AllAtOnce),
        };
    }

    /// Returns the load as the text by which cells are matched.
    pub(super) fn load(&self) -> Option<String> {
        self.arrivals.as_ref().map(|arrivals| load_of(&[arrivals]))
    }

    /// Returns keys and values by which the cell is matched and named.
    fn all_keys(&self) -> IndexMap<String, String> {
        let of_load = match &self.arrivals {
            Some(ArrivalsPlan::Closed { concurrency }) => {
                Some(("concurrency", concurrency.to_string()))
            }
            Some(
                ArrivalsPlan::Poisson { rate_per_s }
                | ArrivalsPlan::Constant { rate_per_s }
                | ArrivalsPlan::Gamma { rate_per_s, .. },
            ) => Some(("rate", rate_per_s.to_string())),
            _ => None,
        };
        let of_load = of_load.map(|(key, value)| (key.to_owned(), value));
        self.keys.clone().into_iter().chain(of_load).collect()
    }

    /// Returns a name that tells it from the others of its file.
    pub(super) fn name(&self, tool: super::Tool) -> String {
        let keys = self.all_keys();
        let told: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if told.is_empty() { tool.name().to_owned() } else { told.join(",") }
    }
}

/// Puts measurements of the same load together: each is a trial.
pub(super) fn cell(name: String, trials: &[Measurement]) -> CellSummary {
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
    let tokens =
        [MetricId::PromptTokens, MetricId::OutputTokens].into_iter().zip(first.tokens).rev();
    let distributions = tokens.filter_map(|(metric, mean)| {
        let unit = metric.unit();
        Some((metric, Distribution { unit, n: n_ok, mean: Some(mean?), ..Distribution::default() }))
    });
    CellSummary {
        id: CellId(name.clone()),
        keys: first.all_keys(),
        name,
        phase: None,
        outcome: Some(CellOutcome::Complete),
        validity: Validity::default(),
        steady: SteadyState::default(),
        n_trials,
        n_gpus: 1,
        load: Arc::default(),
        engine_version: None,
        counts,
        figures: IndexMap::new(),
        distributions: distributions.collect(),
        trials: values,
        accuracy: first.accuracy.clone(),
        as_published: None,
        beside: Vec::new(),
        prompt_ids: BTreeMap::new(),
        caveats: Vec::new(),
    }
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
