//! Data sets and answers from outside: as a user asks for them, with and without network.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

mod turns;
#[path = "undecided/mod.rs"]
mod undecided;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::turns::{alone, beside_others};

/// Runs the program without network and with caches of its own.
fn bench(args: &[&str], home: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("HF_HOME")
        .env_remove("HF_HUB_CACHE")
        .env_remove("BENCH_CACHE")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a scenario and returns its directory's summary.
fn run(scenario: &Path, dir: &Path, home: &Path) -> Value {
    let (scenario, out) = (scenario.to_str().unwrap(), dir.to_str().unwrap());
    let output = bench(&["run", scenario, "--quiet", "--fail-on", "failed", "--out", out], home);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&fs::read(dir.join("summary.json")).unwrap()).unwrap()
}

/// Texts of a cell's first trial by row, and the hash of the prompts that were sent.
fn answers(dir: &Path, cell: &str) -> (BTreeMap<u64, String>, String) {
    let trial = dir.join("cells").join(cell).join("trial-1");
    let outputs = fs::read_to_string(trial.join("outputs.jsonl")).unwrap();
    let texts = outputs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|output| {
            (output["sample"].as_u64().unwrap(), output["text"].as_str().unwrap().to_owned())
        })
        .collect();
    let record: Value =
        serde_json::from_slice(&fs::read(trial.join("trial.json")).unwrap()).unwrap();
    (texts, record["record"]["dataset"]["prompts_hash"].as_str().unwrap().to_owned())
}

#[test]
fn prompts_rendered_by_the_models_template_are_answered_alike_as_text_and_as_token_ids() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let source = format!(
        "source = \"jsonl\"\nlocation = \"{root}/fixtures/datasets/word_problems.jsonl\"\nlimit = 12\n"
    );
    let model = format!("tokenizer = \"{root}/fixtures/models/word-problems-1m\"\n");
    let scenario = format!(
        "report = \"default\"\n[engine.tiny]\n[request]\napi = \"completions\"\nmax-tokens = 40\n\
         stop = [\"Question:\"]\n[phase.load]\nconcurrency = 1\nrequests = \"all\"\n\
         [matrix]\ndataset = [\"plain\", \"text\", \"tokens\"]\n\
         [dataset.plain]\n{source}prompt = \"Question: {{{{ question }}}}\\nAnswer:\"\n\
         [dataset.text]\n{source}{model}columns = {{ prompt = \"question\" }}\nchat-template = \"text\"\n\
         [dataset.tokens]\n{source}{model}columns = {{ prompt = \"question\" }}\nchat-template = \"tokens\"\n"
    );
    let file = home.path().join("templates.toml");
    fs::write(&file, scenario).unwrap();
    let dir = home.path().join("run");
    run(&file, &dir, home.path());
    let of = |name: &str| answers(&dir, &format!("engine=tiny,dataset={name}"));
    let ((plain, plain_hash), (text, text_hash), (tokens, tokens_hash)) =
        (of("plain"), of("text"), of("tokens"));
    assert_eq!(plain.len(), 12);
    assert_eq!(plain, text);
    assert_eq!(plain, tokens);
    assert_eq!(plain_hash, text_hash, "the same text was sent");
    assert_ne!(plain_hash, tokens_hash, "token ids were sent");
}

