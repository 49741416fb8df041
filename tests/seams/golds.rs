//! Golds: written before the run, read by every score in its own way.

use std::fs;

use serde_json::Value;

use crate::place::{Place, SIM, json, told};

/// Two scores that read the same golds in two ways, and a data set whose answers the engine knows.
fn scenario(order: &str, second: &str) -> String {
    format!(
        "{SIM}answer-from = \"./q.jsonl\"\n\
         [dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\n\
         [score.number]\nextract = [\"strict\"]\ngold = \"strict\"\n\
         [score.all]\nextract = [\"whole\"]\ngold = {second}\nnormalise = []\n\
         [matrix]\nscore = {order}\nconcurrency = [2, 4]\nzip = [[\"score\", \"concurrency\"]]\n\
         [request]\nmax-tokens = 64\n[phase.load]\nrequests = \"all\"\n"
    )
}

fn questions() -> String {
    let row = |n: usize| {
        let answer = format!("{n} and 1 are {}\n#### {}", n + 1, n + 1);
        serde_json::json!({ "question": format!("What is {n} + 1?"), "answer": answer })
    };
    (0..8).map(|n| row(n).to_string() + "\n").collect()
}

fn shares(place: &Place) -> Vec<f64> {
    let summary = json(&place.path("run/summary.json"));
    let cells = summary["cells"].as_array().unwrap();
    cells.iter().map(|cell| cell["accuracy"][0]["share"].as_f64().unwrap()).collect()
}

#[test]
fn each_score_is_held_against_its_own_golds_whatever_their_order() {
    for order in [r#"["number", "all"]"#, r#"["all", "number"]"#] {
        let place = Place::new();
        place.write("q.jsonl", &questions());
        place.run(&scenario(order, "\"whole\""));
        assert_eq!(shares(&place), [1.0, 1.0], "{order}");
        place.expect(0, &["verify", "run"]);
        place.expect(0, &["report", "run"]);
        assert_eq!(shares(&place), [1.0, 1.0], "{order}, again");
        let again = place.expect(0, &["score", "run", "--format", "jsonl"]);
        let grades: Vec<Value> =
            again.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(grades.len(), 16);
        let is_correct = |grade: &Value| {
            let verdicts = grade["extractors"].as_object().unwrap();
            verdicts.values().all(|verdict| verdict["class"] == "correct")
        };
        assert!(grades.iter().all(is_correct), "{again}");
    }
}

#[test]
fn golds_that_any_score_cannot_read_stop_the_run_before_an_engine_starts() {
    for order in [r#"["number", "all"]"#, r#"["all", "number"]"#] {
        let place = Place::new();
        place.write("q.jsonl", &questions());
        place.write("s.toml", &scenario(order, "'NOSUCH (x)'"));
        let output = place.bench(&["run", "s.toml", "--out", "run"], &[]);
        assert_eq!(output.status.code(), Some(65), "{}", told(&output));
        assert!(told(&output).contains("score `all` on data set `q`"), "{}", told(&output));
        assert!(!place.path("run").exists(), "a run was begun");
    }
}

#[test]
fn golds_that_other_extractors_cannot_meet_are_refused_as_before_a_run() {
    let place = Place::new();
    place.write("q.jsonl", &questions());
    place.run(&scenario(r#"["number", "all"]"#, "\"whole\""));
    for extractor in ["choice", "answer-letter"] {
        let told = place.expect(65, &["score", "run", "--extract", extractor]);
        assert!(
            told.contains("finds no letter of a choice (A to J) in the gold of 8 of 8"),
            "{told}"
        );
        place.expect(0, &["score", "run", "--extract", "whole", "--extract", extractor]);
    }
    let told = place.expect(65, &["score", "run", "--gold", "NOSUCH (x)"]);
    assert!(told.contains("`NOSUCH (x)` finds no answer in the gold of 8 of 8 rows"), "{told}");
    place.expect(0, &["score", "run"]);
}

#[test]
fn golds_and_machine_are_those_of_the_run_or_it_is_damaged() {
    let place = Place::new();
    place.write("q.jsonl", &questions());
    let run = place.run(&scenario(r#"["number", "all"]"#, "\"whole\""));
    for file in ["golds/q.json", "environment.json"] {
        let path = run.join(file);
        let whole = fs::read_to_string(&path).unwrap();
        let damage = [Some(whole.replace('1', "9")), None];
        for changed in damage {
            match &changed {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            // In this order: a new report must not make peace with the change.
            for command in ["report", "verify"] {
                let told = place.expect(107, &[command, "run"]);
                assert!(told.contains(file), "bench {command} does not name {file}:\n{told}");
            }
        }
        fs::write(&path, whole).unwrap();
        place.expect(0, &["verify", "run"]);
    }
    // Other golds under the same name are not taken when the run goes on.
    place.write("q.jsonl", &questions().replace("#### 8", "#### 7"));
    let told = place.expect(107, &["run", "s.toml", "--resume", "run"]);
    assert!(told.contains("golds/q.json"), "{told}");
}
