//! What comes with the program works from any directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal::SIGINT;

use crate::bed::{Bed, Ended, json, send};

#[test]
fn calibrate_needs_no_repository_and_goes_on_from_its_directory_alone() {
    let bed = Bed::new();
    let mut command = bed.command(&["calibrate", "--quiet", "--seconds", "1", "--out", "run"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    bed.wait_for("run", "cell-finished", 1);
    send(SIGINT, child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!bed.path("cache/bench/calibration.json").exists());

    let elsewhere = tempfile::tempdir().unwrap();
    let run = bed.path("run");
    let mut command = bed.command(&["resume", run.to_str().unwrap()]);
    let ended = Ended::of(&command.current_dir(elsewhere.path()).output().unwrap());
    // Busy neighbours make rows invalid; they are measured all the same.
    assert!(matches!(ended.code, Some(0 | 103)), "{}\n{}", ended.out, ended.err);
    ended.says("of 9 cells kept");
    let calibration = json(&bed.path("cache/bench/calibration.json"));
    assert_eq!(calibration["rows"].as_array().unwrap().len(), 9);
    let plan = fs::read_to_string(run.join("plan.json")).unwrap();
    assert!(plan.contains("word_problems.jsonl"));
    bed.bench(&["verify", "run"]).expect(0);
}

#[test]
fn a_scenario_by_its_path_and_the_list_of_data_work_from_anywhere() {
    let bed = Bed::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let scenario = bed.path("s.toml");
    let from_there = |args: &[&str]| {
        let mut command = bed.command(args);
        Ended::of(&command.current_dir(elsewhere.path()).output().unwrap())
    };
    let scenario = scenario.to_str().unwrap();
    let args = ["run", scenario, "--only", "engine=fast", "--fail-on", "failed", "--out", "run"];
    from_there(&args).expect(0);
    from_there(&["data", "list"]).expect(0);
    assert!(elsewhere.path().join("run/summary.json").is_file());
}

#[test]
fn a_finished_run_is_told_again_and_no_byte_of_it_changes() {
    let bed = Bed::new();
    bed.run(&["--out", "run", "--only", "engine=fast"]).expect(0);
    let before = bytes_below(&bed.path("run"));
    let ended = bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    ended.says("2 of 2 cells kept");
    assert!(ended.out.contains("fast"), "{}", ended.out);
    let after = bytes_below(&bed.path("run"));
    let changed: Vec<_> = after.iter().filter(|(path, it)| before.get(*path) != Some(it)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{:?}", changed.first());
}

fn bytes_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_below(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}