/// A salt is another one in each cell, so that caches do not help: without it, the prompts are the
/// same tokens, and are known to be.
#[test]
fn the_tokens_of_prompts_are_compared_without_their_salt() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let scenario = |salt: bool| {
        format!(
            "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n[request]\n\
             api = \"completions\"\nmax-tokens = 2\nsalt = {salt}\n[phase.load]\n\
             concurrency = 1\nrequests = \"all\"\n[dataset.q]\nsource = \"jsonl\"\nlimit = 4\n\
             location = \"{root}/fixtures/datasets/word_problems.jsonl\"\n\
             columns = {{ prompt = \"question\" }}\n\
             tokenizer = \"{root}/fixtures/models/word-problems-1m\"\n"
        )
    };
    let told = |salt: bool| {
        let file = home.path().join(format!("{salt}.toml"));
        fs::write(&file, scenario(salt)).unwrap();
        let dir = home.path().join(format!("run-{salt}"));
        run(&file, &dir, home.path());
        let requests = records(&dir.join("cells/engine=sim/trial-1"), "requests.jsonl");
        let by_row = requests.into_iter().map(|it| {
            let count = it["prompt_tokens_counted"].as_u64();
            (it["sample"].as_u64().unwrap(), (it["prompt_ids_hash"].as_u64().unwrap(), count))
        });
        by_row.collect::<BTreeMap<_, _>>()
    };
    let (plain, salted) = (told(false), told(true));
    assert_eq!(plain.len(), 4);
    for (row, (hash, count)) in plain {
        assert!(count.is_some());
        assert_eq!(salted[&row], (hash, None), "row {row}: its salt has tokens, too");
    }
}

/// Seconds between each event of the first name and the next one of the second.
fn seconds_between(events: &Path, first: &str, second: &str) -> Vec<f64> {
    let text = fs::read_to_string(events).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |event: &Value| event["unix_ns"].as_u64().unwrap();
    let is = |event: &Value, name: &str| event["event"].get(name).is_some();
    let gap = |(idx, event): (usize, &Value)| {
        let next = events[idx..].iter().find(|event| is(event, second))?;
        Some((at(next) - at(event)) as f64 / 1e9)
    };
    let firsts = events.iter().enumerate().filter(|(_, event)| is(event, first));
    firsts.filter_map(gap).collect()
}

/// An engine on a GPU once idled for a minute before each trial of 100,000 rows.
#[test]
fn an_engine_waits_for_no_prompt() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let rows = (0..4_000).map(|row| {
        let question = format!("{row} apples and pears. ").repeat(30);
        format!("{{\"prompt\":\"{question}\"}}\n")
    });
    fs::write(home.path().join("rows.jsonl"), rows.collect::<String>()).unwrap();
    let scenario = format!(
        "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n\
         [dataset.rows]\nsource = \"jsonl\"\nlocation = \"./rows.jsonl\"\n\
         tokenizer = \"{root}/fixtures/models/word-problems-1m\"\nchat-template = \"tokens\"\n\
         [request]\napi = \"completions\"\nmax-tokens = 2\n\
         [phase.load]\nconcurrency = 1\nduration = \"200ms\"\ntrials = 3\n"
    );
    let file = home.path().join("rows.toml");
    fs::write(&file, scenario).unwrap();
    let dir = home.path().join("run");
    run(&file, &dir, home.path());
    let events = dir.join("events.jsonl");
    let ready = seconds_between(&events, "engine-ready", "phase-started");
    let trials = seconds_between(&events, "trial-started", "phase-started");
    assert_eq!((ready.len(), trials.len()), (1, 3));
    // A loaded machine may take a while; the prompts of three trials took some ten seconds.
    assert!(ready.iter().chain(&trials).all(|seconds| *seconds < 1.0), "{ready:?} {trials:?}");
}

