//! `bench check` from outside: what it finds, and that one mistake hides no other.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "writes scenarios and starts the program"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An engine that can be started anywhere, a data set beside the scenario, and a load.
const GOOD: &str = r#"
[engine.mine]
argv = ["/bin/sh", "-c", "serve {{ port }}"]
model = "m"

[dataset.chats]
source = "jsonl"
location = "./chats.jsonl"

[phase.load]
concurrency = 2
requests = 2
"#;

fn bench(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("PATH", "/usr/bin:/bin")
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// A directory with a scenario and its data set.
fn home(scenario: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("s.toml"), scenario).unwrap();
    let row = r#"{"prompt": "q", "answer": "a"}"#;
    fs::write(dir.path().join("chats.jsonl"), format!("{row}\n{row}\n{row}\n")).unwrap();
    dir
}

#[test]
fn a_preset_that_is_not_there_is_one_mistake_and_one_beside_the_scenario_is_found() {
    let dir = home(&GOOD.replace(
        "argv = [\"/bin/sh\", \"-c\", \"serve {{ port }}\"]\nmodel = \"m\"",
        "preset = \"own\"",
    ));
    let (text, code) = check_in(&dir);
    assert_eq!(code, 78, "{text}");
    assert_eq!(text.matches("error[").count(), 1, "{text}");
    assert!(text.contains("engines/own.toml"), "{text}");
    fs::create_dir(dir.path().join("engines")).unwrap();
    let preset = "summary = \"mine\"\nmodel = \"m\"\nargv = [\"/bin/sh\", \"{{ port }}\"]\n";
    fs::write(dir.path().join("engines/own.toml"), preset).unwrap();
    let (text, code) = check_in(&dir);
    assert_eq!(code, 0, "{text}");
    let listed = bench(dir.path(), &["presets"], &[]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words: Vec<&str> = listed
        .lines()
        .find(|line| line.starts_with("own "))
        .into_iter()
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(words, ["own", "engines/own.toml", "mine"], "{listed}");
    let printed = bench(dir.path(), &["presets", "own"], &[]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout), preset);
    let doctor = bench(dir.path(), &["doctor"], &[]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("engines/own.toml"));
}

#[test]
fn a_url_may_be_filled_in_and_is_judged_as_it_is_then() {
    let of = |url: &str| {
        home(&GOOD.replace(
            "[engine.mine]\nargv = [\"/bin/sh\", \"-c\", \"serve {{ port }}\"]",
            &format!("[vars]\nplace = \"{url}\"\n[engine.mine]\nurl = \"{{{{ place }}}}\""),
        ))
    };
    let (text, code) = check_in(&of("http://127.0.0.1:9"));
    assert_eq!(code, 0, "{text}");
    let (text, code) = check_in(&of("127.0.0.1:9"));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("`127.0.0.1:9` is no URL"), "{text}");
}

#[test]
fn a_variable_may_name_a_later_one_and_a_circle_is_told() {
    let of = |vars: &str| {
        home(&GOOD.replace(
            "[engine.mine]\nargv = [\"/bin/sh\", \"-c\", \"serve {{ port }}\"]",
            &format!("[vars]\n{vars}\n[engine.mine]\nurl = \"{{{{ place }}}}\""),
        ))
    };
    let host = "host-name = \"127.0.0.1\"";
    let (text, code) = check_in(&of(&format!("place = \"http://{{{{ host_name }}}}:9\"\n{host}")));
    assert_eq!(code, 0, "{text}");
    let circle = "place = \"http://{{ host }}\"\nhost = \"{{ place }}\"";
    let (text, code) = check_in(&of(circle));
    assert_eq!(code, 78, "{text}");
    assert_eq!(text.matches("error[").count(), 1, "{text}");
    assert!(text.contains("variables that name each other have no value"), "{text}");
}

/// Checks a scenario and returns what it says, with its exit code.
fn check_in(dir: &TempDir) -> (String, i32) {
    let output = bench(dir.path(), &["check", "s.toml"], &[]);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (text, output.status.code().unwrap())
}

fn check_error(scenario: &str, expected: &[&str]) {
    let (text, code) = check_in(&home(scenario));
    assert_eq!(code, 78, "{text}");
    for expected in expected {
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    }
}

#[test]
fn a_scenario_without_mistakes_is_told_so() {
    let scenario = GOOD
        .replace("location", "cycle = true\nlocation")
        .replace("requests = 2", "requests = 331\ntrials = 2");
    let (text, code) = check_in(&home(&scenario));
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("s.toml: ok, 1 cell\n  data set `"), "{text}");
    assert!(text.contains("; columns `answer`, `prompt`; prompt from `prompt`"), "{text}");
}

#[test]
fn a_percentile_that_the_plan_gives_too_few_requests_for_is_named() {
    let (text, code) = check_in(&home(GOOD));
    assert_eq!(code, 0, "{text}");
    let warning = "TTFT p99 needs 662 requests, phase `load` sends 2";
    assert!(text.contains(warning) && text.contains("send 662 requests in each trial"), "{text}");
}

#[test]
fn five_mistakes_of_five_kinds_are_five_messages_of_one_run() {
    let scenario = GOOD
        .replace("{{ port }}", "{{ port }} {{ modle }}")
        .replace("concurrency", "concurency")
        .replace("requests = 2", "requests = true\ndrain = \"5 parsecs\"")
        .replace("./chats.jsonl", "./chat.jsonl");
    let (text, code) = check_in(&home(&scenario));
    assert_eq!(code, 78, "{text}");
    for expected in [
        "unknown key `concurency`",
        "`phase.load.requests`: found true or false, expected an integer",
        "`5 parsecs` is not a length of time",
        "`modle` is not defined",
        "data set `chats`: there is no file /",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    }
    assert!(text.contains("did you mean `chats.jsonl`?"), "{text}");
    assert_eq!(text.matches("error[").count(), 5, "{text}");
}

