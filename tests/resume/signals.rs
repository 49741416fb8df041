//! Ctrl-C, and the command that it tells to go on with.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGUSR1, SIGUSR2, SIGXFSZ};

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

    let told = bed.bench(&["verify", "a run"]).expect(0).out;
    assert!(told.contains("records: whole (1 of 2 cells measured, "), "{told}");
    let (_, told) = hint.split_once("go on with: bench ").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    bed.settle(shell.args(["-c", &format!("\"$0\" {told} --fail-on failed")]));
    shell.arg(env!("CARGO_BIN_EXE_bench")).current_dir(elsewhere.path());
    let ended = Ended::of(&shell.output().unwrap()).expect(0);
    ended.says("1 of 2 cells kept").says("[2/2] ");
    let told = bed.bench(&["verify", "a run"]).expect(0).out;
    assert!(told.contains("records: whole (2 cells, 16 measured requests)"), "{told}");
    let summary = bed.summary("a run");
    assert_eq!(summary["complete"], true);
    for cell in summary["cells"].as_array().unwrap() {
        assert_eq!(cell["counts"]["ok"], 8);
    }
    assert_eq!(bed.n_trials_started("a run"), 3);
}

#[test]
fn a_resume_waits_for_the_guardian_of_a_killed_session() {
    let bed = Bed::new();
    let slow = "itl    = \"300ms\"\nstop-grace = \"2s\"\nextra-args = [\"--ignore-term\"]";
    bed.write(&SCENARIO.replace("itl    = \"9ms\"", slow));
    let mut child =
        bed.command(&["run", "s.toml", "--only", "engine=slow", "--out", "run"]).spawn().unwrap();
    bed.wait_for("run", "phase-started", 1);
    send(SIGKILL, child.id());
    let pid = child.id();
    child.wait().unwrap();
    let ended = bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    ended.says(&format!("waiting for the engine of process {pid}, which was killed"));
    bed.bench(&["verify", "run"]).expect(0);
}

#[test]
fn a_run_that_loses_its_guardian_ends_and_a_resume_measures_the_cell_again() {
    let bed = Bed::new();
    bed.write(&SCENARIO.replace("9ms", "100ms"));
    let args = ["run", "s.toml", "--only", "engine=slow", "--out", "run"];
    let mut command = bed.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bed.wait_for("run", "phase-started", 1);
    let processes = bed.processes();
    let (guardian, _) = processes.iter().find(|(_, it)| it.contains("__guardian")).unwrap();
    send(SIGKILL, guardian.cast_unsigned());
    let ended = Ended::of(&child.wait_with_output().unwrap()).expect(70);
    ended.says("failed to keep slow running: its guardian").says("0 of 2 cells are in");
    ended.says("go on with: bench resume");
    assert_eq!(bed.processes(), []);
    assert_eq!(bed.count_events("run", "cell-finished"), 0);
    bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    let summary = bed.summary("run");
    for cell in summary["cells"].as_array().unwrap() {
        assert_eq!((&cell["outcome"], &cell["counts"]["ok"]), (&"complete".into(), &8.into()));
    }
    bed.bench(&["verify", "run"]).expect(0);
}

