//! A run of six cells on a real Slurm, disturbed at every stage.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Bed, Ended, json};
use crate::cluster::{Cluster, pids_with};
use crate::undecided;

/// Three engines at two loads; one of them dies in each cell, one takes a few seconds.
const SCENARIO: &str = r#"
title = "On a cluster"
seed  = 1

[engine.fast]
preset = "sim"
ttft   = "1ms"
itl    = "1ms"

[engine.slow]
preset = "sim"
ttft   = "2ms"
itl    = "250ms"

[engine.broken]
preset     = "sim"
extra-args = ["--die-at-request", "4"]

[matrix]
engine      = ["fast", "broken", "slow"]
concurrency = [1, 2]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"

[score.a]
extract = ["strict"]

[request]
max-tokens = 4

[phase.load]
requests = 8

[slurm]
time     = "10m"
gpus     = 1
memory   = "100M"
max-jobs = 3
setup    = ['echo "devices: $CUDA_VISIBLE_DEVICES"']
"#;

/// Calls the real command, then loses its answer and kills the controller.
const LOSING: &str = r#"#!/bin/bash
/usr/bin/sbatch "$@" > /dev/null || exit 1
sleep 0.2
kill -KILL "$(cat "$CONTROLLER_PID")"
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
"#;

struct Place {
    bed: Bed,
    cluster: Cluster,
}

impl Place {
    fn bench(&self, args: &[&str]) -> Ended {
        let mut command = self.bed.command(args);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bed.path("bin").display());
        command.env("PATH", path).env("SLURM_CONF", self.cluster.conf());
        command.env("CONTROLLER_PID", self.cluster.controller_pid());
        Ended::of(&command.output().unwrap())
    }

    fn submit(&self) -> Ended {
        self.bench(&["run", "s.toml", "--slurm", "--out", "run"])
    }

    fn status(&self) -> String {
        let ended = self.bench(&["status", "run"]);
        // While the controller is away.
        let ended = if ended.code == Some(75) { ended } else { ended.expect(0) };
        ended.out + &ended.err
    }

    /// Returns the line of a cell.
    fn line(&self, cell: &str) -> String {
        let status = self.status();
        let line = status.lines().find(|line| line.starts_with(cell)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {cell} in\n{status}"))
    }

    /// Waits until the status says something.
    fn wait(&self, what: &str, until: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status();
            if until(&status) {
                return status;
            }
            let late = Instant::now() >= deadline;
            assert!(!late, "{what}: not within a minute\n{status}\n{}", self.logs());
            sleep(Duration::from_millis(200));
        }
    }

    /// Returns the task of a cell, as `scancel` takes it.
    fn task(&self, cell: &str) -> String {
        let line = self.line(cell);
        line.split_whitespace().find(|word| word.contains('_')).unwrap().to_owned()
    }

    /// Counts the trials of a cell that were begun.
    fn n_begun(&self, cell: &str) -> usize {
        let plan = json(&self.bed.path("run/plan.json"));
        let cells = plan["cells"].as_array().unwrap();
        let id = cells.iter().find(|it| it["name"] == cell).unwrap()["id"].as_str().unwrap();
        let jobs = fs::read_dir(self.bed.path("run/jobs")).unwrap();
        let events = jobs.map(|job| {
            fs::read_to_string(job.unwrap().path().join("events.jsonl")).unwrap_or_default()
        });
        let begun = format!("{{\"trial-started\":{{\"cell\":\"{id}\"");
        events.map(|text| text.matches(&begun).count()).sum()
    }

    /// Returns what the tasks said.
    fn logs(&self) -> String {
        let files = fs::read_dir(self.bed.path("run/slurm")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let logs = paths.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    fn n_arrays(&self) -> usize {
        let told = self.cluster.slurm("squeue", &["-h", "-t", "all", "-o", "%F"]).stdout;
        let told = String::from_utf8(told).unwrap();
        told.lines().collect::<std::collections::BTreeSet<_>>().len()
    }
}

const SLOW: [&str; 2] = ["engine=slow,concurrency=1", "engine=slow,concurrency=2"];

/// An engine on the first node, and a client on each of the two.
const SHARED: &str = r#"
title = "Shared"
seed  = 1

[engine.sim]
preset = "sim"
argv   = ["{{ bench }}", "serve", "sim", "--host", "0.0.0.0", "--port", "{{ port }}", "--ttft", "5ms"]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"
cycle    = true

[request]
max-tokens = 4

[phase.load]
rate     = 100
requests = 101

[slurm]
clients = 2
gpus    = 0
memory  = "100M"
"#;

/// Engines that span two nodes: the head is bench's own child, its worker is started by `srun` on the
/// other node. Each start notes how many workers of earlier ones are still there.
const SPANNING: &str = r#"
title = "Spanning"
seed  = 1
order = "interleaved"

[engine.plain]
model = "sim"
argv  = ["bash", "-c", '''
worker=worker
pgrep -fc "sim --port 0 --model-id $worker" >> starts
srun --overlap --nodes=1 --ntasks=1 --relative=1 bash -c \
  'echo "worker on $SLURMD_NODENAME" >> starts; exec "$0" serve sim --port 0 --model-id "$@"' "{{ bench }}" $worker &
exec "{{ bench }}" serve sim --port "{{ port }}" ''']

[engine.stubborn]
model = "sim"
argv  = ["bash", "-c", '''
worker=worker
pgrep -fc "sim --port 0 --model-id $worker" >> starts
srun --overlap --nodes=1 --ntasks=1 --relative=1 bash -c \
  'echo "worker on $SLURMD_NODENAME" >> starts; exec "$0" serve sim --port 0 --model-id "$@"' "{{ bench }}" $worker --ignore-term &
exec "{{ bench }}" serve sim --port "{{ port }}" ''']

[matrix]
engine = ["stubborn", "plain"]

[dataset.q]
source   = "gsm8k"
location = "./q.jsonl"

[request]
max-tokens = 4

[phase.load]
concurrency = 1
requests    = 8
trials      = 2

[slurm]
nodes  = 2
gpus   = 0
memory = "100M"
"#;

#[test]
fn of_an_engine_that_spans_nodes_nothing_is_left_on_either_as_the_next_one_starts() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return undecided::note(&format!("skipped: {why}")),
    };
    let bed = Bed::new();
    bed.write(SPANNING);
    fs::create_dir(bed.path("bin")).unwrap();
    let place = Place { bed, cluster };
    place.submit().expect(0);
    place.wait("the task is over", |status| status.contains("2 of 2 cells complete"));
    place.bench(&["verify", "run"]).expect(0);
    let starts = fs::read_to_string(place.bed.path("starts")).unwrap();
    // Stubborn, plain, plain, stubborn: the two in the midst may be one start.
    let lines: Vec<&str> = starts.lines().collect();
    let count = |told: &str| lines.iter().filter(|line| **line == told).count();
    assert!(lines.len() >= 6, "{starts}");
    assert_eq!((count("0") * 2, count("worker on n2") * 2), (lines.len(), lines.len()), "{starts}");
}

