//! A scenario with every section, a home to play mistakes in, and what is required of a message.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// An engine that can be started anywhere, data beside the scenario, and every section that goes
/// with them.
pub(crate) const SCENARIO: &str = r#"title = "All sections"
seed = 1

[vars]
place = "here"

[matrix]
precision = ["fp16", "bf16"]

[engine.mine]
argv = ["/bin/sh", "-c", "serve {{ port }} {{ place }} {{ precision }}"]
model = "m"
ready-timeout = "5s"

[engine.mine.precisions]
fp16 = []
bf16 = []

[dataset.chats]
source = "jsonl"
location = "./chats.jsonl"
prompt = "Q: {{ prompt }}"
columns = { answer = "answer" }

[score.s]
extract = ["flexible"]

[request]
max-tokens = 4
temperature = 0.0
stream = true

[phase.load]
concurrency = 2
requests = 2
drain = "1s"

[phase.load.deadlines]
total = "5s"

[slo]
ttft = "1s"

[validity]
ok-share = 0.01

[reference]
precision = "fp16"

[gate]
must = ["output_throughput > 1 tok/s"]

[compare]
alpha = 0.01

[cost]
gpu-hour-price = 2.5

[slurm]
time = "4h"

[profile.quick]
phase.load.requests = 1
"#;

/// A directory with the scenario and its data; home and caches of the program lie there, too.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.write("s.toml", SCENARIO);
        home.write("chats.jsonl", &"{\"prompt\": \"q\", \"answer\": \"3\"}\n".repeat(3));
        home
    }

    pub(crate) fn of(scenario: &str) -> Self {
        let home = Self::new();
        home.write("s.toml", scenario);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Returns the program with its arguments, here, and without any engine but the built-in ones.
    /// One that waits for what never comes is ended, with 124.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        self.settle(command.args(["60", env!("CARGO_BIN_EXE_bench")]).args(args));
        command
    }

    /// Gives a command the directory and the environment of the home.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
    }

    pub(crate) fn bench(&self, args: &[&str]) -> Told {
        Told::of(args, &self.command(args).output().unwrap())
    }

    pub(crate) fn check(&self) -> Told {
        self.bench(&["check", "s.toml"])
    }
}

/// What the program said, and how it ended.
pub(crate) struct Told {
    args: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    pub(crate) fn of(args: &[&str], output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            args: args.join(" "),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Requires texts on either stream.
    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            let is_said = self.err.contains(text) || self.out.contains(text);
            assert!(is_said, "{text:?} is not said by {self}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn says_not(&self, text: &str) -> &Self {
        let is_said = self.err.contains(text) || self.out.contains(text);
        assert!(!is_said, "{text:?} is said by {self}");
        self
    }

    /// Requires a sentence on what to do, or on what would be right.
    #[track_caller]
    pub(crate) fn has_way_out(&self) -> &Self {
        let is_there = self.err.contains("help: ") || self.err.contains("expected ");
        assert!(is_there, "there is no way out in {self}");
        self
    }

    /// Requires so many mistakes, warnings not counted.
    #[track_caller]
    pub(crate) fn has_errors(&self, n: usize) -> &Self {
        assert_eq!(self.n_errors(), n, "{self}");
        self
    }

    fn n_errors(&self) -> usize {
        self.err.matches("error[").count() + self.err.matches("error: ").count()
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { args, code, out, err } = self;
        write!(f, "`bench {args}` (ended with {code:?}):\n{out}\n{err}")
    }
}

/// A mistake in the scenario: a text of it, what stands there instead, and what the message says
/// (cause and way out). The place is found by the tests themselves.
pub(crate) type Mistake<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Returns the scenario with a mistake.
#[track_caller]
pub(crate) fn with(scenario: &str, (text, instead, _): &Mistake<'_>) -> String {
    assert!(scenario.contains(text), "{text:?} is not in the scenario");
    scenario.replacen(text, instead, 1)
}

/// Plays each mistake by itself, and requires one message with its line, cause and way out; then
/// all of them at once, and requires that none hides another.
#[track_caller]
pub(crate) fn play(scenario: &str, mistakes: &[Mistake<'_>]) {
    Home::of(scenario).check().ends_with(0);
    for mistake in mistakes {
        let text = with(scenario, mistake);
        let told = Home::of(&text).check();
        told.ends_with(78).says(mistake.2).has_errors(1);
        let first = differing_line(scenario, &text);
        let place = format!("s.toml:{first}:");
        assert!(told.err.contains(&place), "{place:?} is not said by {told}");
        told.has_way_out();
    }
    let all = mistakes.iter().fold(scenario.to_owned(), |text, mistake| with(&text, mistake));
    let told = Home::of(&all).check();
    for (.., says) in mistakes {
        told.says(says);
    }
    told.has_errors(mistakes.len());
}

/// Returns the number of the first line that differs, from 1.
fn differing_line(before: &str, after: &str) -> usize {
    let n_equal = before.lines().zip(after.lines()).take_while(|(a, b)| a == b).count();
    n_equal + 1
}

/// Where nothing listens.
pub(crate) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
