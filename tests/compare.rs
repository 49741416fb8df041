//! `bench compare` from outside: engines of known latencies, interleaved, and a run against itself.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

mod calm;
mod turns;
mod undecided;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::calm::machine_is_calm;
use crate::turns::{alone, beside_others};

/// A directory with a scenario and its run.
struct Place {
    home: TempDir,
}

impl Place {
    fn bench(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(args)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap()
    }

    /// Runs the program, requires an exit code and returns both streams.
    #[track_caller]
    fn expect(&self, code: i32, args: &[&str]) -> String {
        let output = self.bench(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "bench {args:?}\n{text}");
        text
    }

    /// Runs a scenario into a directory of that name. What else works on this machine is no
    /// failure here (103).
    #[track_caller]
    fn run(&self, name: &str, scenario: &str) {
        let file = format!("{name}.toml");
        std::fs::write(self.home.path().join(&file), scenario).unwrap();
        self.expect(0, &["run", &file, "--quiet", "--fail-on", "failed", "--out", name]);
    }

    /// Whether others had much of this machine while a run was measured, or have it now.
    fn was_disturbed(&self, run: &str) -> bool {
        let summary = self.home.path().join(run).join("summary.json");
        let summary: Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
        let told = summary["cells"].as_array().unwrap().iter();
        let caveats = told.filter_map(|cell| cell["caveats"].as_array()).flatten();
        caveats.into_iter().any(|caveat| caveat["code"] == "foreign-cpu") || !machine_is_calm()
    }

    fn compared(&self, args: &[&str]) -> Value {
        let args = [&["compare"], args, &["--format", "json"]].concat();
        serde_json::from_str(&self.expect(0, &args)).unwrap()
    }
}

fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    let rows: Vec<String> =
        (0..40).map(|n| format!("{{\"question\":\"What is {n} + 1?\"}}\n")).collect();
    std::fs::write(home.path().join("q.jsonl"), rows.concat()).unwrap();
    Place { home }
}

/// A scenario whose engines have these latencies to the first and between tokens, in ms.
fn scenario(engines: &[(&str, u32, u32)], trials: u32, concurrency: &str) -> String {
    let engines: Vec<String> = engines
        .iter()
        .map(|(name, ttft, itl)| {
            format!("[engine.{name}]\npreset = \"sim\"\nttft = \"{ttft}ms\"\nitl = \"{itl}ms\"\n")
        })
        .collect();
    let engines = engines.concat();
    format!(
        "trials = {trials}\norder = \"interleaved\"\n{engines}[dataset.q]\nsource = \"jsonl\"\n\
         location = \"./q.jsonl\"\ncolumns = {{ prompt = \"question\" }}\ncycle = true\n\
         [matrix]\nconcurrency = {concurrency}\n[request]\nmax-tokens = 8\n\
         [phase.load]\nconcurrency = 1\nrequests = 8\n"
    )
}

/// Rows of a comparison with their cells' keys; nothing where cells were too disturbed to compare.
fn rows(comparison: &Value) -> Option<Vec<(Value, Value)>> {
    let cells = comparison["cells"].as_array().unwrap();
    assert!(!cells.is_empty());
    if let Some(reason) = cells.iter().find_map(|cell| cell["not_compared"].as_str()) {
        undecided::note(&format!("inconclusive: {reason}"));
        return None;
    }
    let of_cell = |cell: &Value| {
        let rows = cell["rows"].as_array().unwrap().clone();
        rows.into_iter().map(|row| (cell["keys"].clone(), row)).collect::<Vec<_>>()
    };
    Some(cells.iter().flat_map(of_cell).collect())
}

