//! Every option of a scenario once, in scenarios as small as can be.

/// One scenario of the table. In its text `@ROOT@` is the repository, and `@SHA256@` that of `q.jsonl`.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// Further arguments of `bench run`.
    pub(crate) args: &'static [&'static str],
    pub(crate) env: &'static [(&'static str, &'static str)],
}

const fn row(name: &'static str, text: &'static str) -> Row {
    Row { name, text, args: &[], env: &[] }
}

/// `q.jsonl` has twelve questions, `chats.jsonl` four conversations, `trace.jsonl` six rows with
/// times, `odd.jsonl` a row that cannot be used, `model` a tokenizer with two templates, and
/// `base.toml` is a scenario without a load.
pub(crate) const ROWS: &[Row] = &[
    row(
        "two scores on one data set",
        r#"
title = "Two scores"
description = "Each reads golds in its own way."
report = "accuracy_vs_speed"
seed = 3
[engine.sim]
ttft = "2ms"
itl = "1ms"
answer-from = "./q.jsonl"
[dataset.q]
source = "gsm8k"
split = "test"
location = "./q.jsonl"
sha256 = "@SHA256@"
[score.number]
extract = ["strict", "flexible", "answer-is", "choice", 'are (\d+)', "number"]
compare = "numeric"
gold = "number"
think = "keep"
tolerance = 1e-6
[score.words]
extract = ["whole"]
gold = "whole"
normalise = []
compare = "exact"
[gate]
must = ["accuracy >= 0", "ttft.p50 < 60s"]
undecided = "fail"
[validity]
doubtful-share = 1.0
[matrix]
score = ["number", "words"]
concurrency = [1, 3]
zip = [["score", "concurrency"]]
[request]
max-tokens = 64
[phase.load]
requests = "all"
"#,
    ),
    row(
        "conversations behind a time-bounded warm-up",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.chats]
source = "jsonl"
location = "./chats.jsonl"
columns = { messages = "messages" }
multi-turn = true
cycle = true
[request]
max-tokens = 4
[phase.warm_up]
kind = "warm-up"
concurrency = 2
duration = "200ms"
[phase.load]
kind = "measure"
concurrency = 2
requests = 8
trials = 2
"#,
    ),
    row(
        "two data sets and two engines, interleaved trials",
        r#"
trials = 2
order = "interleaved"
[vars]
words = "q.jsonl"
[engine.a]
preset = "sim"
summary = "the first"
ttft = "2ms"
itl = "1ms"
[engine.b]
preset = "sim"
ttft = "3ms"
itl = "1ms"
[matrix]
engine = ["a", "b"]
dataset = ["q", "r"]
max-tokens = [4, 8]
exclude = [{ engine = "b", dataset = "r" }, { engine = "a", max-tokens = 8 }]
[dataset.q]
source = "jsonl"
location = "./{{ words }}"
columns = { prompt = "question", answer = "answer" }
shuffle = true
limit = 8
reserve-for-warm-up = 2
[dataset.r]
source = "jsonl"
location = "./q.jsonl"
prompt = "Question: {{ question }}\nAnswer:"
system = "Answer briefly."
[phase.warm_up]
requests = 2
[phase.load]
concurrency = 2
requests = 4
"#,
    ),
    row(
        "precisions held against a reference",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
answer-from = "./q.jsonl"
[matrix]
precision = ["fp32", "fp16"]
[dataset.q]
source = "gsm8k"
location = "./q.jsonl"
shots = 2
[score.answer]
extract = ["strict"]
[reference]
precision = "fp32"
[compare]
alpha = 0.05
margin = 0.05
[cost]
gpu-hour-price = 2.5
[request]
max-tokens = 32
logprobs = true
[phase.load]
batch = 4
requests = 8
"#,
    ),
    row(
        "a published table beside",
        r#"
report = "accuracy_vs_speed"
[engine.sim]
ttft = "2ms"
itl = "1ms"
precision = "fp16"
answer-from = "./q.jsonl"
[matrix]
"engine.sim.tokens" = [4, 6]
[dataset.q]
source = "gsm8k"
location = "./q.jsonl"
[score.answer]
extract = ["flexible"]
[published]
table = "tinyllama_gsm8k"
rows = { "vLLM FP16" = { engine = "sim" } }
names = { "vLLM FP16" = "sim" }
stand-ins = true
[phase.load]
all-at-once = true
requests = 6
"#,
    ),
    row(
        "a load that two processes share",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "gsm8k"
location = "./q.jsonl"
[request]
max-tokens = 4
[phase.load]
concurrency = 3
requests = 11
[clients]
commands = [["env"]]
host = "127.0.0.1"
"#,
    ),
    row(
        "completions without a stream",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "text"
location = "./q.jsonl"
[request]
api = "completions"
path = "/v1/completions"
stream = false
max-tokens = 4
ignore-eos = true
temperature = 0.7
top-p = 0.9
seed = 1
stop = ["\n\n"]
salt = true
extra-body = { min_p = 0.1 }
[phase.load]
concurrency = 2
iterations = 3
"#,
    ),
    row(
        "generated prompts, rendered here",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.prompts]