/// Waits until the controller knows no job any more.
fn forgotten(place: &Place) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while place.n_arrays() > 0 {
        assert!(Instant::now() < deadline, "the controller still knows jobs");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn how_tasks_ended_that_the_controller_has_forgotten_is_read_from_accounts() {
    let cluster = match Cluster::with_accounts() {
        Ok(cluster) => cluster,
        Err(why) => return undecided::note(&format!("skipped: {why}")),
    };
    let bed = Bed::new();
    bed.write(SCENARIO);
    fs::create_dir(bed.path("bin")).unwrap();
    let place = Place { bed, cluster };
    let set =
        |what: &str| place.cluster.slurm("scontrol", &["update", "PartitionName=debug", what]);
    // Cancelled before any of its tasks began: they are one line of the accounts.
    assert!(set("State=DOWN").status.success());
    let begun = ["run", "s.toml", "--slurm", "--out", "run", "--only", "concurrency=1"];
    place.bench(&begun).expect(0);
    // Accounts show no job that was cancelled within the second in which it could first have begun.
    place.wait("it waits for the partition", |status| status.contains("PartitionDown"));
    sleep(Duration::from_secs(2));
    let job = place.task("engine=fast");
    let (array, _) = job.split_once('_').unwrap();
    assert!(place.cluster.slurm("scancel", &[array]).status.success());
    forgotten(&place);
    let line = place.line("engine=fast");
    assert!(line.contains("missing") && line.contains("CANCELLED"), "{}", place.status());

    assert!(set("State=UP").status.success());
    place.bench(&begun).expect(0).says("submitted 3 tasks");
    place.wait("all tasks are over", |status| !status.contains("waiting or running"));
    forgotten(&place);
    let status = place.status();
    let of = |cell: &str| place.line(cell).split_whitespace().collect::<Vec<_>>().join(" ");
    for (cell, told) in
        [("engine=fast", "complete"), ("engine=slow", "complete"), ("engine=broken", "failed")]
    {
        assert!(of(cell).starts_with(&format!("{cell},concurrency=1 {told} ")), "{status}");
    }
    assert!(of("engine=fast").ends_with("COMPLETED"), "{status}");
    assert!(of("engine=broken").contains("FAILED the engine ended"), "{status}");
    assert!(!status.contains("keeps no accounts"), "{status}");
}

#[test]
fn a_client_on_a_further_node_has_its_half_of_the_load() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return undecided::note(&format!("skipped: {why}")),
    };
    let bed = Bed::new();
    bed.write(SHARED);
    fs::create_dir(bed.path("bin")).unwrap();
    let place = Place { bed, cluster };
    place.submit().expect(0);
    place.wait("the task is over", |status| status.contains("1 of 1 cell complete"));
    place.bench(&["verify", "run"]).expect(0);
    let jobs = fs::read_dir(place.bed.path("run/jobs")).unwrap();
    let job = jobs.map(|job| job.unwrap().path()).next().unwrap();
    let cells = fs::read_dir(job.join("cells")).unwrap();
    let cell = cells.map(|cell| cell.unwrap().path()).find(|cell| cell.is_dir()).unwrap();
    let record = &json(&cell.join("trial-1/trial.json"))["record"];
    assert_eq!(record["phases"][0]["n_scheduled"], 101);
    assert_eq!(record["clients"].as_array().unwrap().len(), 1);
    assert_eq!(record["clients"][0]["n_scheduled"], 50);
    let command = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--relative=1"];
    assert_eq!(record["clients"][0]["command"], Value::from(command.to_vec()));
}

