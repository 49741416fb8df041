//! `[engine.NAME]` over its preset.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::record::event::FailureClass;
use crate::record::gauge::Gauge;
use crate::scenario::grammar::Kind::{Above, Bool, Either, Integer, List, Map, Scalar, Text};
use crate::scenario::grammar::{Field, Grammar, Kind, table};
use crate::units::Nanos;

table! {
    /// The keys of a preset, and of `[engine.NAME]`, which may override any of them; without
    /// its options.
    #[expect(dead_code, reason = "`preset` and `summary` have done their part when it is read")]
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct EngineSpec {
        /// Preset it is made from; the engine's own name when absent.
        pub(crate) preset: Option<String>,
        /// What the preset starts.
        pub(crate) summary: Option<String>,
        /// Model id, or a path that begins with `./`, `../` or `/`.
        pub(crate) model: Option<String>,
        /// Local file or directory of the weights, where `model` is an id.
        pub(crate) model_path: Option<String>,
        /// Template of the model id in requests; the model when absent.
        pub(crate) model_id: Option<String>,
        /// Number format: a key of the preset's `precisions`.
        pub(crate) precision: Option<String>,
        /// The program that `argv` starts with.
        pub(crate) program: Option<String>,
        /// Templates of program and arguments; replaces the preset's command.
        pub(crate) argv [default]: Vec<String>,
        /// Arguments put at the end, verbatim.
        pub(crate) extra_args [default]: Vec<String>,
        /// Environment variables for the engine, as templates.
        pub(crate) env [default]: BTreeMap<String, Value> = Map(&Scalar),
        /// Engine's variable → the variable of bench's own environment that its value, a secret,
        /// is taken from.
        pub(crate) env_from [default]: BTreeMap<String, String>,
        /// Names of further environment variables to record.
        pub(crate) env_recorded [default]: Vec<String>,
        /// Working directory.
        pub(crate) cwd: Option<String>,
        /// Base URL; without a command, that of a running engine.
        pub(crate) url: Option<String>,
        /// PEM file of certificates to trust on https, beside the system's.
        pub(crate) ca: Option<String>,
        /// Name of the environment variable that holds the API key.
        pub(crate) api_key_env: Option<String>,
        /// Header that carries the API key bare, without `Bearer`; `Authorization` when absent.
        pub(crate) api_key_header: Option<String>,
        /// HTTP headers of every request, as templates; never a secret.
        pub(crate) headers [default]: BTreeMap<String, String>,
        /// HTTP header → the variable of bench's own environment that its value, a secret, is
        /// taken from.
        pub(crate) headers_from [default]: BTreeMap<String, String>,
        /// Proxy for its requests, `http://host:port`, or `environment` for `HTTP_PROXY` and its
        /// kind; "" for none. A loopback URL never has one.
        pub(crate) proxy: Option<String>,
        /// Path that answers 200 when healthy; "" for none.
        pub(crate) health: Option<String>,
        /// Path that lists the served models; "" for none.
        pub(crate) models: Option<String>,
        /// Time from the start to the first token.
        pub(crate) ready_timeout: Option<Nanos>,
        /// Templates of the command that ends an engine whose command hands it to a daemon, as
        /// `docker run` does.
        pub(crate) stop_command [default]: Vec<String>,
        /// Time between SIGTERM and SIGKILL.
        pub(crate) stop_grace: Nanos,
        /// Drop the model's files from the page cache before each start.
        pub(crate) cold_start: bool,
        /// Starts measured for the load time, the serving one included.
        pub(crate) starts: u32 = Integer(1, 100),
        /// `METHOD:TOKENS`, a table, or `none`.
        pub(crate) speculative: Option<SpeculativeSpec>,
        /// What the machine must have.
        pub(crate) requires [default]: Vec<RequiresSpec>,
        /// Option → its arguments, or value → arguments.
        pub(crate) flags [default]: BTreeMap<String, FlagSpec>,
        /// Number format → its arguments.
        pub(crate) precisions [default]: BTreeMap<String, Vec<String>>,
        /// Method of speculative decoding → its arguments.
        pub(crate) speculators [default]: BTreeMap<String, Vec<String>>,
        /// Patterns over the engine's log lines.
        pub(crate) log [default]: LogPatterns,
        /// The Prometheus endpoint.
        pub(crate) metrics: Option<MetricsEndpoint>,
        /// `METHOD PATH` that empties the prefix cache; "" for none.
        pub(crate) cache_reset: Option<String>,
        /// Command that prints the version.
        pub(crate) version [default]: Vec<String>,
        /// Command that prints the flags of its server.
        pub(crate) help [default]: Vec<String>,
        /// Versions of the engine that the preset was held against.
        pub(crate) held_against [default]: Vec<String>,
        /// URL path → JSON pointer → our name; `not NAME` where the engine tells the opposite.
        pub(crate) configuration [default]: IndexMap<String, IndexMap<String, String>>,
        /// Deviations of its API.
        pub(crate) quirks [default]: Quirks,
    }
}

const fn option(key: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { key, kind, optional: true, doc }
}

/// Options that several engines have; a preset says by `flags` which ones it knows. A value may
/// be a template, so they are not fields of a type.
pub(crate) static OPTIONS: &[Field] = &[
    option("tensor-parallel", Integer(1, 4096), "Devices that share each layer."),
    option("pipeline-parallel", Integer(1, 4096), "Devices that share the stack of layers."),
    option("data-parallel", Integer(1, 4096), "Replicas of the model."),
    option("context-length", Integer(1, 100_000_000), "Longest sequence, in tokens."),
    option("memory-fraction", Above(0.0, 1.0), "Share of the device's memory the engine may take."),
    option("max-sequences", Integer(1, 1_000_000), "Sequences in one iteration at most."),
    option("max-batched-tokens", Integer(1, 1_000_000_000), "Tokens in one iteration at most."),
    option("quantisation", Text, "Quantisation by the engine's own name."),
    option("kv-cache-dtype", Text, "Number format of the KV cache."),
    option("eager", Bool, "Without graphs and compilation."),
    option("prefix-cache", Bool, "Reuse of common prefixes."),
    option("batch-size", Integer(1, 1_000_000), "Static batch size."),
    option("threads", Integer(1, 4096), "Threads on the CPU."),
    option("device", Text, "Device by the engine's own name."),
    option("mode", Text, "Mode by the engine's own name."),
];