source = "random"
tokenizer = "./model"
chat-template = "text"
template-date = "2026-11-29"
template-name = "brief"
chat-template-kwargs = { enable_thinking = false }
input-tokens = { min = 8, max = 16 }
output-tokens = 4
shared-prefix-tokens = 2
[request]
api = "completions"
max-tokens = "from-data"
[phase.load]
concurrency = 2
requests = 6
"#,
    ),
    row(
        "generated prompts of words",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.prompts]
source = "random"
input-words = { min = 4, max = 9 }
output-tokens = 4
shared-prefix-tokens = 2
shared-prefixes = 2
warm = 0.5
[request]
max-tokens = "from-data"
[phase.load]
concurrency = 2
requests = 6
"#,
    ),
    row(
        "an open loop with its objectives",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./missing.jsonl"
fallback = "./q.jsonl"
columns = { prompt = "question" }
cycle = true
[slo]
ttft = "1s"
tpot = "1s"
e2e = "5s"
[request]
max-tokens = 4
[phase.warm_up]
rate = 50.0
requests = 4
[phase.poisson]
rate = 50.0
arrival = "poisson"
duration = "300ms"
max-in-flight = 8
drain = "2s"
deadlines = { connect = "2s", first-token = "2s", between-tokens = "2s", total = "4s" }
[phase.constant]
rate = 50.0
arrival = "constant"
requests = 8
[phase.gamma]
rate = 50.0
arrival = { gamma = 0.5 }
requests = 8
[phase.ramp]
ramp = { from = 20.0, to = 80.0, shape = "linear" }
duration = "200ms"
"#,
    ),
    row(
        "a trace",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.trace]
