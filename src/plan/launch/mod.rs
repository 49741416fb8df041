//! How one engine is started, recognised, watched and stopped.

mod args;
pub(crate) mod build;
pub(in crate::plan) mod engine;
mod requirements;

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::scenario::spec::{LogPatterns, MetricsEndpoint, Quirks};
use crate::units::Nanos;

/// Stands for the port in argv, environment and URLs until the engine is started.
pub const PORT: &str = "$PORT";

/// Keys of the sizes whose product is the number of an engine's GPUs.
pub(crate) const PARALLEL_SIZES: [&str; 3] =
    ["tensor-parallel", "pipeline-parallel", "data-parallel"];
/// Key of an engine's speculative decoding.
pub(crate) const SPECULATIVE: &str = "speculative";

/// Everything that starting and stopping one engine needs. Templates are rendered; only
/// [`PORT`] is left to fill in, because a port is picked at the moment of the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Engine name in the scenario.
    pub engine: String,
    /// Preset it was made from; `custom` when the scenario gives its own argv alone.
    pub preset: String,
    /// Program and arguments; empty for an engine that is attached to, not started.
    pub argv: Vec<String>,
    /// Environment variables set for the engine on top of the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values are secrets → the variables of bench's own
    /// environment that hold them. The values are read at the start of a run and kept nowhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_from: BTreeMap<String, String>,
    /// Names of further environment variables that are recorded as facts.
    pub env_recorded: Vec<String>,
    /// Working directory; the run's own when absent.
    pub cwd: Option<PathBuf>,
    /// Base URL, `http://127.0.0.1:$PORT`; of the running engine when attached.
    pub base_url: String,
    /// PEM file of certificates that are trusted on `https`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Name of the environment variable that holds the API key, never the key.
    pub api_key_env: Option<String>,
    /// What requests carry beside their bodies.
    #[serde(default, skip_serializing_if = "HttpSettings::is_default")]
    pub http: HttpSettings,
    /// Model id sent in requests.
    pub model: String,
    /// Name of the model itself; absent where requests call it by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// Local directory or file of the model's weights, for hashes and the page cache.
    pub model_path: Option<PathBuf>,
    /// The number format asked for: `fp32`, `fp16`, `bf16`, `int8` …
    pub precision: Option<String>,
    /// When it counts as ready.
    pub readiness: Readiness,
    /// Command that ends an engine which its command hands to a daemon; empty where the engine is
    /// the command's own process tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_argv: Vec<String>,
    /// Time between SIGTERM and SIGKILL.
    pub stop_grace: Nanos,
    /// What this machine must have.
    pub requires: Vec<Requirement>,
    /// How to read its log.
    pub log_patterns: LogPatterns,
    /// Its metrics endpoint.
    pub metrics: Option<MetricsEndpoint>,
    /// Call that empties its prefix cache.
    pub cache_reset: Option<HttpCall>,
    /// Command that prints its version.
    pub version_argv: Vec<String>,
    /// Command that prints its flags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub help_argv: Vec<String>,
    /// Versions that its preset was held against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_against: Vec<String>,
    /// Where its effective configuration can be read: URL path → JSON pointer → our name,
    /// which begins with `not ` where the engine tells the opposite.
    pub configuration: IndexMap<String, IndexMap<String, String>>,
    /// Devices it occupies: tensor · pipeline · data parallel size.
    pub n_gpus: u32,
    /// These sizes and its speculative decoding by their keys, as far as the scenario says them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spread: BTreeMap<String, String>,
    /// Drop the model's files from the page cache before a start.
    pub cold_page_cache: bool,
    /// Times the engine is started for its load time alone before it is used.
    pub extra_starts: u32,
    /// Quirks of its API.
    pub quirks: Quirks,
}

/// When an engine counts as ready: its socket is ours, then health, then model, then a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// Path that answers 200 when healthy.
    pub health: Option<String>,
    /// Path that lists served models; absent where it says nothing useful.
    pub models: Option<String>,
    /// Time from spawn to the first token.
    pub timeout: Nanos,
}

/// What every request to an engine carries beside its body, and by which way it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Headers by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets → the variables of bench's own environment that hold them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers_from: BTreeMap<String, String>,
    /// Header that carries the API key bare; `Authorization: Bearer …` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_header: Option<String>,
    /// Proxy in between: its URL, or `environment` for the variables of bench's own environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

impl HttpSettings {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Something the machine must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What.
    pub what: Requires,
    /// How to get it.
    pub hint: String,
}

/// Kinds of requirements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requires {
    /// A program on PATH (or at a path).
    Program(String),
    /// A number of GPUs.
    Gpus(u32),
    /// A CUDA compute capability, `8.9`.
    ComputeCapability(String),
    /// A file or directory.
    Path(PathBuf),
    /// A Python module that the given interpreter can import.
    PythonModule {
        /// Interpreter.
        python: String,
        /// Module.
        module: String,
    },
    /// An environment variable that is set.
    Env(String),
}

/// One HTTP call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
}

impl Launch {
    /// Whether `bench` starts this engine, rather than attaching to one that runs.
    pub fn is_started(&self) -> bool {
        !self.argv.is_empty()
    }

    /// Returns the name of the model itself, whatever requests call it.
    pub(crate) fn own_model(&self) -> &str {
        self.model_name.as_deref().unwrap_or(&self.model)
    }

    /// Returns the engine as people know it: its name, with its precision where it has one.
    pub(crate) fn told(&self) -> String {
        let precision = self.precision.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        format!("{}{precision}", self.engine)
    }

    /// Whether it is the simulated engine: it computes nothing, counts words of its own and tells
    /// the truth about its latencies.
    pub fn is_simulated(&self) -> bool {
        self.preset == "sim"
    }

    /// Returns argv with the port filled in.
    pub fn argv_at(&self, port: u16) -> Vec<String> {
        self.argv.iter().map(|arg| fill_port(arg, port)).collect()
    }

    /// Whether the command hands the engine to a daemon: what listens is then not below it.
    pub fn hands_over(&self) -> bool {
        !self.stop_argv.is_empty()
    }

    /// Returns the command that ends such an engine, with the port filled in.
    pub fn stop_argv_at(&self, port: u16) -> Vec<String> {
        self.stop_argv.iter().map(|arg| fill_port(arg, port)).collect()
    }

    /// Returns the environment with the port filled in.
    pub fn env_at(&self, port: u16) -> BTreeMap<String, String> {
        self.env.iter().map(|(name, value)| (name.clone(), fill_port(value, port))).collect()
    }

    /// Returns what [`Launch::env_from`] says, and that of the API key's own variable: an engine
    /// that `bench` starts gets the very key that requests carry.
    pub fn secret_env(&self) -> BTreeMap<String, String> {
        let mut from = self.env_from.clone();
        for name in self.api_key_env.iter().filter(|name| !self.env.contains_key(*name)) {
            from.entry(name.clone()).or_insert_with(|| name.clone());
        }
        from
    }

    /// Returns the variable of bench's own environment that holds the API key.
    pub fn api_key_variable(&self) -> Option<&str> {
        let name = self.api_key_env.as_ref()?;
        Some(self.env_from.get(name).unwrap_or(name))
    }

    /// Returns the base URL with the port filled in.
    pub fn base_url_at(&self, port: u16) -> String {
        fill_port(&self.base_url, port)
    }
}

fn fill_port(text: &str, port: u16) -> String {
    text.replace(PORT, &port.to_string())
}