#[test]
fn answers_under_load_are_held_against_those_of_one_stream() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let path = Path::new("scenarios/accuracy_under_load.toml");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let location = format!("\"{}/fixtures/", env!("CARGO_MANIFEST_DIR"));
    let text = text
        .replace("\"../fixtures/", &location)
        .replace("[dataset.questions]\n", "[dataset.questions]\nlimit = 48\n");
    let file = home.path().join("accuracy_under_load.toml");
    fs::write(&file, text).unwrap();
    let summary = run(&file, &dir, home.path());
    let [alone, loaded] = summary["cells"].as_array().unwrap().as_slice() else {
        panic!("two cells")
    };
    assert!(alone.get("beside").is_none(), "the reference has none");
    let beside = &loaded["beside"][0];
    assert_eq!(beside["reference"], alone["name"]);
    assert_eq!(beside["differ_in"][0], "concurrency");
    assert_eq!(beside["accuracy"][0]["n"], 32);
    assert_eq!(beside["fidelity"]["n"], 32);
    let n_equal = beside["fidelity"]["identical"].as_u64().unwrap();
    let n_parted = beside["fidelity"]["first_divergence"].as_array().unwrap().len() as u64;
    assert_eq!(n_equal + n_parted, 32);
    assert!(beside["fidelity"]["n_logprobs"].as_u64().unwrap() > 0, "{beside}");
    assert!(loaded["figures"]["correct_per_s"]["value"].as_f64().unwrap() > 0.0);
    let report = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(report.contains("id=\"chart-divergence\""));

    let scored = bench(&["score", dir.to_str().unwrap(), "--format", "jsonl"], home.path());
    let items = stdout(&scored);
    assert_eq!(items.lines().count(), 64);
    let first: Value = serde_json::from_str(items.lines().next().unwrap()).unwrap();
    assert!(first["extractors"]["answer-is"]["class"].is_string(), "{first}");
}

#[test]
fn a_file_of_answers_is_graded_and_a_gold_that_cannot_be_read_is_named() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("answers.jsonl");
    fs::write(&file, "{\"output\":\"#### 1,234\",\"gold\":\"1234\"}\n").unwrap();
    let path = file.to_str().unwrap();
    let refused = bench(&["score", path], home.path());
    assert_eq!(refused.status.code(), Some(65));
    let told = stderr(&refused);
    assert!(told.contains("finds no answer in the gold of 1 of 1 rows: row 1"), "{told}");
    let scored = bench(&["score", path, "--gold", "whole"], home.path());
    let table = stdout(&scored);
    let strict = table.lines().find(|line| line.contains(" strict ")).unwrap();
    assert!(strict.contains(" 100.0 "), "{table}");
    let absent = bench(&["score", "nowhere"], home.path());
    assert_eq!(absent.status.code(), Some(66), "{}", stderr(&absent));
    fs::write(&file, "").unwrap();
    let empty = bench(&["score", path], home.path());
    assert_eq!((empty.status.code(), stdout(&empty).as_str()), (Some(65), ""));
    assert!(stderr(&empty).contains("has no answer in it"), "{}", stderr(&empty));
}

#[test]
fn answers_are_read_from_a_pipe_as_from_a_file() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    for (path, name) in [("-", "standard input"), ("/dev/stdin", "/dev/stdin")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["score", path, "--gold", "whole", "--items", "wrong"])
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let rows =
            b"{\"output\":\"#### 7\",\"gold\":\"7\"}\n{\"output\":\"#### 6\",\"gold\":\"7\"}\n";
        child.stdin.take().unwrap().write_all(rows).unwrap();
        let scored = child.wait_with_output().unwrap();
        let told = stdout(&scored);
        assert!(
            scored.status.success() && told.contains(name) && told.contains(" 50.0 "),
            "{told}"
        );
        assert!(told.contains("#### 6") && !told.contains("#### 7"), "{told}");
    }
}

#[test]
fn without_network_a_data_set_says_where_its_file_is_to_be_placed() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("cache/bench/datasets/gsm8k/test.jsonl");
    let listed = stdout(&bench(&["data", "list"], home.path()));
    assert!(listed.contains("openai/gsm8k") && listed.contains("not here"), "{listed}");
    assert!(listed.contains(place.to_str().unwrap()), "{listed}");
    let missing = bench(&["data", "fetch", "gsm8k"], home.path());
    assert_eq!(missing.status.code(), Some(66));
    let told = stderr(&missing);
    assert!(told.contains(&format!("place its file as {}", place.display())), "{told}");

    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "{\"question\":\"1 + 1?\",\"answer\":\"#### 2\"}\n").unwrap();
    let found = bench(&["data", "path", "gsm8k"], home.path());
    assert_eq!(stdout(&found).trim(), place.to_str().unwrap(), "{}", stderr(&found));
    let refused = |args: &[&str], has: [&str; 2]| {
        let output = bench(&[&["data"], args].concat(), home.path());
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(has.iter().all(|part| told.contains(part)), "{told}");
    };
    refused(&["path", "nosuch"], ["known as `nosuch`", "known are gsm8k, "]);
    let has = ["--split nope: data set `gsm8k` has no such split", "its splits are test, train"];
    refused(&["fetch", "gsm8k", "--split", "nope"], has);
}

