//! The program from outside: real runs of small scenarios, as a user would start them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What every run directory holds when its run is over.
const FILES: &[&str] = &[
    "run.json",
    "scenario.toml",
    "resolved.toml",
    "plan.json",
    "environment.json",
    "events.jsonl",
    "summary.json",
    "report.md",
    "report.html",
    "requests.csv",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program without network, with caches of its own, and on a machine that has no engine
/// but the built-in ones: real engines have their own tests.
fn bench(args: &[&str], home: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(root())
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .env("PATH", "/usr/bin:/bin")
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a scenario into a directory; a client that others disturbed (103) has run as well.
fn run_into(dir: &Path, home: &Path, args: &[&str]) -> Output {
    let mut all = vec!["run", "--quiet", "--fail-on", "failed", "--out", path_text(dir)];
    all.extend(args);
    let output = bench(&all, home);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    output
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn progress_for_programs_is_json_lines_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let few = ["phase.load.requests=64", "phase.warm_up.requests=8"];
    let args = ["run", "scenarios/sim_smoke.toml", "--progress", "json", "--fail-on", "failed"];
    let sets = few.iter().flat_map(|set| ["--set", *set]);
    let args: Vec<&str> = args.into_iter().chain(sets).chain(["--out", path_text(&dir)]).collect();
    let output = bench(&args, home.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stderr(&output);
    let values = told.lines().map(|line| serde_json::from_str(line).expect(line));
    let values: Vec<Value> = values.collect();
    let has = |name: &str| values.iter().any(|value| value["event"].get(name).is_some());
    assert!(has("engine-ready") && has("cell-finished"), "{told}");
    assert!(values.iter().any(|value| value["running"]["phase"] == "load"), "{told}");
}

#[test]
fn a_run_leaves_its_records_and_a_report_that_can_be_made_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let output = run_into(
        &dir,
        home.path(),
        &[
            "scenarios/tinyllama_fp16_vs_fp32.toml",
            "--set",
            "dataset.questions.limit=24",
            "--set",
            "phase.load.trials=1",
            "--set",
            "phase.load.concurrency=4",
            "--set",
            "phase.warm_up.requests=4",
        ],
    );
    for file in FILES {
        assert!(dir.join(file).is_file(), "{file} is missing");
    }
    let told = stdout(&output);
    assert!(!told.contains('\u{1b}'), "escape codes in a pipe");
    assert!(told.contains("vllm: not on PATH; pip install vllm"), "{told}");
    assert!(told.lines().count() <= 40, "{} lines:\n{told}", told.lines().count());
    let last: Vec<&str> = told.lines().rev().take(24).collect();
    let is_said = |what: &str| last.iter().any(|line| line.contains(what));
    assert!(is_said("TTFT p50") && is_said("fp16"), "{told}");
    assert!(last[0].starts_with("report: "), "{told}");
    let report = fs::read_to_string(dir.join("report.md")).unwrap();
    assert!(report.lines().count() <= 60, "{} lines:\n{report}", report.lines().count());
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("1109.08"), "the published rows are missing");

    let summary = json(&dir.join("summary.json"));
    let measured: Vec<&Value> = summary["cells"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|cell| cell["keys"]["engine"] == "tiny")
        .collect();
    assert_eq!(measured.len(), 2);
    for cell in &measured {
        assert_eq!(cell["counts"]["scheduled"], cell["counts"]["ok"]);
        assert!(cell["figures"]["load_time"]["value"].as_f64().unwrap() > 0.0);
        assert!(cell["figures"]["output_throughput"]["value"].as_f64().unwrap() > 0.0);
        assert!(cell["accuracy"][0]["share"].as_f64().unwrap() > 0.6, "{}", cell["accuracy"]);
        // The bundled golds hold the published pattern, so absence explains nothing here.
        assert_eq!(cell["as_published"]["n"], 20);
        assert_eq!(cell["as_published"]["correct_by_absence"], 0);
    }
    // FP16 beside FP32, on the same questions.
    let beside = &measured[0]["beside"][0];
    assert_eq!(beside["reference"], measured[1]["name"]);
    assert_eq!(beside["accuracy"][0]["n"], 20);
    assert!(beside["accuracy"][0]["p_value"].as_f64().unwrap() > 0.0);
    assert_eq!(beside["fidelity"]["n"], 20);
    assert!(told.contains("McNemar p"), "{told}");

    // The report is a function of the directory: again, and from another place.
    let files = ["summary.json", "report.md", "report.html", "requests.csv", "summary.csv"];
    let before: Vec<String> =
        files.iter().map(|file| fs::read_to_string(dir.join(file)).unwrap()).collect();
    let moved = home.path().join("elsewhere");
    fs::rename(&dir, &moved).unwrap();
    let again = bench(&["report", path_text(&moved)], home.path());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    for (file, before) in files.iter().zip(before) {
        assert_eq!(fs::read_to_string(moved.join(file)).unwrap(), before, "{file} differs");
    }
    let verified = bench(&["verify", path_text(&moved)], home.path());
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));

    // Nothing of it is left.
    let doctor = bench(&["doctor", "--runs", path_text(&moved)], home.path());
    assert_eq!(doctor.status.code(), Some(0), "{}", stdout(&doctor));
    for event in lines(&moved.join("events.jsonl")) {
        if let Some(port) = event["event"]["engine-starting"]["port"].as_u64() {
            std::net::TcpListener::bind(("127.0.0.1", port as u16)).unwrap();
        }
        if let Some(stop) = event["event"].get("engine-stopped") {
            assert_eq!(stop["stop"]["survivors"].as_array().unwrap().len(), 0);
        }
    }

    // A figure that does not follow from the records is found.
    let summary_path = moved.join("summary.json");
    let text = fs::read_to_string(&summary_path).unwrap();
    let changed = text.replacen("\"correct\":", "\"correct\":1", 1);
    assert_ne!(changed, text);
    fs::write(&summary_path, changed).unwrap();
    let verified = bench(&["verify", path_text(&moved)], home.path());
    assert_eq!(verified.status.code(), Some(107), "{}", stdout(&verified));
}

