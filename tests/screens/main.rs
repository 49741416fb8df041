//! What a terminal shows: nothing of progress is wider than it, the answer stands on the last screen,
//! and questions are asked and answered.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program in terminals of its own"
)]

#[path = "../undecided/mod.rs"]
mod undecided;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

const ROWS: usize = 24;
/// Lines of a report.
const REPORT_ROWS: usize = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A home of its own, with the repository's scenarios in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for name in ["scenarios", "fixtures", "reports"] {
            std::os::unix::fs::symlink(root().join(name), home.path().join(name)).unwrap();
        }
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in a terminal of so many columns, typing answers to what it asks.
    fn shown(&self, columns: usize, typed: &[(&str, &str)], args: &[&str]) -> Option<Shown> {
        let output = Command::new("python3")
            .arg(root().join("tests/screens/terminal.py"))
            .args([columns.to_string(), ROWS.to_string(), json!(typed).to_string()])
            .arg(env!("CARGO_BIN_EXE_bench"))
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("PATH", "/usr/bin:/bin")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .output();
        let Ok(output) = output else {
            undecided::note("skipped: terminals: no python3");
            return None;
        };
        Some(Shown {
            columns,
            code: output.status.code(),
            text: plain(&String::from_utf8_lossy(&output.stdout)),
            raw: String::from_utf8_lossy(&output.stdout).into_owned(),
        })
    }
}

/// What a terminal got, without the sequences that move its cursor.
struct Shown {
    columns: usize,
    code: Option<i32>,
    text: String,
    /// What the terminal got.
    raw: String,
}

impl Shown {
    /// Returns what was written between two returns of the cursor: what is wider than the terminal
    /// goes on in its next line.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.text.split(['\r', '\n'])
    }

    /// Returns the lines that stay.
    fn lines(&self) -> Vec<&str> {
        let lines = self.text.lines().map(|line| line.trim_end().rsplit('\r').next().unwrap());
        lines.collect()
    }

    /// Returns what the second screen got, and what the first one got after it, and requires that
    /// the terminal is as it was.
    #[track_caller]
    fn screens(&self) -> (String, String) {
        assert!(!self.text.contains("the terminal is not as it was"), "{}", self.text);
        let (_, second) = self.raw.split_once("\x1b[?1049h").expect("a second screen is taken");
        let (second, first) = second.split_once("\x1b[?1049l").expect("and given back");
        assert!(!first.contains("\x1b[?1049h"), "once");
        assert!(second.trim_end().ends_with("\x1b[?25h"), "the cursor is shown again");
        (plain(second), plain(first))
    }

    /// Requires that no text goes over the terminal's edge. Lines above a bar are filled up with
    /// spaces instead of ended, so that a piece may be several of them.
    #[track_caller]
    fn nothing_wraps(&self) {
        for piece in self.pieces() {
            let chars: Vec<char> = piece.trim_end().chars().collect();
            for edge in (self.columns..chars.len()).step_by(self.columns) {
                let wraps = chars[edge - 1] != ' ';
                assert!(!wraps, "wider than {} columns: {piece:?}", self.columns);
            }
        }
    }
}

/// Leaves out escape sequences.
fn plain(text: &str) -> String {
    let sequence = regex::Regex::new("\x1b\\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]").unwrap();
    sequence.replace_all(text, "").into_owned()
}

#[test]
fn progress_never_wraps_whatever_becomes_of_a_cell() {
    let home = Home::new();
    let scenario = "title = \"Progress\"\n\
        [engine.sim]\nttft = \"20ms\"\nitl = \"2ms\"\n\
        [engine.an-engine-of-a-long-name]\nmodel = \"m\"\nready-timeout = \"2s\"\nargv = [\"/bin/sh\", \"-c\", \
        'echo \"RuntimeError: a sentence that is longer than most terminals are wide, as those of engines are\"; \
        [ {{ port }} = 1 ] || sleep 60']\n\
        [engine.missing]\nmodel = \"m\"\nargv = [\"python9\", \"{{ port }}\"]\n\
        requires = [{ program = \"python9\", hint = \"install the interpreter of that version from its source\" }]\n\
        [matrix]\nconcurrency = [1, 2]\n\
        [dataset.d]\nsource = \"random\"\ninput-words = 5\n[request]\nmax-tokens = 8\n\
        [phase.load]\nduration = \"1s\"\n";
    fs::write(home.path("s.toml"), scenario).unwrap();
    for columns in [40, 61, 80, 200] {
        let dir = format!("run-{columns}");
        let args = ["run", "s.toml", "--fail-on", "gate", "--out", &dir];
        let Some(shown) = home.shown(columns, &[], &args) else { return };
        assert_eq!(shown.code, Some(0), "{}", shown.text);
        let (progress, _) = shown.text.split_once("Progress\r\n").unwrap();
        assert!(progress.contains("tok/s") && progress.contains("RuntimeError"), "{progress}");
        let progress = Shown { columns, code: None, text: progress.to_owned(), raw: String::new() };
        progress.nothing_wraps();
    }
}

