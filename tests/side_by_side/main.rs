//! `parallel = "by-gpu"` over two fake GPUs, from outside. No GPU is needed.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

#[path = "../resume/bed.rs"]
#[expect(dead_code, reason = "shared with tests of going on, which need more of it")]
mod bed;
#[path = "../engine/fake_gpus.rs"]
mod fake_gpus;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGINT, SIGKILL};
use serde_json::Value;

use bed::{Bed, Ended, SCENARIO, json, send};
use fake_gpus::FakeGpus;

/// Engines that take a GPU each as far as bench knows, and say which they see.
const ENGINES: [&str; 4] = ["a", "b", "c", "d"];

/// Returns a scenario of engines: the command of each, or its preset.
fn scenario(head: &str, engines: &[(&str, String)]) -> String {
    let names: Vec<&str> = engines.iter().map(|(name, _)| *name).collect();
    let engines = engines.iter().map(|(name, keys)| format!("[engine.{name}]\n{keys}\n"));
    let engines = engines.collect::<String>();
    let (_, work) = SCENARIO.split_once("[dataset.q]").unwrap();
    format!(
        "title = \"Side by side\"\nseed = 1\n{head}\n{engines}\
         [matrix]\nengine = {names:?}\nconcurrency = [1, 2]\n[dataset.q]{work}"
    )
}

/// Returns the keys of an engine whose tokens come this many milliseconds apart.
fn serving(itl_ms: u32) -> String {
    format!(
        "model = \"sim\"\nargv = [\"sh\", \"-c\", '''\necho \"sees $CUDA_VISIBLE_DEVICES by \
         $CUDA_DEVICE_ORDER\"\nexec \"{{{{ bench }}}}\" serve sim --port \"{{{{ port }}}}\" --ttft 2ms \
         --itl {itl_ms}ms''']"
    )
}

fn four(head: &str) -> String {
    let engines: Vec<_> =
        ENGINES.iter().zip(40..).map(|(name, itl_ms)| (*name, serving(itl_ms))).collect();
    scenario(head, &engines)
}

const BY_GPU: &str = "parallel = \"by-gpu\"";

/// A bed with two fake GPUs, and a `squeue` that nobody is to ask.
struct Place {
    bed: Bed,
    gpus: FakeGpus,
}

/// One start of an engine: when it ran, and on which GPU.
#[derive(Clone, Debug)]
struct Run {
    engine: String,
    began: u64,
    ended: u64,
    sees: String,
}

impl Place {
    fn new(scenario: &str) -> Self {
        let place = Self { bed: Bed::new(), gpus: FakeGpus::new() };
        place.gpus.set("watts0 250\nwatts1 300\n");
        place.bed.write(scenario);
        let squeue = place.bed.path("bin/squeue");
        fs::create_dir(place.bed.path("bin")).unwrap();
        fs::write(&squeue, "#!/bin/sh\ntouch \"${0%/*}/asked\"\nexit 1\n").unwrap();
        fs::set_permissions(&squeue, fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bed.command(args);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bed.path("bin").display());
        command.env("PATH", path).env("BENCH_NVML_LIBRARY", self.gpus.library());
        command.env_remove("CUDA_VISIBLE_DEVICES").env_remove("CUDA_DEVICE_ORDER");
        command
    }

