//! Many cells: memory grows with their number, and by little.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program under a limit and reads what it wrote"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
