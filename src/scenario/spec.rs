//! The written forms: what each table of a scenario says, typed.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use toml::{Table, Value};

use crate::scenario::validate::parse_duration;
use crate::units::Nanos;

/// A length of time, written `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Nanos);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self).ok_or_else(|| format!("`{text}` is not a length of time"))
    }
}

/// `[engine.NAME]` over its preset, without its options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EngineSpec {
    pub(crate) preset: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) model_path: Option<String>,
    pub(crate) model_id: Option<String>,
    pub(crate) precision: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) argv: Vec<String>,
    pub(crate) extra_args: Vec<String>,
    pub(crate) env: BTreeMap<String, Value>,
    pub(crate) env_from: BTreeMap<String, String>,
    pub(crate) env_recorded: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) ca: Option<String>,
    pub(crate) api_key_env: Option<String>,
    pub(crate) health: String,
    pub(crate) models: String,
    pub(crate) ready_timeout: Option<Span>,
    pub(crate) stop_grace: Option<Span>,
    pub(crate) cold_start: bool,
    pub(crate) starts: Option<u32>,
    pub(crate) speculative: Option<SpeculativeSpec>,
    pub(crate) requires: Vec<RequiresSpec>,
    pub(crate) flags: BTreeMap<String, FlagSpec>,
    pub(crate) precisions: BTreeMap<String, Vec<String>>,
    pub(crate) speculators: BTreeMap<String, Vec<String>>,
    pub(crate) log: LogSpec,
    pub(crate) metrics: MetricsSpec,
    pub(crate) cache_reset: String,
    pub(crate) version: Vec<String>,
    pub(crate) configuration: IndexMap<String, IndexMap<String, String>>,
    pub(crate) quirks: QuirksSpec,
}

/// Arguments of an option: for any value, or one list per value.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum FlagSpec {
    Any(Vec<String>),
    ByValue(BTreeMap<String, Vec<String>>),
}

impl TryFrom<Value> for FlagSpec {
    type Error = toml::de::Error;

    fn try_from(value: Value) -> Result<Self, toml::de::Error> {
        match value {
            Value::Table(_) => value.try_into().map(Self::ByValue),
            other => other.try_into().map(Self::Any),
        }
    }
}

/// Speculative decoding: `ngram:5`, a table, or `none`, for sweeps.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct SpeculativeSpec {
    pub(crate) method: String,
    pub(crate) tokens: u32,
    pub(crate) model: Option<String>,
    pub(crate) extra: Table,
}

impl SpeculativeSpec {
    /// The method that is no method.
    pub(crate) const NONE: &str = "none";
}

impl TryFrom<Value> for SpeculativeSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Value::String(text) = &value {
            if text == Self::NONE {
                return Ok(Self {
                    method: text.clone(),
                    tokens: 0,
                    model: None,
                    extra: Table::new(),
                });
            }
            let parsed = text.split_once(':').and_then(|(method, tokens)| {
                let tokens = tokens.parse().ok().filter(|tokens| (1..=1024).contains(tokens))?;
                (!method.is_empty()).then(|| (method.to_string(), tokens))
            });
            let (method, tokens) = parsed
                .ok_or_else(|| format!("`{text}` is not METHOD:TOKENS, `ngram:5` for example"))?;
            return Ok(Self { method, tokens, model: None, extra: Table::new() });
        }
        let Value::Table(mut table) = value else {
            return Err("expected a string or a table".into());
        };
        let mut text = |key: &str| match table.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let method = text("method").ok_or("a table for `speculative` needs `method`")?;
        let model = text("model");
        let tokens = table.remove("tokens").and_then(|tokens| tokens.as_integer());
        let tokens = tokens
            .and_then(|tokens| u32::try_from(tokens).ok())
            .ok_or("a table for `speculative` needs `tokens`")?;
        let extra = match table.remove("extra") {
            Some(Value::Table(extra)) => extra,
            _ => Table::new(),
        };
        Ok(Self { method, tokens, model, extra })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RequiresSpec {
    pub(crate) program: Option<String>,
    pub(crate) gpus: Option<Value>,
    pub(crate) compute_capability: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) python_module: Option<String>,
    pub(crate) env: Option<String>,
    pub(crate) precision: Vec<String>,
    pub(crate) hint: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogSpec {
    pub(crate) stages: IndexMap<String, String>,
    pub(crate) failures: IndexMap<String, String>,
    pub(crate) configuration: IndexMap<String, String>,
    pub(crate) throughput: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MetricsSpec {
    pub(crate) path: String,
    pub(crate) names: IndexMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct QuirksSpec {
    pub(crate) no_done: bool,
    pub(crate) no_reuse: bool,
    pub(crate) continuous_usage: bool,
    pub(crate) omit: Vec<String>,
}

/// `[phase.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PhaseSpec {
    pub(crate) kind: Option<String>,
    pub(crate) requests: Option<CountSpec>,
    pub(crate) duration: Option<Span>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) rate: Option<f64>,
    pub(crate) arrival: Option<ArrivalSpec>,
    pub(crate) ramp: Option<RampSpec>,
    pub(crate) batch: Option<u32>,
    pub(crate) all_at_once: Option<bool>,
    pub(crate) trace: Option<TraceSpec>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) trials: Option<u32>,
    pub(crate) until_steady: Option<SteadySpec>,
    pub(crate) deadlines: DeadlinesSpec,
    pub(crate) cancel_after: Option<Span>,
    pub(crate) drain: Option<Span>,
}

