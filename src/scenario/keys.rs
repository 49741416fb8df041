//! Every key of a scenario: one table that drives checking, advice, documentation and the JSON Schema.

use crate::scenario::schema::Kind::{
    Above, Anything, Bool, Choice, Duration, Either, Engine, Integer, List, Map, Named, Number,
    Scalar, Table, Text,
};
use crate::scenario::schema::{Field, Kind};

const fn field(key: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { key, kind, doc }
}

const ONE_UP: Kind = Integer(1, 10_000_000);
const RATE: Kind = Above(0.0, 1e6);
const STRINGS: Kind = List(&Text);

/// The keys of a scenario file.
pub(crate) static SCENARIO: &[Field] = &[
    field("title", Text, "Heading of the report."),
    field("description", Text, "What the scenario is for, in prose."),
    field("report", Text, "Report template: file stem in `reports/`."),
    field("seed", Integer(0, i64::MAX), "The only source of randomness."),
    field(
        "extends",
        Either(&[Text, STRINGS]),
        "Scenario files beneath this one, relative to it; later ones win.",
    ),
    field("trials", Integer(1, 1000), "How often each cell is measured."),
    field(
        "order",
        Choice(&["grouped", "interleaved"]),
        "All trials of an engine in a row, or engines alternating A B B A.",
    ),
    field(
        "vars",
        Named("variable", &Scalar),
        "Names for `{{ … }}` in engines, data sets and further variables.",
    ),
    field("engine", Named("engine", &Engine), "Engines, each on top of a preset."),
    field(
        "matrix",
        Map(&Anything),
        "Swept keys and their values: lists become the cartesian product.",
    ),
    field("dataset", Named("data set", &Table(DATASET)), "Where prompts come from."),
    field("score", Named("score", &Table(SCORE)), "How answers are graded."),
    field("phase", Named("phase", &Table(PHASE)), "Stretches of load, in the order of the file."),
    field("request", Table(REQUEST), "Form of the requests."),
    field("slo", Table(SLO), "Objectives: a request is good when it meets all of them."),
    field("published", Table(PUBLISHED), "A published table to show beside the measured rows."),
    field(
        "reference",
        Map(&Scalar),
        "Swept keys and values of the cell that answers are held against.",
    ),
    field("search", Table(SEARCH), "Looks for the highest load that meets the objectives."),
    field("cost", Table(COST), "Prices."),
    field("profile", Named("profile", &Kind::Profile), "Overrides, chosen by `--profile NAME`."),
];

/// The keys of a preset, and of `[engine.NAME]`, which may override any of them.
pub(crate) static ENGINE: &[Field] = &[
    field("preset", Text, "Preset it is made from; the engine's own name when absent."),
    field("summary", Text, "What the preset starts."),
    field("model", Text, "Model id, or a path that begins with `./`, `../` or `/`."),
    field("model-path", Text, "Local file or directory of the weights, where `model` is an id."),
    field("model-id", Text, "Template of the model id in requests; the model when absent."),
    field("precision", Text, "Number format: a key of the preset's `precisions`."),
    field("program", Text, "The program that `argv` starts with."),
    field("argv", STRINGS, "Templates of program and arguments; replaces the preset's command."),
    field("extra-args", STRINGS, "Arguments put at the end, verbatim."),
    field("env", Map(&Scalar), "Environment variables for the engine, as templates."),
    field(
        "env-from",
        Map(&Text),
        "Engine's variable → the variable of bench's own environment that its value, a secret, is taken from.",
    ),
    field("env-recorded", STRINGS, "Names of further environment variables to record."),
    field("cwd", Text, "Working directory."),
    field("url", Text, "Base URL; of a running engine when there is no command."),
    field("ca", Text, "PEM file of certificates to trust on https, beside the system's."),
    field("api-key-env", Text, "Name of the environment variable that holds the API key."),
    field("health", Text, "Path that answers 200 when healthy; \"\" for none."),
    field("models", Text, "Path that lists the served models; \"\" for none."),
    field("ready-timeout", Duration, "Time from the start to the first token."),
    field("stop-grace", Duration, "Time between SIGTERM and SIGKILL."),
    field("cold-start", Bool, "Drop the model's files from the page cache before each start."),
    field(
        "starts",
        Integer(1, 100),
        "Starts measured for the load time, the serving one included.",
    ),
    field(
        "speculative",
        Either(&[Text, Table(SPECULATIVE)]),
        "`METHOD:TOKENS`, a table, or `none`.",
    ),
    field("requires", List(&Table(REQUIRES)), "What the machine must have."),
    field(
        "flags",
        Map(&Either(&[STRINGS, Map(&STRINGS)])),
        "Option → its arguments, or value → arguments.",
    ),
    field("precisions", Map(&STRINGS), "Number format → its arguments."),
    field("speculators", Map(&STRINGS), "Method of speculative decoding → its arguments."),
    field("log", Table(LOG), "Patterns over the engine's log lines."),
    field("metrics", Table(METRICS), "The Prometheus endpoint."),
    field("cache-reset", Text, "`METHOD PATH` that empties the prefix cache."),
    field("version", STRINGS, "Command that prints the version."),
    field(
        "configuration",
        Map(&Map(&Text)),
        "URL path → JSON pointer → our name; `not NAME` where the engine tells the opposite.",
    ),
    field("quirks", Table(QUIRKS), "Deviations of its API."),
];

