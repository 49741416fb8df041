//! The text of a first scenario: what a few words of a command line become.

use std::path::{Path, PathBuf};

use toml::Value;

use crate::cli::typed;
use crate::datasets::known::Known;
use crate::plan::cell::{DatasetPlan, Source};
use crate::workload::dataset::schema::Schema;

/// What a first scenario says.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    /// The command that wrote it.
    pub(crate) command: String,
    /// Heading of the report.
    pub(crate) title: String,
    pub(crate) engine: EngineChoice,
    pub(crate) data: DataChoice,
    pub(crate) load: LoadChoice,
    pub(crate) request: RequestChoice,
    /// Seconds measured at each load.
    pub(crate) seconds: u32,
    pub(crate) warm_up: WarmUp,
}

/// What answers.
#[derive(Clone, Debug)]
pub(crate) enum EngineChoice {
    /// A server that runs already.
    Running {
        url: String,
        model: String,
        /// Whether the model is on the server's list.
        is_listed: bool,
        api_key_env: Option<String>,
        /// Fields of requests that it refuses.
        refused: Vec<&'static str>,
        /// Whether it takes the limit of an answer as `max_tokens`.
        takes_max_tokens: bool,
        /// Whether it closes connections without announcing it.
        closes: bool,
    },
    /// One that is started.
    Started {
        preset: String,
        /// The preset's file, where the scenario cannot find it by its name.
        path: Option<PathBuf>,
        model: Option<String>,
        precisions: Vec<String>,
    },
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataChoice {
    /// Generated text.
    Words { words: u32, note: String },
    /// Generated text, cut by a tokenizer.
    Tokens { tokens: u32, tokenizer: String },
    /// A data set that bench knows.
    Known { source: String, tokenizer: Option<String> },
    /// A file.
    File { source: &'static str, path: PathBuf, schema: Schema, tokenizer: Option<String> },
}

/// How much is asked at once, one cell each.
#[derive(Clone, Debug)]
pub(crate) enum LoadChoice {
    Concurrency(Vec<u32>),
    Rate(Vec<f64>),
}

/// How it is asked.
#[derive(Clone, Debug)]
pub(crate) struct RequestChoice {
    /// Absent where it is the usual one.
    pub(crate) api: Option<&'static str>,
    pub(crate) stream: bool,
    /// Absent where answers are as long as those of the data.
    pub(crate) max_tokens: Option<u32>,
    pub(crate) ignore_eos: bool,
}

/// How an engine comes to its pace before the clock starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarmUp {
    /// Short rounds until there is no trend.
    UntilSteady,
    /// Once: an answer takes long.
    Once,
}

/// Name of the engine in the scenario of a running server.
pub(crate) const SERVER: &str = "server";
/// Room for the last answers, after which a level ends.
const DRAIN: &str = "15s";

impl Starter {
    /// Returns the scenario, with comments.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = Text::default();
        text.plain(&format!("# Written by: {}", self.command));
        text.plain("#");
        text.plain("# An ordinary scenario: change it, `bench check` it, `bench run` it again. Every key and its");
        text.plain("# default: scenarios/defaults/defaults.toml; for an editor: `bench schema`.");
        text.value("title", &quoted(&self.title), "");
        self.write_engine(&mut text);
        self.write_data(&mut text);
        self.write_matrix(&mut text);
        self.write_request(&mut text);
        self.write_phases(&mut text);
        text.0
    }

