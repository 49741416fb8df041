//! A scenario of a few hundred milliseconds, and the program to run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Two engines at two loads each; every answer is graded.
pub(crate) const SCENARIO: &str = r#"
title = "Ends"
seed  = 1

[engine.fast]
preset = "sim"
ttft   = "1ms"
itl    = "1ms"

[engine.slow]
preset = "sim"
ttft   = "2ms"
itl    = "9ms"

[matrix]
engine      = ["fast", "slow"]
concurrency = [1, 2]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"

[score.a]
extract = ["strict"]

[request]
max-tokens = 4

[phase.load]
requests = 8
trials   = 1
"#;

/// A home of its own with the scenario in it.
pub(crate) struct Bed {
    home: TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let row =
            |n| format!("{{\"question\":\"What is {n} + 1?\",\"answer\":\"#### {}\"}}\n", n + 1);
        fs::write(home.path().join("q.jsonl"), (0..8).map(row).collect::<String>()).unwrap();
        let bed = Self { home };
        bed.write(SCENARIO);
        bed
    }

    /// Replaces the scenario.
    pub(crate) fn write(&self, scenario: &str) {
        fs::write(self.path("s.toml"), scenario).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Returns the program with its arguments, in the bed's directory, without network.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        self.settle(command.args(args));
        command
    }

    /// Returns the processes that run in the bed's directory, with their command lines.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let home = fs::canonicalize(self.home.path()).unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let cwd = fs::read_link(entry.path().join("cwd"));
            if cwd.is_ok_and(|cwd| cwd == home) {
                let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, command.replace('\0', " ")));
            }
        }
        found
    }

    /// Gives a command the bed's directory, caches and environment.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("BENCH_OFFLINE", "1")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("NO_COLOR", "1");
    }

    pub(crate) fn bench(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Runs the scenario; others may have disturbed the client, which is no matter here.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let mut all = vec!["run", "s.toml", "--fail-on", "failed"];
        all.extend(args);
        self.bench(&all)
    }

    pub(crate) fn summary(&self, run: &str) -> Value {
        json(&self.path(run).join("summary.json"))
    }

    /// Returns the trials that were begun so far: a cell that is kept costs none.
    pub(crate) fn n_trials_started(&self, run: &str) -> usize {
        self.count_events(run, "trial-started")
    }

    pub(crate) fn count_events(&self, run: &str, kind: &str) -> usize {
        let text = fs::read_to_string(self.path(run).join("events.jsonl")).unwrap_or_default();
        text.matches(&format!("{{\"{kind}\":")).count()
    }

    /// Waits until an event is there; the program must live meanwhile.
    pub(crate) fn wait_for(&self, run: &str, kind: &str, n: usize) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.count_events(run, kind) < n {
            assert!(Instant::now() < deadline, "no {kind} within a minute");
            sleep(Duration::from_millis(5));
        }
    }
}

/// A test that failed half-way leaves what it has started.
impl Drop for Bed {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        // What starts others meanwhile is met again.
        while Instant::now() < deadline {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for (pid, _) in left {
                // It may have ended by itself.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            sleep(Duration::from_millis(10));
        }
    }
}

/// How the program ended, and what it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Requires an exit code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// Requires a text in what was said to people.
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.err.contains(text), "{text:?} is not said:\n{}\n{}", self.out, self.err);
        self
    }
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Sends a signal to a process of ours.
pub(crate) fn send(signal: Signal, pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}
