//! A disk that takes no more in mid-load.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bed::{Bed, Ended, SCENARIO};

/// Answers that fill a few megabytes in a few seconds.
fn long_load(bed: &Bed) {
    let scenario = SCENARIO
        .replace("max-tokens = 4", "max-tokens = 16")
        .replace("itl    = \"1ms\"", "itl = \"0ms\"")
        .replace("location = \"./q.jsonl\"", "location = \"./q.jsonl\"\ncycle = true")
        .replace("requests = 8", "requests = 3000");
    bed.write(&scenario);
}

const RUN: &str = "run s.toml --only engine=fast --fail-on failed --out";

#[test]
fn a_record_that_cannot_be_written_in_mid_load_ends_the_run_with_74_and_the_way_on() {
    let bed = Bed::new();
    long_load(&bed);
    // A limit on the size of files stands for a disk that refuses: anybody can set it.
    let script = format!("trap '' XFSZ; ulimit -f 200; exec \"$0\" {RUN} run");
    let mut shell = Command::new("bash");
    bed.settle(shell.args(["-c", &script, env!("CARGO_BIN_EXE_bench")]));
    let ended = Ended::of(&shell.output().unwrap()).expect(74);
    ended.says("failed to append to").says("records").says("0 of 2 cells are in");
    ended.says(&format!("go on with: bench resume {}", bed.path("run").display()));
    assert!(!ended.err.contains("doctor"), "{}", ended.err);
    bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    bed.bench(&["verify", "run"]).expect(0);
}

#[test]
fn a_full_disk_in_mid_load_ends_the_run_with_74_and_goes_on_when_there_is_room() {
    let bed = Bed::new();
    long_load(&bed);
    let script = format!(
        "mkdir small && mount -t tmpfs -o size=600k tmpfs small || exit 99; \
         \"$0\" {RUN} small/run; echo code=$?; mount -o remount,size=200m small; \
         \"$0\" resume small/run --fail-on failed; echo code=$?; \"$0\" verify small/run; echo code=$?"
    );
    let mut unshare = Command::new("unshare");
    let name_space = ["--mount", "--map-root-user", "bash", "-c", &script];
    bed.settle(unshare.args(name_space).arg(env!("CARGO_BIN_EXE_bench")));
    let output = unshare.output();
    let Ok(output) = output else {
        return println!("skipped: unshare is not installed");
    };
    let ended = Ended::of(&output);
    if ended.code == Some(99) || ended.err.contains("unshare failed") {
        return println!("skipped: a file system cannot be mounted here: {}", ended.err);
    }
    let codes: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("code=")).collect();
    assert_eq!(codes, ["code=74", "code=0", "code=0"], "{}\n{}", ended.out, ended.err);
    ended.says("No space left on device").says("free some space");
    ended.says("go on with: bench resume ");
}

/// Begins a run and does something to its directory once its first trial is under way.
fn with_its_directory(bed: &Bed, change: impl Fn(&Path)) -> Ended {
    bed.write(&SCENARIO.replace("9ms", "50ms"));
    let args = ["run", "s.toml", "--only", "engine=slow", "--fail-on", "failed", "--out", "run"];
    let mut command = bed.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bed.wait_for("run", "phase-started", 1);
    change(&bed.path("run"));
    let ended = Ended::of(&child.wait_with_output().unwrap()).expect(74);
    assert!(!bed.path("run").exists(), "written anew");
    assert_eq!(bed.processes(), []);
    ended
}

#[test]
fn a_run_whose_directory_is_moved_ends_and_goes_on_where_it_is() {
    let bed = Bed::new();
    let ended = with_its_directory(&bed, |run| std::fs::rename(run, bed.path("moved")).unwrap());
    let moved = std::fs::canonicalize(bed.path("moved")).unwrap();
    ended.says(&format!("run was moved to {}", moved.display()));
    ended.says(&format!("go on there: bench resume {}", moved.display()));
    bed.bench(&["resume", "moved", "--fail-on", "failed"]).expect(0);
    bed.bench(&["verify", "moved"]).expect(0);
}

#[test]
fn a_run_whose_directory_is_removed_ends() {
    let bed = Bed::new();
    let ended = with_its_directory(&bed, |run| std::fs::remove_dir_all(run).unwrap());
    ended.says("run was removed while the run went on").says("begin the run again");
    assert!(!ended.err.contains("kept:"), "{}", ended.err);
}
