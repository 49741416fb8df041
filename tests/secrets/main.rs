//! Keys from outside: the engine that is ready can be measured, and no secret stays anywhere.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The secrets that `bench` is given; no file and no output may hold what follows `Canary`.
const SECRETS: [(&str, &str); 4] = [
    // As `export MY_KEY="$(cat key; echo .)"` and careless files have it.
    ("MY_KEY", "sk-CanaryKey/\"1+2\"-0123456789\n"),
    ("MY_OTHER", "CanaryOther-0123456789"),
    ("HF_TOKEN", "hf_CanaryHub0123456789"),
    ("WANDB_API_KEY", "CanaryInherited0123456789"),
];

const LOADED: &str = "\n[dataset.d]\nsource = \"text\"\nlocation = \"./rows.txt\"\n[request]\nmax-tokens = 8\n\
                      [phase.load]\nconcurrency = 2\nrequests = 12\n";

struct Place {
    home: TempDir,
    scenario: PathBuf,
}

impl Place {
    fn with(engine: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let scenario = home.path().join("x.toml");
        fs::write(&scenario, format!("{engine}{LOADED}")).unwrap();
        let rows: Vec<String> = (0..12).map(|n| format!("Question {n}?")).collect();
        fs::write(home.path().join("rows.txt"), rows.join("\n")).unwrap();
        Self { home, scenario }
    }

    fn run_dir(&self) -> PathBuf {
        self.home.path().join("run")
    }

    /// Runs the program with a umask that leaves nothing to strangers.
    fn bench(&self, args: &[&str], secrets: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 027; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_bench")]);
        command.args(args).current_dir(self.home.path());
        for name in ["HF_TOKEN", "WANDB_API_KEY"] {
            command.env_remove(name);
        }
        command.envs(secrets.iter().copied());
        command.env("HOME", self.home.path()).env_remove("XDG_CACHE_HOME");
        command.env("HF_HUB_OFFLINE", "1").output().unwrap()
    }

    fn run(&self, more: &[&str], secrets: &[(&str, &str)]) -> Output {
        let dir = self.run_dir();
        let args = ["run", self.scenario.to_str().unwrap(), "--out", dir.to_str().unwrap()];
        self.bench(&[&args, more].concat(), secrets)
    }
}

fn echo_engine() -> String {
    format!(
        "[engine.echo]\n\
         argv = [\"python3\", \"{}/tests/secrets/echo_engine.py\", \"{{{{ port }}}}\"]\n\
         model = \"m\"\nhealth = \"/health\"\nmodels = \"/v1/models\"\n\
         ready-timeout = \"30s\"\napi-key-env = \"ENGINE_KEY\"\n\
         env-from = {{ ENGINE_KEY = \"MY_KEY\", OTHER = \"MY_OTHER\" }}\n",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// Returns every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn find(dir: &Path, name: &str) -> PathBuf {
    let found = files(dir).into_iter().find(|path| path.ends_with(name));
    found.unwrap_or_else(|| panic!("there is no {name} below {}", dir.display()))
}

fn check_no_canary(text: &str, place: &str) {
    assert!(!text.contains("Canary"), "{place}:\n{text}");
}

#[test]
fn no_secret_stays_in_any_file_or_output_of_a_run_whose_engine_tells_them_all() {
    let place = Place::with(&echo_engine());
    let run = place.run(&[], &SECRETS);
    let dir = place.run_dir();
    let (dir_text, scenario) = (dir.to_str().unwrap(), place.scenario.to_str().unwrap());

    // The engine refuses every request without the very key it was given.
    let requests = lines(&find(&dir, "requests.jsonl"));
    let outcomes: Vec<String> = requests.iter().map(|line| line["outcome"].to_string()).collect();
    assert_eq!(outcomes.len(), 12, "{}", said(&run));
    let n_ok = outcomes.iter().filter(|outcome| *outcome == "\"ok\"").count();
    assert_eq!(n_ok, 6, "{outcomes:?}\n{}", said(&run));
    assert!(!outcomes.iter().any(|outcome| outcome.contains("401")), "{outcomes:?}");

    // All of them were told, and hidden.
    assert!(outcomes.iter().any(|outcome| outcome.contains("Bearer ***")), "{outcomes:?}");
    let answers = lines(&find(&dir, "outputs.jsonl"));
    let is_hidden = |line: &Value| line["text"] == "my key is *** and my secret is ***";
    assert!(answers.iter().any(is_hidden), "{answers:?}");
    let log = fs::read_to_string(find(&dir, "log.txt")).unwrap();
    for name in ["ENGINE_KEY=", "OTHER=", "HF_TOKEN=", "WANDB_API_KEY="] {
        assert!(log.contains(&format!("{name}******")), "{log}");
    }
    assert!(log.contains("no newline behind ******"), "{log}");

    check_no_canary(&said(&run), "the run's output");
    for args in [
        &["report", dir_text][..],
        &["verify", dir_text],
        &["plan", scenario],
        &["plan", "--json", scenario],
        &["plan", "--resolved", scenario],
        &["run", "--dry-run", scenario],
        &["check", scenario],
    ] {
        let output = place.bench(args, &SECRETS);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        check_no_canary(&said(&output), &args.join(" "));
    }
    for path in files(place.home.path()) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        check_no_canary(&text, &path.display().to_string());
    }
    // The second wall: the umask for what is passed on, the owner alone for logs.
    for path in files(&dir) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.ends_with("log.txt") { 0o600 } else { 0o640 };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The lock is the file of one user's processes.
        assert!(mode == expected || name == "lock", "{name}: {mode:o}");
    }
}