#[test]
fn the_readmes_scenario_fits_and_ends_with_table_and_answer() {
    for columns in [80, 100, 160] {
        let home = Home::new();
        let shorter = [
            "dataset.questions.limit=24",
            "phase.load.trials=1",
            "phase.load.concurrency=4",
            "phase.warm_up.requests=4",
        ];
        let sets = shorter.iter().flat_map(|set| ["--set", *set]);
        let args =
            ["run", "scenarios/tinyllama_fp16_vs_fp32.toml", "--fail-on", "failed", "--out", "run"];
        let args: Vec<&str> = args.into_iter().chain(sets).collect();
        let Some(shown) = home.shown(columns, &[], &args) else { return };
        assert_eq!(shown.code, Some(0), "{}", shown.text);
        shown.nothing_wraps();
        let lines = shown.lines();
        assert!(lines.len() <= REPORT_ROWS + ROWS, "{} lines:\n{}", lines.len(), lines.join("\n"));
        let report = lines.iter().position(|line| line.starts_with("TinyLlama-1.1B on GSM8K"));
        let report = &lines[report.unwrap_or_else(|| panic!("{}", shown.text))..];
        assert!(report.len() <= REPORT_ROWS, "{} lines:\n{}", report.len(), report.join("\n"));
        let last = &lines[lines.len().saturating_sub(ROWS)..].join("\n");
        for part in ["tiny    fp16", "tiny    fp32", " against fp", "report: "] {
            assert!(last.contains(part), "{part:?} is not on the last screen:\n{last}");
        }
    }
}

#[test]
fn init_asks_on_a_terminal_and_what_it_writes_can_be_run() {
    let home = Home::new();
    let answers = [
        ("engine, or URL", "sim\n"),
        ("model: ", "\n"),
        ("data: ", "\n"),
        ("precisions", "\n"),
        ("requests at once", "1,2\n"),
        ("file [scenario.toml]", "mine.toml\n"),
    ];
    let Some(shown) = home.shown(80, &answers, &["init"]) else { return };
    assert_eq!(shown.code, Some(0), "{}", shown.text);
    assert!(shown.text.contains("wrote mine.toml"), "{}", shown.text);
    assert!(fs::read_to_string(home.path("mine.toml")).unwrap().contains("[1, 2]"));
    let shown = home.shown(80, &[], &["check", "mine.toml"]).unwrap();
    assert!(shown.code == Some(0) && shown.text.contains("ok, 2 cells"), "{}", shown.text);
    // A wrong answer is told, and nothing is written.
    let shown = home.shown(80, &[("engine, or URL", "vlm\n")], &["init"]).unwrap();
    assert!(shown.code == Some(2) && shown.text.contains("`vllm`"), "{}", shown.text);
    assert!(!home.path("scenario.toml").exists());
}

#[test]
fn an_interrupt_by_hand_ends_a_run_in_order_and_says_how_to_go_on() {
    let home = Home::new();
    let scenario = "title = \"Long\"\n[engine.sim]\nttft = \"20ms\"\nitl = \"2ms\"\n\
        [dataset.d]\nsource = \"random\"\ninput-words = 5\n[request]\nmax-tokens = 8\n\
        [phase.load]\nconcurrency = 1\nduration = \"100s\"\n";
    fs::write(home.path("s.toml"), scenario).unwrap();
    let args = ["run", "s.toml", "--out", "run"];
    let Some(shown) = home.shown(80, &[("tok/s", "\u{3}")], &args) else { return };
    assert_eq!(shown.code, Some(130), "{}", shown.text);
    assert!(shown.text.contains("go on with: bench resume "), "{}", shown.text);
}

/// A scenario of two short cells, or of two that last.
fn two_cells(duration: &str) -> String {
    format!(
        "title = \"Two cells\"\n[engine.sim]\nttft = \"20ms\"\nitl = \"2ms\"\n\
         [matrix]\nconcurrency = [1, 2]\n\
         [dataset.d]\nsource = \"random\"\ninput-words = 5\n[request]\nmax-tokens = 8\n\
         [phase.load]\nduration = \"{duration}\"\n"
    )
}

#[test]
fn a_run_on_a_screen_of_its_own_leaves_its_lines_and_its_report_on_the_first_screen() {
    let home = Home::new();
    fs::write(home.path("s.toml"), two_cells("2s")).unwrap();
    for columns in [80, 100, 160] {
        let dir = format!("run-{columns}");
        let args = ["run", "s.toml", "--tui", "--fail-on", "gate", "--out", &dir];
        let Some(shown) = home.shown(columns, &[], &args) else { return };
        assert_eq!(shown.code, Some(0), "{}", shown.text);
        let (second, first) = shown.screens();
        for part in ["2 cells:", "running", "measured", "TTFT p50", "engine log", "notes"] {
            assert!(second.contains(part), "{part:?} is not in {second}");
        }
        let of_cells =
            ["[1/2] c=1: measured 2s", "[2/2] c=2: measured 2s", "Two cells", "report: "];
        let places: Vec<Option<usize>> = of_cells.iter().map(|part| first.find(part)).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{places:?} in {first}");
        let first = Shown { columns, code: None, text: first, raw: String::new() };
        first.nothing_wraps();
    }
}

#[test]
fn q_on_a_screen_of_its_own_ends_the_run_as_an_interrupt_does() {
    let home = Home::new();
    fs::write(home.path("s.toml"), two_cells("100s")).unwrap();
    for (at, keys) in ["q", "\u{3}", "qqq"].into_iter().enumerate() {
        let dir = format!("run-{at}");
        let args = ["run", "s.toml", "--tui", "--out", &dir];
        let Some(shown) = home.shown(80, &[("running", keys)], &args) else { return };
        assert_eq!(shown.code, Some(130), "{}", shown.text);
        let (second, first) = shown.screens();
        assert!(second.contains("c=1") && second.contains("c=2"), "{second}");
        assert!(first.contains("go on with: bench resume "), "{first}");
    }
}

#[test]
fn a_screen_is_refused_where_there_is_none() {
    let home = Home::new();
    fs::write(home.path("s.toml"), two_cells("1s")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "s.toml", "--tui", "--out", "run"])
        .current_dir(home.0.path())
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--tui") && text.contains("standard output is no terminal"), "{text}");
    assert!(!home.path("run").exists(), "nothing is begun");
}