    fn write_engine(&self, text: &mut Text) {
        match &self.engine {
            EngineChoice::Running {
                url,
                model,
                is_listed,
                api_key_env,
                refused,
                takes_max_tokens,
                closes,
            } => {
                let what = "runs already: nothing is started, nothing stopped";
                text.table(&format!("engine.{SERVER}"), what);
                text.value("preset", "\"endpoint\"", "");
                text.value("url", &quoted(url), "");
                text.value("model", &quoted(model), "");
                if !is_listed {
                    text.value("models", "\"\"", "it does not list this model, but answers for it");
                }
                if let Some(name) = api_key_env {
                    text.value("api-key-env", &quoted(name), "the variable that holds its key");
                }
                let omit = joined(refused.iter().map(|field| quoted(field)));
                let quirks = [
                    (!refused.is_empty()).then(|| format!("omit = {omit}")),
                    (!takes_max_tokens).then(|| "max-completion-tokens = true".to_owned()),
                    closes.then(|| "no-reuse = true".to_owned()),
                ];
                let quirks: Vec<String> = quirks.into_iter().flatten().collect();
                if !quirks.is_empty() {
                    let what = "what it refuses, names otherwise, or closes unannounced";
                    text.value("quirks", &format!("{{ {} }}", quirks.join(", ")), what);
                }
            }
            EngineChoice::Started { preset, path, model, .. } => {
                let what = "launch command, flags, readiness: in its preset";
                text.table(&format!("engine.{}", key(preset)), what);
                if let Some(path) = path {
                    text.value("preset", &quoted(&path.display().to_string()), "");
                }
                if let Some(model) = model {
                    text.value("model", &quoted(model), "");
                }
            }
        }
    }

    fn write_data(&self, text: &mut Text) {
        text.table("dataset.prompts", "the same prompts for each row of the table");
        let tokenizer = match &self.data {
            DataChoice::Words { words, note } => {
                text.value("source", "\"random\"", "generated: common English words");
                text.value("input-words", &words.to_string(), note);
                None
            }
            DataChoice::Tokens { tokens, tokenizer } => {
                text.value("source", "\"random\"", "generated: words of the tokenizer");
                text.value("input-tokens", &tokens.to_string(), "and about 9 of the salt");
                Some(tokenizer)
            }
            DataChoice::Known { source, tokenizer } => {
                text.value("source", &quoted(source), "");
                tokenizer.as_ref()
            }
            DataChoice::File { source, path, schema, tokenizer } => {
                text.value("source", &quoted(source), "");
                text.value("location", &quoted(&path.display().to_string()), "");
                let columns = schema.columns.iter();
                let columns = columns.map(|(part, name)| format!("{part} = {}", quoted(name)));
                let columns: Vec<_> = columns.collect();
                if !columns.is_empty() {
                    let columns = format!("{{ {} }}", columns.join(", "));
                    text.value("columns", &columns, "as its first row has them");
                }
                if let Some(prompt) = &schema.prompt {
                    text.value("prompt", &quoted(prompt), "");
                }
                tokenizer.as_ref()
            }
        };
        if let Some(tokenizer) = tokenizer {
            text.value("tokenizer", &quoted(tokenizer), "");
        }
        if let (true, Some(n)) = (self.data.is_generated(), self.request.max_tokens) {
            text.value("output-tokens", &n.to_string(), "");
        }
        text.value("cycle", "true", "from the first row again when rows run out");
        if let DataChoice::Known { source, .. } = &self.data {
            write_score(source, text);
        }
    }

    fn write_matrix(&self, text: &mut Text) {
        text.table("matrix", "lists are multiplied out: a row of the table each");
        if let EngineChoice::Started { precisions, .. } = &self.engine
            && !precisions.is_empty()
        {
            text.value("precision", &joined(precisions.iter().map(|name| quoted(name))), "");
        }
        match &self.load {
            LoadChoice::Concurrency(list) => {
                let list = joined(list.iter().map(ToString::to_string));
                text.value("concurrency", &list, "requests at once; each is followed by the next");
            }
            LoadChoice::Rate(list) => {
                let list = joined(list.iter().map(|rate| format!("{rate:?}")));
                text.value("rate", &list, "requests per second, whatever the engine can do");
            }
        }
    }

    fn write_request(&self, text: &mut Text) {
        let RequestChoice { api, stream, max_tokens, ignore_eos } = self.request;
        text.table("request", "");
        if let Some(api) = api {
            text.value("api", &quoted(api), "");
        }
        if !stream {
            text.value("stream", "false", "it does not stream: no TTFT, no TPOT");
        }
        let length = max_tokens.map_or_else(|| quoted("from-data"), |n| n.to_string());
        text.value("max-tokens", &length, "");
        if ignore_eos {
            text.value("ignore-eos", "true", "answers of exactly that length");
        }
        text.value("salt", "true", "eight random words in front: no prefix cache helps");
    }

