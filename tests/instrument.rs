//! The instrument held against the simulated engine, whose times are known: with the program
//! itself, one load at a time.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "starts the program, reads what it wrote and says what is inconclusive"
)]

mod calm;
mod ks;
mod undecided;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::calm::machine_is_calm;
use crate::ks::against_exponential;

/// Loads beside each other would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A directory of its own, and the machine for itself.
struct Bench {
    home: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self { home: tempfile::tempdir().unwrap(), _alone: alone }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn start(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap()
    }

    /// Runs a scenario with this engine and load; returns its summary.
    fn measure(&self, engine: &str, rest: &str) -> Value {
        let scenario = self.path("scenario.toml");
        let questions =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/datasets/word_problems.jsonl");
        let text = format!(
            "seed = 7\n[engine.sim]\n{engine}\n[dataset.questions]\nsource = \"gsm8k\"\n\
             location = \"{}\"\ncycle = true\n[request]\nignore-eos = true\n{rest}",
            questions.display()
        );
        fs::write(&scenario, text).unwrap();
        self.run(scenario.to_str().unwrap())
    }

    fn run(&self, scenario: &str) -> Value {
        let out = self.path("run");
        let args =
            ["run", scenario, "--quiet", "--fail-on", "failed", "--out", out.to_str().unwrap()];
        let output = self.start(&args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        json(&out.join("summary.json"))
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn percentile<'a>(cell: &'a Value, metric: &str, p: f64) -> &'a Value {
    let percentiles = cell["distributions"][metric]["percentiles"].as_array().unwrap();
    percentiles.iter().find(|found| found["p"].as_f64() == Some(p)).unwrap()
}

/// Whether the machine was calm before a measurement, and is after it.
fn calm(was_calm: bool, what: &str) -> bool {
    let is_calm = was_calm && machine_is_calm();
    if !is_calm {
        undecided::note(&format!(
            "inconclusive: others use this machine; not held against the truth: {what}"
        ));
    }
    is_calm
}

/// Processes that do nothing but use processors, ended with this.
struct BusyLoops(Vec<Child>);

impl BusyLoops {
    fn start(n: usize) -> Self {
        let start = |_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..n).map(start).collect())
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn a_stall_of_the_engine_shows_in_the_latencies_from_the_schedule() {
    let bench = Bench::new();
    let summary = bench.measure(
        "ttft = \"1ms\"\nitl = \"0ms\"\nstall-every = \"10s\"\nstall-for = \"1s\"",
        "max-tokens = 1\n[phase.load]\nrate = 100.0\narrival = \"constant\"\nduration = \"20s\"\n",
    );
    let cell = &summary["cells"][0];
    assert_eq!(cell["counts"]["ok"], 2000, "{}", cell["counts"]);
    // A tenth of the requests is due in a stall and waits for its end, between 0 and 1 s:
    // half of a second at p95, nine tenths at p99.
    for (p, truth) in [(95.0, 500.0), (99.0, 900.0)] {
        let found = percentile(cell, "e2e_scheduled", p)["value"].as_f64().unwrap();
        assert!((found - truth).abs() < 0.05 * truth, "p{p}: {found} ms instead of {truth} ms");
    }
    assert!(cell["distributions"]["e2e"]["percentiles"].is_array(), "the service view is beside");
}

#[test]
fn poisson_arrivals_are_poisson_where_they_arrive() {
    const RATE: f64 = 200.0;
    let bench = Bench::new();
    let log = bench.path("truth.jsonl");
    let was_calm = machine_is_calm();
    let engine = format!(
        "ttft = \"1ms\"\nitl = \"0ms\"\nextra-args = [\"--truth-log\", \"{}\"]",
        log.display()
    );
    let load = "max-tokens = 1\n[phase.load]\nrate = 200.0\nduration = \"15s\"\n";
    let summary = bench.measure(&engine, load);
    let n_sent = summary["cells"][0]["counts"]["scheduled"].as_u64().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // The probe of the start is the first; the totals at the end have no arrival.
    let mut arrivals: Vec<f64> =
        rows.filter_map(|row| Some(row["arrived_ns"].as_u64()? as f64 / 1e9)).skip(1).collect();
    arrivals.sort_by(f64::total_cmp);
    assert_eq!(arrivals.len() as u64, n_sent);
    let gaps: Vec<f64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let found = against_exponential(&gaps, RATE).unwrap();
    println!("{n_sent} arrivals: D = {:.4}, p = {:.3}", found.distance, found.p_value);
    if calm(was_calm, "the gaps of arrivals") {
        assert!(found.p_value > 0.001, "{found:?}");
    }
}

#[test]
fn reported_medians_are_those_of_the_simulated_engine() {
    let bench = Bench::new();
    let was_calm = machine_is_calm();
    let summary = bench.run("scenarios/sim_smoke.toml");
    let cell = &summary["cells"][0];
    assert_eq!(cell["counts"]["ok"], 640);
    if !calm(was_calm, "sim_smoke's medians") {
        return;
    }
    for (metric, truth) in [("ttft", 50.0), ("tpot", 10.0), ("icl", 10.0)] {
        let median = percentile(cell, metric, 50.0)["value"].as_f64().unwrap();
        assert!((median - truth).abs() < 2.0, "{metric}: {median} ms instead of {truth} ms");
    }
}

#[test]
fn a_search_finds_the_known_capacity() {
    let bench = Bench::new();
    let was_calm = machine_is_calm();
    let summary = bench.run("scenarios/search.toml");
    let search = &summary["searches"][0];
    let n_cells = summary["cells"].as_array().unwrap().len();
    assert_eq!(search["points"].as_array().unwrap().len(), n_cells, "every load is a row");
    println!("best {}, missed {}", search["best"]["load"], search["missed"]["load"]);
    if calm(was_calm, "the capacity of eight streams") {
        assert_eq!((&search["best"]["load"], &search["missed"]["load"]), (&8.into(), &9.into()));
    }
}

/// What the simulated engine's own kernel stamps and writes say of TTFT: the least and the most
/// that each request's can be, in milliseconds.
fn true_ttfts(log: &Path) -> [Vec<f64>; 2] {
    let text = fs::read_to_string(log).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // The probe of the start is the first; the totals at the end have no arrival.
    let rows: Vec<Value> = rows.filter(|row| row["arrived_ns"].is_u64()).skip(1).collect();
    ["first_write_ns", "first_written_ns"].map(|end| {
        let since = |row: &Value| row[end].as_f64().unwrap() - row["arrived_ns"].as_f64().unwrap();
        let mut found: Vec<f64> = rows.iter().map(|row| since(row) / 1e6).collect();
        found.sort_by(f64::total_cmp);
        found
    })
}

/// Returns the quantile that Hyndman and Fan call type 7.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

#[test]
fn four_busy_loops_beside_it_add_nothing_to_a_latency() {
    for load in ["concurrency = 64\nrequests = 1280\n", "rate = 50.0\nrequests = 700\n"] {
        let bench = Bench::new();
        let log = bench.path("truth.jsonl");
        let engine = format!(
            "ttft = \"50ms\"\nitl = \"10ms\"\nextra-args = [\"--truth-log\", \"{}\"]",
            log.display()
        );
        let was_calm = machine_is_calm();
        let busy = BusyLoops::start(4);
        let summary = bench.measure(&engine, &format!("max-tokens = 8\n[phase.load]\n{load}"));
        drop(busy);
        if !calm(was_calm, "TTFT beside four busy loops") {
            continue;
        }
        let cell = &summary["cells"][0];
        let truth = true_ttfts(&log);
        let mut was_kept_off = false;
        for (p, share) in [(50.0, 0.5), (90.0, 0.9), (99.0, 0.99)] {
            let number = percentile(cell, "ttft", p);
            let [found, low, high] = [&number["value"], &number["bound"][0], &number["bound"][1]]
                .map(|end| end.as_f64().unwrap());
            let [least, most] = [0, 1].map(|end| quantile(&truth[end], share));
            let told = format!(
                "p{p}: {found:.3} ms, within {low:.3} to {high:.3}, truly {least:.3} to {most:.3} ms"
            );
            println!("{told}");
            let slop = 1e-6 * most;
            assert!(low - slop <= most && least <= high + slop, "the bound fails: {told}");
            let off = (least - found).max(found - most).max(0.0);
            was_kept_off |= off > 0.1;
        }
        // A number that is off says so by its bound. That the loops keep nobody from being right
        // is then not decided.
        if was_kept_off {
            undecided::note("inconclusive: the loops kept bench from its CPU, and it said so");
            continue;
        }
        assert_ne!(cell["validity"]["status"], "invalid", "{}", cell["validity"]);
        // Latencies from the schedule contain the sends that the loops made late; gaps between
        // tokens that one late read brought together are known as a sum alone, and say so.
        let mut numbers = cell["distributions"].as_object().unwrap().clone();
        let is_open = |name: &str| name.ends_with("_scheduled") || ["icl", "itl"].contains(&name);
        numbers.retain(|name, _| !is_open(name));
        numbers.insert("figures".to_owned(), cell["figures"].clone());
        let text = Value::from(numbers).to_string();
        assert!(!text.contains("\"state\":\"invalid\""), "{text}");
    }
}

#[test]
fn calibration_makes_a_table_and_every_later_report_says_its_row() {
    let bench = Bench::new();
    let out = bench.path("calibration");
    let output =
        bench.start(&["calibrate", "--seconds", "2", "--quiet", "--out", out.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr);
    // Others may use the machine: then rows are invalid, and say so.
    assert!(matches!(output.status.code(), Some(0 | 103)), "{told}");
    let table = String::from_utf8(output.stdout).unwrap();
    for column in ["added latency p50", "added latency p99", "send lag p99", "client CPU per chunk"]
    {
        assert!(table.contains(column), "{table}");
    }
    let summary = json(&out.join("summary.json"));
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 9);
    for cell in cells {
        let added = percentile(cell, "added_latency", 50.0)["value"].as_f64().unwrap();
        // A stamp of the kernel cannot be before the write nor a second behind it.
        assert!(added > 0.0 && added < 1_000.0, "{}: {added} ms", cell["name"]);
    }
    let load = "max-tokens = 4\n[phase.load]\nconcurrency = 2\nrequests = 8\n";
    bench.measure("ttft = \"1ms\"\nitl = \"1ms\"", load);
    for report in ["report.md", "report.html"] {
        let report = fs::read_to_string(bench.path("run").join(report)).unwrap();
        assert!(report.contains("500 streams: adds"), "{report}");
    }
}

#[test]
fn a_load_that_needs_more_descriptors_than_allowed_says_so() {
    let bench = Bench::new();
    let out = bench.path("run");
    let command = format!(
        "ulimit -n 64; exec {} run scenarios/sim_smoke.toml --quiet --out {}",
        env!("CARGO_BIN_EXE_bench"),
        out.display()
    );
    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOME", bench.home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{told}");
    assert!(told.contains("file descriptors, but the limit is 64"), "{told}");
}