#[test]
fn a_damaged_file_of_the_cache_is_found() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("cache/bench/urls/0123456789abcdef");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("rows.jsonl"), "hello\n").unwrap();
    let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    fs::write(dir.join("SHA256SUMS"), format!("{sha256}  rows.jsonl\n")).unwrap();
    let sound = bench(&["data", "verify"], home.path());
    assert_eq!(sound.status.code(), Some(0), "{}", stderr(&sound));
    fs::write(dir.join("rows.jsonl"), "hullo\n").unwrap();
    let damaged = bench(&["data", "verify"], home.path());
    assert_eq!(damaged.status.code(), Some(107));
    assert!(stdout(&damaged).contains("DAMAGED"), "{}", stdout(&damaged));
}

/// Returns the records of a trial's file.
fn records(trial: &Path, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(trial.join(file)).unwrap();
    let of_line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    text.lines().map(of_line).filter(|record| record.get("index").is_some()).collect()
}

fn trial_record(trial: &Path) -> Value {
    let record: Value =
        serde_json::from_slice(&fs::read(trial.join("trial.json")).unwrap()).unwrap();
    record["record"].clone()
}

/// Conversations of every kind that files of ShareGPT hold.
const WILD: &str = r#"[
 {"id":"a","conversations":[]},
 {"id":"b"},
 {"id":"c","conversation":[{"from":"human","value":"Is this the singular spelling of the key?"},
                           {"from":"gpt","value":"It is, and some files have it."}]},
 {"id":"d","conversations":[null,{"from":"gpt","value":"Something was lost here."}]},
 {"id":"e","conversations":[{"from":"human","value":"Please look up the weather in Oslo."},
                            {"from":"function_call","value":"{\"name\":\"weather\"}"},
                            {"from":"gpt","value":"It is raining there."}]},
 {"id":"f","conversations":[{"from":"gpt","value":"Hello, I am an assistant."},
                            {"from":"human","value":"What is the capital of Norway, please?"},
                            {"from":"gpt","value":"Oslo is the capital of Norway."}]},
 {"id":"g","conversations":[{"from":"human","value":"My first question is about trains."},
                            {"from":"human","value":"I forgot to say: trains in Norway."},
                            {"from":"gpt","value":"They are run by several companies."}]},
 {"id":"h","conversations":[{"from":"system","value":"Answer briefly."},
                            {"from":"human","value":"How many legs has a spider?"},
                            {"from":"gpt","value":"A spider has eight legs."}]}
]"#;