#[test]
fn the_same_seed_gives_the_same_prompts_order_cells_and_answers() {
    let home = tempfile::tempdir().unwrap();
    let observe = |name: &str| {
        let dir = home.path().join(name);
        run_into(
            &dir,
            home.path(),
            &[
                "scenarios/tinyllama_fp16_vs_fp32.toml",
                "--only",
                "engine=tiny,precision=fp32",
                "--set",
                "dataset.questions.limit=16",
                "--set",
                "phase.load.trials=1",
                "--set",
                "phase.warm_up.requests=2",
            ],
        );
        let summary = json(&dir.join("summary.json"));
        let cell = &summary["cells"][0];
        let trial = dir.join("cells").join(cell["name"].as_str().unwrap()).join("trial-1");
        let mut answers: BTreeMap<(u64, u64), (u64, String)> = BTreeMap::new();
        for output in lines(&trial.join("outputs.jsonl")) {
            let number = |name: &str| output[name].as_u64().unwrap();
            let text = output["text"].as_str().unwrap().to_owned();
            answers.insert((number("phase"), number("index")), (number("sample"), text));
        }
        let prompts = json(&trial.join("trial.json"))["record"]["dataset"]["prompts_hash"].clone();
        (cell["id"].clone(), prompts, answers, cell["accuracy"].clone())
    };
    let (first, second) = (observe("first"), observe("second"));
    assert_eq!(first, second);
    assert!(first.1.is_string(), "no hash of the prompts: {}", first.1);
    assert!(!first.2.is_empty());
}

#[test]
fn three_typos_get_three_carets_and_nothing_is_started() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let out = path_text(&dir).to_owned();
    for command in [
        vec!["check", "fixtures/scenarios/three_typos.toml"],
        vec!["run", "fixtures/scenarios/three_typos.toml", "--out", &out],
    ] {
        let output = bench(&command, home.path());
        assert_eq!(output.status.code(), Some(78));
        let told = stderr(&output);
        for (key, line) in [("titel", ":2:"), ("concurency", ":10:"), ("first_tokn", ":14:")] {
            assert!(told.contains(key) && told.contains(line), "{key} is not shown:\n{told}");
        }
        assert!(told.matches('^').count() >= 3, "{told}");
        assert!(told.contains("did you mean"), "{told}");
        assert!(!dir.exists());
    }
}

#[test]
fn gold_that_cannot_be_read_stops_the_run_before_an_engine_starts() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let questions = home.path().join("questions.jsonl");
    fs::write(&questions, "{\"question\":\"1 + 1?\",\"answer\":\"it is two\"}\n").unwrap();
    let scenario = home.path().join("gold.toml");
    fs::write(
        &scenario,
        "title = \"gold\"\n[engine.tiny]\n[dataset.q]\nsource = \"gsm8k\"\nlocation = \"./questions.jsonl\"\n\
         [score.a]\nextract = [\"strict\"]\n[phase.load]\nconcurrency = 1\nrequests = \"all\"\n",
    )
    .unwrap();
    let output = bench(&["run", path_text(&scenario), "--out", path_text(&dir)], home.path());
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    assert!(stderr(&output).contains("row 1 (\"it is two\")"), "{}", stderr(&output));
    assert!(!dir.exists(), "a run was begun");
}

#[test]
fn test_questions_are_disjoint_from_training_questions_by_their_hash() {
    let questions = |file: &str| -> Vec<String> {
        let path: PathBuf = root().join("fixtures/datasets").join(file);
        lines(&path).iter().map(|row| row["question"].as_str().unwrap().to_owned()).collect()
    };
    let is_test = |question: &String| Sha256::digest(question.as_bytes())[0] % 8 == 0;
    let test = questions("word_problems.jsonl");
    let train = questions("word_problems.train.jsonl");
    assert!(test.len() >= 500);
    assert!(test.iter().all(is_test), "a test question is of the training split");
    assert!(!train.iter().any(is_test), "a training question is of the test split");
}

#[test]
fn a_built_in_engine_that_finds_its_port_taken_names_who_listens_there() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let own = format!("help: pid {} (", std::process::id());
    for engine in ["sim", "tiny"] {
        let output = bench(&["serve", engine, "--port", &port], home.path());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(69), "{text}");
        for part in [own.as_str(), "listens there", "--port 0"] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}
