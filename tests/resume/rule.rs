//! What a changed scenario changes in a run that goes on, and what it keeps.

use std::fs;

use crate::bed::{Bed, SCENARIO, json};

fn accuracies(bed: &Bed) -> Vec<f64> {
    let summary = bed.summary("run");
    let cells = summary["cells"].as_array().unwrap();
    cells.iter().map(|cell| cell["accuracy"][0]["share"].as_f64().unwrap()).collect()
}

fn verified(bed: &Bed) {
    bed.bench(&["verify", "run"]).expect(0);
}

/// A pattern that finds any text at all.
const ANY: &str = "{ regex = \"(?s).\", name = \"any\" }";

#[test]
fn what_shapes_no_measurement_is_applied_everywhere_and_measures_nothing_again() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    let (started, before) = (bed.n_trials_started("run"), accuracies(&bed));
    assert_eq!((started, before.len()), (2, 2));

    // Another score: stored answers are graded again, by the new plan and its golds.
    let whole = SCENARIO.replace(
        "extract = [\"strict\"]",
        &format!("extract = [{ANY}]\ngold = {ANY}\n[gate]\nmust = [\"accuracy >= 0.25\"]"),
    );
    let title = whole.replace("title = \"Ends\"", "title = \"Other ends\"");
    bed.write(&title);
    let ended = bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
    ended.says("title: Ends -> \"Other ends\"").says("gate.must: absent -> ");
    ended.says("score.a.gold.regex: ").says("(applied to all cells)").says("2 of 2 cells kept");
    assert_eq!(bed.n_trials_started("run"), started, "something was measured again");
    let plan = json(&bed.path("run/plan.json"));
    assert_eq!(
        (&plan["title"], &plan["gate"]["must"][0]),
        (&"Other ends".into(), &"accuracy >= 0.25".into())
    );
    verified(&bed);
    // The run directory says so by itself: `report` comes to the same figures.
    let after = bed.summary("run");
    bed.bench(&["report", "run"]).expect(0);
    assert_eq!(bed.summary("run"), after);
    assert_eq!(after["title"], "Other ends");

    // More trials: those that are missing are measured. Fewer: the others do not count.
    let trials = |n: u32| {
        bed.write(&title.replace("trials   = 1", &format!("trials = {n}")));
        bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
        verified(&bed);
        let summary = bed.summary("run");
        assert_eq!(summary["complete"], true);
        for cell in summary["cells"].as_array().unwrap() {
            assert_eq!(cell["n_trials"], n);
            assert_eq!(cell["outcome"], "complete");
        }
        bed.n_trials_started("run")
    };
    assert_eq!(trials(3), started + 4);
    assert_eq!(trials(2), started + 4);
    assert_eq!(trials(3), started + 4, "the third trial was kept on the disk");
}

#[test]
fn a_cell_whose_identity_changes_starts_anew_and_the_key_is_named() {
    let bed = Bed::new();
    bed.run(&["--out", "run"]).expect(0);
    bed.write(&SCENARIO.replace("itl    = \"9ms\"", "itl = \"10ms\""));
    let ended = bed.run(&["--resume", "run"]).expect(0);
    ended.says("engine.slow.itl: 9ms -> 10ms (begins 2 cells anew)").says("begun anew: 2 cells (");
    ended.says("2 of 4 cells kept");
    assert_eq!(bed.n_trials_started("run"), 6);
    verified(&bed);
    let summary = bed.summary("run");
    assert_eq!(summary["complete"], true);
    for cell in summary["cells"].as_array().unwrap() {
        assert_eq!((&cell["n_trials"], &cell["counts"]["ok"]), (&1.into(), &8.into()));
    }
    // The records of the old cell are put aside, not lost.
    let attempts = fs::read_dir(bed.path("run/cells")).unwrap().filter(|cell| {
        cell.as_ref().unwrap().path().join("attempts/trial-1-1/trial.json").exists()
    });
    assert_eq!(attempts.count(), 2);
}

