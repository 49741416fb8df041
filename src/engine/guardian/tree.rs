//! Ends a process tree as its subreaper, until no child is left.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::clock::monotonic;
use crate::engine::process::{self, Process, ProcessId};
use crate::units::Nanos;

/// Time within which killed processes must disappear. Later they are reported as survivors.
pub(super) const KILL_LIMIT: Nanos = Nanos::from_secs(30);
/// Pause between two checks of the tree.
const PAUSE: Duration = Duration::from_millis(5);

/// The result of ending a tree.
#[derive(Debug, Default)]
pub(crate) struct TakenDown {
    pub(crate) took: Nanos,
    pub(crate) killed: Vec<String>,
    pub(crate) survivors: Vec<String>,
}

/// A child that has ended.
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    pub(crate) status: String,
    pub(crate) is_success: bool,
    pub(crate) was_killed: bool,
}

/// Reaps one child that has ended. Returns `Err` if no child exists: since this process is the
/// subreaper, no descendant exists then either.
pub(crate) fn reap() -> Result<Option<Reaped>, Childless> {
    loop {
        return match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => Ok(Some(Reaped {
                pid: pid.as_raw(),
                status: format!("exit status {code}"),
                is_success: code == 0,
                was_killed: false,
            })),
            Ok(WaitStatus::Signaled(pid, signal, dumped)) => Ok(Some(Reaped {
                pid: pid.as_raw(),
                status: format!(
                    "signal {} ({}){}",
                    signal as i32,
                    signal.as_str().trim_start_matches("SIG"),
                    if dumped { ", core dumped" } else { "" }
                ),
                is_success: false,
                was_killed: signal == Signal::SIGKILL,
            })),
            Ok(WaitStatus::StillAlive) => Ok(None),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => Err(Childless),
        };
    }
}

/// No child is left.
pub(crate) struct Childless;

/// Sends SIGTERM to every descendant, waits for `grace`, then kills until none is left.
///
/// `kill_now` is called throughout. Once it returns true, the grace ends.
pub(crate) fn take_down(grace: Nanos, kill_now: &mut dyn FnMut() -> bool) -> TakenDown {
    let begin = monotonic();
    for process in descendants() {
        // A stopped process acts on SIGTERM only once it is continued.
        process::signal(process.id, Signal::SIGTERM);
        process::signal(process.id, Signal::SIGCONT);
    }
    while monotonic().saturating_sub(begin) < grace && !kill_now() {
        if reap_all().is_err() {
            return TakenDown { took: monotonic().saturating_sub(begin), ..TakenDown::default() };
        }
        std::thread::sleep(PAUSE);
    }
    kill_all(begin)
}

fn kill_all(begin: Nanos) -> TakenDown {
    let mut killed: BTreeMap<ProcessId, String> = BTreeMap::new();
    let deadline = monotonic() + KILL_LIMIT;
    let survivors = loop {
        if reap_all().is_err() {
            break Vec::new();
        }
        let alive: Vec<Process> = descendants();
        for process in &alive {
            if process::signal(process.id, Signal::SIGKILL) {
                killed.entry(process.id).or_insert_with(|| process.label());
            }
        }
        if monotonic() > deadline {
            let left = alive.iter().map(process::why_it_stays).collect::<Vec<_>>();
            // A child is left all the same.
            let unseen = vec!["processes that /proc does not show".to_owned()];
            break if left.is_empty() { unseen } else { left };
        }
        std::thread::sleep(PAUSE);
    };
    TakenDown {
        took: monotonic().saturating_sub(begin),
        killed: killed.into_values().collect(),
        survivors,
    }
}

/// Returns the living descendants of this process.
pub(crate) fn descendants() -> Vec<Process> {
    let mut found = process::below(process::own_pid(), &process::table());
    found.retain(Process::is_alive);
    found
}

fn reap_all() -> Result<(), Childless> {
    while reap()?.is_some() {}
    Ok(())
}
