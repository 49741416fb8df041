//! Many cells: memory grows with their number, and by little.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program under a limit and reads what it wrote"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Runs the program with at most `mib` MiB of memory of its own; beyond, it aborts.
fn bench_within(mib: u64, args: &[&str], home: &Path) -> Output {
    Command::new("/bin/sh")
        .args(["-c", &format!("ulimit -d {} && exec \"$0\" \"$@\"", mib << 10)])
        .arg(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap()
}

/// A scenario whose `[matrix]` sweeps `key` over so many values of `unit`.
fn sweep(key: &str, n: u32, value: impl Fn(u32) -> String) -> String {
    let values: Vec<String> = (1..=n).map(value).collect();
    format!(
        "title = \"Sweep\"\nreport = \"serving\"\nseed = 1\n[engine.sim]\n\
         [dataset.d]\nsource = \"jsonl\"\nlocation = \"./d.jsonl\"\n\
         [phase.load]\nconcurrency = 1\nrequests = 4\n[matrix]\n{key} = [{}]\n",
        values.join(", ")
    )
}

/// 4,000 values of one key took 360 MB when each cell held the list of all values.
#[test]
fn the_memory_of_a_plan_is_in_proportion_to_its_cells() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("sweep.toml");
    let check = |text: String, expected: &str| {
        fs::write(&file, text).unwrap();
        let output = bench_within(128, &["plan", file.to_str().unwrap()], home.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let second = stdout.lines().nth(1).unwrap();
        assert!(second.starts_with(expected), "{second}");
    };
    check(sweep("max-tokens", 4_000, |n| n.to_string()), "4000 cells, 1 engine launch;");
    let times = sweep("\"engine.sim.ttft\"", 2_000, |n| format!("\"{n}ms\""));
    check(times, "2000 cells, 2000 engine launches;");
}

/// Prompts of 160 million tokens, about a gigabyte of text, were once made before the engine started.
#[test]
fn the_memory_of_a_trace_is_in_proportion_to_its_rows() {
    const ROWS: u64 = 20_000;
    let home = TempDir::new().unwrap();
    let row = |row: u64| {
        let ids: Vec<u64> = (0..16).map(|block| row / 10 * 16 + block).collect();
        format!(
            "{{\"timestamp\":{},\"input_length\":{},\"output_length\":2,\"hash_ids\":{ids:?}}}\n",
            row * 100,
            8_000 + row % 192,
        )
    };
    fs::write(home.path().join("trace.jsonl"), (0..ROWS).map(row).collect::<String>()).unwrap();
    let file = home.path().join("trace.toml");
    let scenario = format!(
        "report = \"default\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n[request]\n\
         api = \"completions\"\nmax-tokens = 2\n[phase.load]\ntrace = {{ speedup = 1.0 }}\n\
         duration = \"500ms\"\n[dataset.d]\nsource = \"trace\"\nlocation = \"./trace.jsonl\"\n\
         tokenizer = \"{}/fixtures/models/word-problems-1m\"\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(&file, scenario).unwrap();
    let out = home.path().join("run");
    let args = ["run", file.to_str().unwrap(), "--quiet", "--fail-on", "failed", "--out"];
    let output = bench_within(256, &[&args[..], &[out.to_str().unwrap()]].concat(), home.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let records = fs::read_to_string(out.join("cells/engine=sim/trial-1/requests.jsonl")).unwrap();
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records: Vec<Value> = records.filter(|record| record.get("index").is_some()).collect();
    assert!(records.len() > 1, "{records:?}");
    for record in &records {
        let n_tokens = 8_000 + record["sample"].as_u64().unwrap() % 192;
        assert_eq!(record["usage"]["prompt"], n_tokens, "{record}");
        assert!(record["prompt_ids_hash"].is_u64(), "{record}");
    }
}
