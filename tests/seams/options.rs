//! Every documented option of a scenario, end to end: run, verify, report, resume.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::place::{Place, conversations, json, lines, told};
use crate::rows::{ROWS, Row};

/// Scenarios at once; none of them asserts times.
const AT_ONCE: usize = 4;

/// Keys of `defaults.toml` that no row can have, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("engine.*.ca", "needs a server that speaks TLS: tests/https.rs"),
    ("engine.*.model-path", "needs weights of an engine that loads them: tests/real_engines.rs"),
];

#[test]
fn every_row_runs_verifies_reports_and_goes_on() {
    let failures = Mutex::new(Vec::new());
    let next = Mutex::new(ROWS.iter());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(row) = next.lock().unwrap().next() else { break };
                    if let Err(why) = catch_unwind(AssertUnwindSafe(|| carry_out(row))) {
                        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().push(format!("{}: {why}", row.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn carry_out(row: &Row) {
    let place = Place::new();
    let questions: String = (0..12)
        .map(|n| {
            let answer = format!("{n} and 1 are {}\n#### {}", n + 1, n + 1);
            let question = format!("What is {n} + 1?");
            serde_json::json!({ "question": question, "answer": answer }).to_string() + "\n"
        })
        .collect();
    let digits = Sha256::digest(&questions);
    let sha256 = digits.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    place.write("odd.jsonl", &format!("{{\"question\":null}}\n{questions}"));
    place.write("q.jsonl", &questions);
    place.write("chats.jsonl", &conversations(4, 3));
    let times = [0, 50, 50, 120, 200, 300];
    let trace = times.map(|at| format!("{{\"timestamp\":{at},\"prompt\":\"at {at}\"}}\n"));
    place.write("trace.jsonl", &trace.concat());
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/word-problems-1m");
    for (name, kept) in [
        ("tokenizer.json", "tokenizer.json"),
        ("tokenizer_config.json", "tokenizer_config.json"),
        ("chat_template.jinja", "chat_template.jinja"),
        ("chat_template.jinja", "additional_chat_templates/brief.jinja"),
    ] {
        let text = fs::read_to_string(format!("{model}/{name}")).unwrap();
        place.write(&format!("model/{kept}"), &text);
    }
    place.write(
        "base.toml",
        "[engine.sim]\nttft = \"2ms\"\nitl = \"1ms\"\n[dataset.q]\nsource = \"jsonl\"\n\
         location = \"./q.jsonl\"\ncolumns = { prompt = \"question\" }\n",
    );
    let text = row.text.replace("@ROOT@", env!("CARGO_MANIFEST_DIR")).replace("@SHA256@", &sha256);
    place.write("s.toml", &text);

    let run = |how: [&str; 2]| {
        let mut args = vec!["run", "s.toml", "--quiet", "--fail-on", "failed", how[0], how[1]];
        args.extend(row.args);
        let output = place.bench(&args, row.env);
        assert_eq!(output.status.code(), Some(0), "{args:?}\n{}", told(&output));
    };
    run(["--out", "run"]);
    let measured = whole(&place);
    run(["--resume", "run"]);
    assert_eq!(whole(&place), measured, "a run that was complete was measured again");
}

/// Requires that verify and report agree about a run; returns the number of its trials.
fn whole(place: &Place) -> usize {
    let run = place.path("run");
    for command in ["verify", "report", "verify"] {
        place.expect(0, &[command, "run"]);
    }
    let summary = json(&run.join("summary.json"));
    let cells = summary["cells"].as_array().unwrap();
    assert!(!cells.is_empty());
    for cell in cells {
        assert_ne!(cell["counts"]["scheduled"], 0, "{} measured nothing", cell["name"]);
    }
    let events = lines(&run.join("events.jsonl"));
    events.iter().filter(|row| row["event"].get("trial-started").is_some()).count()
}

#[test]
fn every_documented_key_is_in_a_row() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for row in ROWS {
        let table: toml::Table = row.text.parse().unwrap();
        gather(&table, "", &mut known);
        let sets = row.args.windows(2).filter(|pair| pair[0] == "--set");
        known.extend(sets.map(|pair| named(pair[1].split('=').next().unwrap())));
    }
    let documented = documented();
    assert!(documented.len() > 90, "defaults.toml was not understood: {documented:?}");
    let exempt: BTreeSet<String> = EXEMPT.iter().map(|(key, _)| (*key).to_owned()).collect();
    let missing: Vec<_> =
        documented.difference(&known).filter(|key| !exempt.contains(*key)).collect();
    assert!(missing.is_empty(), "no row of tests/seams/rows.rs has {missing:?}");
    let idle: Vec<_> =
        exempt.iter().filter(|key| known.contains(*key) || !documented.contains(*key)).collect();
    assert!(idle.is_empty(), "no exemption is needed for {idle:?}");
}

/// Gathers the keys of a table and of those in it, as `defaults.toml` has them.
fn gather(table: &toml::Table, within: &str, known: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        known.insert(if key.contains('.') { format!("{within}.*") } else { named(&path) });
        if let Some(inner) = value.as_table() {
            gather(inner, &path, known);
        }
    }
}

/// Names a key without the names that its author chose.
fn named(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["vars", ..] => "vars.*".to_owned(),
        ["profile", ..] => "profile.*".to_owned(),
        [section @ ("engine" | "dataset" | "score" | "phase"), _, key, ..] => {
            format!("{section}.*.{key}")
        }
        _ => path.to_owned(),
    }
}

/// Returns the keys that `defaults.toml` documents, set or in comments.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/defaults/defaults.toml");
    let text = fs::read_to_string(path).unwrap();
    let header = regex::Regex::new(r"^(?:# )?\[([a-z]+)(?:\.[^\]]+)?\]").unwrap();
    let key = regex::Regex::new(r#"^(?:# )?("[a-z.-]+"|[a-z.-]+)\s+=\s"#).unwrap();
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(found) = header.captures(line) {
            found[1].clone_into(&mut section);
        } else if let Some(found) = key.captures(line) {
            let key = found[1].trim_matches('"');
            let path = match section.as_str() {
                "" => key.to_owned(),
                "engine" | "dataset" | "score" | "phase" => format!("{section}.*.{key}"),
                "vars" | "profile" => format!("{section}.*"),
                _ if key.contains('.') => format!("{section}.*"),
                _ => format!("{section}.{key}"),
            };
            keys.insert(path);
        }
    }
    keys
}
