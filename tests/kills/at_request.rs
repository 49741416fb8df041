//! An end in the middle of a trial: what was answered is not asked again where the measure allows
//! it. The engine counts for itself what it was asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{self, SIGINT, SIGKILL};
use serde_json::Value;

use crate::bed::{Bed, Ended, json, send};
use crate::evidence::{Evidence, assert_measured_once};
use crate::victim::{go_on, wait_until_gone};

/// An engine that is right about every other question, and writes down what it is asked.
const ENGINE: &str = r#"
title = "Goes on"
seed  = 1

[engine.sim]
preset = "sim"
argv   = ["{{ bench }}", "serve", "sim", "--port", "{{ port }}", "--ttft", "60ms", "--itl", "5ms",
          "--answer-from", "answers.jsonl", "--truth-log", "truth-{{ port }}.jsonl"]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"
cycle    = true

[request]
max-tokens = 16
"#;

const SCORE: &str = "[score.a]\nextract = [\"strict\"]\n";
const WARM_UP: &str = "[phase.warm_up]\nkind = \"warm-up\"\nconcurrency = 2\nrequests = 2\n";
const N: usize = 40;

fn bed(load: &str) -> Bed {
    let bed = Bed::new();
    let rows = |answer: fn(usize) -> usize| {
        let row = |n| format!("{{\"question\":\"{n} + 1?\",\"answer\":\"#### {}\"}}\n", answer(n));
        (0..N).map(row).collect::<String>()
    };
    fs::write(bed.path("q.jsonl"), rows(|n| n + 1)).unwrap();
    fs::write(bed.path("answers.jsonl"), rows(|n| n + 1 + n % 2)).unwrap();
    bed.write(&format!("{ENGINE}{load}"));
    bed
}

fn trial(bed: &Bed) -> PathBuf {
    let cells = fs::read_dir(bed.path("run/cells")).into_iter().flatten();
    cells.map(|cell| cell.unwrap().path()).next().unwrap_or_default().join("trial-1")
}

/// Returns the whole records of a file of the trial.
fn lines(bed: &Bed, file: &str) -> Vec<String> {
    let text = fs::read_to_string(trial(bed).join(file)).unwrap_or_default();
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
}

/// Begins the run or goes on with it, and ends the runner once so many measured requests have a
/// record. Returns how many are on the disk then with their answers.
fn ended(bed: &Bed, signal: Signal, phase: usize, n: usize) -> usize {
    let measured = |line: &String| line.contains(&format!("{{\"phase\":{phase},"));
    let is_ok = |line: &String| line.contains("\"outcome\":\"ok\"");
    let mut runner = go_on(bed, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while lines(bed, "requests.jsonl").iter().filter(|line| measured(line)).count() < n {
        assert!(Instant::now() < deadline, "too few records within a minute");
        sleep(Duration::from_millis(2));
    }
    send(signal, runner.id());
    runner.wait().unwrap();
    wait_until_gone(bed, &[], Duration::from_secs(20));
    let (requests, outputs) = (lines(bed, "requests.jsonl"), lines(bed, "outputs.jsonl"));
    let pairs = requests.iter().zip(&outputs);
    let n = pairs.filter(|(request, _)| measured(request) && is_ok(request)).count();
    assert!(n < N, "the trial was over before it was ended");
    n
}

fn finish(bed: &Bed) {
    Ended::of(&go_on(bed, &[]).output().unwrap()).expect(0);
    wait_until_gone(bed, &[], Duration::from_secs(10));
    bed.bench(&["verify", "run"]).expect(0);
    bed.bench(&["report", "run"]).expect(0);
}

/// Returns how many requests each start of the engine was asked, by its own log.
fn asked(bed: &Bed) -> Vec<usize> {
    let events = fs::read_to_string(bed.path("run/events.jsonl")).unwrap();
    let starts = events.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["event"]["engine-starting"]["port"].as_u64()
    });
    let rows = |port| {
        let log = fs::read_to_string(bed.path(&format!("truth-{port}.jsonl"))).unwrap();
        log.lines().filter(|line| line.contains("\"prompt_sha256\"")).count()
    };
    // One more asked whether it is ready.
    starts.map(|port| rows(port) - 1).collect()
}

fn earlier(bed: &Bed, phase: usize) -> Vec<u64> {
    let record = json(&trial(bed).join("trial.json"))["record"].clone();
    let stretches = record["phases"][phase]["earlier"].as_array().cloned().unwrap_or_default();
    stretches.iter().map(|stretch| stretch["n"].as_u64().unwrap()).collect()
}