/// Options that several engines have; a preset says by `flags` which ones it knows.
pub(crate) static OPTIONS: &[Field] = &[
    field("tensor-parallel", Integer(1, 4096), "Devices that share each layer."),
    field("pipeline-parallel", Integer(1, 4096), "Devices that share the stack of layers."),
    field("data-parallel", Integer(1, 4096), "Replicas of the model."),
    field("context-length", Integer(1, 100_000_000), "Longest sequence, in tokens."),
    field("memory-fraction", Above(0.0, 1.0), "Share of the device's memory the engine may take."),
    field("max-sequences", Integer(1, 1_000_000), "Sequences in one iteration at most."),
    field("max-batched-tokens", Integer(1, 1_000_000_000), "Tokens in one iteration at most."),
    field("quantisation", Text, "Quantisation by the engine's own name."),
    field("kv-cache-dtype", Text, "Number format of the KV cache."),
    field("eager", Bool, "Without graphs and compilation."),
    field("prefix-cache", Bool, "Reuse of common prefixes."),
    field("batch-size", Integer(1, 1_000_000), "Static batch size."),
    field("threads", Integer(1, 4096), "Threads on the CPU."),
    field("device", Text, "Device by the engine's own name."),
    field("mode", Text, "Mode by the engine's own name."),
];

static SPECULATIVE: &[Field] = &[
    field("method", Text, "A key of the preset's `speculators`."),
    field("tokens", Integer(1, 1024), "Tokens guessed at once."),
    field("model", Text, "Draft model."),
    field("extra", Map(&Anything), "Further settings, for engines that take a JSON table."),
];

static REQUIRES: &[Field] = &[
    field("program", Text, "A program on PATH, or a path."),
    field("gpus", Either(&[Bool, Integer(1, 4096)]), "GPUs; `true` for as many as it shards over."),
    field("compute-capability", Text, "CUDA compute capability, `8.9`."),
    field("path", Text, "A file or directory."),
    field("python-module", Text, "A module that the interpreter `program` can import."),
    field("env", Text, "An environment variable that is set."),
    field("precision", STRINGS, "Only for these number formats."),
    field("hint", Text, "How to get it."),
];

static LOG: &[Field] = &[
    field("stages", Map(&Text), "Stage → pattern; group `secs` is the time it took."),
    field("failures", Map(&Text), "Failure class → pattern."),
    field("configuration", Map(&Text), "Our name → pattern; its group `value`, or its first one."),
    field(
        "throughput",
        Text,
        "Pattern with groups `prompt_tps`, `output_tps`, and `rank` where replicas write their own.",
    ),
];

static METRICS: &[Field] = &[
    field("path", Text, "URL path; \"\" for none."),
    field("names", Map(&STRINGS), "Our name → the engine's names, first found counts."),
];

static QUIRKS: &[Field] = &[
    field("no-done", Bool, "Its streams end without `[DONE]`."),
    field("no-reuse", Bool, "It closes connections unannounced: each request gets its own."),
    field(
        "continuous-usage",
        Bool,
        "It counts tokens in every chunk (`stream_options.continuous_usage_stats`).",
    ),
    field("omit", STRINGS, "Body fields that it refuses."),
];