/// A number of requests, or every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum CountSpec {
    Exactly(u64),
    All,
}

impl TryFrom<Value> for CountSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text == "all" => Ok(Self::All),
            Value::Integer(n) if n > 0 => Ok(Self::Exactly(n.unsigned_abs())),
            other => Err(format!("`{other}` is neither a count nor \"all\"")),
        }
    }
}

/// How the gaps of a rate are spread.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ArrivalSpec {
    Poisson,
    Constant,
    Gamma(f64),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RampSpec {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) shape: Option<RampShapeSpec>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RampShapeSpec {
    Linear,
    Exponential,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TraceSpec {
    pub(crate) speedup: Option<f64>,
}

/// Rounds of a warm-up; `false` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct SteadySpec(pub(crate) Option<u32>);

impl SteadySpec {
    /// Rounds when the scenario says `true`.
    const DEFAULT_ROUNDS: u32 = 10;
}

impl TryFrom<Value> for SteadySpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Boolean(false) => Ok(Self(None)),
            Value::Boolean(true) => Ok(Self(Some(Self::DEFAULT_ROUNDS))),
            Value::Table(table) => {
                let rounds = table.get("max-rounds").and_then(Value::as_integer);
                let rounds = rounds.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
                Ok(Self(Some(rounds.unwrap_or(Self::DEFAULT_ROUNDS))))
            }
            other => Err(format!("`{other}` is neither a truth value nor a table")),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeadlinesSpec {
    pub(crate) connect: Option<Span>,
    pub(crate) first_token: Option<Span>,
    pub(crate) between_tokens: Option<Span>,
    pub(crate) total: Option<Span>,
}

/// `[request]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RequestSpec {
    pub(crate) api: Option<ApiSpec>,
    pub(crate) path: Option<String>,
    pub(crate) stream: Option<bool>,
    pub(crate) max_tokens: Option<MaxTokensSpec>,
    pub(crate) ignore_eos: Option<bool>,
    pub(crate) temperature: f64,
    pub(crate) top_p: Option<f64>,
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) salt: bool,
    pub(crate) logprobs: bool,
    pub(crate) extra_body: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ApiSpec {
    Chat,
    Completions,
}

/// Longest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum MaxTokensSpec {
    Tokens(u32),
    FromData,
}

impl TryFrom<Value> for MaxTokensSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text == "from-data" => Ok(Self::FromData),
            Value::Integer(n) => {
                u32::try_from(n).map(Self::Tokens).map_err(|_| format!("{n} is out of range"))
            }
            other => Err(format!("`{other}` is neither a count nor \"from-data\"")),
        }
    }
}

/// `[dataset.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DatasetSpec {
    pub(crate) source: String,
    pub(crate) split: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) fallback: Option<String>,
    pub(crate) columns: BTreeMap<String, String>,
    pub(crate) prompt: Option<String>,
    pub(crate) system: Option<String>,
    pub(crate) shots: u32,
    pub(crate) shuffle: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) reserve_for_warm_up: Option<u64>,
    pub(crate) cycle: bool,
    pub(crate) tokenizer: Option<String>,
    pub(crate) chat_template: Option<String>,
    pub(crate) input_tokens: Option<RangeSpec>,
    pub(crate) output_tokens: Option<RangeSpec>,
    pub(crate) shared_prefix_tokens: u32,
    pub(crate) multi_turn: bool,
    pub(crate) skip_bad_rows: bool,
}

/// A length, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct RangeSpec {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl TryFrom<Value> for RangeSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = |value: &Value| value.as_integer().and_then(|n| u32::try_from(n).ok());
        let range = match &value {
            Value::Table(table) => table
                .get("min")
                .and_then(number)
                .zip(table.get("max").and_then(number))
                .map(|(min, max)| Self { min, max }),
            other => number(other).map(|n| Self { min: n, max: n }),
        };
        range.ok_or_else(|| format!("`{value}` is neither a length nor `{{ min = …, max = … }}`"))
    }
}

/// `[score.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ScoreSpec {
    pub(crate) extract: Vec<Value>,
    pub(crate) compare: Option<String>,
    pub(crate) normalise: Vec<Value>,
    pub(crate) gold: Option<Value>,
    pub(crate) floor: Option<f64>,
}

/// `[slo]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SloSpec {
    pub(crate) ttft: Option<Span>,
    pub(crate) tpot: Option<Span>,
    pub(crate) e2e: Option<Span>,
}
