//! Extending warm-ups with the program itself: an engine that is steady is found steady at once,
//! one that grows slower is not.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

mod calm;
mod undecided;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use crate::calm::machine_is_calm;

/// Loads beside each other would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Rounds that show whether there is a trend.
const LEAST: u64 = 4;

/// Runs a scenario over prompts whose lengths grow by one word from row to row.
fn run(home: &TempDir, scenario: &str, more: &[&str]) -> (Output, PathBuf) {
    let prompts = (0..1000).fold(String::new(), |mut text, row| {
        writeln!(text, "{{\"prompt\":\"{}\"}}", "word ".repeat(row / 10 + 1)).unwrap();
        text
    });
    fs::write(home.path().join("prompts.jsonl"), prompts).unwrap();
    let data = "[dataset.prompts]\nsource = \"jsonl\"\nlocation = \"./prompts.jsonl\"\n\
                columns = { prompt = \"prompt\" }\n";
    fs::write(home.path().join("s.toml"), format!("{scenario}{data}")).unwrap();
    let mut args = vec!["run", "s.toml", "--quiet", "--out", "run"];
    args.extend(more);
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .output()
        .unwrap();
    (output, home.path().join("run"))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the rounds of each cell's warm-up, and whether they were found steady.
fn warm_ups(run: &Path) -> Vec<(u64, bool)> {
    let cells = fs::read_dir(run.join("cells")).unwrap();
    let found = cells.map(|cell| {
        let trial = json(&cell.unwrap().path().join("trial-1/trial.json"));
        let found = &trial["record"]["phases"][0]["steadiness"];
        (found["rounds"].as_u64().unwrap(), found["steady"].as_bool().unwrap())
    });
    found.collect()
}

#[test]
fn a_steady_engine_is_found_steady_after_the_least_number_of_rounds() {
    let _alone = ONE_AT_A_TIME.lock();
    let home = tempfile::tempdir().unwrap();
    let was_calm = machine_is_calm();
    let seeds: Vec<String> = (1..=20).map(|seed: u32| seed.to_string()).collect();
    let scenario = format!(
        "[engine.sim]\nttft = \"lognormal:20ms,0.3\"\nitl = \"1ms\"\n\
         [matrix]\n\"engine.sim.sim-seed\" = [{}]\n\
         [request]\nmax-tokens = 4\n[phase.warm_up]\nrequests = 100\n\
         until-steady = {{ max-rounds = 10 }}\n[phase.load]\nconcurrency = 20\nrequests = 20\n",
        seeds.join(", ")
    );
    let (output, run) = run(&home, &scenario, &["--fail-on", "failed"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let found = warm_ups(&run);
    assert_eq!(found.len(), seeds.len());
    let n_at_once = found.iter().filter(|found| **found == (LEAST, true)).count();
    if n_at_once < 19 && !(was_calm && machine_is_calm()) {
        undecided::note(&format!(
            "inconclusive: others use this machine; {n_at_once} of 20 warm-ups were steady at once"
        ));
        return;
    }
    assert!(n_at_once >= 19, "{found:?}");
}

#[test]
fn an_engine_whose_time_to_first_token_grows_is_not_steady_and_fails_the_gate() {
    let _alone = ONE_AT_A_TIME.lock();
    let home = tempfile::tempdir().unwrap();
    // The warm-up's rows are the later ones: each round has longer prompts than the one before.
    let scenario = "[gate]\nsteady = true\n\
                    [engine.sim]\nttft = \"5ms\"\nitl = \"1ms\"\nprefill-per-token = \"1ms\"\n\
                    [request]\nmax-tokens = 2\n[phase.warm_up]\nrequests = 100\n\
                    until-steady = { max-rounds = 4 }\n\
                    [phase.load]\nconcurrency = 50\nrequests = 400\n";
    let (output, run) = run(
        &home,
        scenario,
        &["--fail-on", "gate", "--set", "dataset.prompts.reserve-for-warm-up=400"],
    );
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(104), "{told}");
    assert_eq!(warm_ups(&run), [(LEAST, false)]);
    let reason = "the warm-up of 1 of 1 trials found no steady state";
    assert!(told.contains(reason), "{told}");
    let cell = json(&run.join("summary.json"))["cells"][0].clone();
    assert_eq!(cell["steady"]["status"], "not-steady");
    assert_eq!(cell["steady"]["reasons"][0], reason);
}
