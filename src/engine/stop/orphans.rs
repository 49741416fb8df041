//! Finds and ends the processes that remain when both runner and guardian have died.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::engine::guardian::ledger::{self, GUARDED_BY, Ledger};
use crate::engine::guardian::stop_command;
use crate::engine::process::{self, Process, ProcessId, port};

/// Time between SIGTERM and SIGKILL of an orphan.
const GRACE: Duration = Duration::from_secs(5);
/// Time within which killed orphans must disappear.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A process of an engine whose run is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// The process.
    pub id: ProcessId,
    /// Its command line, bounded and printable.
    pub command: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// The run.
    pub run_id: String,
    /// How it was recognised.
    pub evidence: Evidence,
    /// The ledger that names the engine.
    pub ledger: PathBuf,
}

/// The evidence that a process belongs to bench. Names and ports are not evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Pid, start time and boot match the engine's first process.
    Leader,
    /// The process writes to the engine's log, by device and inode.
    Log,
    /// The guardian's mark is in the process's environment.
    Environment,
    /// Pid, start time and boot match a process of the engine when it began to serve.
    Known,
    /// The process descends from one with any of the others.
    Descent,
}

/// The result of ending orphans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaped {
    /// Processes that have ended, as `pid name`.
    pub ended: Vec<String>,
    /// Processes that still run, with their state.
    pub survivors: Vec<String>,
}

/// Finds the orphans of the engines that have a ledger in the given run directories.
///
/// An engine whose guardian lives is not an orphan.
///
/// # Errors
/// When a run directory cannot be read.
pub fn find(run_dirs: &[PathBuf]) -> io::Result<Vec<Orphan>> {
    let table = process::table();
    let mut found = Vec::new();
    for path in ledgers(run_dirs)? {
        // A torn or foreign file proves nothing about any process.
        let Ok(ledger) = Ledger::read(&path) else { continue };
        if is_orphaned(&ledger) {
            found.extend(of_ledger(&ledger, &path, &table));
        }
    }
    Ok(found)
}

/// Ends the orphans, then removes the ledgers of engines that have ended.
///
/// # Errors
/// When a run directory cannot be read.
pub fn reap(run_dirs: &[PathBuf]) -> io::Result<Reaped> {
    let handed_over = end_handed_over(run_dirs)?;
    let mut known: BTreeMap<ProcessId, String> = BTreeMap::new();
    let begin = Instant::now();
    let mut asked = false;
    let survivors = loop {
        let alive: Vec<Process> =
            find(run_dirs)?.iter().filter_map(|orphan| process::read_alive(orphan.id)).collect();
        for process in &alive {
            known.insert(process.id, process.label());
        }
        // An orphan found earlier stays in the list, even if only its identity is still known.
        let left: Vec<Process> = known.keys().filter_map(|id| process::read_alive(*id)).collect();
        if left.is_empty() || begin.elapsed() > GRACE + KILL_LIMIT {
            break left;
        }
        let signals: &[Signal] = match (begin.elapsed() > GRACE, asked) {
            (true, _) => &[Signal::SIGKILL],
            (false, false) => &[Signal::SIGTERM, Signal::SIGCONT],
            (false, true) => &[],
        };
        for process in &left {
            for signal in signals {
                process::signal(process.id, *signal);
            }
        }
        asked = true;
        std::thread::sleep(Duration::from_millis(50));
    };
    for survivor in &survivors {
        known.remove(&survivor.id);
    }
    let mut reaped = handed_over;
    reaped.ended.extend(known.into_values());
    reaped.survivors.extend(survivors.iter().map(process::why_it_stays));
    if reaped.survivors.is_empty() {
        forget(run_dirs)?;
    }
    Ok(reaped)
}

/// Ends what engines' commands handed to a daemon: no process of it is ours.
///
/// A command that fails had nothing to end, unless the port is still listened on.
fn end_handed_over(run_dirs: &[PathBuf]) -> io::Result<Reaped> {
    let mut reaped = Reaped::default();
    for path in ledgers(run_dirs)? {
        let Ok(ledger) = Ledger::read(&path) else { continue };
        let Some(mut start) = ledger.handed_over.clone().filter(|_| is_orphaned(&ledger)) else {
            continue;
        };
        if let Some(dir) = path.parent() {
            start.log = dir.join(&start.log);
        }
        let command = start.stop_argv.join(" ");
        match stop_command::run(&start) {
            Ok(true) => reaped.ended.push(format!("engine {} by `{command}`", ledger.engine)),
            Err(_) | Ok(false) if !port::is_listened_on(ledger.port) => {}
            told => {
                let why = told.map_or_else(|error| error.to_string(), |_| "it failed".to_owned());
                let (engine, port) = (&ledger.engine, ledger.port);
                reaped.survivors.push(format!(
                    "engine {engine}, on port {port}, which `{command}` is to end: {why}"
                ));
            }
        }
    }
    Ok(reaped)
}

/// Whether the ledger's guardian is gone, and its pids mean something.
fn is_orphaned(ledger: &Ledger) -> bool {
    ledger.boot_id == process::boot_id() && process::read_alive(ledger.guardian).is_none()
}

/// Removes the ledgers whose guardian is gone or belongs to another boot.
fn forget(run_dirs: &[PathBuf]) -> io::Result<()> {
    let boot_id = process::boot_id();
    for path in ledgers(run_dirs)? {
        let Ok(ledger) = Ledger::read(&path) else { continue };
        if ledger.boot_id != boot_id || process::read_alive(ledger.guardian).is_none() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn of_ledger(ledger: &Ledger, path: &Path, table: &[Process]) -> Vec<Orphan> {
    let mut found: BTreeMap<ProcessId, Evidence> = BTreeMap::new();
    let log = (ledger.log_device, ledger.log_inode);
    let mark = format!("{GUARDED_BY}={}", Ledger::mark(ledger.guardian));
    let own = process::own_pid();
    for process in table.iter().filter(|process| process.is_alive() && process.id.pid != own) {
        if Some(process.id) == ledger.leader {
            found.insert(process.id, Evidence::Leader);
        } else if process::logs_to(process.id.pid, log) {
            found.insert(process.id, Evidence::Log);
        } else if process::has_in_environment(process.id.pid, &mark) {
            found.insert(process.id, Evidence::Environment);
        } else if ledger.others.contains(&process.id) {
            found.insert(process.id, Evidence::Known);
        }
    }
    let roots: Vec<ProcessId> = found.keys().copied().collect();
    for root in roots {
        for process in process::below(root.pid, table) {
            if process.is_alive() && process.id.pid != own {
                found.entry(process.id).or_insert(Evidence::Descent);
            }
        }
    }
    found
        .into_iter()
        .map(|(id, evidence)| Orphan {
            id,
            command: process::command(id.pid),
            engine: ledger.engine.clone(),
            run_id: ledger.run_id.clone(),
            evidence,
            ledger: path.to_owned(),
        })
        .collect()
}

fn ledgers(run_dirs: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in run_dirs {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(ledger::SUFFIX) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