    fn bench(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Runs the scenario; others may have disturbed the client, which is no matter here.
    fn run(&self, args: &[&str]) -> Ended {
        self.bench(&[&["run", "s.toml", "--fail-on", "failed"], args].concat())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn places(&self) -> Vec<PathBuf> {
        let jobs = fs::read_dir(self.bed.path("run/jobs")).into_iter().flatten();
        jobs.map(|entry| entry.unwrap().path()).collect()
    }

    /// Returns the events of all shares, each share's in order.
    fn events(&self) -> Vec<Vec<Value>> {
        let events = |place: PathBuf| {
            let text = fs::read_to_string(place.join("events.jsonl")).unwrap_or_default();
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        self.places().into_iter().map(events).collect()
    }

    /// Counts the events of a kind, by cell.
    fn count(&self, kind: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.events().iter().flatten() {
            if let Some(cell) = event["event"][kind]["cell"].as_str() {
                *counts.entry(cell.to_owned()).or_default() += 1;
            }
        }
        counts
    }

    /// Waits until so many shares have an event.
    fn wait_for(&self, kind: &str, n_shares: usize) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let has = |events: &Vec<Value>| events.iter().any(|it| it["event"][kind].is_object());
        while self.events().iter().filter(|events| has(events)).count() < n_shares {
            assert!(Instant::now() < deadline, "no {kind} in {n_shares} shares within a minute");
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing runs that was started here.
    fn wait_until_gone(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.bed.processes().is_empty() {
            assert!(Instant::now() < deadline, "left: {:?}", self.bed.processes());
            sleep(Duration::from_millis(10));
        }
    }

    /// Returns every start of an engine that was stopped, by the records of the shares.
    fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for place in self.places() {
            let text = fs::read_to_string(place.join("events.jsonl")).unwrap();
            let mut open: Option<Run> = None;
            for event in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
                let at = event["unix_ns"].as_u64().unwrap();
                let starting = &event["event"]["engine-starting"];
                if starting.is_object() {
                    let log = fs::read_to_string(place.join(starting["log"].as_str().unwrap()));
                    let log = log.unwrap_or_default();
                    let sees = log.lines().next().unwrap_or_default().to_owned();
                    let engine = starting["engine"].as_str().unwrap().to_owned();
                    open = Some(Run { engine, began: at, ended: 0, sees });
                } else if event["event"]["engine-stopped"].is_object() {
                    runs.extend(open.take().map(|run| Run { ended: at, ..run }));
                }
            }
        }
        runs
    }

    /// Returns the trials of cells: their engine, when they began, when their load did, and when
    /// they were over.
    fn trials(
        &self,
        names: &BTreeMap<String, (String, String)>,
    ) -> BTreeMap<String, (String, [u64; 3])> {
        let mut trials = BTreeMap::new();
        for event in self.events().iter().flatten() {
            let kinds = ["trial-started", "phase-started", "trial-finished"];
            for (place, kind) in kinds.into_iter().enumerate() {
                let Some(cell) = event["event"][kind]["cell"].as_str() else { continue };
                let (name, engine) = names[cell].clone();
                let (_, times) = trials.entry(name).or_insert((engine, [0; 3]));
                times[place] = event["unix_ns"].as_u64().unwrap();
            }
        }
        trials
    }

    /// Returns the cells of a summary: name → identity, answers, accuracy.
    fn cells(&self, run: &str) -> BTreeMap<String, (Value, Value, Value)> {
        let summary = self.bed.summary(run);
        let cells = summary["cells"].as_array().unwrap().iter().map(|cell| {
            let told = (cell["id"].clone(), cell["counts"].clone(), cell["accuracy"].clone());
            (cell["name"].as_str().unwrap().to_owned(), told)
        });
        cells.collect()
    }

    /// Returns what the caveat says of who ran beside the trials of each cell.
    fn beside(&self, run: &str) -> BTreeMap<String, String> {
        let summary = self.bed.summary(run);
        let told = summary["cells"].as_array().unwrap().iter().filter_map(|cell| {
            let caveats = cell["caveats"].as_array()?;
            let caveat = caveats.iter().find(|it| it["code"] == "beside-engines")?;
            // What most cells say is said once.
            let usual = &summary["doubts"]["beside-engines"]["what"];
            let what = caveat["what"].as_str().or_else(|| usual.as_str())?;
            Some((cell["name"].as_str()?.to_owned(), what.to_owned()))
        });
        told.collect()
    }
}

/// Returns the most engines that ran at the same time, and asserts that no GPU had two.
fn most_at_once(runs: &[Run]) -> usize {
    for (n, run) in runs.iter().enumerate() {
        for other in &runs[n + 1..] {
            let is_together = run.began < other.ended && other.began < run.ended;
            assert!(!is_together || run.sees != other.sees, "{run:?} and {other:?}");
        }
    }
    let at =
        |instant: u64| runs.iter().filter(|it| (it.began..it.ended).contains(&instant)).count();
    runs.iter().map(|run| at(run.began)).max().unwrap_or(0)
}

#[test]
fn four_engines_run_on_two_gpus_and_make_the_run_that_they_make_one_after_the_other() {
    let place = Place::new(&four(BY_GPU));
    let line = "side by side: 4 engine starts on 2 GPUs (0, 1), at most 2 at once: a; b; c; d\n";
    for args in [&["plan", "s.toml"][..], &["check", "s.toml"], &["run", "s.toml", "--dry-run"]] {
        let told = place.bench(args).expect(0);
        assert!(told.out.contains(line), "{args:?}\n{}", told.out);
    }
    let ended = place.run(&["--out", "run"]).expect(0);
    ended
        .says(line)
        .says("  a on GPU 0: 0 of 2 cells\n")
        .says("  d on GPU ")
        .says(": 2 of 2 cells");
    place.wait_until_gone();

    let runs = place.runs();
    assert_eq!(runs.len(), 4);
    assert_eq!(most_at_once(&runs), 2, "{runs:?}");
    let seen: BTreeSet<&str> = runs.iter().map(|run| run.sees.as_str()).collect();
    assert_eq!(seen, ["sees 0 by PCI_BUS_ID", "sees 1 by PCI_BUS_ID"].into());
    for job in place.places() {
        let run = RunDir(job);
        let gpu = run.sees().chars().nth(5).unwrap();
        let other = if gpu == '0' { "GPU-fake-1" } else { "GPU-fake-0" };
        let samples = run.telemetry();
        assert!(samples.contains(&format!("GPU-fake-{gpu}")) && !samples.contains(other));
    }

    place.bench(&["verify", "run"]).expect(0);
    assert_eq!(place.bed.summary("run")["complete"], true);
    let status = place.bench(&["status", "run"]).expect(0);
    assert!(status.out.contains("\n8 of 8 cells complete\n"), "{}", status.out);
    assert!(!place.bed.path("bin/asked").exists(), "squeue was asked");

    let beside = place.beside("run");
    let (mut n_named, names) = (0, names_of_cells(&place.bed, "run"));
    for (name, (engine, [started, phase, finished])) in place.trials(&names) {
        let ran = |from: u64, to: u64| -> BTreeSet<&str> {
            let others = runs.iter().filter(|it| it.engine != engine);
            others.filter(|it| it.began < to && it.ended > from).map(|it| &*it.engine).collect()
        };
        let told = beside.get(&name).map(|it| {
            it.strip_prefix("1 of 1 trials were measured beside other engines: ").unwrap()
        });
        let told: BTreeSet<&str> = told.iter().flat_map(|it| it.split(", ")).collect();
        assert!(told.is_subset(&ran(started, finished)), "{name}: {told:?}");
        assert!(ran(phase, phase + 1).is_subset(&told), "{name}: {told:?}");
        n_named += told.len();
    }
    assert!(n_named > 0, "nothing ran beside anything");

    place.bed.write(&four(""));
    place.run(&["--out", "serial"]).expect(0);
    assert_eq!(place.cells("run"), place.cells("serial"));
    assert!(place.beside("serial").is_empty());
    // What was measured is not measured again.
    let again = place.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    again.says("8 of 8 cells kept");
    assert!(place.count("trial-started").values().all(|n| *n == 1));
}

/// Returns the names and engines of a run's cells by their identities.
fn names_of_cells(bed: &Bed, run: &str) -> BTreeMap<String, (String, String)> {
    let summary = bed.summary(run);
    let cells = summary["cells"].as_array().unwrap().iter().map(|cell| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&cell["id"]), (text(&cell["name"]), text(&cell["keys"]["engine"])))
    });
    cells.collect()
}