fn only_cell(bed: &Bed, run: &str) -> Value {
    bed.summary(run)["cells"][0].clone()
}

#[test]
fn a_scored_trial_goes_on_where_it_was_ended_and_its_score_is_that_of_one_that_was_not() {
    let bed = bed(&format!("{SCORE}[phase.load]\nconcurrency = 2\nrequests = {N}\n"));
    let first = ended(&bed, SIGKILL, 0, 8);
    let evidence = Evidence::of(&bed.path("run"));
    let kept: BTreeSet<String> = lines(&bed, "requests.jsonl").into_iter().take(first).collect();
    let second = ended(&bed, SIGINT, 0, 20);
    let third = ended(&bed, SIGKILL, 0, 30);
    assert!(8 <= first && first < second && second < third, "{first} {second} {third}");
    finish(&bed);
    assert_measured_once(&bed.path("run"), N);
    assert_eq!(evidence.assert_kept_in(&bed.path("run")), 0);
    let now: BTreeSet<String> = lines(&bed, "requests.jsonl").into_iter().collect();
    assert!(kept.is_subset(&now), "what was finished first was measured again");
    // The last start was asked what was left, and nothing else; so was each before it, until its end.
    let asked = asked(&bed);
    assert_eq!((asked.len(), asked[3]), (4, N - third), "{asked:?}");
    assert!(asked[1] <= N - first && asked[2] <= N - second, "{asked:?}");
    let ends = [first, second, third].map(|n| n as u64);
    assert_eq!(earlier(&bed, 0), [ends[0], ends[1] - ends[0], ends[2] - ends[1]]);

    let cell = only_cell(&bed, "run");
    let told = format!("{third} of {N} answers come from an attempt that was interrupted");
    let summary = bed.summary("run").to_string();
    assert!(summary.contains(&told), "{summary}");
    assert_eq!(cell["distributions"]["ttft"]["n"].as_u64(), Some((N - third) as u64));
    assert_eq!(cell["counts"]["ok"].as_u64(), Some(N as u64));
    bed.bench(&["run", "s.toml", "--out", "whole", "--fail-on", "failed"]).expect(0);
    let whole = only_cell(&bed, "whole");
    assert_eq!(cell["accuracy"], whole["accuracy"]);
    assert_eq!(cell["accuracy"][0]["share"].as_f64(), Some(0.5));
}

#[test]
fn whole_batches_stay_and_count_in_the_rate() {
    let bed = bed(&format!("{WARM_UP}[phase.load]\nbatch = 4\nrequests = {N}\n"));
    let n = ended(&bed, SIGKILL, 1, 14);
    let n_stayed = n / 4 * 4;
    finish(&bed);
    let asked = asked(&bed);
    assert_eq!((asked.len(), asked[1]), (2, 2 + N - n_stayed), "{asked:?}");
    assert_eq!(earlier(&bed, 1), [n_stayed as u64]);
    let cell = only_cell(&bed, "run");
    let figure = |name: &str| cell["figures"][name].clone();
    assert_eq!(figure("request_throughput")["n"].as_u64(), Some(N as u64), "{cell}");
    assert_eq!(cell["distributions"]["ttft"]["n"].as_u64(), Some((N - n_stayed) as u64));
    // Ten batches of 60 ms and some tokens each: the time between the stretches is in no rate.
    let secs = figure("window")["value"].as_f64().unwrap();
    let rate = figure("request_throughput")["value"].as_f64().unwrap();
    assert!((rate * secs - N as f64).abs() < 1e-6 * N as f64, "{rate} per s in {secs} s");
    assert!(secs > 0.6, "{secs}");
}

#[test]
fn a_timed_window_starts_anew_and_the_old_attempt_is_evidence() {
    let bed = bed(&format!("{SCORE}[phase.load]\nconcurrency = 2\nduration = \"1s\"\n"));
    let n = ended(&bed, SIGKILL, 0, 8);
    let evidence = Evidence::of(&bed.path("run"));
    finish(&bed);
    assert_eq!(evidence.assert_kept_in(&bed.path("run")), 0);
    let aside = trial(&bed).with_file_name("attempts").join("trial-1-1/requests.jsonl");
    assert!(fs::read_to_string(aside).unwrap().lines().count() >= n);
    assert_eq!(asked(&bed)[1], lines(&bed, "requests.jsonl").len());
    assert!(earlier(&bed, 0).is_empty());
    assert!(!only_cell(&bed, "run")["caveats"].to_string().contains("went-on"));
}