#[test]
fn what_is_kept_of_cells_that_are_not_whole_or_were_left_out_is_told() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    bed.run(&["--resume", "run", "--only", "engine=fast,concurrency=1"]).expect(0);
    let ended = bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
    assert!(!ended.err.contains("begun anew"), "{}", ended.err);
    assert_eq!(bed.n_trials_started("run"), 2);
    let more = ["--resume", "run", "--only", "engine=fast", "--set", "phase.load.trials=2"];
    bed.run(&more).expect(0).says("0 of 2 cells kept, and 2 trials of others");
}

#[test]
fn a_cell_that_only_changes_its_name_keeps_its_trials() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    bed.write(
        &SCENARIO.replace("concurrency = [1, 2]", "concurrency = [1, 2]\nmax-tokens = [4, 2]"),
    );
    let ended = bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
    ended.says("2 of 4 cells kept");
    assert_eq!(bed.n_trials_started("run"), 4);
    verified(&bed);
    assert_eq!(bed.summary("run")["cells"].as_array().unwrap().len(), 4);
}

#[test]
fn a_scenario_that_would_keep_nothing_is_refused_with_its_keys_and_changes_nothing() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--set", "request.max-tokens=3", "--only", "engine=fast"]).expect(0);
    let plan = fs::read(bed.path("run/plan.json")).unwrap();
    let ended = bed.run(&["--resume", "run"]).expect(107);
    ended.says("request.max-tokens: 3 -> 4").says("bench resume ");
    assert_eq!(fs::read(bed.path("run/plan.json")).unwrap(), plan);
    verified(&bed);
}

#[test]
fn a_plan_edited_by_hand_is_not_gone_on_with() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    let path = bed.path("run/plan.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"Ends\"", "\"Edited\"")).unwrap();
    bed.bench(&["resume", "run"]).expect(107).says("plan.json").says("--resume");
    // The scenario is the truth, and restores it.
    bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
    assert_eq!(json(&path)["title"], "Ends");
    verified(&bed);
}

#[test]
fn a_scenario_edited_in_the_run_directory_is_not_gone_on_with() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    for file in ["scenario.toml", "resolved.toml"] {
        let path = bed.path("run").join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"Ends\"", "\"Edited\"")).unwrap();
        bed.bench(&["resume", "run"]).expect(107).says(file).says("--resume");
        bed.run(&["--resume", "run", "--only", "engine=fast"]).expect(0);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "the scenario restores it");
        verified(&bed);
    }
}

#[test]
fn whether_engines_were_interleaved_is_what_was_measured_and_not_what_the_scenario_says_now() {
    let bed = Bed::new();
    let measure = |order: &str, more: &[&str]| {
        let order = format!("seed  = 1\norder = \"{order}\"");
        let scenario =
            SCENARIO.replace("seed  = 1", &order).replace("trials   = 1", "trials   = 2");
        bed.write(&scenario);
        bed.run(&[&["--only", "concurrency=1"], more].concat()).expect(0);
    };
    let is_told = |run: &str| bed.summary(run)["caveats"].to_string().contains("not-interleaved");
    measure("grouped", &["--out", "grouped"]);
    measure("interleaved", &["--out", "interleaved"]);
    assert!(is_told("grouped") && !is_told("interleaved"));
    measure("interleaved", &["--resume", "grouped"]);
    measure("grouped", &["--resume", "interleaved"]);
    assert!(is_told("grouped") && !is_told("interleaved"), "nothing was measured again");
    measure("interleaved", &["--out", "reused", "--reuse", "grouped"]);
    assert!(is_told("reused"));
}

#[test]
fn a_directory_that_was_killed_before_it_was_a_run_is_begun_again_by_either_flag() {
    let bed = Bed::new();
    for flag in ["--resume", "--out"] {
        let dir = bed.path(&format!("run{flag}"));
        fs::create_dir_all(dir.join("cells")).unwrap();
        for file in ["lock", "scenario.toml", "resolved.toml", "plan.json", "events.jsonl"] {
            fs::write(dir.join(file), "").unwrap();
        }
        let dir = dir.to_str().unwrap();
        bed.bench(&["resume", dir]).expect(66).says("before it began").says("--out");
        bed.run(&[flag, dir, "--only", "engine=fast"]).expect(0);
        bed.bench(&["verify", dir]).expect(0);
    }
}
