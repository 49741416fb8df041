//! Processes as `/proc` shows them, with an identity that survives the reuse of pids.

pub mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use procfs::FromRead as _;
use procfs::process::Stat;
use serde::{Deserialize, Serialize};

use crate::engine::log;

/// The identity of a process. A later process with the same pid has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// One row of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Identity.
    pub id: ProcessId,
    /// Parent.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub sid: i32,
    /// State letter; `Z` for a zombie, `D` for an uninterruptible wait.
    pub state: char,
    /// Short name, at most 15 bytes.
    pub name: String,
}

impl Process {
    /// Whether the process still runs. A zombie does not: it holds nothing but its pid.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// Returns `pid name`.
    pub fn label(&self) -> String {
        format!("{} {}", self.id.pid, log::printable(&self.name))
    }
}

/// Returns the pid of this program.
pub fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Has this program killed when the process that started it ends, however that ends.
///
/// # Errors
/// When the system does not promise it.
pub fn end_with(parent: i32) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before the system was asked.
    if getppid().as_raw() != parent {
        kill(Pid::this(), Signal::SIGKILL)?;
    }
    Ok(())
}

/// Reads one process, if it exists.
pub fn read(pid: i32) -> Option<Process> {
    // `Process::stat` of the library would open the process's directory as well.
    Stat::from_file(format!("/proc/{pid}/stat")).ok().map(Process::from)
}

/// Reads the process if it still has this identity and is not a zombie.
pub fn read_alive(id: ProcessId) -> Option<Process> {
    read(id.pid).filter(|process| process.id == id && process.is_alive())
}

/// Reads the whole process table.
pub fn table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(read)
        .collect()
}

/// Returns the descendants of `root`, without `root` itself, parents before children.
pub fn below(root: i32, table: &[Process]) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in table {
        children.entry(process.ppid).or_default().push(process);
    }
    let mut seen = BTreeSet::from([root]);
    let mut found: Vec<Process> = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for process in children.get(&parent).into_iter().flatten() {
            if seen.insert(process.id.pid) {
                found.push((*process).clone());
                open.push(process.id.pid);
            }
        }
    }
    found
}

/// Returns the living and dead descendants of `root`, by the kernel's lists of children where it
/// keeps them, and otherwise by the whole process table.
///
/// The lists are read one after the other. A process whose parent ends meanwhile may be missed:
/// that is good enough to sample a tree, and not to end it.
pub fn descendants(root: i32) -> Vec<Process> {
    if !has_children_lists() {
        return below(root, &table());
    }
    let mut seen = BTreeSet::from([root]);
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for pid in children(parent) {
            if let Some(process) = seen.insert(pid).then(|| read(pid)).flatten() {
                found.push(process);
                open.push(pid);
            }
        }
    }
    found
}

/// Whether this kernel was built with lists of children (`CONFIG_PROC_CHILDREN`).
fn has_children_lists() -> bool {
    static HAS: LazyLock<bool> =
        LazyLock::new(|| fs::metadata("/proc/thread-self/children").is_ok());
    *HAS
}

/// Returns the children of all threads of a process; none of one that is gone.
fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Sends a signal to exactly this process. Returns whether it was still there.
///
/// The start time is read again right before the signal, so a process that has got the pid since
/// then is spared.
pub fn signal(id: ProcessId, signal: Signal) -> bool {
    read_alive(id).is_some() && kill(Pid::from_raw(id.pid), signal).is_ok()
}

/// Returns the command line for a message, printable and bounded. Without one it returns the name.
pub fn command(pid: i32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    let text = log::printable(text.trim());
    if text.is_empty() {
        return read(pid).map_or_else(|| "unknown".to_owned(), |process| process.name);
    }
    text.chars().take(160).collect()
}

/// Whether standard output or error of the process is the file `(device, inode)`.
///
/// Engines that rename themselves overwrite their environment, but they keep these two
/// descriptors.
pub fn logs_to(pid: i32, file: (u64, u64)) -> bool {
    [1, 2].iter().any(|fd| {
        fs::metadata(format!("/proc/{pid}/fd/{fd}"))
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == file)
    })
}

/// Whether the process was started with this `NAME=VALUE` in its environment, and has not
/// overwritten it.
pub fn has_in_environment(pid: i32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
}

/// Returns the identity of this boot. Pids and start times of another boot mean nothing.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Describes a process that did not end: `pid name, state D in io_schedule`.
pub fn why_it_stays(process: &Process) -> String {
    let wait = fs::read_to_string(format!("/proc/{}/wchan", process.id.pid)).unwrap_or_default();
    let place = match wait.trim() {
        "" | "0" => String::new(),
        place => format!(" in {}", log::printable(place)),
    };
    format!("{}, state {}{place}", process.label(), process.state)
}

impl From<Stat> for Process {
    fn from(stat: Stat) -> Self {
        Self {
            id: ProcessId { pid: stat.pid, start_time: stat.starttime },
            ppid: stat.ppid,
            pgid: stat.pgrp,
            sid: stat.session,
            state: stat.state,
            name: stat.comm,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    /// A process that leads its group and session.
    pub(crate) fn row(pid: i32, parent: i32) -> Process {
        Process {
            id: ProcessId { pid, start_time: 1 },
            ppid: parent,
            pgid: pid,
            sid: pid,
            state: 'S',
            name: "x".to_owned(),
        }
    }

    #[test]
    fn descendants_are_found_across_sessions_and_without_loops() {
        let table = [row(1, 0), row(5, 1), row(6, 5), row(7, 6), row(8, 1), row(9, 9)];
        let pids: Vec<i32> = below(5, &table).iter().map(|process| process.id.pid).collect();
        assert_eq!(pids, [6, 7]);
    }

    #[test]
    fn the_kernels_lists_hold_the_same_descendants_as_the_process_table() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & echo; wait"])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let root = shell.id().cast_signed();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let ids = |mut found: Vec<Process>| {
            found.sort_by_key(|process| process.id);
            found.iter().map(|process| (process.id, process.ppid)).collect::<Vec<_>>()
        };
        let found = ids(descendants(root));
        assert_eq!(found, ids(below(root, &table())));
        assert_eq!(found.len(), 2);
        nix::sys::signal::killpg(Pid::from_raw(root), Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
        assert!(descendants(root).is_empty());
    }

    #[test]
    fn a_process_with_another_start_time_is_not_signalled() {
        let own = read(own_pid()).unwrap().id;
        let recycled = ProcessId { start_time: own.start_time + 1, ..own };
        assert!(!signal(recycled, Signal::SIGKILL));
    }
}