/// Arguments of an option: for any value, or one list per value.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a list of arguments, or a table of them by value")]
pub(crate) enum FlagSpec {
    Any(Vec<String>),
    ByValue(BTreeMap<String, Vec<String>>),
}

impl Grammar for FlagSpec {
    const KIND: Kind = Either(&[List(&Text), Map(&List(&Text))]);
}

/// Speculative decoding: `ngram:5`, a table, or `none`, for sweeps.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum SpeculativeSpec {
    None,
    By(SpeculativeTable),
}

impl Grammar for SpeculativeSpec {
    const KIND: Kind = Either(&[Text, SpeculativeTable::KIND]);
}

table! {
    /// Speculative decoding as a table.
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct SpeculativeTable {
        /// A key of the preset's `speculators`.
        pub(crate) method: String,
        /// Tokens guessed at once.
        pub(crate) tokens: u32 = Integer(1, 1024),
        /// Draft model.
        pub(crate) model: Option<String>,
        /// Further settings, for engines that take a JSON table.
        pub(crate) extra [default]: Table = Map(&Kind::Anything),
    }
}

impl TryFrom<Value> for SpeculativeSpec {
    type Error = toml::de::Error;

    fn try_from(value: Value) -> Result<Self, toml::de::Error> {
        let text = match value {
            Value::String(text) if text == "none" => return Ok(Self::None),
            Value::String(text) => text,
            table => return table.try_into().map(Self::By),
        };
        let parsed = text.split_once(':').and_then(|(method, tokens)| {
            let tokens = tokens.parse().ok().filter(|tokens| (1..=1024).contains(tokens))?;
            let method = (!method.is_empty()).then(|| method.to_string())?;
            Some(SpeculativeTable { method, tokens, model: None, extra: Table::new() })
        });
        parsed.map(Self::By).ok_or_else(|| {
            let message = format!("`{text}` is not METHOD:TOKENS, `ngram:5` for example");
            serde::de::Error::custom(message)
        })
    }
}

table! {
    /// Something that the machine must have.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct RequiresSpec {
        /// A program on PATH, or a path.
        pub(crate) program: Option<String>,
        /// GPUs; `true` for as many as it shards over.
        pub(crate) gpus: Option<GpusSpec>,
        /// CUDA compute capability, `8.9`.
        pub(crate) compute_capability: Option<String>,
        /// A file or directory.
        pub(crate) path: Option<String>,
        /// A module that the interpreter `program` can import.
        pub(crate) python_module: Option<String>,
        /// An environment variable that is set.
        pub(crate) env: Option<String>,
        /// Only for these number formats.
        pub(crate) precision [default]: Vec<String>,
        /// How to get it.
        pub(crate) hint [default]: String,
    }
}

/// A number of GPUs, or as many as the engine shards over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a truth value or a number of GPUs")]
pub(crate) enum GpusSpec {
    AsSharded(bool),
    Exactly(u32),
}

impl Grammar for GpusSpec {
    const KIND: Kind = Either(&[Bool, Integer(1, 4096)]);
}

table! {
    /// Regular expressions over single log lines.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct LogPatterns {
        /// Stage → pattern; group `secs`, when present, is the time it took in seconds.
        pub stages [default]: IndexMap<String, String>,
        /// Failure class, `out-of-memory` for example → pattern.
        pub failures [default]: IndexMap<FailureClass, String>,
        /// Setting of the engine, `memory-fraction=0.3` for example → pattern of the lines that end
        /// a start which it would have saved; the failure names it as it is typed behind `--set`.
        pub remedies [default, skip_serializing_if = "IndexMap::is_empty"]:
            IndexMap<String, String>,
        /// Our name of a setting → pattern; its group `value`, or its first one, is the value.
        pub configuration [default, skip_serializing_if = "IndexMap::is_empty"]:
            IndexMap<String, String>,
        /// Pattern with groups `prompt_tps`, `output_tps`, and `rank` where replicas write lines
        /// of their own.
        pub throughput: Option<String>,
    }
}

table! {
    /// A Prometheus text endpoint.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct MetricsEndpoint {
        /// URL path; "" for none.
        pub path [default]: String,
        /// Our name → the engine's names; the first that is found counts.
        pub names [default]: IndexMap<Gauge, Vec<String>>,
    }
}

table! {
    /// Known deviations of an engine's API from the one it imitates.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Quirks {
        /// Its streams end without `[DONE]`.
        pub no_done [default, alias = "no-done"]: bool,
        /// It closes connections unannounced: each request gets its own.
        pub no_reuse [default, alias = "no-reuse"]: bool,
        /// It counts tokens in every chunk (`stream_options.continuous_usage_stats`).
        pub continuous_usage [
            default, alias = "continuous-usage", skip_serializing_if = "std::ops::Not::not"
        ]: bool,
        /// It takes the limit of an answer as `max_completion_tokens`, and no `max_tokens`.
        pub max_completion_tokens [
            default, alias = "max-completion-tokens", skip_serializing_if = "std::ops::Not::not"
        ]: bool,
        /// Body fields that it refuses, left out of requests.
        pub omit [default]: Vec<String>,
    }
}
