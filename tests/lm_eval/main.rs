//! The same stored answers, graded by `bench score` and by lm-evaluation-harness 0.4.
//!
//! `tests/lm_eval/install.sh` installs the harness's filters and metrics; without them the
//! test says that it is skipped.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "starts the program and the harness, and says what it skips"
)]

mod tasks;
mod texts;
#[path = "../undecided/mod.rs"]
mod undecided;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The pattern of the task `gsm8k-cot`, whose last point is any character.
const COT_STRICT: &str = r"The answer is (\-?[0-9\.\,]+).";

/// Our extractor and the harness's filter that it must equal.
const PAIRS: [(&str, &str); 4] = [
    ("strict", "gsm8k/strict-match"),
    ("flexible", "gsm8k/flexible-extract"),
    (COT_STRICT, "gsm8k-cot/strict-match"),
    ("flexible", "gsm8k-cot/flexible-extract"),
];

#[test]
fn every_answer_is_graded_as_lm_evaluation_harness_grades_it() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut answers = texts::written_by_hand();
    answers.extend(texts::drawn(600));
    answers.extend(of_the_bundled_model(dir.path()));
    answers.extend(texts::golds_of_gsm8k());
    let file = dir.path().join("answers.jsonl");
    let mut lines = String::new();
    for (output, gold) in &answers {
        writeln!(lines, "{}", json!({ "output": output, "gold": gold })).unwrap();
    }
    fs::write(&file, lines).unwrap();

    let theirs = jsonl(Command::new(python).arg(script("grade.py")).arg(&file));
    let ours = jsonl(Command::new(env!("CARGO_BIN_EXE_bench")).arg("score").arg(&file).args([
        "--format",
        "jsonl",
        "--extract",
        "strict",
        "--extract",
        "flexible",
        "--extract",
        COT_STRICT,
    ]));
    assert_eq!((ours.len(), theirs.len()), (answers.len(), answers.len()));
    let mut n_right: BTreeMap<&str, u32> = BTreeMap::new();
    for ((ours, theirs), (output, gold)) in ours.iter().zip(&theirs).zip(&answers) {
        for (extractor, filter) in PAIRS {
            let ours = &ours["extractors"][extractor];
            let (their_answer, their_verdict) = (&theirs[filter][0], &theirs[filter][1]);
            let is_right = ours["class"] == "correct";
            assert_eq!(json!(is_right), *their_verdict, "{filter} on {output:?}, gold {gold:?}");
            // They say `[invalid]` where nothing is found, and keep what normalises to nothing.
            let our_answer = ours["answer"].as_str().unwrap_or_default();
            let their_answer = their_answer.as_str().unwrap().replace("[invalid]", "");
            assert_eq!(our_answer, their_answer, "{filter} on {output:?}");
            *n_right.entry(filter).or_default() += u32::from(is_right);
        }
    }
    println!("{} answers graded alike; right: {n_right:?}", answers.len());
    for (filter, n) in n_right {
        assert!(n > 100 && (n as usize) < answers.len(), "{filter} finds {n} right");
    }
}

/// Returns the interpreter that has the harness.
fn python() -> Option<PathBuf> {
    let prefix = std::env::var_os("BENCH_ENGINES").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("bench/engines"))
    })?;
    let python = prefix.join("lm-eval/bin/python");
    if !python.is_file() {
        let python = python.display();
        undecided::note(&format!("skipped: no {python}; tests/lm_eval/install.sh installs it"));
        return None;
    }
    Some(python)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lm_eval").join(name)
}

/// Runs a command that writes lines of JSON.
fn jsonl(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lets the built-in engine answer the bundled questions in the number format with most
/// mistakes, and returns what the run directory keeps.
fn of_the_bundled_model(home: &Path) -> Vec<(String, String)> {
    let dir = home.join("run");
    let run = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "scenarios/precision.toml", "--quiet", "--fail-on", "failed"])
        .args(["--only", "precision=int4", "--set", "dataset.questions.limit=200", "--out"])
        .arg(&dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOME", home)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let golds: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(dir.join("golds/questions.json")).unwrap()).unwrap();
    let cell = fs::read_dir(dir.join("cells")).unwrap().next().unwrap().unwrap().path();
    let outputs = fs::read_to_string(cell.join("trial-1/outputs.jsonl")).unwrap();
    let answers: Vec<(String, String)> = outputs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|output| {
            let gold = &golds[&output["sample"].to_string()];
            (output["text"].as_str().unwrap().to_owned(), gold.as_str().unwrap().to_owned())
        })
        .collect();
    assert!(answers.len() >= 180, "{}", answers.len());
    answers
}
