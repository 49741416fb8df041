//! Real engines, started by the program from a scenario of this repository, measured, scored and
//! taken down.
//!
//! `scenarios/engines/install.sh` installs them. They take minutes and memory, so they run only
//! where `BENCH_TEST_ENGINES` is set, as `.ci/run` sets it; what is not on PATH is noted as skipped.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program, reads what it wrote and says what it skips"
)]

mod undecided;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// When the first run began. Engines are run one at a time: they want both cores, and some of
/// them 8 GB of memory.
static BEGIN: Mutex<Option<Instant>> = Mutex::new(None);

/// Time after which no further run begins, so that all of them are over in twenty minutes.
const BUDGET: Duration = Duration::from_mins(12);

/// Questions that each engine answers, the first eight of them in the warm-up.
const N_QUESTIONS: &str = "dataset.questions.limit=40";

/// The tokenizer of the weights, against which engines that tell their tokens are held.
const TOKENIZER: &str = "dataset.questions.tokenizer=\"../fixtures/models/word-problems-1m\"";

/// Prompts for which an engine's own tokenizer is asked in each trial.
const N_ASKED: usize = 10;

/// A finished run.
struct Run {
    _home: tempfile::TempDir,
    dir: PathBuf,
}

impl Run {
    /// Runs the built-in engine and others on the same questions, for so long at most; `None`
    /// when the time of all runs is used up.
    fn of(engines: &[&str], settings: &[&str], limit: Duration) -> Option<Self> {
        if std::env::var_os("BENCH_TEST_ENGINES").is_none() {
            undecided::note(&format!("skipped: {engines:?}: BENCH_TEST_ENGINES is not set"));
            return None;
        }
        let mut begin = BEGIN.lock().unwrap_or_else(PoisonError::into_inner);
        let since_begin = begin.get_or_insert_with(Instant::now).elapsed();
        if since_begin > BUDGET {
            undecided::note(&format!(
                "skipped: {engines:?}: other engines took {since_begin:.0?} already"
            ));
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("run");
        let told = home.path().join("told.txt");
        let engines = format!("matrix.engine=[\"tiny\", \"{}\"]", engines.join("\", \""));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        // A client that others disturbed makes invalid rows, not failed ones.
        command
            .args(["run", "scenarios/cpu_engines.toml", "--quiet", "--fail-on", "failed"])
            .args(["--set", &engines, "--set", N_QUESTIONS, "--set", TOKENIZER]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command
            .arg("--out")
            .arg(&dir)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&told).unwrap())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > limit {
                // Its guardian takes the engine down.
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{engines}: not over after {limit:?}\n{}", read(&told));
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(status.code(), Some(0), "{engines}\n{}", read(&told));
        Some(Self { _home: home, dir })
    }

    /// Returns the cell of an engine; `None` when it was skipped, and says why.
    fn cell(&self, engine: &str) -> Option<Value> {
        let summary: Value = serde_json::from_str(&read(&self.dir.join("summary.json"))).unwrap();
        let cells = summary["cells"].as_array().unwrap();
        let cell = cells.iter().find(|cell| cell["keys"]["engine"] == engine).unwrap();
        let validity = &cell["validity"];
        if validity["status"] == "skipped" {
            let reason = &validity["reasons"][0];
            undecided::note(&format!("skipped: {engine}: {reason}"));
            return None;
        }
        Some(cell.clone())
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let text = read(&self.dir.join("events.jsonl"));
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter_map(|row| row["event"].get(kind).cloned()).collect()
    }

    /// Returns what the engine with this program said of itself when it was ready.
    fn facts(&self, in_argv: &str) -> Value {
        let has_it = |event: &&Value| event["argv"].to_string().contains(in_argv);
        let starting = self.events("engine-starting");
        let launch = starting.iter().find(has_it).unwrap()["launch"].clone();
        let ready = self.events("engine-ready");
        ready.iter().find(|event| event["launch"] == launch).unwrap()["facts"].clone()
    }

    /// Asserts that an engine's own tokenizer was asked for prompts, as text and as they are sent,
    /// and makes of each the tokens that the weights' tokenizer does.
    fn assert_reads_the_same_tokens(&self, cell: &Value) {
        let trial = self.dir.join("cells").join(cell["name"].as_str().unwrap()).join("trial-1");
        let record: Value = serde_json::from_str(&read(&trial.join("trial.json"))).unwrap();
        let asked = record["record"]["dataset"]["engine_tokens"].as_array().unwrap();
        assert_eq!(asked.len(), N_ASKED, "{asked:?}");
        for told in asked {
            let n = told["n"].as_u64().filter(|n| *n > 0);
            assert_eq!((told["n_engine"].as_u64(), told["n_same"].as_u64()), (n, n), "{told}");
            assert!(told.get("begins_twice").is_none(), "{told}");
        }
        let caveats = cell["caveats"].as_array().unwrap();
        assert!(caveats.iter().all(|caveat| caveat["code"] != "prompt-ids-differ"), "{caveats:?}");
    }

    fn argv(&self) -> String {
        self.events("engine-starting").last().unwrap()["argv"].to_string()
    }

    /// Asserts that an engine was measured, answered as well as the built-in one, and is gone;
    /// returns its cell, or `None` when it was skipped.
    fn assert_measured(&self, engine: &str) -> Option<Value> {
        let cell = self.cell(engine)?;
        assert_eq!(cell["outcome"], "complete", "{engine}: {}", cell["outcome"]);
        assert_eq!(cell["counts"]["ok"], 32, "{engine}: {}", cell["counts"]);
        assert_eq!(cell["counts"]["scheduled"], 32, "{engine}: {}", cell["counts"]);
        for figure in ["load_time", "load_port_bound", "load_stage/weights", "output_throughput"] {
            let value = cell["figures"][figure]["value"].as_f64();
            assert!(value.is_some_and(|value| value > 0.0), "{engine}: {figure} is {value:?}");
        }
        assert!(cell["engine_version"].is_string(), "{engine} tells no version");
        let (low, high) = interval(&cell);
        let (low_tiny, high_tiny) = interval(&self.cell("tiny").expect("tiny always runs"));
        assert!(
            low <= high_tiny && low_tiny <= high,
            "{engine} is right in [{low}, {high}], tiny in [{low_tiny}, {high_tiny}]"
        );
        for stop in self.events("engine-stopped") {
            assert_eq!(stop["stop"]["survivors"], Value::Array(Vec::new()), "{engine}");
            assert_eq!(stop["stop"]["port_free"], true, "{engine}");
        }
        Some(cell)
    }
}

/// Says a line past the capture of test output, which macros print into.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Returns the interval of the headline accuracy.
fn interval(cell: &Value) -> (f64, f64) {
    let interval = &cell["accuracy"][0]["interval"];
    (interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap())
}

fn figure(cell: &Value, tag: &str) -> Option<f64> {
    cell["figures"][tag]["value"].as_f64()
}

#[test]
fn llama_server_answers_as_the_built_in_engine_does() {
    let Some(run) = Run::of(&["llama_cpp"], &[], Duration::from_mins(4)) else { return };
    let Some(cell) = run.assert_measured("llama_cpp") else { return };
    assert_eq!(run.facts("llama-server")["configuration"]["context-length"], "512");
    assert!(figure(&cell, "engine_output_throughput").is_some(), "{}", cell["figures"]);
    run.assert_reads_the_same_tokens(&cell);
}

#[test]
fn llama_server_speculates_and_answers_the_same() {
    let speculative = "engine.llama_cpp.speculative=ngram:5";
    let Some(run) = Run::of(&["llama_cpp"], &[speculative], Duration::from_mins(4)) else { return };
    if let Some(cell) = run.assert_measured("llama_cpp") {
        assert!(run.argv().contains("--spec-type"), "{}", run.argv());
        assert!(figure(&cell, "spec_acceptance").is_some(), "nothing drafted: {}", cell["figures"]);
    }
}

#[test]
fn transformers_serve_answers_as_the_built_in_engine_does() {
    let Some(run) = Run::of(&["transformers"], &[], Duration::from_mins(6)) else { return };
    run.assert_measured("transformers");
}

#[test]
fn static_batches_answer_as_the_built_in_engine_does_in_every_mode() {
    for mode in ["eager", "accelerate", "compile"] {
        let mode = format!("engine.hf_eager.mode={mode}");
        let Some(run) = Run::of(&["hf_eager"], &[&mode], Duration::from_mins(6)) else { return };
        if run.assert_measured("hf_eager").is_none() {
            return;
        }
        assert_eq!(run.facts("hf_batch_server.py")["configuration"]["dtype"], "float32");
    }
}

#[test]
fn vllm_in_one_process_answers_as_the_built_in_engine_does() {
    let Some(run) = Run::of(&["vllm"], &[], Duration::from_mins(6)) else { return };
    let Some(cell) = run.assert_measured("vllm") else { return };
    let configuration = &run.facts("vllm")["configuration"];
    for (name, value) in
        [("context-length", "512"), ("dtype", "float32"), ("eager", "on"), ("prefix-cache", "off")]
    {
        assert_eq!(configuration[name], value, "{configuration}");
    }
    for tag in
        ["engine_output_throughput", "kv_cache_usage_max", "preemptions", "load_stage/engine"]
    {
        assert!(figure(&cell, tag).is_some(), "{tag} is missing: {}", cell["figures"]);
    }
    run.assert_reads_the_same_tokens(&cell);
}

#[test]
fn vllm_over_two_processes_answers_as_the_built_in_engine_does() {
    let shards = "engine.vllm.tensor-parallel=2";
    let Some(run) = Run::of(&["vllm"], &[shards], Duration::from_mins(8)) else { return };
    if run.assert_measured("vllm").is_some() {
        assert!(run.argv().contains("\"--tensor-parallel-size\",\"2\""), "{}", run.argv());
    }
}