/// The directory of a share.
struct RunDir(PathBuf);

impl RunDir {
    fn sees(&self) -> String {
        let logs = fs::read_dir(self.0.join("engines")).unwrap();
        let log = logs.map(|it| it.unwrap().path().join("log.txt")).next().unwrap();
        fs::read_to_string(log).unwrap()
    }

    fn telemetry(&self) -> String {
        let cells = fs::read_dir(self.0.join("cells")).unwrap();
        let files = cells.map(|cell| cell.unwrap().path().join("trial-1/telemetry.jsonl"));
        files.map(|file| fs::read_to_string(file).unwrap()).collect()
    }
}

#[test]
fn a_killed_parent_leaves_nothing_and_only_what_is_missing_is_measured_again() {
    let place = Place::new(&four(BY_GPU));
    let mut child = place.spawn(&["run", "s.toml", "--fail-on", "failed", "--out", "run"]);
    // Each of the first two has a cell behind it.
    place.wait_for("trial-finished", 2);
    send(SIGKILL, child.id());
    child.wait().unwrap();
    place.wait_until_gone();
    let (finished, begun) = (place.count("trial-finished"), place.count("trial-started"));
    assert!(finished.len() < 8, "nothing is missing");

    let ended = place.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    ended.says(&format!("{} of 8 cells kept", finished.len()));
    place.wait_until_gone();
    let now = place.count("trial-started");
    assert_eq!(now.len(), 8);
    for (cell, n) in &now {
        let before = begun.get(cell).copied().unwrap_or(0);
        let is_kept = finished.contains_key(cell);
        assert_eq!(*n, if is_kept { before } else { before + 1 }, "{cell}");
    }
    most_at_once(&place.runs());
    assert_eq!(place.bed.summary("run")["complete"], true);
    place.bench(&["verify", "run"]).expect(0);
}