#[test]
fn six_cells_on_a_cluster_survive_what_a_cluster_does() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return undecided::note(&format!("skipped: {why}")),
    };
    let mark = format!("SLURM_CONF={}", cluster.conf().display());
    let bed = Bed::new();
    bed.write(SCENARIO);
    fs::create_dir(bed.path("bin")).unwrap();
    let place = Place { bed, cluster };

    let refused =
        place.bench(&["run", "s.toml", "--slurm", "--out", "run", "--slurm-set", "partition=nope"]);
    refused.expect(69).says("nvalid partition").says("--slurm-set");

    // The controller dies as it has taken the job. Nobody knows, so nothing is submitted again.
    let losing = place.bed.path("bin/sbatch");
    fs::write(&losing, LOSING).unwrap();
    fs::set_permissions(&losing, fs::Permissions::from_mode(0o755)).unwrap();
    place.submit().expect(75).says("Socket timed out");
    fs::remove_file(&losing).unwrap();
    place.cluster.restart_controller();
    place.wait("the controller is back", |status| !status.contains("does not say"));
    place.submit().expect(0);
    place.submit().expect(0);
    assert_eq!(place.n_arrays(), 1, "what was lost or kept is there once");

    // Before the time limit the task ends in order, and queues itself again.
    place.wait("slow is half done", |status| {
        status.lines().any(|line| line.starts_with(SLOW[0]) && line.contains("complete"))
    });
    let task = place.task(SLOW[1]);
    sleep(Duration::from_millis(500));
    assert!(place.cluster.slurm("scancel", &["--batch", "--signal=USR1", &task]).status.success());
    place.wait("it waits again", |_| place.line(SLOW[1]).contains("PENDING"));
    // The last task of an array has the array's own job id, by which all of it would wait again.
    let fast = place.line("engine=fast,concurrency=1");
    assert!(fast.contains("COMPLETED"), "{fast}");
    // Slurm would let it wait two minutes, for what ends the task before to be over.
    sleep(Duration::from_secs(2));
    assert!(
        place
            .cluster
            .slurm("scontrol", &["update", &format!("JobId={task}"), "StartTime=now"])
            .status
            .success()
    );
    place.wait("it runs again", |_| place.n_begun(SLOW[1]) == 2);

    // Somebody cancels it.
    sleep(Duration::from_millis(500));
    let asked = Instant::now();
    assert!(place.cluster.slurm("scancel", &[&task]).status.success());
    let status = place.wait("all tasks are over", |status| !status.contains("waiting or running"));
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let line = place.line(SLOW[1]);
    assert!(line.contains("missing") && line.contains("CANCELLED"), "{status}");
    assert!(status.contains("3 of 6 cells complete, 2 failed"), "{status}");

    // The same command again: what is missing, nothing else.
    let again = place.submit().expect(0);
    assert!(again.out.contains("SUBMITTING        1 engine start, 2 cells: slow"), "{}", again.out);
    assert!(
        again.out.contains("SKIPPED failed    1 engine start, 2 cells: broken"),
        "{}",
        again.out
    );
    assert!(again.out.contains("SKIPPED complete  1 engine start, 2 cells: fast"), "{}", again.out);
    let status = place.wait("the rest is there", |status| !status.contains("waiting or running"));
    assert!(status.contains("4 of 6 cells complete, 2 failed"), "{status}");
    let begun: Vec<usize> = ["fast", "slow", "broken"]
        .iter()
        .flat_map(|engine| {
            [1, 2].map(|n| place.n_begun(&format!("engine={engine},concurrency={n}")))
        })
        .collect();
    assert_eq!(begun, [1, 1, 1, 3, 1, 1], "trials that were begun");
    let n_arrays = place.n_arrays();
    place.bench(&["resume", "run"]).expect(0);
    assert_eq!(place.n_arrays(), n_arrays, "nothing is missing, and something was submitted");

    // On request, what failed is measured again, and fails again.
    let again = place.bench(&["resume", "run", "--retry", "failed"]).expect(0);
    let submitted = "SUBMITTING        1 engine start, 2 cells: broken";
    assert!(again.out.contains(submitted), "{}", again.out);
    let status = place.wait("it has failed again", |it| !it.contains("waiting or running"));
    assert!(status.contains("4 of 6 cells complete, 2 failed"), "{status}");
    assert_eq!(place.n_begun("engine=broken,concurrency=2"), 2);

    as_one_that_was_measured_here(&place);
    let logs = place.logs();
    assert!(logs.contains("devices: 0"), "{logs}");
    drop(place);
    assert_eq!(pids_with(mark.as_bytes()), Vec::<u32>::new(), "processes remain");
}