source = "trace"
location = "./trace.jsonl"
time-unit = "ms"
block-tokens = 512
after = "10ms"
before = "250ms"
[request]
max-tokens = 4
[phase.load]
trace = { speedup = 2.0 }
"#,
    ),
    row(
        "requests that are cancelled, rows that are left out",
        r#"
max-failures = 0.1
[validity]
ok-share = 0.02
ok-time = "1ms"
doubtful-share = 0.5
[engine.sim]
ttft = "2ms"
itl = "20ms"
[dataset.q]
source = "jsonl"
location = "./odd.jsonl"
columns = { prompt = "question" }
turns = "skip"
bad-rows = "skip"
max-bad-rows = 0.9
[phase.load]
concurrency = 2
requests = 4
cancel-after = "60ms"
"#,
    ),
    row(
        "a warm-up until it is steady",
        r#"
[gate]
must = ["success_share >= 0.5"]
steady = false
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
cycle = true
[request]
max-tokens = 4
[phase.warm_up]
requests = 4
until-steady = { max-rounds = 6 }
[phase.load]
concurrency = 2
requests = 8
"#,
    ),
    row(
        "a budget, and what is not tried after a failure",
        r#"
budget = "1h"
skip-after = "oom"
prefetch = true
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[matrix]
concurrency = [1, 2, 3]
[request]
max-tokens = 2
[phase.load]
requests = 4
"#,
    ),
    row(
        "engines side by side where there are GPUs for them",
        r#"
parallel = "by-gpu"
[engine.one]
preset = "sim"
ttft = "2ms"
itl = "1ms"
[engine.two]
preset = "sim"
ttft = "3ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[request]
max-tokens = 2
[phase.load]
concurrency = 2
requests = 4
"#,
    ),
    row(
        "a phase until a number is known",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
cycle = true
[request]
max-tokens = 2
[phase.load]
concurrency = 2
requests = 400
until = { metric = "e2e.mean", half-width = "50%" }
"#,
    ),
    row(
        "an open loop that ends once its queue only grows",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[request]
max-tokens = 2
[phase.load]
rate = 50.0
requests = 6
over-saturation = "stop-and-skip"
"#,
    ),
    row(
        "a search for the highest load",
        r#"
[engine.sim]
ttft = "20ms"
itl = "1ms"
max-sequences = 2
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
cycle = true
[request]
max-tokens = 4
[slo]
ttft = "40ms"
[phase.load]
requests = 8
[search]
over = "concurrency"
from = 1
to = 4
goodput = 0.9
precision = 0.5
max-points = 3
"#,
    ),
    row(
        "settings of Slurm, which a run on this machine does not look at",
        r#"
[engine.sim]
ttft = "2ms"
itl = "1ms"
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[request]
max-tokens = 4
[phase.load]
concurrency = 2
requests = 4
[slurm]
partition = "gpu"
account = "project"
qos = "normal"
constraint = "h100"
time = "4h"
gpus = 2
gres = "gpu:h100:{{ gpus }}"
nodes = 1
clients = 1
cpus = 4
memory = "8G"
max-jobs = 2
end-before = "1m"
setup = ["module load cuda"]
container = ["apptainer", "exec", "engine.sif"]
export = ["HF_HOME"]
extra = ["--exclusive"]
template = "./task.sh.j2"
"#,
    ),
    Row {
        env: &[("OWN_KEY", "unused")],
        ..row(
            "an engine that says everything itself",
            r#"
[engine.own]
preset = "sim"
model = "sim"
model-id = "{{ model }}"
program = "{{ bench }}"
argv = ["{{ program }}", "serve", "sim", "--port", "{{ port }}"]
extra-args = ["--ttft", "2ms", "--itl", "1ms"]
env = { PLACE = "here" }
env-recorded = ["PLACE"]
cwd = "./"
url = "http://127.0.0.1:{{ port }}"
api-key-env = "OWN_KEY"
api-key-header = "api-key"
headers = { X-Org = "ours" }
proxy = "environment"
headers-from = { X-Token = "OWN_KEY" }
env-from = { HIDDEN = "OWN_KEY" }
health = "/health"
models = "/v1/models"
ready-timeout = "20s"
stop-grace = "5s"
stop-command = ["sh", "-c", "echo {{ port }} is ended"]
starts = 2
speculative = "ngram:2"
requires = [{ program = "sh", hint = "a shell" }]
flags = { context-length = [] }
context-length = 4096
precisions = { fp32 = [] }
speculators = { ngram = [] }
log = { stages = { up = "listening on" }, failures = {}, remedies = { "threads=1" = "too many threads" } }
metrics = { path = "/metrics", names = { requests_running = ["vllm:num_requests_running"] } }
cache-reset = "POST /reset_prefix_cache"
version = ["{{ program }}", "--version"]
help = ["{{ program }}", "--help"]
held-against = ["1.0"]
configuration = { "/v1/models" = { "/data/0/id" = "served" } }
quirks = { no-done = true, no-reuse = true, max-completion-tokens = true, omit = ["seed"] }
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[request]
max-tokens = 4
[phase.load]
concurrency = 2
requests = 6
"#,
        )
    },
    row(
        "the built-in model from a cold start",
        r#"
[engine.tiny]
cold-start = true
[dataset.q]
source = "jsonl"
location = "./q.jsonl"
columns = { prompt = "question" }
[request]
max-tokens = 4
[phase.load]
concurrency = 1
requests = 2
"#,
    ),
    Row {
        args: &["--profile", "quick", "--set", "request.max-tokens=3", "--set", "trials=2"],
        env: &[("BENCH_PHASE__LOAD__CONCURRENCY", "2")],
        ..row(
            "layers beneath and above",
            r#"
extends = "base.toml"
[phase.load]
concurrency = 1
requests = 8
[profile.quick]
phase.load.requests = 4
"#,
        )
    },
];