#[test]
fn conversations_are_sent_as_they_are_found_and_what_is_left_out_is_counted_by_kind() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    fs::write(home.path().join("wild.json"), WILD).unwrap();
    let dataset = |name: &str, keys: &str| {
        format!(
            "[dataset.{name}]\nsource = \"sharegpt\"\nlocation = \"./wild.json\"\n{keys}\
             tokenizer = \"{root}/fixtures/models/word-problems-1m\"\n"
        )
    };
    let scenario = format!(
        "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n[request]\n\
         max-tokens = 2\n[phase.load]\nconcurrency = 1\nrequests = \"all\"\n\
         [matrix]\ndataset = [\"joined\", \"single\", \"long\"]\n{}{}{}",
        dataset("joined", ""),
        dataset("single", "turns = \"skip\"\n"),
        dataset("long", "multi-turn = true\n"),
    );
    let file = home.path().join("wild.toml");
    fs::write(&file, scenario).unwrap();
    let dir = home.path().join("run");
    run(&file, &dir, home.path());
    let of = |name: &str| {
        let trial = dir.join(format!("cells/engine=sim,dataset={name}/trial-1"));
        let record = trial_record(&trial)["dataset"].clone();
        let requests = records(&trial, "requests.jsonl");
        let sent: Vec<u64> = requests.iter().map(|it| it["sample"].as_u64().unwrap()).collect();
        (sent, record["left_out"].to_string(), record["changed"].to_string())
    };
    let damaged = "[\"a message without role or text\",1]";
    let none = "[\"no conversation\",2]";
    let led = "[\"a leading message of an assistant is not sent\",1]";
    let joined = "[\"messages of one role in a row are sent as one\",1]";
    for name in ["joined", "long"] {
        let told = of(name);
        assert_eq!(told.0, [2, 4, 5, 6, 7]);
        assert_eq!((told.1, told.2), (format!("[{damaged},{none}]"), format!("[{led},{joined}]")));
    }
    let (sent, left_out, changed) = of("single");
    assert_eq!(sent, [2, 4, 5, 7]);
    assert_eq!(left_out, format!("[{damaged},{none},[\"two messages of one role in a row\",1]]"));
    assert_eq!(changed, format!("[{led}]"));
    let report = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(report.contains("2 rows: no conversation"), "the report tells it");
}

