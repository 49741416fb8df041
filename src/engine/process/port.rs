//! Ports: picks a free one, and finds the process that listens on one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::net::{TcpNetEntry, TcpState, tcp, tcp6};

use crate::engine::process::{self, Process, ProcessId};

/// The owner of a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    /// No socket listens.
    Nobody,
    /// Only processes of the given tree listen.
    Ours,
    /// A process outside the tree, as `pid 7 (python -m http.server)`.
    Foreign(String),
    /// A socket listens, but no process that holds it is visible.
    Unknown,
}

/// Picks a port that is free at this moment.
///
/// # Errors
/// When no socket can be bound.
pub fn pick() -> io::Result<u16> {
    // The port is bound on loopback, as engines bind it, and then checked on all addresses: a
    // server on another address of this machine would be mistaken for the engine.
    for _ in 0..8 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free on all addresses"))
}

/// Whether an engine could bind the port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// Waits until the port can be bound. Returns whether it can.
pub fn wait_until_free(port: u16, limit: Duration, stop_waiting: &dyn Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if is_free(port) {
            return true;
        }
        if Instant::now() >= deadline || stop_waiting() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the owner of the socket that listens on the port. The socket's inode is looked up among
/// the open files of the processes below `root`, then of all others.
pub fn listener(port: u16, root: i32) -> Listener {
    let inodes = listening_inodes(port);
    if inodes.is_empty() {
        return Listener::Nobody;
    }
    let ours: BTreeSet<i32> =
        process::descendants(root).iter().map(|process| process.id.pid).collect();
    let mut open: BTreeSet<u64> = inodes;
    for pid in &ours {
        for inode in socket_inodes(*pid) {
            open.remove(&inode);
        }
    }
    if open.is_empty() {
        return Listener::Ours;
    }
    process::table()
        .iter()
        .filter(|process| !ours.contains(&process.id.pid))
        .find(|process| socket_inodes(process.id.pid).iter().any(|inode| open.contains(inode)))
        .map_or(Listener::Unknown, |process| Listener::Foreign(told(process.id.pid)))
}

/// Returns the process that listens on a port, as `pid 7 (python -m http.server)`; `None` where
/// nobody listens, or no process that holds the socket is visible.
pub fn holder(port: u16) -> Option<String> {
    let Holders::Seen(holders) = holders(port) else { return None };
    holders.first().map(|id| told(id.pid))
}

fn told(pid: i32) -> String {
    format!("pid {pid} ({})", process::command(pid))
}

/// The processes that listen on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// No socket listens.
    Nobody,
    /// A socket listens, but no process that holds it is visible.
    Hidden,
    /// These hold the sockets that listen.
    Seen(Vec<ProcessId>),
}

/// Returns the processes that listen on a port of this machine.
pub fn holders(port: u16) -> Holders {
    let inodes = listening_inodes(port);
    if inodes.is_empty() {
        return Holders::Nobody;
    }
    let holds =
        |process: &Process| socket_inodes(process.id.pid).iter().any(|i| inodes.contains(i));
    let found = process::table().into_iter().filter(holds).map(|process| process.id);
    let found: Vec<ProcessId> = found.collect();
    if found.is_empty() { Holders::Hidden } else { Holders::Seen(found) }
}

/// The one socket that listens on a port, and the descriptor of a process that holds it.
///
/// Whether it is still there is read from the descriptor alone: the list of all sockets of the
/// machine takes the kernel longer than everything else between two short trials.
#[derive(Clone, Debug)]
pub struct HeldSocket {
    holder: ProcessId,
    descriptor: PathBuf,
    inode: u64,
}

impl HeldSocket {
    /// Finds it below `root`; `None` where several listen, or none of there.
    pub fn find(port: u16, root: i32) -> Option<Self> {
        let inodes = listening_inodes(port);
        let inode = inodes.first().copied().filter(|_| inodes.len() == 1)?;
        process::descendants(root).into_iter().find_map(|process| {
            let entries = fs::read_dir(format!("/proc/{}/fd", process.id.pid)).ok()?;
            let mut descriptors = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let descriptor = descriptors.find(|path| socket_inode(path) == Some(inode))?;
            Some(Self { holder: process.id, descriptor, inode })
        })
    }

    /// Whether the same process still holds it.
    pub fn is_held(&self) -> bool {
        socket_inode(&self.descriptor) == Some(self.inode)
            && process::read_alive(self.holder).is_some()
    }
}

/// Whether any socket listens on the port.
pub fn is_listened_on(port: u16) -> bool {
    !listening_inodes(port).is_empty()
}

fn listening_inodes(port: u16) -> BTreeSet<u64> {
    let sockets = [tcp(), tcp6()].into_iter().flatten().flatten();
    let listens = |socket: &TcpNetEntry| {
        socket.state == TcpState::Listen && socket.local_address.port() == port
    };
    sockets.filter(listens).map(|socket| socket.inode).collect()
}

fn socket_inodes(pid: i32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries.filter_map(|entry| socket_inode(&entry.ok()?.path())).collect()
}

fn socket_inode(descriptor: &Path) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holders_of_a_port_are_seen_as_long_as_it_is_listened_on() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = process::read(process::own_pid()).unwrap().id;
        assert_eq!(holders(port), Holders::Seen(vec![own]));
        drop(listener);
        assert_eq!(holders(port), Holders::Nobody);
    }

    #[test]
    fn a_held_socket_is_seen_until_its_process_closes_it() {
        let parent = process::read(process::own_pid()).unwrap().ppid;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let held = HeldSocket::find(port, parent).unwrap();
        assert!(held.is_held());
        assert!(HeldSocket::find(port, -7).is_none(), "it is not of that tree");
        drop(socket);
        assert!(!held.is_held());
        assert!(HeldSocket::find(port, parent).is_none());
    }

    #[test]
    fn a_socket_of_this_process_is_foreign_to_another_tree_and_its_owner_is_named() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        // The other tree needs a pid without descendants. Init will not do, since its descendants
        // include this process, so the test takes a pid that cannot exist.
        let Listener::Foreign(who) = listener(port, -7) else { panic!("not foreign") };
        assert!(who.starts_with(&format!("pid {} (", std::process::id())), "{who}");
        assert!(!is_free(port));
        drop(socket);
        assert_eq!(listener(port, -7), Listener::Nobody);
        assert!(wait_until_free(port, Duration::from_secs(5), &|| false));
    }
}
