//! Requests that fail: what the records, the validity, the gates, the faces and the exit code make
//! of them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::place::{Place, conversations, json, told};

const WORDS: &str = "the simulated engine failed on purpose";
const INFLATED: &str = "Percentiles with failures as the slowest";

/// A scored scenario over an engine with these further arguments.
fn scenario(engine: &str, load: &str) -> String {
    let questions = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/datasets");
    let questions = questions.join("word_problems.jsonl");
    let questions = questions.display();
    format!(
        "[engine.sim]\nttft = \"20ms\"\nitl = \"1ms\"\nanswer-from = \"{questions}\"\n{engine}\n\
         [dataset.questions]\nsource = \"gsm8k\"\nlocation = \"{questions}\"\ncycle = true\n\
         [score.answer]\n[gate]\nmust = [\"accuracy >= 0.5\"]\n[phase.load]\n{load}\n"
    )
}

/// Runs a scenario; returns its exit code, what it said, and its cell's summary.
fn run(place: &Place, name: &str, scenario: &str, more: &[&str]) -> (Option<i32>, String, Value) {
    let file = format!("{name}.toml");
    place.write(&file, scenario);
    let mut args = vec!["run", &file, "--quiet", "--out", name];
    args.extend(more);
    let output = place.bench(&args, &[]);
    let told = told(&output);
    assert!(place.path(name).join("summary.json").is_file(), "{told}");
    let cell = json(&place.path(name).join("summary.json"))["cells"][0].clone();
    (output.status.code(), told, cell)
}

/// Returns every face of a run that a person reads.
fn faces(place: &Place, name: &str, terminal: &str) -> [(&'static str, String); 3] {
    let file = |file| fs::read_to_string(place.path(name).join(file)).unwrap();
    [
        ("terminal", terminal.to_owned()),
        ("report.md", file("report.md")),
        ("report.html", file("report.html")),
    ]
}

#[test]
fn an_engine_that_answers_one_request_of_two_hundred_has_failed() {
    let place = Place::new();
    // One is served until all others have come, which are turned away at once.
    let scenario =
        scenario("max-sequences = 1\nqueue-limit = 0", "all-at-once = true\nrequests = 200")
            .replace("ttft = \"20ms\"", "ttft = \"2s\"");
    let (code, told, cell) = run(&place, "most", &scenario, &[]);
    assert_eq!(code, Some(100), "{told}");
    assert_eq!(
        (&cell["counts"]["ok"], &cell["counts"]["errors"]["status-503"]),
        (&1.into(), &199.into())
    );
    assert_eq!(cell["accuracy"][0]["share"], Value::Null, "the accuracy of one answer of 200");
    assert_eq!(cell["accuracy"][0]["n"], 1);
    let reason = "199 of 200 requests failed or never came (99.5 %, limit one request and 1 %)";
    let gate = "0.5; the cell is failed";
    let last: Vec<&str> = told.lines().rev().take(12).collect();
    for wanted in [reason, gate] {
        assert!(last.iter().any(|line| line.contains(wanted)), "{wanted} is not last:\n{told}");
        for (face, text) in faces(&place, "most", &told) {
            assert!(text.contains(wanted), "{face} does not say: {wanted}\n{text}");
        }
    }
    let only_gate = run(&place, "gate", &scenario, &["--fail-on", "gate"]);
    assert_eq!(only_gate.0, Some(104), "{}", only_gate.1);
}

#[test]
fn one_request_in_twenty_fails_a_cell_unless_the_scenario_allows_it() {
    let place = Place::new();
    let scenario = scenario(
        "extra-args = [\"--fail-rate\", \"0.05\", \"--status\", \"429\"]",
        "concurrency = 20\nrequests = 300",
    );
    let (code, told, cell) = run(&place, "strict", &scenario, &["--fail-on", "failed,gate"]);
    assert_eq!(code, Some(100), "{told}");
    let validity = &cell["validity"];
    assert_eq!(validity["status"], "failed");
    assert!(validity["reasons"][0].as_str().unwrap().contains("status-429"), "{validity}");
    for (face, text) in faces(&place, "strict", &told) {
        assert!(text.contains(INFLATED), "{face} has no inflated percentiles:\n{text}");
        assert!(text.contains(WORDS), "{face} does not repeat the server's words:\n{text}");
    }
    let allowed = ["--fail-on", "failed,gate", "--set", "max-failures=0.1"];
    let (code, told, cell) = run(&place, "allowed", &scenario, &allowed);
    assert_eq!(code, Some(0), "{told}");
    assert_ne!(cell["counts"]["errors"]["status-429"], Value::Null);
    assert!(cell["accuracy"][0]["share"].is_number(), "{cell}");
    for (face, text) in faces(&place, "allowed", &told) {
        assert!(text.contains(INFLATED), "{face} has no inflated percentiles:\n{text}");
        assert!(text.contains(WORDS), "{face} does not repeat the server's words:\n{text}");
    }
}

#[test]
fn a_request_that_the_scenario_cancels_has_not_failed() {
    let place = Place::new();
    place.write("chats.jsonl", &conversations(12, 1));
    let scenario = "[engine.sim]\nttft = \"5ms\"\nitl = \"20ms\"\ntokens = 100\n\
                    [dataset.chats]\nsource = \"jsonl\"\nlocation = \"./chats.jsonl\"\n\
                    columns = { messages = \"messages\" }\n\
                    [phase.load]\nconcurrency = 4\nrequests = 12\ncancel-after = \"100ms\"\n";
    let (code, told, cell) = run(&place, "cancelled", scenario, &["--fail-on", "failed"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(cell["counts"]["cancelled"]["after-time"], 12);
    assert_eq!(cell["figures"]["output_throughput"]["value"], Value::Null);
    assert!(told.contains("`cancel-after` ended 12 of 12 requests"), "{told}");
    assert!(!told.contains("FAILED"), "{told}");
}