#[test]
fn the_day_of_a_template_is_that_of_the_runs_begin() {
    let _turn = beside_others();
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    fs::create_dir(&model).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/word-problems-1m");
    fs::copy(fixtures.join("tokenizer.json"), model.join("tokenizer.json")).unwrap();
    let template = |text: &str| fs::write(model.join("chat_template.jinja"), text).unwrap();
    template("{{ strftime_now('%Y-%m-%d') }}: {{ messages[0].content }}");
    fs::write(home.path().join("rows.jsonl"), "{\"prompt\":\"a\"}\n").unwrap();
    let scenario = |date: &str| {
        let text = format!(
            "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n[request]\n\
             api = \"completions\"\nmax-tokens = 2\n[phase.load]\nconcurrency = 1\n\
             requests = \"all\"\n[dataset.q]\nsource = \"jsonl\"\nlocation = \"./rows.jsonl\"\n\
             tokenizer = \"./model\"\nchat-template = \"text\"\n{date}"
        );
        let file = home.path().join(format!("day{}.toml", date.len()));
        fs::write(&file, text).unwrap();
        file
    };
    let told = |dir: &str, date: &str| {
        let dir = home.path().join(dir);
        let summary = run(&scenario(date), &dir, home.path());
        (summary["cells"][0]["id"].clone(), answers(&dir, "engine=sim").1)
    };
    let old = told("old", "template-date = \"2001-02-03\"\n");
    let begun_today = told("today", "");
    assert!(old.0 != begun_today.0 && old.1 != begun_today.1, "the day is asked for");

    // As if the run had been begun on that day: it goes on with it.
    let manifest = home.path().join("today/run.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let begun = format!("\"template_date\": {}", parsed["invocation"]["template_date"]);
    assert!(text.contains(&begun), "{text}");
    fs::write(&manifest, text.replace(&begun, "\"template_date\": \"2001-02-03\"")).unwrap();
    fs::remove_dir_all(home.path().join("today/cells/engine=sim/trial-1")).unwrap();
    let today = home.path().join("today");
    // What a busy machine leaves open of one request is no matter here.
    let output = bench(&["resume", today.to_str().unwrap(), "--fail-on", "failed"], home.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(answers(&today, "engine=sim").1, old.1);

    template("{{ messages[0].content }}");
    let (old, new) = (told("a", "template-date = \"2001-02-03\"\n"), told("b", ""));
    assert_eq!(old, new, "nobody asks for the day");
}

#[test]
fn an_interrupt_ends_the_reading_of_a_long_file() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let row = format!("{{\"prompt\":\"{}\"}}\n", "word ".repeat(200));
    let mut file = fs::File::create(home.path().join("long.jsonl")).unwrap();
    let block = row.repeat(1_000);
    for _ in 0..230_000_000 / block.len() {
        file.write_all(block.as_bytes()).unwrap();
    }
    let scenario = "report = \"default\"\n[engine.sim]\n[phase.load]\nconcurrency = 1\n\
                    requests = 10\n[dataset.q]\nsource = \"jsonl\"\nshuffle = true\n\
                    location = \"./long.jsonl\"\n";
    fs::write(home.path().join("long.toml"), scenario).unwrap();
    let mut running = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "long.toml", "--out", "run"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let reads = || {
        let open = fs::read_dir(format!("/proc/{}/fd", running.id())).into_iter().flatten();
        open.flatten()
            .filter_map(|at| fs::read_link(at.path()).ok())
            .any(|to| to.ends_with("long.jsonl"))
    };
    let until = Instant::now() + Duration::from_secs(20);
    while !reads() {
        assert!(Instant::now() < until, "the file was not opened");
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    let pid = nix::unistd::Pid::from_raw(running.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let status = running.wait().unwrap();
    let took = asked.elapsed();
    assert!(!status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
    assert!(!home.path().join("run/cells").exists(), "nothing was measured");
}

/// Rows of a trace: milliseconds from the first, tokens of prompt and answer.
fn trace_rows(n: u64) -> Vec<(u64, u64, u64)> {
    (0..n).map(|row| (row * 2, 3 + row * 7 % 60, 1 + row % 3)).collect()
}

/// A scenario that replays data sets of traces on the simulated engine.
fn replay(home: &Path, name: &str, speedup: f64, traces: &[(&str, &str, &str)]) -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut datasets = Vec::new();
    for (dataset, file, text) in traces {
        fs::write(home.join(file), text).unwrap();
        datasets.push(format!(
            "[dataset.{dataset}]\nsource = \"trace\"\nlocation = \"./{file}\"\n\
             tokenizer = \"{root}/fixtures/models/word-problems-1m\"\n"
        ));
    }
    let names: Vec<&str> = traces.iter().map(|(dataset, ..)| *dataset).collect();
    let scenario = format!(
        "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n\
         [request]\napi = \"completions\"\nmax-tokens = \"from-data\"\n\
         [phase.load]\ntrace = {{ speedup = {speedup:.1} }}\n[matrix]\ndataset = {names:?}\n{}",
        datasets.concat()
    );
    let file = home.join(format!("{name}.toml"));
    fs::write(&file, scenario).unwrap();
    let dir = home.join(name);
    run(&file, &dir, home);
    dir
}

#[test]
fn traces_of_lengths_are_replayed_with_exact_tokens_at_their_times() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let rows = trace_rows(1_000);
    let lines = |line: &dyn Fn(u64, u64, u64) -> String| -> String {
        rows.iter().map(|(at, n, answer)| line(*at, *n, *answer) + "\n").collect()
    };
    let mooncake = lines(&|at, n, answer| {
        format!(
            "{{\"timestamp\":{at},\"input_length\":{n},\"output_length\":{answer},\
             \"hash_ids\":[{}]}}",
            at % 3
        )
    });
    let azure = lines(&|at, n, answer| {
        format!("2023-11-16 18:15:{:02}.{:03}0000,{n},{answer}", 46 + at / 1000, at % 1000)
    });
    // BurstGPT counts whole seconds: ten requests in each of a hundred, replayed in two.
    let burstgpt =
        lines(&|at, n, answer| format!("{},GPT-4,{n},{answer},{},API log", at / 20, n + answer));
    let azure = format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{azure}");
    let header = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type";
    let burstgpt = format!("{header}\n{burstgpt}");
    let traces = [("mooncake", "mooncake.jsonl", &*mooncake), ("azure", "azure.csv", &*azure)];
    let faster = [("burstgpt", "burstgpt.csv", &*burstgpt)];
    for (name, speedup, traces) in [("traces", 1.0, &traces[..]), ("faster", 50.0, &faster)] {
        // Others that keep bench from its CPU keep a thread that only sleeps from it, too.
        let mut told = Vec::new();
        for attempt in 0..3 {
            let out = format!("{name}{attempt}");
            let (dir, overslept) = beside_a_sleeper(|| replay(home.path(), &out, speedup, traces));
            let n_late: usize = traces.iter().map(|(trace, ..)| n_late(&dir, trace, &rows)).sum();
            if n_late == 0 {
                told.clear();
                break;
            }
            let late = format!("{n_late} sends 5 ms late, a sleeping thread {overslept:?}");
            assert!(overslept > Duration::from_millis(2), "{name}: {late}");
            told.push(late);
        }
        if !told.is_empty() {
            undecided::note(&format!("inconclusive: {name}: {}", told.join("; ")));
        }
    }
}

/// Does something while a thread sleeps for a millisecond again and again; returns by how much it
/// overslept at most.
fn beside_a_sleeper<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let mut most = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                most = most.max(asked.elapsed().saturating_sub(Duration::from_millis(1)));
            }
            most
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, sleeper.join().unwrap())
    })
}

