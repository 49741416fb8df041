//! Ctrl-C, and the command that it tells to go on with.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGINT;

use crate::bed::{Bed, Ended, SCENARIO, send};

#[test]
fn the_command_that_an_interrupted_run_tells_works_as_printed_from_anywhere() {
    let bed = Bed::new();
    // The directory has a space, the run a profile, an override and a choice of cells.
    bed.write(&format!("{SCENARIO}\n[profile.p.request]\nmax-tokens = 3\n"));
    let args = [
        "run",
        "s.toml",
        "--profile",
        "p",
        "--set",
        "engine.slow.itl=300ms",
        "--only",
        "concurrency=1",
        "--fail-on",
        "failed",
        "--out",
        "a run",
    ];
    let mut command = bed.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bed.wait_for("a run", "phase-started", 2);
    let sent = Instant::now();
    send(SIGINT, child.id());
    let ended = Ended::of(&child.wait_with_output().unwrap()).expect(130);
    assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    assert!(ended.out.contains("INCOMPLETE: 1 of 2 cells measured"), "{}", ended.out);
    let hint = ended.err.lines().last().unwrap();
    assert!(hint.starts_with("interrupted; 1 of 2 cells are kept; go on with: bench"), "{hint}");

    let (_, told) = hint.split_once("go on with: bench ").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    bed.settle(shell.args(["-c", &format!("\"$0\" {told} --fail-on failed")]));
    shell.arg(env!("CARGO_BIN_EXE_bench")).current_dir(elsewhere.path());
    let ended = Ended::of(&shell.output().unwrap()).expect(0);
    ended.says("1 of 2 cells kept").says("[2/2] ");
    bed.bench(&["verify", "a run"]).expect(0);
    let summary = bed.summary("a run");
    assert_eq!(summary["complete"], true);
    for cell in summary["cells"].as_array().unwrap() {
        assert_eq!(cell["counts"]["ok"], 8);
    }
    assert_eq!(bed.n_trials_started("a run"), 3);
}
