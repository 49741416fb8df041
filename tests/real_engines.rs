//! Real engines, started by the program from a scenario of this repository.
//!
//! `scenarios/engines/install.sh llama-cpp` installs what runs here in seconds. What is not on
//! PATH is skipped with its reason; the test says so.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "starts the program, reads what it wrote and says what it skips"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn engines_on_the_same_weights_give_the_same_accuracy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "scenarios/cpu_engines.toml", "--quiet", "--fail-on", "failed"])
        .args(["--set", "dataset.questions.limit=64", "--out"])
        .arg(&dir)
        .current_dir(root)
        .env("HOME", home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let summary: Value =
        serde_json::from_slice(&std::fs::read(dir.join("summary.json")).unwrap()).unwrap();
    let mut intervals = Vec::new();
    for cell in summary["cells"].as_array().unwrap() {
        let engine = cell["keys"]["engine"].as_str().unwrap();
        if let Some(reason) = cell["verdict"]["skipped"].as_str() {
            println!("skipped: {reason}");
            continue;
        }
        assert_eq!(
            cell["counts"]["ok"], cell["counts"]["scheduled"],
            "{engine}: {}",
            cell["counts"]
        );
        let interval = &cell["accuracy"][0]["interval"];
        intervals.push((engine, interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap()));
    }
    assert!(
        intervals.iter().any(|(engine, ..)| *engine == "tiny"),
        "the built-in engine always runs"
    );
    for (a, low_a, high_a) in &intervals {
        for (b, low_b, high_b) in &intervals {
            assert!(low_a <= high_b && low_b <= high_a, "accuracies of {a} and {b} differ");
        }
    }
}