static RANGE: &[Field] = &[
    field("min", Integer(0, 10_000_000), "Least."),
    field("max", Integer(0, 10_000_000), "Most."),
];

static DATASET: &[Field] = &[
    field("source", Choice(SOURCES), "Kind of source."),
    field("split", Text, "Split, where the source has several."),
    field("location", Text, "File, https URL or hub repository."),
    field("sha256", Text, "Expected SHA-256 of the file."),
    field("fallback", Text, "File used, and reported, when the source cannot be had."),
    field("columns", Map(&Text), "Role → column name or JSON pointer."),
    field("prompt", Text, "Template of the prompt over the row's columns."),
    field("system", Text, "System message."),
    field("shots", Integer(0, 1000), "Worked examples in front of each prompt."),
    field("shuffle", Bool, "Shuffle rows by the seed."),
    field("limit", ONE_UP, "Use only that many rows."),
    field("reserve-for-warm-up", Integer(0, 10_000_000), "Rows kept for warm-up alone."),
    field("cycle", Bool, "Start again when rows run out."),
    field("tokenizer", Text, "Path of a `tokenizer.json` or its directory, or a hub repository."),
    field(
        "chat-template",
        Choice(&["text", "tokens"]),
        "Render prompts by the tokenizer's chat template and send them so, for completions.",
    ),
    field("input-tokens", Either(&[ONE_UP, Table(RANGE)]), "Lengths of generated prompts."),
    field("output-tokens", Either(&[ONE_UP, Table(RANGE)]), "Lengths of answers."),
    field("shared-prefix-tokens", Integer(0, 10_000_000), "Tokens all generated prompts share."),
    field("multi-turn", Bool, "Whole conversations rather than first turns."),
    field("skip-bad-rows", Bool, "Count and leave out unusable rows instead of stopping."),
];

/// Kinds of sources.
pub(crate) const SOURCES: &[&str] = &[
    "gsm8k",
    "s1k",
    "s1k-1.1",
    "sharegpt",
    "ultrachat",
    "random",
    "jsonl",
    "csv",
    "parquet",
    "text",
    "trace",
];

static REGEX: &[Field] = &[
    field("regex", Text, "Pattern: its group `answer`, else its first group, else all of it."),
    field("json-field", Text, "Field of a JSON object in the text."),
    field("name", Text, "Name in reports."),
    field("take", Choice(&["first", "last"]), "Which of several matches."),
];
const EXTRACT: Kind = Either(&[Text, Table(REGEX)]);
static DELETE: &[Field] = &[field("delete", Text, "Delete every match of this pattern.")];

static SCORE: &[Field] = &[
    field("extract", List(&EXTRACT), "Extractors side by side; the first is the headline."),
    field("compare", Choice(&["exact", "numeric", "set"]), "How answers are compared."),
    field(
        "normalise",
        List(&Either(&[Choice(&["lowercase", "trim"]), Table(DELETE)])),
        "Applied in order to both sides.",
    ),
    field("gold", EXTRACT, "How the gold is taken from the data set's answer."),
    field("floor", Number(0.0, 1.0), "Lowest accuracy that passes, as a share."),
];

static GAMMA: &[Field] =
    &[field("gamma", Above(0.0, 1e6), "Burstiness: 1 is Poisson, less is burstier.")];
static RAMP: &[Field] = &[
    field("from", RATE, "Requests per second at the start."),
    field("to", RATE, "Requests per second at the end."),
    field("shape", Choice(&["linear", "exponential"]), "How the rate changes."),
];
static TRACE: &[Field] = &[field("speedup", Above(0.0, 1e6), "1 replays in real time.")];
static STEADY: &[Field] = &[field("max-rounds", Integer(1, 1000), "Rounds at most.")];
static DEADLINES: &[Field] = &[
    field("connect", Duration, "Until the connection is open."),
    field("first-token", Duration, "From sending to the first token."),
    field("between-tokens", Duration, "Between two tokens."),
    field("total", Duration, "From sending to the end."),
];

