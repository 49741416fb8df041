//! Cells of another run instead of measuring them again: what is the same is taken, what differs is
//! named and measured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::bed::{Bed, SCENARIO};

/// Runs the half of the scenario with one stream into `first`.
fn measured() -> Bed {
    let bed = Bed::new();
    bed.write(&SCENARIO.replace("[1, 2]", "[1]").replace("9ms", "3ms"));
    bed.run(&["--out", "first"]).expect(0);
    bed
}

/// Returns the rows of a summary by cell.
fn rows(bed: &Bed, run: &str) -> Vec<Value> {
    bed.summary(run)["cells"].as_array().unwrap().clone()
}

#[test]
fn a_wider_sweep_measures_only_what_is_new_and_says_where_the_rest_is_from() {
    let bed = measured();
    bed.write(&SCENARIO.replace("9ms", "3ms"));
    let ended = bed.run(&["--out", "second", "--reuse", "first"]).expect(0);
    ended.says("2 of 4 cells").says("not the same as there:\n  scenario: matrix.concurrency");
    assert_eq!((bed.n_trials_started("first"), bed.n_trials_started("second")), (2, 2));
    let (first, second) = (rows(&bed, "first"), rows(&bed, "second"));
    assert_eq!((first.len(), second.len()), (2, 4));
    assert!(second.iter().all(|cell| cell["counts"]["ok"] == 8), "{second:?}");
    for before in &first {
        let now = second.iter().find(|cell| cell["id"] == before["id"]).unwrap();
        for metric in ["ttft", "e2e"] {
            let of = |cell: &Value| cell["distributions"][metric].clone();
            assert!(!of(before).is_null() && of(before) == of(now), "{metric}: {now}");
        }
    }
    let report = fs::read_to_string(bed.path("second/report.md")).unwrap();
    let place = fs::canonicalize(bed.path("first")).unwrap();
    let told = format!("2 cells were not measured now but taken from {}", place.display());
    assert!(report.contains(&told), "{report}");

    bed.bench(&["verify", "second"]).expect(0);
    fs::remove_dir_all(bed.path("first")).unwrap();
    let ended = bed.bench(&["resume", "second", "--fail-on", "failed"]).expect(0);
    ended.says("4 of 4 cells kept");
    bed.bench(&["verify", "second"]).expect(0);
}

#[test]
fn a_run_of_only_taken_cells_starts_no_engine_and_is_complete() {
    let bed = measured();
    bed.run(&["--out", "second", "--reuse", "first"]).expect(0).says("2 of 2 cells");
    assert_eq!(bed.n_trials_started("second"), 0);
    assert_eq!(bed.summary("second")["complete"], true);
    for (before, now) in rows(&bed, "first").iter().zip(rows(&bed, "second")) {
        for fact in ["engine_version", "figures", "validity"] {
            assert!(!before[fact].is_null() && before[fact] == now[fact], "{fact}: {before} {now}");
        }
    }
    assert!(bed.path("second/engines").read_dir().unwrap().count() == 2);
    bed.bench(&["verify", "second"]).expect(0);
}

#[test]
fn other_data_are_named_by_their_sums_and_measured() {
    let bed = measured();
    let data = fs::read_to_string(bed.path("q.jsonl")).unwrap();
    fs::write(bed.path("q.jsonl"), data.replace("What is 7", "How much is 7")).unwrap();
    let ended = bed.run(&["--out", "second", "--reuse", "first"]).expect(0);
    ended.says("0 of 2 cells").says("data set `q`: SHA-256: ");
    assert_eq!(bed.n_trials_started("second"), 2);
    let report = fs::read_to_string(bed.path("second/report.md")).unwrap();
    assert!(!report.contains("taken from"), "{report}");
}

/// Makes the scenario's second engine one that tells a version.
fn with_version(bed: &Bed) {
    let own = SCENARIO.replace(
        "[engine.slow]\npreset = \"sim\"",
        "[engine.slow]\npreset = \"sim\"\nprogram = \"./engine\"",
    );
    assert!(own.contains("./engine"));
    bed.write(&own.replace("9ms", "3ms"));
}