#[test]
fn ctrl_c_ends_all_in_order_and_the_command_that_it_tells_goes_on() {
    let place = Place::new(&four(BY_GPU));
    let child = place.spawn(&["run", "s.toml", "--fail-on", "failed", "--out", "run"]);
    place.wait_for("phase-started", 2);
    let status = place.bench(&["status", "run"]).expect(0);
    assert!(status.out.contains("  running") && status.out.contains("  waiting"), "{}", status.out);
    let busy = place.bench(&["resume", "run"]).expect(75);
    busy.says("process ");
    let sent = Instant::now();
    send(SIGINT, child.id());
    let ended = Ended::of(&child.wait_with_output().unwrap()).expect(130);
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    let hint = ended.err.lines().last().unwrap();
    assert!(
        hint.starts_with("interrupted; ") && hint.contains("go on with: bench resume "),
        "{hint}"
    );
    place.wait_until_gone();
    assert!(place.count("trial-started").len() < 8);
    // Every engine was stopped in order.
    let kinds = |kind: &str| {
        place.events().iter().flatten().filter(|it| it["event"][kind].is_object()).count()
    };
    assert_eq!(kinds("engine-stopped"), kinds("engine-starting"));
    let status = place.bench(&["status", "run"]).expect(0);
    assert!(status.out.contains("what is missing is measured by: bench resume"), "{}", status.out);

    place.bench(&["resume", "run", "--fail-on", "failed"]).expect(0);
    assert_eq!(place.bed.summary("run")["complete"], true);
    place.bench(&["verify", "run"]).expect(0);
}

#[test]
fn cells_of_another_run_are_taken_and_the_rest_is_measured_side_by_side() {
    // What tells its version by a command is known before its start.
    let told = "model = \"sim\"\nversion = [\"echo\", \"0.1.0\"]";
    let place = Place::new(&four(BY_GPU).replace("model = \"sim\"", told));
    place.run(&["--only", "concurrency=1", "--out", "first"]).expect(0);
    let ended = place.run(&["--out", "run", "--reuse", "first"]).expect(0);
    ended.says("4 of 8 cells").says("side by side: 4 engine starts");
    place.wait_until_gone();
    let begun = place.count("trial-started");
    assert!(begun.len() == 4 && begun.values().all(|n| *n == 1), "{begun:?}");
    assert_eq!(place.bed.summary("run")["complete"], true);
    place.bench(&["verify", "run"]).expect(0);
    let again = place.run(&["--out", "again", "--reuse", "run"]).expect(0);
    again.says("8 of 8 cells");
    assert_eq!(place.bed.n_trials_started("again"), 0);
    assert_eq!(place.cells("again"), place.cells("run"));
}