/// Holds a replayed trace against its rows: tokens of prompts and answers, and when requests were
/// due. Returns how many of them left more than 5 ms from the trace's own time.
fn n_late(dir: &Path, trace: &str, rows: &[(u64, u64, u64)]) -> usize {
    let (told, due_ms) = match trace {
        "mooncake" => ("in ms, as in Mooncake's traces", 1),
        "azure" => ("dates or lengths of time", 1),
        _ => ("in s, as in BurstGPT", 20),
    };
    let trial = dir.join(format!("cells/engine=sim,dataset={trace}/trial-1"));
    assert_eq!(trial_record(&trial)["dataset"]["trace"]["unit"], told);
    let mut requests = records(&trial, "requests.jsonl");
    requests.sort_by_key(|request| request["index"].as_u64());
    assert_eq!(requests.len(), rows.len(), "{trace}");
    let ns = |request: &Value, stamp: &str| request[stamp].as_u64().unwrap();
    let start = ns(&requests[0], "scheduled");
    let is_late = |(request, (at, n, answer)): &(&Value, &(u64, u64, u64))| {
        assert_eq!(request["usage"]["prompt"], *n, "{trace}: {request}");
        assert_eq!(request["usage"]["completion"], *answer, "{trace}: {request}");
        let due = at / due_ms * due_ms * 1_000_000;
        assert!((ns(request, "scheduled") - start).abs_diff(due) < 1_000, "{trace}: {request}");
        (ns(request, "sent") - start).abs_diff(due) > 5_000_000
    };
    requests.iter().zip(rows).filter(is_late).count()
}

