//! What is lost or changed after it was written is missed by all who read it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::{Place, SIM, json};

const SCENARIO: &str = "answer-from = \"./q.jsonl\"\n\
    [dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\n\
    [score.answer]\nextract = [\"strict\"]\n[gate]\nmust = [\"accuracy >= 0.5\"]\n\
    [matrix]\nconcurrency = [1, 2]\n\
    [request]\nmax-tokens = 64\n[phase.load]\nrequests = \"all\"\ntrials = 2\n";

/// A finished run of two cells with two trials each, all answers right.
fn measured() -> (Place, PathBuf) {
    let place = Place::new();
    let row = |n: usize| format!("{{\"question\":\"{n}?\",\"answer\":\"#### {n}\"}}\n");
    place.write("q.jsonl", &(0..6).map(row).collect::<String>());
    let run = place.run(&format!("{SIM}{SCENARIO}"));
    place.expect(0, &["verify", "run"]);
    (place, run)
}

/// Requires that every reader says that the directory is damaged, and where. The report comes
/// first: it must not make peace with the damage. Grades are made without telemetry.
#[track_caller]
fn check_damaged(place: &Place, at: &str) {
    for command in ["report", "score", "verify"] {
        if command == "score" && at.ends_with("telemetry.jsonl") {
            continue;
        }
        let told = place.expect(107, &[command, "run"]);
        assert!(told.contains(at), "bench {command} does not name {at}:\n{told}");
    }
}

/// Moves something away, requires that it is missed, and brings it back.
#[track_caller]
fn check_missed(place: &Place, path: &Path, at: &str) {
    let aside = place.path("aside");
    fs::rename(path, &aside).unwrap();
    check_damaged(place, at);
    fs::rename(&aside, path).unwrap();
}

#[test]
fn a_trial_that_the_events_call_finished_is_missed() {
    let (place, run) = measured();
    let cell = run.join("cells/engine=sim,concurrency=2");
    let at = "engine=sim,concurrency=2/trial-2/trial.json";
    check_missed(&place, &cell.join("trial-2/trial.json"), at);
    check_missed(&place, &cell.join("trial-2"), at);
    check_missed(&place, &cell, "engine=sim,concurrency=2/trial-1/trial.json");
    check_missed(&place, &cell.join("trial-2/outputs.jsonl"), "trial-2/outputs.jsonl");
    check_missed(&place, &cell.join("trial-2/requests.jsonl"), "trial-2/requests.jsonl");
    check_missed(&place, &cell.join("trial-2/telemetry.jsonl"), "trial-2/telemetry.jsonl");
    check_missed(&place, &run.join("plan.json"), "plan.json");
    place.expect(0, &["verify", "run"]);

    // Another trial in its place is not it.
    let aside = place.path("aside");
    fs::rename(cell.join("trial-2"), &aside).unwrap();
    let copy = |from: &Path, to: &Path| {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy(&cell.join("trial-1"), &cell.join("trial-2"));
    check_damaged(&place, at);
    fs::remove_dir_all(cell.join("trial-2")).unwrap();

    // To go on measures it again.
    place.expect(0, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--resume", "run"]);
    place.expect(0, &["verify", "run"]);
    assert_eq!(json(&run.join("summary.json"))["cells"][1]["counts"]["scheduled"], 12);
}

#[test]
fn an_answer_that_was_lost_is_not_an_empty_answer() {
    let (place, run) = measured();
    let outputs = run.join("cells/engine=sim,concurrency=1/trial-1/outputs.jsonl");
    let text = fs::read_to_string(&outputs).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for lost in [0..1, 2..4, 5..6, 0..6] {
        let kept: String = [&lines[..lost.start], &lines[lost.end..]].concat().concat();
        fs::write(&outputs, kept).unwrap();
        check_damaged(&place, "trial-1/outputs.jsonl");
    }
    // As many as before, one of them twice.
    let twice: String = [&lines[..5], &lines[4..5]].concat().concat();
    fs::write(&outputs, twice).unwrap();
    check_damaged(&place, "trial-1/outputs.jsonl");
    fs::write(&outputs, text).unwrap();
    place.expect(0, &["verify", "run"]);
}

#[test]
fn an_event_that_is_gone_or_there_twice_is_missed() {
    let (place, run) = measured();
    let path = run.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for at in [0, lines.len() / 2, lines.len() - 2] {
        let gone = [&lines[..at], &lines[at + 1..]].concat().concat();
        let twice = [&lines[..=at], &lines[at..]].concat().concat();
        for damaged in [gone, twice] {
            fs::write(&path, damaged).unwrap();
            check_damaged(&place, "events.jsonl");
            place.expect(107, &["compare", "run", "run"]);
            place.expect(107, &["resume", "run", "--quiet"]);
        }
    }
    fs::write(&path, text).unwrap();
    place.expect(0, &["verify", "run"]);
}

#[test]
fn events_that_were_cut_off_are_told_by_what_they_no_longer_tell() {
    let (place, run) = measured();
    let path = run.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find('\n').unwrap() + 1;
    fs::write(&path, &text[..begin]).unwrap();
    place.expect(0, &["resume", "run", "--quiet", "--fail-on", "failed"]);
    let told = place.expect(0, &["report", "run"]);
    assert!(told.contains("no event tells of a start of sim, which served trials"), "{told}");
    place.expect(0, &["verify", "run"]);
}

/// What must be said, and the change of the plan that it is said of.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Value));

#[test]
fn a_plan_changed_by_hand_is_refused_with_the_place() {
    let (place, run) = measured();
    let path = run.join("plan.json");
    let text = fs::read_to_string(&path).unwrap();
    let plan = json(&path);
    let launch = plan["cells"][0]["launch"].as_str().unwrap().to_owned();
    let changes: [Change<'_>; 9] = [
        ("cells[0].score: there is no score", &|plan| plan["scores"] = serde_json::json!({})),
        ("cells[0].score: there is no score `nope`", &|plan| {
            plan["cells"][0]["score"] = "nope".into();
        }),
        ("cells[1].launch: there is no launch `nope`", &|plan| {
            plan["cells"][1]["launch"] = "nope".into();
        }),
        ("cells[0].launch: there is no launch", &|plan| {
            plan["launches"].as_object_mut().unwrap().remove(&launch);
        }),
        ("cells[0].dataset: there is no data set", &|plan| {
            plan["datasets"] = serde_json::json!({});
        }),
        ("cells[1].phases: none of them is measured", &|plan| {
            plan["cells"][1]["phases"] = serde_json::json!([]);
        }),
        ("plan.json:1: its SHA-256 is", &|plan| plan["gate"]["must"][0] = "abc".into()),
        ("cells[1].keys.concurrency: it says `6400`", &|plan| {
            plan["cells"][1]["keys"]["concurrency"] = "6400".into();
        }),
        // Nothing dangles, and yet it is another plan.
        ("plan.json:1: its SHA-256 is", &|plan| plan["title"] = "Another".into()),
    ];
    for (at, change) in changes {
        let mut plan = plan.clone();
        change(&mut plan);
        fs::write(&path, serde_json::to_string_pretty(&plan).unwrap()).unwrap();
        check_damaged(&place, at);
        place.expect(107, &["resume", "run", "--quiet"]);
    }
    fs::write(&path, text).unwrap();
    place.expect(0, &["verify", "run"]);
}
