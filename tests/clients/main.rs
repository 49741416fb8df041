//! A load that several processes share, held against what the simulated engine saw arrive.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and network namespaces, and reads what was written"
)]

#[path = "../resume/bed.rs"]
#[expect(dead_code, reason = "shared with tests of going on, which need more of it")]
mod bed;
mod namespaces;
#[path = "../undecided/mod.rs"]
mod undecided;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::bed::{Bed, Ended, json, send};
use crate::namespaces::Namespaces;

/// An open loop, then a closed one whose streams cannot be divided evenly.
const SCENARIO: &str = r#"
title = "Shared"
seed  = 1

[engine.sim]
preset = "sim"
argv   = ["{{ bench }}", "serve", "sim", "--host", "0.0.0.0", "--port", "{{ port }}", "--ttft", "20ms",
          "--itl", "2ms", "--truth-log", "truth.jsonl"]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"
cycle    = true

[score.a]
extract = ["strict"]

[request]
max-tokens = 4
ignore-eos = true

[phase.warm_up]
kind        = "warm-up"
concurrency = 2
requests    = 7
[phase.open]
rate     = 200
arrival  = "constant"
requests = 300
[phase.closed]
concurrency = 5
requests    = 100

[clients]
"#;

fn shared(clients: &str) -> Bed {
    let bed = Bed::new();
    bed.write(&format!("{SCENARIO}{clients}"));
    bed
}