#[test]
fn sessions_of_agents_wait_between_turns_and_go_on_with_the_answers_they_got() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let text = [
        r#"{"session_id":"a","timestamp":0,"text_input":"How many legs has a spider?","output_length":3}"#,
        r#"{"session_id":"b","timestamp":100,"text_input":"And a cow?","output_length":2}"#,
        r#"{"session_id":"a","delay":400,"text_input":"And two of them?","output_length":5}"#,
        r#"{"session_id":"b","delay":600,"text_input":"And three?","output_length":4}"#,
    ];
    fs::write(home.path().join("agents.jsonl"), text.join("\n")).unwrap();
    let scenario = format!(
        "report = \"default\"\n[engine.tiny]\n[request]\nmax-tokens = \"from-data\"\n\
         [phase.load]\ntrace = {{ speedup = 2.0 }}\n[dataset.agents]\nsource = \"trace\"\n\
         location = \"./agents.jsonl\"\ntime-unit = \"ms\"\nmulti-turn = true\n\
         tokenizer = \"{root}/fixtures/models/word-problems-1m\"\n"
    );
    let file = home.path().join("agents.toml");
    fs::write(&file, scenario).unwrap();
    let dir = home.path().join("run");
    let summary = run(&file, &dir, home.path());
    assert_eq!(summary["cells"][0]["counts"]["scheduled"], 4, "{}", summary["cells"][0]["counts"]);
    let trial = dir.join("cells/engine=tiny/trial-1");
    let mut requests = records(&trial, "requests.jsonl");
    requests.sort_by_key(|request| (request["index"].as_u64(), request["turn"].as_u64()));
    let number = |request: &Value, name: &str| request[name].as_u64().unwrap_or(0);
    let keys: Vec<_> =
        requests.iter().map(|it| (number(it, "index"), number(it, "turn"))).collect();
    assert_eq!(keys, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    let asked: Vec<_> = requests.iter().map(|it| number(it, "max_tokens")).collect();
    assert_eq!(asked, [3, 5, 2, 4]);
    let ms = |ns: u64| ns / 1_000_000;
    assert_eq!(ms(number(&requests[2], "scheduled") - number(&requests[0], "scheduled")), 50);
    for (first, delay_ms) in [(0, 200), (2, 300)] {
        let (first, second) = (&requests[first], &requests[first + 1]);
        let waited = number(second, "scheduled") - number(first, "done");
        assert!((delay_ms..delay_ms + 50).contains(&ms(waited)), "{waited} ns");
        assert!(number(second, "sent") >= number(second, "scheduled"));
        // The second prompt holds the first, the answer that came, and what is asked then.
        let prompt = |request: &Value| request["usage"]["prompt"].as_u64().unwrap();
        let answer = first["usage"]["completion"].as_u64().unwrap();
        assert!(prompt(second) > prompt(first) + answer, "{first} {second}");
        let hash = |request: &Value| request["prompt_ids_hash"].as_u64().unwrap();
        assert_ne!(hash(first), hash(second));
    }
}

/// Serving benchmarks take twenty conversations of a file of a hundred megabytes; reading all of it
/// once took eighteen seconds.
#[test]
fn twenty_of_fifty_thousand_conversations_are_read_within_a_second() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let turn = |from: &str, n: usize| {
        format!("{{\"from\":\"{from}\",\"value\":\"{}\"}}", "Anna has 3 apples. ".repeat(n))
    };
    let row = |row: usize| {
        let turns = [turn("human", 8 + row % 30), turn("gpt", 8 + row % 50)];
        format!("{{\"id\":\"{row}\",\"conversations\":[{}]}}", turns.join(","))
    };
    let rows: Vec<String> = (0..50_000).map(row).collect();
    fs::write(home.path().join("chats.json"), format!("[{}]", rows.join(",\n"))).unwrap();
    let scenario = format!(
        "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\n[request]\nmax-tokens = 2\n\
         [phase.load]\nconcurrency = 4\nrequests = 20\n[dataset.chats]\nsource = \"sharegpt\"\n\
         location = \"./chats.json\"\ntokenizer = \"{root}/fixtures/models/word-problems-1m\"\n"
    );
    let file = home.path().join("chats.toml");
    fs::write(&file, scenario).unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut told = Vec::new();
    for attempt in 0..3 {
        let dir = home.path().join(format!("run{attempt}"));
        let began = now();
        let (_, overslept) = beside_a_sleeper(|| run(&file, &dir, home.path()));
        let events = fs::read_to_string(dir.join("events.jsonl")).unwrap();
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut starts = events.filter(|event| event["event"].get("engine-starting").is_some());
        let started = starts.next().unwrap()["unix_ns"].as_u64().unwrap();
        let took = Duration::from_nanos(started).saturating_sub(began);
        if took < Duration::from_secs(1) {
            return;
        }
        told.push(format!("{took:?}, a sleeping thread {overslept:?}"));
        assert!(overslept > Duration::from_millis(2), "to the first start: {told:?}");
    }
    undecided::note(&format!("inconclusive: to the first engine's start: {}", told.join("; ")));
}