static PHASE: &[Field] = &[
    field(
        "kind",
        Choice(&["warm-up", "measure"]),
        "Whether its requests count; by its name when absent.",
    ),
    field("requests", Either(&[ONE_UP, Choice(&["all"])]), "How many; \"all\" for every row."),
    field("duration", Duration, "How long."),
    field("concurrency", Integer(1, 1_000_000), "Closed loop: that many streams."),
    field("rate", RATE, "Open loop: requests per second."),
    field(
        "arrival",
        Either(&[Choice(&["poisson", "constant"]), Table(GAMMA)]),
        "How gaps of a `rate` are spread.",
    ),
    field("ramp", Table(RAMP), "Open loop with a changing rate."),
    field("batch", Integer(1, 1_000_000), "Static batches of that size."),
    field("all-at-once", Bool, "Everything at once."),
    field("trace", Table(TRACE), "The data set's own time stamps."),
    field("max-in-flight", Integer(1, 1_000_000), "At most this many at once; a wait is recorded."),
    field("trials", Integer(1, 1000), "How often the cell is measured."),
    field(
        "until-steady",
        Either(&[Bool, Table(STEADY)]),
        "Repeat the warm-up until there is no trend.",
    ),
    field("deadlines", Table(DEADLINES), "Deadlines of each request."),
    field("cancel-after", Duration, "Cancel each request after this time."),
    field("drain", Duration, "Time that responses get after the last send."),
];

/// Keys of a phase that say when requests are sent; a phase has one of them. A layer that
/// sets one replaces whichever a lower layer set.
pub(crate) const LOADS: &[&str] = &["concurrency", "rate", "ramp", "batch", "all-at-once", "trace"];

static REQUEST: &[Field] = &[
    field("api", Choice(&["chat", "completions"]), "Which endpoint is asked."),
    field("path", Text, "URL path of the endpoint, where it is not the usual one."),
    field("stream", Bool, "Whether answers are streamed."),
    field(
        "max-tokens",
        Either(&[ONE_UP, Choice(&["from-data"])]),
        "Longest answer; \"from-data\" for the data set's own lengths.",
    ),
    field("ignore-eos", Bool, "Answers of exactly `max-tokens` tokens."),
    field("temperature", Number(0.0, 100.0), "0 is greedy."),
    field("top-p", Above(0.0, 1.0), "Nucleus."),
    field("seed", Integer(0, i64::MAX), "Seed sent with each request."),
    field("stop", STRINGS, "Strings that end an answer."),
    field("salt", Bool, "A unique salt in front of each prompt, so that no prefix cache helps."),
    field("logprobs", Bool, "Ask for log probabilities."),
    field("extra-body", Map(&Anything), "Further body fields, verbatim."),
];

static SLO: &[Field] = &[
    field("ttft", Duration, "Time to first token at most, from the scheduled send."),
    field("tpot", Duration, "Time per output token at most."),
    field("e2e", Duration, "Latency at most, from the scheduled send."),
];

static PUBLISHED: &[Field] = &[
    field("table", Text, "File stem in `fixtures/published/`."),
    field("rows", Map(&Map(&Scalar)), "Published row → the cell it belongs to, by swept keys."),
];

static SEARCH: &[Field] = &[
    field("over", Choice(&["concurrency", "rate"]), "What is searched."),
    field("from", Above(0.0, 1e6), "First load that is tried."),
    field("to", Above(0.0, 1e6), "Highest load that is tried."),
    field("goodput", Above(0.0, 1.0), "Share of requests that must be good."),
    field(
        "precision",
        Above(0.0, 1.0),
        "The search ends when its bounds are that near, relatively.",
    ),
    field("max-points", Integer(1, 100), "Loads that are tried at most."),
];

static COST: &[Field] =
    &[field("gpu-hour-price", Number(0.0, 1e9), "Price of one hour of one GPU.")];

/// Keys of `[matrix]` that are not swept.
pub(crate) const MATRIX_KEYS: &[&str] = &["zip", "exclude"];

/// Returns the table of a section, `phase` or `request`, say.
pub(crate) fn section(name: &str) -> &'static [Field] {
    match name {
        "dataset" => DATASET,
        "score" => SCORE,
        "phase" => PHASE,
        "request" => REQUEST,
        "engine" => ENGINE,
        _ => &[],
    }
}
