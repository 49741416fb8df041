//! What lies on the disk after a kill, and must lie there after everything that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a run directory holds.
#[derive(Default)]
pub(crate) struct Evidence {
    /// Files of complete trials, by path in the run directory.
    complete: BTreeMap<PathBuf, Vec<u8>>,
    /// Whole records of requests and answers, also of trials that were interrupted.
    records: BTreeSet<Vec<u8>>,
    /// Whole events.
    events: Vec<u8>,
}

impl Evidence {
    pub(crate) fn of(run: &Path) -> Self {
        let mut found = Self { events: whole_lines(&run.join("events.jsonl")), ..Self::default() };
        for trial in trials(run) {
            for file in ["requests.jsonl", "outputs.jsonl"] {
                let lines = whole_lines(&trial.join(file));
                found
                    .records
                    .extend(lines.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            }
            if is_complete(&trial) {
                for entry in fs::read_dir(&trial).unwrap() {
                    let path = entry.unwrap().path();
                    found.complete.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }

    pub(crate) fn n_complete(&self) -> usize {
        self.complete.keys().filter(|path| path.ends_with("trial.json")).count()
    }

    /// Requires that nothing of it is lost or changed. Returns the number of complete trials that were put
    /// aside as they were: `--retry failed` does so with those whose engine went down.
    pub(crate) fn assert_kept_in(&self, run: &Path) -> usize {
        let mut moved = BTreeSet::new();
        for (path, bytes) in &self.complete {
            if fs::read(path).is_ok_and(|now| now == *bytes) {
                continue;
            }
            let trial = path.parent().unwrap();
            let aside = entries(&trial.parent().unwrap().join("attempts"));
            let is_aside = |attempt: &PathBuf| {
                fs::read(attempt.join(path.file_name().unwrap())).is_ok_and(|now| now == *bytes)
            };
            let is_kept = has_failed_requests(&self.complete[&trial.join("requests.jsonl")])
                && aside.iter().any(is_aside);
            let text = String::from_utf8_lossy(bytes);
            assert!(is_kept, "lost or changed: {}; aside: {aside:?}; was: {text}", path.display());
            moved.insert(trial);
        }
        let now = Self::of(run);
        let lost: Vec<_> = self.records.difference(&now.records).collect();
        assert!(lost.is_empty(), "{} records are lost", lost.len());
        assert!(now.events.starts_with(&self.events), "events were lost or changed");
        moved.len()
    }
}

/// Requires that each cell of a finished run was measured once, with all its requests.
pub(crate) fn assert_measured_once(run: &Path, n_requests: usize) {
    let mut n_trials: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for trial in trials(run).into_iter().filter(|trial| !is_aside(trial)) {
        let text = String::from_utf8(whole_lines(&trial.join("requests.jsonl"))).unwrap();
        let number = |line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
        let numbers: BTreeSet<u64> = text.lines().map(number).collect();
        let place = trial.display();
        assert!(is_complete(&trial), "{place}");
        assert_eq!((numbers.len(), text.lines().count()), (n_requests, n_requests), "{place}");
        *n_trials.entry(trial.parent().unwrap().to_owned()).or_default() += 1;
    }
    assert!(n_trials.values().all(|n| *n == 1), "{n_trials:?}");
    let events = String::from_utf8(whole_lines(&run.join("events.jsonl"))).unwrap();
    for (line, expected) in events.lines().zip(0..) {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["seq"].as_u64(), Some(expected), "{events}");
    }
    let left: Vec<PathBuf> = entries(run).into_iter().filter(|path| is_ledger(path)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The kind of the last event: what the run was doing.
pub(crate) fn last_event(run: &Path) -> String {
    let events = String::from_utf8(whole_lines(&run.join("events.jsonl"))).unwrap();
    let Some(line) = events.lines().last() else { return "before the run began".to_owned() };
    let event: Value = serde_json::from_str(line).unwrap();
    let kind = event["event"].as_object().unwrap().keys().next().unwrap();
    format!("after {kind}")
}

/// The events of a kind for each cell.
pub(crate) fn n_trials_started(run: &Path) -> BTreeMap<String, usize> {
    let events = String::from_utf8(whole_lines(&run.join("events.jsonl"))).unwrap();
    let mut n_started = BTreeMap::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if let Some(cell) = event["event"]["trial-started"]["cell"].as_str() {
            *n_started.entry(cell.to_owned()).or_default() += 1;
        }
    }
    n_started
}

/// Returns what ends with a line break: what follows was torn by the kill.
fn whole_lines(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap_or_default();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(end);
    bytes
}

/// Returns the directories of all trials, those in `attempts/` included.
fn trials(run: &Path) -> Vec<PathBuf> {
    let cells = entries(&run.join("cells")).into_iter();
    let folders = cells.flat_map(|cell| [cell.join("attempts"), cell]);
    let trials = folders.flat_map(|folder| entries(&folder));
    trials
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("trial-"))
        .collect()
}

fn is_aside(trial: &Path) -> bool {
    trial.parent().unwrap().ends_with("attempts")
}

fn is_complete(trial: &Path) -> bool {
    let text = fs::read_to_string(trial.join("trial.json"));
    let file = text.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    !is_aside(trial) && file.is_ok_and(|file| file["record"]["aborted"].is_null())
}

fn has_failed_requests(records: &[u8]) -> bool {
    let outcome = |line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone();
    std::str::from_utf8(records).unwrap().lines().any(|line| outcome(line) != "ok")
}

fn is_ledger(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".ledger.json")
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}
