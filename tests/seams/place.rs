//! Small scenarios carried out by the program itself, each in a place of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tempfile::TempDir;

use crate::turns;

/// A directory with scenarios, data and runs; home and caches of the program lie there, too.
pub(crate) struct Place {
    home: TempDir,
    _machine: Machine,
}

/// This program's other tests while one of them runs.
#[expect(dead_code, reason = "held, not read")]
enum Machine {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(Machine::Shared(turns::beside_others()))
    }

    /// A place without others beside it. A test that has one has no other place.
    pub(crate) fn alone() -> Self {
        Self::on(Machine::Alone(turns::alone()))
    }

    fn on(machine: Machine) -> Self {
        Self { home: tempfile::tempdir().unwrap(), _machine: machine }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program here, without network and without any engine but the built-in ones.
    pub(crate) fn bench(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(args)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    /// Runs the program and requires an exit code; returns what it said on both streams.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> String {
        let output = self.bench(args, &[]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(code), "bench {args:?}\n{told}");
        told
    }

    /// Runs a scenario into `run`. What else works on this machine is no failure here (103).
    #[track_caller]
    pub(crate) fn run(&self, scenario: &str) -> PathBuf {
        self.write("s.toml", scenario);
        self.expect(0, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", "run"]);
        self.path("run")
    }
}

pub(crate) fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The simulated engine, fast enough for tests.
pub(crate) const SIM: &str = "[engine.sim]\nttft = \"2ms\"\nitl = \"1ms\"\n";

/// Conversations of so many turns, one a line.
pub(crate) fn conversations(n: usize, n_turns: usize) -> String {
    let turns = |row: usize| {
        let messages: Vec<Value> = (0..n_turns * 2)
            .map(|at| {
                let role = if at % 2 == 0 { "user" } else { "assistant" };
                serde_json::json!({ "role": role, "content": format!("{row} says {at}") })
            })
            .collect();
        serde_json::json!({ "messages": messages }).to_string() + "\n"
    };
    (0..n).map(turns).collect()
}
