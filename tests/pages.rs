//! README, CONTRIBUTING and the pages of `bench help`, held against the program: console blocks
//! are run, TOML is checked, YAML is parsed.
//!
//! A page is one shell session in a directory of its own. A block whose first line is
//! `# NAME.toml` (or another file name) is that file; other TOML is laid over a small scenario.
//! A console block marked `gpu` or `cluster` is planned instead of run; of one marked `elsewhere`
//! (it installs, needs network, or takes minutes) the shell's grammar is held, and the flags that
//! it gives to the program. `tests/pandas/install.sh` installs what Python blocks import.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "runs the program in directories of its own"
)]

#[path = "undecided/mod.rs"]
mod undecided;

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode as _, Yaml};

/// A page may take that long: some start a dozen engines.
const LIMIT: &str = "180s";

/// What a page's session begins with. A row that others disturbed (103) has run as well; a second
/// is enough to see that a command works.
const PRELUDE: &str = r#"set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
bench() {
  # In the place of its shell, so that the end of the session ends it.
  if [ "$1" = serve ]; then exec bench "$@"; fi
  if [ "$1" = quick ]; then set -- "$@" --seconds 1; fi
  command bench "$@" || test $? = 103
}
"#;

/// Lines that are run shorter than they stand.
const SHORTER: &[(&str, &str)] = &[
    (
        "cargo run --release -- run scenarios/tinyllama_fp16_vs_fp32.toml",
        "bench run scenarios/tinyllama_fp16_vs_fp32.toml --set dataset.questions.limit=24 \
         --set phase.load.trials=1 --set phase.load.concurrency=4 --set phase.warm_up.requests=4",
    ),
    // It is what runs this.
    ("cargo test --locked", "true"),
];

/// What a block can be. Of any other language nobody would know what holds it.
const LANGUAGES: &[&str] = &["bash", "console", "jinja", "jsonl", "python", "text", "toml", "yaml"];
/// What a console block can be marked as.
const MARKS: &[&str] = &["cluster", "elsewhere", "gpu"];

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// Its language and marks.
    info: Vec<String>,
    text: String,
}

impl Block {
    fn is(&self, language: &str) -> bool {
        self.info.first().is_some_and(|first| first == language)
    }

    fn is_marked(&self, mark: &str) -> bool {
        self.info[1..].iter().any(|word| word == mark)
    }

    /// Returns the file that it is, by its first line.
    fn file(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        let is_name = !name.contains(' ') && Path::new(name).extension().is_some();
        is_name.then_some(name)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    let mut before = "";
    for line in page.lines() {
        let is_fence = ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence));
        assert!(!is_fence || line.starts_with("```"), "no block is found that begins so: {line}");
        let is_indented = line.starts_with("    ") && before.is_empty();
        assert!(is_inside || !is_indented, "a block without a fence: {line}");
        before = line;
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(info) => {
                let info: Vec<String> = info.split(' ').map(str::to_owned).collect();
                // One without a language would be Rust to rustdoc.
                assert!(LANGUAGES.contains(&info[0].as_str()), "a block of {info:?}");
                assert!(info[1..].iter().all(|mark| MARKS.contains(&mark.as_str())), "{info:?}");
                assert!(info.len() == 1 || info[0] == "console", "nothing reads {info:?}");
                blocks.push(Block { info, text: String::new() });
                is_inside = true;
            }
            None if is_inside => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(!is_inside, "a block is not closed");
    blocks
}

/// Returns the lines of a session, one command each, without comments.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Returns what plans that which a command would run on other hardware.
fn planned(command: &str) -> String {
    if let Some(rest) = command.strip_prefix("bench run ") {
        return format!("bench plan {rest}");
    }
    if command.starts_with("bench quick ") {
        return format!("{command} --dry-run > planned.toml\nbench plan planned.toml");
    }
    let is_plan = command.starts_with("bench plan ");
    assert!(is_plan || command.starts_with("sbatch "), "nothing plans `{command}`");
    if is_plan { command.to_owned() } else { String::new() }
}

/// Returns the interpreter that has pandas.
fn pandas() -> Option<PathBuf> {
    let engines = std::env::var_os("BENCH_ENGINES").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("bench/engines"))
    });
    let python = engines?.join("pandas/bin/python");
    python.is_file().then_some(python)
}