/// Requires that the run cannot be told from one on this machine but by its numbers.
fn as_one_that_was_measured_here(place: &Place) {
    place.bench(&["verify", "run"]).expect(0);
    place.bench(&["report", "run"]).expect(0);
    let local = place.bench(&["run", "s.toml", "--out", "local", "--quiet"]);
    assert!([Some(100)].contains(&local.code), "{}", local.err);
    place.bench(&["compare", "local", "run"]).expect(0);
    assert_eq!(told(&place.bed.summary("run")), told(&place.bed.summary("local")));
    let files = |run: &str| {
        let names = fs::read_dir(place.bed.path(run)).unwrap();
        let mut names: Vec<_> =
            names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !["jobs", "slurm"].contains(&name.as_str()));
        names.sort();
        names
    };
    assert_eq!(files("run"), files("local"));
}

/// Returns what a summary says but for measured numbers.
fn told(summary: &Value) -> Value {
    let cells = summary["cells"].as_array().unwrap().iter().map(|cell| {
        let outcome = match &cell["outcome"] {
            Value::Object(failed) => format!("failed: {}", failed["failed"]["message"]),
            outcome => outcome.to_string(),
        };
        let kept = ["id", "name", "keys", "n_trials", "counts", "accuracy"];
        let kept = kept.map(|key| (key.to_owned(), cell[key].clone()));
        let mut kept: serde_json::Map<_, _> = kept.into_iter().collect();
        kept.insert("outcome".to_owned(), outcome.into());
        Value::Object(kept)
    });
    serde_json::json!({
        "title": summary["title"],
        "complete": summary["complete"],
        "cells": cells.collect::<Vec<_>>(),
    })
}
