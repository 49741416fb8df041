//! `bench status` of a run that one process measures: its cells, its process, its time.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGINT, SIGKILL};

use crate::bed::{Bed, SCENARIO, send};

/// Two engines, of which the first takes two seconds at each load, and one that cannot be started.
fn slow() -> String {
    let broken = "[engine.broken]\nmodel = \"m\"\nargv = [\"sh\", \"-c\", \"exit 3\", \"{{ port }}\"]\n\n[matrix]";
    SCENARIO
        .replace("\"1ms\"\nitl    = \"1ms\"", "\"1ms\"\nitl    = \"80ms\"")
        .replace("\n[matrix]", &format!("\n{broken}"))
        .replace("[\"fast\", \"slow\"]", "[\"broken\", \"fast\", \"slow\"]")
}

fn spawn(bed: &Bed, args: &[&str]) -> Child {
    bed.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the line of a cell, its columns one space apart.
fn line(status: &str, cell: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(cell));
    let line = line.unwrap_or_else(|| panic!("no {cell} in\n{status}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_tells_its_cells_its_process_and_its_time_from_begin_to_end() {
    let bed = Bed::new();
    bed.write(&slow());
    let mut child = spawn(&bed, &["run", "s.toml", "--out", "run"]);
    bed.wait_for("run", "phase-started", 2);
    let now = bed.bench(&["status", "run"]).expect(0).out;
    assert!(line(&now, "engine=broken,concurrency=1").contains("failed"), "{now}");
    let complete = "engine=fast,concurrency=1 complete";
    assert_eq!(line(&now, "engine=fast,concurrency=1"), complete, "{now}");
    let running = line(&now, "engine=fast,concurrency=2");
    assert!(running.contains("running 0 of 1 trial, trial 1, phase load for "), "{now}");
    assert!(line(&now, "engine=slow,concurrency=1").contains("waiting 0 of 1 trial"), "{now}");
    assert!(now.contains("\n1 of 6 cells complete, 2 failed\n"), "{now}");
    assert!(now.contains(&format!("\nprocess {} on ", child.id())), "{now}");
    assert!(now.contains(" so far") && now.contains(" left"), "{now}");
    assert!(!now.contains("what is missing"), "{now}");

    send(SIGINT, child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let now = bed.bench(&["status", "run", "--watch"]).expect(0).out;
    assert!(line(&now, "engine=slow,concurrency=1").contains("missing 0 of 1 trial"), "{now}");
    assert!(now.contains("\nno process measures it now\n"), "{now}");
    assert!(now.contains("what is missing is measured by: bench resume "), "{now}");

    // A watch ends with the run, and tells in the end what is to be told.
    let mut resumed = spawn(&bed, &["resume", "run", "--fail-on", "failed"]);
    bed.wait_for("run", "run-started", 2);
    let watched = bed.bench(&["status", "run", "--watch", "--every", "1"]).expect(0).out;
    assert_eq!(resumed.wait().unwrap().code(), Some(100));
    assert_eq!(watched.matches("engine=fast,concurrency=1 ").count(), 1, "{watched}");
    assert!(watched.contains("4 of 6 cells complete, 2 failed\n"), "{watched}");
    assert!(watched.contains("over; it was measured in "), "{watched}");
}

#[test]
fn a_run_whose_process_was_killed_says_so_and_what_goes_on() {
    let bed = Bed::new();
    bed.write(&slow());
    let mut child = spawn(&bed, &["run", "s.toml", "--out", "run"]);
    bed.wait_for("run", "phase-started", 1);
    send(SIGKILL, child.id());
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let status = bed.bench(&["status", "run"]).expect(0).out;
        if status.contains("no process measures it now") {
            break status;
        }
        assert!(status.contains("was killed; its engine is being ended"), "{status}");
        assert!(Instant::now() < deadline, "{status}");
    };
    assert!(line(&status, "engine=fast,concurrency=1").contains("missing"), "{status}");
    assert!(status.contains("what is missing is measured by: bench resume "), "{status}");
    let none = bed.bench(&["status", "cache"]).expect(66);
    assert!(!none.err.is_empty());
}

#[test]
fn a_finished_run_with_a_row_that_cannot_run_here_stays_as_it_is() {
    let bed = Bed::new();
    let needs = "requires = [{ program = \"no-such-program\", hint = \"get it\" }]";
    bed.write(&SCENARIO.replace("itl    = \"9ms\"", &format!("itl = \"9ms\"\n{needs}")));
    bed.run(&["--out", "run", "--fail-on", "failed"]).expect(0);
    let events = || std::fs::read(bed.path("run/events.jsonl")).unwrap();
    let before = events();
    bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0).says("2 of 2 cells kept");
    assert!(events() == before, "something was written");
    let status = bed.bench(&["status", "run"]).expect(0).out;
    assert!(!status.contains("what is missing"), "{status}");
    assert!(status.contains("whether what was skipped can run by now is seen by"), "{status}");
    // It can run by now.
    let resolved = bed.path("run/plan.json");
    assert!(std::fs::read_to_string(resolved).unwrap().contains("no-such-program"));
    let bin = bed.path("no-such-program");
    std::fs::write(&bin, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&bin, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bed.path("").display());
    let mut command = bed.command(&["resume", "run", "--fail-on", "failed"]);
    let output = command.env("PATH", path).output().unwrap();
    crate::bed::Ended::of(&output).expect(0);
    assert_eq!(bed.n_trials_started("run"), 4);
}