#[test]
fn a_budget_is_that_of_the_run_and_not_of_each_session_of_it() {
    let bed = Bed::new();
    let scenario = SCENARIO
        .replace("seed  = 1", "seed = 1\nbudget = \"1s\"")
        .replace("location = \"./q.jsonl\"", "location = \"./q.jsonl\"\ncycle = true")
        .replace("requests = 8", "duration = \"2s\"");
    bed.write(&scenario);
    let mut child =
        bed.command(&["run", "s.toml", "--only", "engine=fast", "--out", "run"]).spawn().unwrap();
    bed.wait_for("run", "phase-started", 1);
    std::thread::sleep(Duration::from_millis(1_100));
    send(SIGINT, child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let n_measured = || {
        bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
        let summary = bed.summary("run");
        let cells = summary["cells"].as_array().unwrap().iter();
        cells.filter(|cell| cell["outcome"] == "complete").count()
    };
    assert_eq!(n_measured(), 0, "its time is over");
    // So it came to its end: what was left out gets a budget of its own.
    assert_eq!(n_measured(), 1);
}

#[test]
fn a_search_that_goes_on_tells_its_points_by_their_names() {
    let bed = Bed::new();
    let search = "[slo]\nttft = \"10s\"\n[search]\nover = \"concurrency\"\nto = 4\n[request]";
    let scenario = SCENARIO
        .replace("concurrency = [1, 2]\n", "")
        .replace("9ms", "40ms")
        .replace("[request]", search);
    bed.write(&scenario);
    let mut child =
        bed.command(&["run", "s.toml", "--only", "engine=slow", "--out", "run"]).spawn().unwrap();
    bed.wait_for("run", "trial-started", 2);
    send(SIGINT, child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let ended = bed.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    let mut lines = ended.err.lines().filter(|line| line.starts_with('['));
    assert!(lines.clone().count() > 0, "{}", ended.err);
    // In short, or in full.
    let is_named = |line: &str| line.contains(" c=") || line.contains(",concurrency=");
    assert!(lines.all(is_named), "{}", ended.err);
}

/// Waits until the program itself takes SIGINT: before, the system ends it, which is as good.
fn wait_for_handler(pid: u32) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let catches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & (1 << (SIGINT as u32 - 1)) != 0)
    };
    while !catches() {
        assert!(Instant::now() < deadline, "no handler within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Interrupts the program so often and returns how it ended, within the limit.
fn interrupted(command: &mut Command, n: u32, limit: Duration, when: impl Fn(u32)) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    when(child.id());
    let sent = Instant::now();
    for _ in 0..n {
        send(SIGINT, child.id());
        // Two signals of one kind that are sent at once are one.
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = Ended::of(&child.wait_with_output().unwrap());
    assert!(sent.elapsed() < limit, "{:?}\n{}", sent.elapsed(), ended.err);
    ended.expect(130)
}

#[test]
fn ctrl_c_ends_the_reading_of_data_and_leaves_no_directory() {
    let bed = Bed::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/word-problems-1m");
    let data = format!(
        "source = \"random\"\ntokenizer = \"{model}\"\ninput-tokens = 900\noutput-tokens = 4"
    );
    let scenario = SCENARIO
        .replace("source   = \"gsm8k\"\nlocation = \"./q.jsonl\"", &data)
        .replace("[score.a]\nextract = [\"strict\"]\n", "")
        .replace("requests = 8", "requests = 500000");
    bed.write(&scenario);
    let mut command = bed.command(&["run", "s.toml", "--out", "run"]);
    let ended = interrupted(&mut command, 1, Duration::from_secs(2), wait_for_handler);
    ended.says("interrupted; nothing was begun");
    assert!(!bed.path("run").exists());
}

#[test]
fn ctrl_c_ends_a_start_and_a_second_one_does_not_wait_for_the_engines_grace() {
    let bed = Bed::new();
    let stubborn = "[engine.own]\nargv = [\"sh\", \"-c\", \"trap '' TERM; sleep 600 & wait\", \"{{ port }}\"]\nmodel = \"m\"\n\
                    stop-grace = \"60s\"\n[matrix]\nengine = [\"own\"]\nconcurrency = [1, 2]\n";
    let (head, tail) = (SCENARIO.find("[engine.fast]"), SCENARIO.find("[dataset.q]"));
    let (head, tail) = (&SCENARIO[..head.unwrap()], &SCENARIO[tail.unwrap()..]);
    bed.write(&format!("{head}{stubborn}{tail}"));
    let args = ["run", "s.toml", "--out", "run"];
    let starting = |_| bed.wait_for("run", "engine-starting", 1);
    let limit = Duration::from_secs(2);
    interrupted(&mut bed.command(&args), 2, limit, starting);
    // The guardian has done its work: the lock is free and the run goes on, or is refused.
    let deadline = Instant::now() + Duration::from_secs(10);
    while bed
        .path("run")
        .read_dir()
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().contains("ledger"))
    {
        assert!(Instant::now() < deadline, "an engine is left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = interrupted(&mut bed.command(&["resume", "run"]), 2, limit, |_| {
        bed.wait_for("run", "engine-starting", 2);
    });
    ended.says("bench resume ");
}

#[test]
fn a_warning_of_a_batch_system_ends_no_run() {
    let bed = Bed::new();
    bed.write(&SCENARIO.replace("[1, 2]", "[1]").replace("9ms", "60ms"));
    let mut command = bed.command(&["run", "s.toml", "--fail-on", "failed", "--out", "run"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bed.wait_for("run", "phase-started", 2);
    for signal in [SIGUSR1, SIGUSR2, SIGXFSZ] {
        send(signal, child.id());
    }
    Ended::of(&child.wait_with_output().unwrap()).expect(0);
    assert_eq!(bed.summary("run")["complete"], true);
}