#[test]
fn a_failed_start_shows_its_log_without_secrets() {
    let engine = echo_engine().replace("model = \"m\"", "model = \"another\"");
    let engine = engine.replace("\"30s\"", "\"5s\"");
    let place = Place::with(&engine);
    let run = place.run(&[], &SECRETS);
    assert_eq!(run.status.code(), Some(102), "{}", said(&run));
    assert!(said(&run).contains("/v1/models with Bearer ***"), "{}", said(&run));
    check_no_canary(&said(&run), "the run's output");
    for path in files(&place.run_dir()) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        check_no_canary(&text, &path.display().to_string());
    }
}

#[test]
fn secrets_that_are_missing_or_cannot_be_sent_are_told_before_anything_starts() {
    let place = Place::with(&echo_engine());
    let check = |secrets: &[(&str, &str)], expected: &str| {
        let run = place.run(&[], secrets);
        assert_eq!(run.status.code(), Some(78), "{}", said(&run));
        assert!(said(&run).contains(expected), "{}", said(&run));
        check_no_canary(&said(&run), expected);
        assert!(!place.run_dir().exists(), "a run directory was made");
    };
    check(&SECRETS[..1], "environment variable MY_OTHER, which is not set");
    check(&[("MY_KEY", " \n"), SECRETS[1]], "environment variable MY_KEY, which is empty");
    check(&[("MY_KEY", "Canary\nsecond"), SECRETS[1]], "MY_KEY cannot be sent: character 7 of 13");
}

#[test]
fn secrets_written_out_are_refused_from_every_layer() {
    let place = Place::with("[engine.echo]\nurl = \"http://127.0.0.1:9\"\nmodel = \"m\"\n");
    let check = |more: &[&str], env: &[(&str, &str)]| {
        let run = place.run(more, env);
        assert_eq!(run.status.code(), Some(78), "{}", said(&run));
        assert!(said(&run).contains("holds a secret"), "{}", said(&run));
        assert!(said(&run).contains("help: export it as"), "{}", said(&run));
        check_no_canary(&said(&run), "the refusal");
        assert!(!place.run_dir().exists(), "a run directory was made");
    };
    check(&["--set", "engine.echo.env.HF_TOKEN=Canary"], &[]);
    check(&["--set", "engine.echo.extra-args=[\"--api-key\", \"Canary\"]"], &[]);
    check(&["--set", "request.extra-body.api_key=Canary"], &[]);
    check(&[], &[("BENCH_ENGINE__ECHO__URL", "http://me:Canary@host")]);
}