#[test]
fn one_failing_engine_does_not_end_the_others_and_who_needs_no_gpu_runs_alone() {
    let alone = "preset = \"sim\"\nttft = \"2ms\"\nitl = \"5ms\"".to_owned();
    let broken = "model = \"sim\"\nargv = [\"sh\", \"-c\", \"exit 3\", \"{{ port }}\"]".to_owned();
    let own = format!("{}\nenv = {{ CUDA_VISIBLE_DEVICES = \"1\" }}", serving(5));
    let engines = [
        ("alone", alone),
        ("own", own),
        ("broken", broken),
        ("a", serving(40)),
        ("b", serving(41)),
    ];
    let place = Place::new(&scenario(BY_GPU, &engines));
    let ended = place.run(&["--out", "run"]).expect(100);
    ended.says("at most 2 at once: broken; a; b\nalone, behind them: alone; own\n");
    let runs = place.runs();
    for alone in runs.iter().filter(|run| ["alone", "own"].contains(&&*run.engine)) {
        for other in runs.iter().filter(|run| run.engine != alone.engine) {
            let is_apart = other.ended <= alone.began || other.began >= alone.ended;
            assert!(is_apart, "{other:?} {alone:?}");
        }
        assert!(
            !place.beside("run").contains_key(&format!("engine={},concurrency=1", alone.engine))
        );
    }
    assert_eq!(runs.len(), 4);
    let status = place.bench(&["status", "run"]).expect(0);
    assert!(status.out.contains("8 of 10 cells complete, 2 failed\n"), "{}", status.out);
    place.bench(&["verify", "run"]).expect(0);
    // Failed is over.
    place.bench(&["resume", "run", "--fail-on", "failed"]).expect(100);
    assert!(place.count("trial-started").values().all(|n| *n == 1));
    let other = place.run(&["--resume", "run", "--set", "request.max-tokens=5"]).expect(107);
    other.says("request.max-tokens: ").says("no cell of").says("bench resume");

    // What shapes no measurement is applied; of more trials those that are missing are measured.
    let gate = "gate.must=[\"ttft.p50 < 0.01ms\"]";
    let told = ["--resume", "run", "--set", "title=\"Other\"", "--set", gate];
    place.run(&told).expect(100).says("-> Other (applied to all cells)").says("gate.must: ");
    assert!(place.count("trial-started").values().all(|n| *n == 1));
    assert_eq!(place.bed.summary("run")["title"], "Other");
    assert_eq!(place.bed.summary("run")["complete"], true);
    place.bench(&["report", "run"]).expect(104);
    place
        .run(&[&told[..], &["--set", "phase.load.trials=2"]].concat())
        .expect(100)
        .says("trials: 1 -> 2");
    let trials = place.count("trial-started");
    assert_eq!(trials.values().filter(|n| **n == 2).count(), 8, "{trials:?}");
    place.bench(&["verify", "run"]).expect(0);
}

#[test]
fn on_one_gpu_engines_run_one_after_the_other_and_that_is_said() {
    let place = Place::new(&four(BY_GPU));
    let mut command = place.command(&["run", "s.toml", "--fail-on", "failed", "--out", "run"]);
    let ended = Ended::of(&command.env("CUDA_VISIBLE_DEVICES", "1").output().unwrap()).expect(0);
    ended.says("note: engines run one after the other: 1 GPU can be seen");
    assert!(!place.bed.path("run/jobs").exists());
    let alternating = four(&format!("{BY_GPU}\norder = \"interleaved\""));
    place.bed.write(&alternating);
    let told = place.bench(&["plan", "s.toml"]).expect(0);
    assert!(
        told.out.contains("one after the other: with `order = \"interleaved\"`"),
        "{}",
        told.out
    );
    place.bed.write(&four(&format!("{BY_GPU}\nbudget = \"1h\"")));
    place.bench(&["check", "s.toml"]).expect(78).says("leave one of them out");
    let run = json(&place.bed.path("run/run.json"));
    assert!(run["invocation"].get("side_by_side").is_none());
}