    fn write_phases(&self, text: &mut Text) {
        text.table("phase.warm_up", "before each row; counts for nothing");
        if matches!(self.load, LoadChoice::Rate(_)) {
            text.value("concurrency", "4", "");
        }
        match self.warm_up {
            WarmUp::UntilSteady => {
                text.value("duration", "\"250ms\"", "of a round");
                let rounds = "{ max-rounds = 12 }";
                text.value("until-steady", rounds, "rounds until four of them show no trend");
            }
            WarmUp::Once => {
                let what = "an answer takes long; `until-steady = true` repeats it";
                text.value("duration", "\"1s\"", what);
            }
        }
        text.table("phase.load", "");
        text.value("duration", &quoted(&format!("{}s", self.seconds)), "");
        text.value("drain", &quoted(DRAIN), "time for the last answers");
    }
}

impl LoadChoice {
    /// Returns the load that a command line asks for: these rates, else these streams, else the
    /// usual ones.
    pub(crate) fn of(rates: &[f64], streams: &[u32]) -> Self {
        match (rates, streams) {
            ([], []) => Self::Concurrency(vec![1, 8, 32]),
            ([], streams) => Self::Concurrency(streams.to_vec()),
            (rates, _) => Self::Rate(rates.to_vec()),
        }
    }
}

/// The built-in model knows few words whole: 1,877 tokens for 503 of them and a salt of eight.
const TINY_TOKENS_PER_WORD: u32 = 4;

impl DataChoice {
    /// Returns the same data, a file of it relative to that of the scenario where it lies beside
    /// or below it.
    pub(crate) fn beside(self, scenario: &Path) -> Self {
        let Self::File { source, path, schema, tokenizer } = self else { return self };
        let home = typed::absolute(scenario);
        let inside = home.parent().and_then(|home| path.strip_prefix(home).ok());
        let path = inside.map_or_else(|| path.clone(), |inside| Path::new(".").join(inside));
        Self::File { source, path, schema, tokenizer }
    }

    /// Returns what makes prompts of the same length for the engine of this preset.
    pub(crate) fn read_by(self, preset: &str) -> Self {
        match self {
            Self::Words { words, .. } if preset == "tiny" => Self::Words {
                words: (words / TINY_TOKENS_PER_WORD).max(1),
                note: format!("the built-in model reads a word as {TINY_TOKENS_PER_WORD} tokens"),
            },
            other => other,
        }
    }

    /// Whether the prompts are generated, so that they have no answers of their own.
    pub(crate) fn is_generated(&self) -> bool {
        matches!(self, Self::Words { .. } | Self::Tokens { .. })
    }
}

/// A TOML text whose comments stand below each other.
#[derive(Default)]
struct Text(String);

impl Text {
    fn plain(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn table(&mut self, name: &str, comment: &str) {
        self.plain("");
        self.commented(&format!("[{name}]"), comment);
    }

    fn value(&mut self, key: &str, value: &str, comment: &str) {
        self.commented(&format!("{key:<KEY_WIDTH$} = {value}"), comment);
    }

    fn commented(&mut self, code: &str, comment: &str) {
        let line = if comment.is_empty() {
            code.to_owned()
        } else {
            format!("{code:<COMMENT_AT$} # {comment}")
        };
        self.plain(&line);
    }
}

/// Width that keys are padded to.
const KEY_WIDTH: usize = 13;
/// Column that comments begin at.
const COMMENT_AT: usize = 40;

fn joined(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// Writes how answers are graded, where a known data set brings some to grade by.
fn write_score(source: &str, text: &mut Text) {
    let known = Known::named(source).map(|known| known.source);
    if !known.is_some_and(|source| DatasetPlan::of(source, None, None, None).has_golds()) {
        return;
    }
    if matches!(known, Some(Source::Gsm8k | Source::S1k | Source::S1k11)) {
        text.table("score.answer", "graded from the same answers");
        text.value("extract", "[\"strict\", \"flexible\"]", "");
    } else {
        text.table("score.answer", "graded from the same answers, as its task is");
    }
}

/// Returns a text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Returns a name as it stands in the head of a table.
pub(crate) fn key(name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare && !name.is_empty() { name.to_owned() } else { quoted(name) }
}