#[test]
fn five_mistakes_in_two_tables_are_five_messages_too() {
    let scenario = GOOD
        .replace("source = \"jsonl\"", "sorce = \"jsonl\"\nlimt = 3\nshuffle = \"yes\"")
        .replace("model = \"m\"", "modle = \"m\"\nready-timeout = \"2 fortnights\"");
    let (text, _) = check_in(&home(&scenario));
    for expected in ["`source`?", "`limit`?", "`true` or `false`", "`model`?", "fortnights"] {
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    }
    assert_eq!(text.matches("error[").count(), 5, "{text}");
}

#[test]
fn data_that_cannot_be_used_is_told_before_a_run() {
    let score = "[score.s]\nextract = [\"flexible\"]\n";
    check_error(
        &GOOD.replace("location", "columns = { prompt = \"question\" }\nlocation"),
        &["column `question`", "the row has `answer`, `prompt`", "s.toml:9:12"],
    );
    check_error(
        &format!("{GOOD}{score}").replace("location", "columns = { answer = \"gold\" }\nlocation"),
        &["column `gold`", "the row has `answer`, `prompt`"],
    );
    check_error(
        &format!("{GOOD}{score}").replace("\"jsonl\"", "\"text\""),
        &["source `text` has none", "use `source = \"jsonl\"` with `columns"],
    );
    check_error(&GOOD.replace("requests = 2", "requests = 5"), &["data set `chats`", "cycle"]);
    let empty = home(GOOD);
    fs::write(empty.path().join("chats.jsonl"), "").unwrap();
    let (text, code) = check_in(&empty);
    assert!(code == 78 && text.contains("no row"), "{text}");
    let dir = home(&format!("{GOOD}{score}"));
    fs::write(dir.path().join("chats.jsonl"), "{\"prompt\": \"q\"}\n").unwrap();
    let (text, code) = check_in(&dir);
    assert!(code == 78 && text.contains("column `answer`"), "{text}");
}

#[test]
fn data_that_is_elsewhere_is_said_not_to_be_looked_at() {
    let scenario =
        GOOD.replace("source = \"jsonl\"\nlocation = \"./chats.jsonl\"", "source = \"gsm8k\"");
    let (text, code) = check_in(&home(&scenario));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("data set `chats` was not looked at"), "{text}");
}

#[test]
fn a_large_data_set_is_looked_at_for_a_second_at_most() {
    let dir = home(&GOOD.replace("requests = 2", "requests = 2000000"));
    let row = "{\"prompt\": \"q\", \"answer\": \"a\"}\n".repeat(1_000_000);
    fs::write(dir.path().join("chats.jsonl"), row).unwrap();
    let began = Instant::now();
    let (text, code) = check_in(&dir);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(code, 0, "{text}");
}

#[test]
fn paths_of_engines_are_named_with_their_place() {
    check_error(
        &GOOD.replace("model =", "cwd = \"./nowhere\"\nmodel ="),
        &["`cwd` of engine `mine` does not exist", "s.toml:4:7"],
    );
    check_error(&GOOD.replace("/bin/sh", "python9"), &["python9: not on PATH", "s.toml:3:8"]);
    check_error(&GOOD.replace("/bin/sh", "./chats.jsonl"), &["not executable", "chmod +x"]);
    check_error(
        &GOOD.replace("model =", "url = \"https://x:1\"\nca = \"./my.pem\"\nmodel ="),
        &["`ca` of engine `mine`", "my.pem"],
    );
    let required = "requires = [{ program = \"python9\", hint = \"apt install it\" }]\nmodel =";
    let scenario = GOOD.replace("/bin/sh", "python9").replace("model =", required);
    let (text, code) = check_in(&home(&scenario));
    assert!(code == 0 && text.contains("its cells are skipped; apt install it"), "{text}");
    let dir = home(GOOD);
    let script = dir.path().join("serve.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("s.toml"), GOOD.replace("/bin/sh", "./serve.sh")).unwrap();
    assert_eq!(check_in(&dir).1, 0);
}

#[test]
fn a_run_names_a_missing_working_directory_and_not_the_program() {
    let dir = home(&GOOD.replace("model =", "cwd = \"./nowhere\"\nmodel ="));
    let output = bench(dir.path(), &["run", "s.toml", "--out", "run"], &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("`cwd` of engine `mine` does not exist"), "{text}");
}

#[test]
fn overrides_that_would_change_nothing_are_refused() {
    let dir = home(GOOD);
    let check = |args: &[&str], env: &[(&str, &str)], expected: &str| {
        let output = bench(dir.path(), &[&["check", "s.toml"], args].concat(), env);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    };
    check(&["--set", "phase.laod.rate=3"], &[], "did you mean `load`?");
    check(&[], &[("BENCH_PHASE__LAOD__RATE", "3")], "did you mean `load`?");
    check(&[], &[("BENCH_PHASE_LOAD_RATE", "3")], "BENCH_PHASE__LOAD__RATE");
    check(&[], &[("BENCH_REQUEST_MAX_TOKENS", "3")], "BENCH_REQUEST__MAX_TOKENS");
}

#[test]
fn colours_are_there_when_they_are_asked_for_and_not_otherwise() {
    let dir = home(&GOOD.replace("requests = 2", "request = 2"));
    for (choice, is_coloured) in [("always", true), ("never", false), ("auto", false)] {
        let output = bench(dir.path(), &["check", "s.toml", "--color", choice], &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.contains('\u{1b}'), is_coloured, "{choice}: {text}");
    }
}