/// A directory in which a page is tried, and what keeps it.
struct Place {
    home: tempfile::TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("work");
        fs::create_dir_all(&dir).unwrap();
        for name in ["scenarios", "fixtures", "reports"] {
            symlink(root().join(name), dir.join(name)).unwrap();
        }
        let bin = home.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_bench"), bin.join("bench")).unwrap();
        // A program that a page names; it is looked for and never started.
        fs::write(bin.join("docker"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(bin.join("docker"), Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("rows.csv"), "q,a\nHow many?,3\n").unwrap();
        Self { home, dir }
    }

    fn command(&self, program: &str, args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.home.path().join("bin").display());
        Command::new(program)
            .args(args)
            .current_dir(&self.dir)
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Holds the flags that a command gives to the program against the command's own help.
    fn check_flags(&self, command: &str) {
        let Some(rest) = command.strip_prefix("bench ") else { return };
        let Some(name) = rest.split(' ').next().filter(|name| !name.starts_with('-')) else {
            return;
        };
        let output = self.command("bench", &[name, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: there is no such command");
        let flags = rest.split(' ').filter(|word| word.starts_with("--"));
        for flag in flags.filter_map(|flag| flag.split('=').next()) {
            assert!(help.contains(flag), "{command}: there is no {flag}");
        }
    }

    /// Checks TOML that is no file of the page: over a small scenario, which has what it lacks.
    fn check_fragment(&self, text: &str) {
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let lacks = |section: &str| !table.contains_key(section);
        let mut base = String::new();
        if lacks("engine") {
            base.push_str("[engine.sim]\n");
        }
        if lacks("dataset") {
            base.push_str("[dataset.base]\nsource = \"random\"\ninput-words = 5\n");
        }
        if lacks("phase") {
            let load = if lacks("search") { "requests = 10\n" } else { "duration = \"1s\"\n" };
            base.push_str("[phase.load]\n");
            let is_swept = |matrix: &toml::Value| matrix.get("concurrency").is_some();
            if lacks("search") && !table.get("matrix").is_some_and(is_swept) {
                base.push_str("concurrency = 1\n");
            }
            base.push_str(load);
        }
        self.write("base.toml", &base);
        self.write("fragment.toml", &format!("extends = \"./base.toml\"\n{text}"));
        let output = self.command("bench", &["check", "fragment.toml"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}\n{text}");
    }
}

fn check_page(path: &str) {
    let page = fs::read_to_string(root().join(path)).unwrap();
    let place = Place::new();
    let mut script = PRELUDE.to_owned();
    let blocks = blocks(&page);
    let python = pandas();
    if python.is_none() && blocks.iter().any(|block| block.is("python")) {
        undecided::note(&format!(
            "skipped: Python of {path}: there is no pandas; tests/pandas/install.sh installs it"
        ));
    }
    let is_in_session =
        |what: &str| blocks.iter().any(|block| block.is("console") && block.text.contains(what));
    if is_in_session("localhost:8000") && !is_in_session("bench serve") {
        script.push_str("bench serve sim --port 8000 &\nsleep 1\n");
    }
    for (at, block) in blocks.iter().enumerate() {
        if block.is("python") {
            place.write(&format!("block{at}.py"), &block.text);
            if let Some(python) = &python {
                writeln!(script, "{} block{at}.py", python.display()).unwrap();
            }
        } else if let Some(name) = block.file() {
            let comments = usize::from(block.is("jsonl"));
            let lines: Vec<&str> = block.text.lines().skip(comments).collect();
            place.write(name, &(lines.join("\n") + "\n"));
            if block.is("toml") && !name.starts_with("engines/") {
                writeln!(script, "bench check {name}").unwrap();
            }
        } else if block.is("toml") {
            place.check_fragment(&block.text);
        } else if block.is("yaml") {
            assert!(!Yaml::load_from_str(&block.text).unwrap().is_empty());
        }
        if block.is("bash") || block.is("console") {
            let output = place.command("bash", &["-n", "-c", &block.text]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        if !block.is("console") {
            continue;
        }
        if block.is_marked("elsewhere") {
            for command in commands(&block.text) {
                place.check_flags(&command);
            }
            continue;
        }
        for command in commands(&block.text) {
            let shorter = SHORTER.iter().find(|(long, _)| *long == command);
            let command = shorter.map_or(command, |(_, short)| (*short).to_owned());
            let is_planned = block.is_marked("gpu") || block.is_marked("cluster");
            script.push_str(&if is_planned { planned(&command) } else { command });
            script.push('\n');
        }
    }
    // Pages say 8000 where the test takes what is free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = script
        .replace("localhost:8000", &format!("127.0.0.1:{port}"))
        .replace("--port 8000", &format!("--port {port}"));
    let traced = format!("set -x\n{script}");
    let output = place.command("timeout", &["--kill-after=10", LIMIT, "bash", "-c", &traced]);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{path}: {}\n{stdout}\n{stderr}", output.status);
}

macro_rules! pages {
    ($($name:ident: $path:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            check_page($path);
        })*

        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    the_blocks_of_the_readme_hold: "README.md",
    the_blocks_of_contributing_hold: "CONTRIBUTING.md",
    the_blocks_of_cluster_hold: "src/help/cluster.md",
    the_blocks_of_gates_hold: "src/help/gates.md",
    the_blocks_of_install_hold: "src/help/install.md",
    the_blocks_of_limits_hold: "src/help/limits.md",
    the_blocks_of_metrics_hold: "src/help/metrics.md",
    the_blocks_of_own_data_hold: "src/help/own_data.md",
    the_blocks_of_own_engine_hold: "src/help/own_engine.md",
    the_blocks_of_own_report_hold: "src/help/own_report.md",
    the_blocks_of_reading_reports_hold: "src/help/reading_reports.md",
    the_blocks_of_run_directory_hold: "src/help/run_directory.md",
    the_blocks_of_running_server_hold: "src/help/running_server.md",
    the_blocks_of_secrets_hold: "src/help/secrets.md",
    the_blocks_of_trust_hold: "src/help/trust.md",
    the_blocks_of_two_engines_hold: "src/help/two_engines.md",
}

#[test]
fn every_page_is_tried() {
    let files = fs::read_dir(root().join("src/help")).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    for page in pages {
        let path = page.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        assert!(PAGES.contains(&path.as_str()), "{path} is not tried");
    }
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() < 250);
}

#[test]
fn no_state_or_caveat_is_told_that_is_never_raised() {
    let page = fs::read_to_string(root().join("src/help/reading_reports.md")).unwrap();
    let words = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // Caveats and states of cells, of what is measured now, of gates and of comparisons.
    let rooms = ["metrics/caveats", "metrics", "cli/screen", "report/view", "stats"];
    let files = rooms.iter().flat_map(|room| fs::read_dir(root().join("src").join(room)).unwrap());
    let paths = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let source: String = paths.map(|path| fs::read_to_string(path).unwrap()).collect();
    for word in words {
        assert!(source.contains(&format!("\"{word}\"")), "nothing raises `{word}`");
    }
}