fn install(bed: &Bed, version: &str) {
    let bench = env!("CARGO_BIN_EXE_bench");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo fake {version}; exit; }}\n\
         exec {bench} \"$@\"\n"
    );
    fs::write(bed.path("engine"), text).unwrap();
    fs::set_permissions(bed.path("engine"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_engine_of_another_version_is_named_and_measured_and_the_other_engine_is_not() {
    let bed = Bed::new();
    with_version(&bed);
    install(&bed, "1.0");
    bed.run(&["--out", "first", "--only", "concurrency=1"]).expect(0);
    install(&bed, "2.0");
    let reusing = ["--out", "second", "--reuse", "first", "--only", "concurrency=1"];
    let ended = bed.run(&reusing).expect(0);
    ended.says("1 of 2 cells").says("engine `slow`: version: fake 1.0 -> fake 2.0");
    assert_eq!(bed.n_trials_started("second"), 1);
}

#[test]
fn a_cell_is_judged_by_the_version_that_measured_it_and_not_by_the_last_one() {
    let bed = Bed::new();
    with_version(&bed);
    install(&bed, "1.0");
    bed.run(&["--out", "first", "--only", "concurrency=1"]).expect(0);
    install(&bed, "2.0");
    bed.run(&["--resume", "first"]).expect(0).says("2 of 4 cells kept");
    let ended = bed.run(&["--out", "second", "--reuse", "first"]).expect(0);
    ended.says("3 of 4 cells").says("engine `slow`: version: fake 1.0 -> fake 2.0");
    assert_eq!(bed.n_trials_started("second"), 1);
    install(&bed, "1.0");
    let ended = bed.run(&["--out", "third", "--reuse", "first"]).expect(0);
    ended.says("3 of 4 cells").says("engine `slow`: version: fake 2.0 -> fake 1.0");
    // What was taken is of the version that is told with it.
    let ended = bed.run(&["--out", "fourth", "--reuse", "second"]).expect(0);
    ended.says("2 of 4 cells").says("engine `slow`: version: fake 2.0 -> fake 1.0");
}

#[test]
fn a_damaged_trial_is_not_taken_and_a_run_that_is_not_over_gives_nothing() {
    let bed = measured();
    let cell = bed.path("first/cells").read_dir().unwrap().next().unwrap().unwrap().path();
    let outputs = cell.join("trial-1/outputs.jsonl");
    let text = fs::read_to_string(&outputs).unwrap();
    fs::write(&outputs, text.replacen('1', "2", 1)).unwrap();
    let ended = bed.run(&["--out", "second", "--reuse", "first"]).expect(0);
    ended.says("1 of 2 cells").says("outputs.jsonl");
    assert_eq!(bed.n_trials_started("second"), 1);

    let events = bed.path("first/events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let last = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&events, &text[..last]).unwrap();
    bed.run(&["--out", "third", "--reuse", "first"]).expect(75).says("is not over");
    assert!(!bed.path("third").exists());
}

#[test]
fn what_a_template_is_told_is_an_input_whose_change_is_named() {
    let bed = Bed::new();
    let kwargs = "location = \"./q.jsonl\"\nchat-template-kwargs = { tools = \"tools.json\" }";
    let scenario = SCENARIO
        .replace("[1, 2]", "[1]")
        .replace("9ms", "3ms")
        .replace("location = \"./q.jsonl\"", kwargs);
    bed.write(&scenario);
    let tools = |what: &str| {
        let text = format!(
            "[{{\"type\": \"function\", \"function\": {{\"name\": \"add\", \"description\": \"{what}\"}}}}]"
        );
        fs::write(bed.path("tools.json"), text).unwrap();
    };
    tools("adds");
    bed.run(&["--out", "first"]).expect(0);
    bed.run(&["--out", "same", "--reuse", "first"]).expect(0).says("2 of 2 cells");
    tools("subtracts");
    let ended = bed.run(&["--out", "second", "--reuse", "first"]).expect(0);
    ended.says("0 of 2 cells").says("data set `q`: what renders its prompts");
    assert_eq!(bed.n_trials_started("second"), 2);
    // A run that goes on says it, whether its cells are whole or not.
    bed.write(&scenario.replace("[1]", "[1, 2]"));
    bed.run(&["--resume", "first"]).expect(0);
    let report = fs::read_to_string(bed.path("first/report.md")).unwrap();
    assert!(report.contains("data set `q` changed while the run was measured"), "{report}");
    bed.run(&["--resume", "same", "--set", "phase.load.trials=2"]).expect(0);
    let report = fs::read_to_string(bed.path("same/report.md")).unwrap();
    assert!(report.contains("data set `q` changed while the run was measured"), "{report}");
}