#[test]
fn a_slower_engine_is_worse_at_each_load_by_what_it_is_slower() {
    let _turn = alone();
    let place = place();
    place.run("run", &scenario(&[("fast", 40, 5), ("slow", 90, 9)], 5, "[1, 4]"));
    let comparison = place.compared(&["run"]);
    assert_eq!(comparison["sides"], serde_json::json!(["fast", "slow"]));
    let Some(rows) = rows(&comparison) else { return };
    // 40 and 7 gaps of 5 ms; 90 and 7 of 9.
    let e2e = (90.0 + 63.0) / (40.0 + 35.0);
    let truths = [
        ("ttft.p50", 90.0 / 40.0),
        ("tpot.p50", 9.0 / 5.0),
        ("e2e.p50", e2e),
        ("output_throughput", 1.0 / e2e),
    ];
    for (quantity, truth) in truths {
        let of: Vec<_> = rows.iter().filter(|(_, row)| row["quantity"] == quantity).collect();
        if of.len() < 2 && place.was_disturbed("run") {
            undecided::note(&format!("inconclusive: {quantity} is not known at both loads"));
            continue;
        }
        assert_eq!(of.len(), 2, "{quantity} at two loads: {rows:?}");
        for (keys, row) in of {
            let ratio = row["change"].as_f64().unwrap();
            let is_near = (ratio / truth - 1.0).abs() < 0.1;
            if (!is_near || row["verdict"] != "worse") && place.was_disturbed("run") {
                undecided::note(&format!("inconclusive: {quantity} at {keys}: {row}"));
                continue;
            }
            assert!(is_near, "{quantity} at {keys} is {ratio}, the truth {truth}");
            assert_eq!(row["verdict"], "worse", "{keys} {row}");
        }
    }
    let load_times = rows.iter().filter(|(_, row)| row["quantity"] == "load_time").count();
    assert_eq!(load_times, 1, "starts are shared by loads and are told once");

    let text = place.expect(0, &["compare", "run"]);
    assert!(text.starts_with("slow has 0."), "{text}");
    assert!(text.contains("at each of 2 loads: worse;"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where there is no terminal");
    let markdown = place.expect(0, &["compare", "run", "--format", "markdown"]);
    assert!(markdown.lines().count() <= 30, "{markdown}");
    let junit = place.expect(0, &["compare", "run", "--format", "junit"]);
    assert!(junit.contains("<failure message=\"worse:"), "{junit}");
    // A gate that the change crosses with its whole interval.
    let fail_if = ["compare", "run", "--fail-if", "ttft.p50 > +5%"];
    let told = place.expect(104, &fail_if);
    assert!(told.contains("TTFT p50 is 2.") && told.contains("must not be > +5%"), "{told}");
    for format in ["markdown", "json", "junit"] {
        let told = place.expect(104, &[&fail_if[..], &["--format", format]].concat());
        assert!(told.contains("TTFT p50"), "{format}: {told}");
    }
    place.expect(0, &["compare", "run", "--fail-if", "ttft.p50 > +400%"]);
    let refused = place.expect(2, &["compare", "run", "--fail-if", "ttft.p50 > 5ms"]);
    assert!(refused.contains("is not relative to a baseline"), "{refused}");
    let refused = place.expect(2, &["compare", "run", "--by", "concurrency"]);
    assert!(refused.contains("loads are not compared"), "{refused}");
}

#[test]
fn engines_that_are_the_same_are_never_told_apart() {
    let _turn = alone();
    let place = place();
    place.run("run", &scenario(&[("one", 20, 2), ("two", 20, 2)], 4, "[2]"));
    let comparison = place.compared(&["run", "--all"]);
    let Some(of_engines) = rows(&comparison) else { return };
    for (_, row) in of_engines {
        let is_called = row["verdict"] == "better" || row["verdict"] == "worse";
        if is_called && place.was_disturbed("run") {
            undecided::note(&format!("inconclusive: engines that are the same: {row}"));
            continue;
        }
        assert!(!is_called, "{row}");
    }
    // A run against itself differs in nothing.
    let itself = place.compared(&["run", "run"]);
    for (_, row) in rows(&itself).unwrap() {
        assert_eq!(row["change"], 1.0, "{row}");
        assert!(row["verdict"] == "equivalent" || row["verdict"] == "inconclusive", "{row}");
    }
    assert_eq!(itself["differences"], serde_json::json!([]));
}

#[test]
fn what_differs_between_two_runs_stands_beside_and_what_matches_nothing_is_listed() {
    let _turn = beside_others();
    let place = place();
    place.run("before", &scenario(&[("old", 10, 1)], 1, "[1, 2]"));
    place.run("now", &scenario(&[("new", 20, 1)], 1, "[2, 3]"));
    let comparison = place.compared(&["before", "now"]);
    let cells = comparison["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 1, "streams that both have: {comparison}");
    let unmatched = comparison["unmatched"].to_string();
    assert!(
        unmatched.contains("concurrency=1") && unmatched.contains("concurrency=3"),
        "{unmatched}"
    );
    let differences = comparison["differences"].to_string();
    assert!(differences.contains("10ms") && differences.contains("20ms"), "{differences}");
    let text = place.expect(0, &["compare", "before", "now"]);
    assert!(text.contains("One trial on a side: no verdict"), "{text}");
    let left_out = text.split_once("not among the main numbers, `--all` compares them: ");
    assert!(left_out.is_some_and(|(_, told)| told.contains("request throughput")), "{text}");
    assert!(!place.expect(0, &["compare", "before", "now", "--all"]).contains("`--all`"));

    let told = place.expect(66, &["compare", "before", "nowhere"]);
    assert!(told.contains("nowhere does not exist"), "{told}");
    std::fs::remove_file(place.home.path().join("now/summary.json")).unwrap();
    let told = place.expect(66, &["compare", "before", "now"]);
    assert!(told.contains("bench report now"), "{told}");
    std::fs::write(place.home.path().join("now/summary.json"), "{}").unwrap();
    let told = place.expect(107, &["compare", "before", "now"]);
    assert!(told.contains("now/summary.json"), "{told}");
    let told = place.expect(2, &["compare", "before"]);
    assert!(told.contains("name two runs"), "{told}");
}

#[test]
fn what_is_sent_at_once_and_what_a_variable_chooses_are_the_load_and_no_alternative() {
    let _turn = beside_others();
    let place = place();
    let long = "{\"question\":\"What is this and this and this and this and this?\"}\n".repeat(20);
    std::fs::write(place.home.path().join("long.jsonl"), long).unwrap();
    let scenario = |more: &str, phase: &str| {
        format!(
            "trials = 2\n{more}[vars]\nfile = \"q\"\n[engine.sim]\nttft = \"10ms\"\nitl = \"1ms\"\n\
             [dataset.q]\nsource = \"jsonl\"\nlocation = \"./{{{{ file }}}}.jsonl\"\n\
             columns = {{ prompt = \"question\" }}\ncycle = true\n[request]\nmax-tokens = 4\n\
             [phase.load]\n{phase}\n"
        )
    };
    place.run("few", &scenario("", "all-at-once = true\nrequests = 4"));
    place.run("many", &scenario("", "all-at-once = true\nrequests = 16"));
    let comparison = place.compared(&["few", "many"]);
    assert_eq!(comparison["cells"], serde_json::json!([]));
    let unmatched = comparison["unmatched"].to_string();
    assert!(unmatched.contains("\"requests\":\"4\""), "{unmatched}");
    assert!(unmatched.contains("\"requests\":\"16\""), "{unmatched}");
    assert_eq!(place.compared(&["few", "few"])["cells"].as_array().unwrap().len(), 1);
    // A gate that was held against nothing is missed.
    let gate = ["compare", "few", "many", "--fail-if", "ttft.p50 > +500%"];
    let told = place.expect(104, &gate);
    assert!(told.contains("nothing was held against the condition"), "{told}");
    let told = place.expect(104, &[&gate[..], &["--format", "junit"]].concat());
    assert!(told.contains("failures=\"1\""), "{told}");

    let swept = "[matrix]\nfile = [\"q\", \"long\"]\n";
    place.run("files", &scenario(swept, "concurrency = 1\nrequests = 8"));
    let told = place.expect(2, &["compare", "files"]);
    assert!(told.contains("this run has one alternative"), "{told}");
    let told = place.expect(2, &["compare", "files", "--by", "file"]);
    assert!(told.contains("`file` is the load"), "{told}");
    let same = place.compared(&["files", "files"]);
    assert_eq!(same["cells"].as_array().unwrap().len(), 2, "{same}");
}

#[test]
fn accuracies_are_compared_on_the_items_that_both_answered() {
    let _turn = beside_others();
    let place = place();
    let sum =
        |n: u32| format!("{{\"question\":\"What is {n} + 1?\",\"answer\":\"#### {}\"}}\n", n + 1);
    let sums: Vec<String> = (0..12).map(sum).collect();
    std::fs::write(place.home.path().join("sums.jsonl"), sums.concat()).unwrap();
    let scenario = |engines: &str| {
        format!(
            "{engines}[dataset.sums]\nsource = \"gsm8k\"\nlocation = \"./sums.jsonl\"\n\
             [score.answer]\nextract = [\"strict\"]\n[request]\nmax-tokens = 32\n\
             [phase.load]\nconcurrency = 2\nrequests = \"all\"\n"
        )
    };
    let sim = "preset = \"sim\"\nttft = \"5ms\"\nitl = \"1ms\"\n";
    let right = format!("[engine.right]\n{sim}answer-from = \"./sums.jsonl\"\n");
    let wrong = format!("[engine.wrong]\n{sim}");
    place.run("one", &scenario(&right));
    place.run("other", &scenario(&wrong));
    let comparison = place.compared(&["one", "other"]);
    let Some(rows) = rows(&comparison) else { return };
    let accuracy = rows.iter().find(|(_, row)| row["quantity"] == "accuracy");
    let (_, accuracy) = accuracy.unwrap();
    assert_eq!(accuracy["change"], -100.0, "{accuracy}");
    assert_eq!(accuracy["verdict"], "worse", "{accuracy}");
    let note = accuracy["note"].as_str().unwrap();
    assert!(note.starts_with("12 items that both answered, 0 gained and 12 lost"), "{note}");
}

#[test]
fn each_test_of_llama_bench_is_compared_by_what_it_measures() {
    let place = place();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/results/llama-bench-b11669.json");
    let tests: Value = serde_json::from_slice(&std::fs::read(&fixture).unwrap()).unwrap();
    let write = |name: &str, tests: Vec<Value>| {
        std::fs::write(place.home.path().join(name), Value::from(tests).to_string()).unwrap();
    };
    let reads = |test: &&mut Value| test["n_gen"] == 0;
    let mut halved = tests.as_array().unwrap().clone();
    for test in halved.iter_mut().filter(reads) {
        for rate in test["samples_ts"].as_array_mut().unwrap() {
            *rate = Value::from(rate.as_f64().unwrap() / 2.0);
        }
    }
    write("halved.json", halved.clone());
    halved.retain(|test| test["n_gen"] == 0);
    write("reads.json", halved);
    let fixture = fixture.to_str().unwrap();
    for other in ["halved.json", "reads.json"] {
        let rows = rows(&place.compared(&[fixture, other])).unwrap();
        let (_, row) = rows.iter().find(|(_, it)| it["quantity"] == "prompt_throughput").unwrap();
        assert!((row["change"].as_f64().unwrap() - 0.5).abs() < 1e-9, "{row}");
        assert_eq!(row["verdict"], "worse", "{row}");
    }
    // Reading has no TPOT, on neither side.
    let told = place.expect(0, &["compare", fixture, fixture, "--fail-if", "tpot.mean > +50%"]);
    assert!(told.contains("✓ test=tg32") && !told.contains("✗"), "{told}");
    assert!(!told.contains("Left out"), "a percentile that nobody told: {told}");
    let told = place.expect(104, &["compare", fixture, fixture, "--fail-if", "itl.mean > +50%"]);
    assert!(told.contains("the cell has no such number"), "{told}");
}

#[test]
fn results_of_other_tools_are_compared_at_the_load_that_they_have() {
    let _turn = beside_others();
    let place = place();
    place.run("run", &scenario(&[("sim", 50, 10)], 2, "[1, 4]"));
    let fixture =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/results").join(name);
    let vllm = fixture("vllm-0.33.0.json");
    let comparison = place.compared(&["run", vllm.to_str().unwrap()]);
    let Some(rows) = rows(&comparison) else { return };
    let ttft = rows.iter().find(|(_, row)| row["quantity"] == "ttft.p50").unwrap();
    let value = ttft.1["candidate"]["value"].as_f64().unwrap();
    assert!((value - 50.178_902).abs() < 1e-6, "{value}");
    let whole = rows.iter().any(|(_, row)| row["quantity"] == "output_throughput_whole");
    assert!(whole, "a rate that both have: {rows:?}");
    assert!(!rows.iter().any(|(_, row)| row["quantity"] == "output_throughput"), "{rows:?}");
    let unmatched = comparison["unmatched"].to_string();
    assert!(unmatched.contains("concurrency=1"), "{unmatched}");
    let differences = comparison["differences"].to_string();
    assert!(differences.contains("vllm bench serve"), "{differences}");
    // Two tools, and a folder.
    let folder = place.home.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for name in ["aiperf-0.13.0.json", "README.md"] {
        std::fs::copy(fixture(name), folder.join(name)).unwrap();
    }
    let text = place.expect(0, &["compare", vllm.to_str().unwrap(), "folder"]);
    assert!(text.contains("AIPerf 0.13.0"), "{text}");
    let few = "TTFT p99 of A, concurrency=4: n too small: p99 needs 662, has 80";
    assert!(
        text.contains(few) && !text.lines().any(|line| line.starts_with("TTFT p99 ")),
        "{text}"
    );
    let told = place.expect(65, &["compare", "run", "run/plan.json"]);
    assert!(told.contains("none of the known tools wrote it"), "{told}");
    // Of a folder what is no part of it is named, and what failed is not compared.
    let told = String::from_utf8(std::fs::read(&vllm).unwrap()).unwrap();
    let broken = &told[..told.len() / 2];
    let failed = told.replace("\"failed\":0", "\"failed\":920");
    std::fs::create_dir(place.home.path().join("vllm")).unwrap();
    for (name, text) in [("broken", broken), ("failed", &failed)] {
        std::fs::write(place.home.path().join(format!("vllm/{name}.json")), text).unwrap();
    }
    let text = place.expect(0, &["compare", vllm.to_str().unwrap(), "vllm"]);
    let failed = "concurrency=4 failed: 920 of 1000 requests failed or never came";
    for expected in [failed, "not in B: broken.json: it is not JSON"] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    // The summary of a run stands for it, and a gate is decided by any number that both have.
    let gate = ["compare", "run/summary.json", "run", "--fail-if", "success_share < -50%"];
    let text = place.expect(0, &gate);
    assert!(text.contains("✓") && text.contains("success share"), "{text}");
    std::fs::copy(place.home.path().join("run/summary.json"), place.home.path().join("alone.json"))
        .unwrap();
    let told = place.expect(65, &["compare", "run", "alone.json"]);
    assert!(told.contains("name the run directory"), "{told}");
}