fn trial(bed: &Bed, run: &str) -> (Value, Vec<Value>) {
    let cells = fs::read_dir(bed.path(run).join("cells")).unwrap();
    let cell = cells.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let trial = cell.join("trial-1");
    let lines = fs::read_to_string(trial.join("requests.jsonl")).unwrap();
    let requests = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (json(&trial.join("trial.json"))["record"].clone(), requests)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// Requires that every request of the schedule was sent, and none twice.
fn every_request_once(bed: &Bed, requests: &[Value]) {
    let keys: BTreeSet<(i64, i64)> =
        requests.iter().map(|it| (number(&it["phase"]), number(&it["index"]))).collect();
    let expected = [(0, 7), (1, 300), (2, 100)];
    let expected = expected.iter().flat_map(|&(phase, n)| (0..n).map(move |at| (phase, at)));
    assert_eq!(keys, expected.collect());
    assert_eq!(requests.len(), keys.len());
    // The engine saw the question whether it is ready, too.
    assert_eq!(arrivals(bed).len(), 1 + requests.len());
}

/// Returns when the engine's kernel had each request, in order.
fn arrivals(bed: &Bed) -> Vec<i64> {
    let log = fs::read_to_string(bed.path("truth.jsonl")).unwrap();
    let rows = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut arrived: Vec<i64> = rows.filter_map(|row| row["arrived_ns"].as_i64()).collect();
    arrived.sort_unstable();
    arrived
}

#[test]
fn three_clients_send_one_schedule_between_them() {
    let bed = shared(r#"commands = [["env"], ["env", "LC_ALL=C"]]"#);
    bed.run(&["--out", "r"]).expect(0);
    let (record, requests) = trial(&bed, "r");
    every_request_once(&bed, &requests);
    let clients = record["clients"].as_array().unwrap();
    // Of 7 + 300 + 100 requests: two streams for the first, every third of the others.
    let n: Vec<i64> = clients.iter().map(|client| number(&client["n_scheduled"])).collect();
    assert_eq!(n, [3 + 100 + 33, 100 + 33]);
    assert!(clients.iter().all(|client| number(&client["clock_error"]) > 0), "{clients:?}");
    let scheduled = record["phases"].as_array().unwrap();
    let scheduled: Vec<i64> = scheduled.iter().map(|it| number(&it["n_scheduled"])).collect();
    assert_eq!(scheduled, [7, 300, 100]);
    bed.bench(&["verify", "r"]).expect(0);
    // No more than five at once, whoever sent them.
    let closed = requests.iter().filter(|it| it["phase"] == 2);
    let mut edges: Vec<(i64, i64)> =
        closed.flat_map(|it| [(number(&it["sent"]), 1), (number(&it["done"]), -1)]).collect();
    edges.sort_unstable();
    let mut open = 0;
    let most = edges
        .iter()
        .map(|(_, by)| {
            open += by;
            open
        })
        .max()
        .unwrap();
    assert_eq!(most, 5);
}

#[test]
fn clients_in_namespaces_of_their_own_send_on_time() {
    let Some(namespaces) = Namespaces::new(2) else {
        return undecided::note("skipped: no network namespaces can be made here");
    };
    let commands: Vec<String> = namespaces.commands();
    let bed =
        shared(&format!("commands = [{}]\nhost = \"{}\"", commands.join(", "), Namespaces::HOST));
    bed.run(&["--out", "r"]).expect(0);
    let (_, requests) = trial(&bed, "r");
    every_request_once(&bed, &requests);
    let mut sent: Vec<(i64, i64)> = requests
        .iter()
        .filter(|it| it["phase"] == 1)
        .map(|it| (number(&it["sent"]), number(&it["scheduled"])))
        .collect();
    sent.sort_unstable();
    let mut due: Vec<i64> = sent.iter().map(|(_, due)| *due).collect();
    due.sort_unstable();
    assert!(due.windows(2).all(|pair| (pair[1] - pair[0] - 5_000_000).abs() < 300_000), "{due:?}");
    // The stamps of three processes, on one clock, beside those of the engine's kernel.
    let arrived = &arrivals(&bed)[8..308];
    let way: Vec<i64> = arrived.iter().zip(&sent).map(|(at, (sent, _))| at - sent).collect();
    assert!(spread(way.clone()) < 1_000_000, "{way:?}");
    let late = sent.iter().map(|(sent, due)| sent - due).collect();
    let off = arrived.iter().zip(&due).map(|(at, due)| at - due).collect();
    if spread(late) > 500_000 {
        return undecided::note("inconclusive: the machine is too busy to send within 1 ms");
    }
    assert!(spread(off) < 1_000_000, "{arrived:?} for {due:?}");
}

/// Returns how far 98 % of numbers are from each other.
fn spread(mut numbers: Vec<i64>) -> i64 {
    numbers.sort_unstable();
    let n = numbers.len();
    numbers[n * 99 / 100] - numbers[n / 100]
}

#[test]
fn a_client_that_does_not_start_or_dies_is_told_with_its_words() {
    let bed = shared(r#"commands = [["no-such-command"]]"#);
    bed.run(&["--out", "r"]).expect(69).says("client `no-such-command`: start it: ");
    let bed = shared(r#"commands = [["sh", "-c", "echo no route to node7 >&2; exit 3"]]"#);
    bed.run(&["--out", "r"]).expect(69).says("no route to node7").says("try its command by itself");
    // It dies when some requests have been sent; what was measured stays.
    let bed = shared(r#"commands = [["sh", "-c", '"$0" "$1" & sleep 1.5; kill -9 $!', ]]"#);
    let begun = Instant::now();
    bed.run(&["--out", "r"]).expect(69).says("it ended");
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(bed.path("r/events.jsonl").exists());
}

#[test]
fn an_interrupt_ends_all_clients_and_leaves_none() {
    let bed = shared(r#"commands = [["env", "MARK=shared-load-test"]]"#);
    let mut command = bed.command(&["run", "s.toml", "--out", "r", "--set", "phase.open.rate=20"]);
    let run = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    bed.wait_for("r", "phase-started", 2);
    send(Signal::SIGINT, run.id());
    let begun = Instant::now();
    Ended::of(&run.wait_with_output().unwrap()).expect(130);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(with_mark("MARK=shared-load-test"), Vec::<u32>::new());
    bed.bench(&["resume", "r", "--fail-on", "failed"]).expect(0);
    let (_, requests) = trial(&bed, "r");
    assert_eq!(requests.len(), 407);
}

/// Returns the processes that have a word in their environment.
fn with_mark(mark: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(mark)
    };
    pids.filter(has).collect()
}
