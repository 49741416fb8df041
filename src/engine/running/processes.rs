//! Which processes an engine is: those below its guardian, or those that listen on its port.

use std::net::{IpAddr, ToSocketAddrs as _};

use nix::ifaddrs::getifaddrs;

use crate::engine::process::port::{self, Holders};
use crate::engine::process::{self, Process, ProcessId};
use crate::load::transport::url::{host_of, is_loopback};

/// Where the processes of an engine begin.
#[derive(Clone, Debug)]
pub(crate) enum EngineProcesses {
    /// Below the guardian, which is none of them.
    Guarded(i32),
    /// These and all below them.
    Listening(Vec<ProcessId>),
    /// Below the guardian, or these and all below them: the command handed the engine to a daemon.
    HandedOver(i32, Vec<ProcessId>),
    /// They are on this machine, but cannot be seen, for this reason.
    Hidden(String),
}

impl EngineProcesses {
    /// Returns the processes behind a URL; `None` for an engine on another machine.
    pub(crate) fn behind(base_url: &str, port: u16) -> Option<Self> {
        if !leads_here(base_url, port) {
            return None;
        }
        Some(match listening(port) {
            Ok(roots) => Self::Listening(roots),
            Err(why) => Self::Hidden(why),
        })
    }

    /// Returns the processes of an engine that its command handed to a daemon.
    pub(crate) fn handed_over(guardian: i32, port: u16) -> Self {
        match listening(port) {
            Ok(roots) => Self::HandedOver(guardian, roots),
            Err(why) => Self::Hidden(why),
        }
    }

    /// Returns the pids of the living ones now.
    ///
    /// # Errors
    /// Why none can be seen.
    pub(crate) fn pids(&self) -> Result<Vec<i32>, String> {
        let found = match self {
            Self::Guarded(guardian) => process::descendants(*guardian),
            Self::Listening(roots) => with_below(roots, &process::table()),
            Self::HandedOver(guardian, roots) => {
                let table = process::table();
                let mut found = process::below(*guardian, &table);
                found.extend(with_below(roots, &table));
                found
            }
            Self::Hidden(why) => return Err(why.clone()),
        };
        Ok(found.iter().filter(|process| process.is_alive()).map(|row| row.id.pid).collect())
    }
}

/// Whether a URL leads to this machine: by a loopback name, or by any name or address of its own.
fn leads_here(base_url: &str, port: u16) -> bool {
    let is_own = |host: &str| {
        let own: Vec<IpAddr> = own_addresses();
        let found = (host, port).to_socket_addrs().ok();
        let mut found = found.into_iter().flatten().map(|address| address.ip().to_canonical());
        found.any(|address| address.is_loopback() || own.contains(&address))
    };
    is_loopback(base_url) || host_of(base_url).is_some_and(|host| is_own(&host))
}

/// Returns the addresses of this machine's interfaces; none where the system does not tell.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))
    });
    addresses.collect()
}

/// Programs that listen in the place of a container's.
const CONTAINER_PROXIES: [&str; 5] =
    ["docker-proxy", "rootlessport", "slirp4netns", "pasta", "kube-proxy"];

/// Returns the processes that listen on a port here.
///
/// # Errors
/// Why the engine's cannot be told.
fn listening(port: u16) -> Result<Vec<ProcessId>, String> {
    let roots = match port::holders(port) {
        Holders::Seen(roots) => roots,
        Holders::Hidden => {
            let who = "belongs to another user or container";
            return Err(format!("the process that listens on port {port} {who}"));
        }
        Holders::Nobody => return Err(format!("no process listens on port {port} here")),
    };
    let name = |root: &ProcessId| process::read(root.pid).map(|row| row.name).unwrap_or_default();
    let proxy = roots.iter().map(name).find(|name| CONTAINER_PROXIES.contains(&name.as_str()));
    match proxy {
        Some(proxy) => Err(format!(
            "{proxy} listens on port {port} for a container, whose processes are not told"
        )),
        None => Ok(roots),
    }
}

/// Returns the roots that still run and all below them, each once, without bench and what is
/// below it: an engine's shell may have started both.
fn with_below(roots: &[ProcessId], table: &[Process]) -> Vec<Process> {
    let own = process::own_pid();
    let ours = process::below(own, table);
    let is_ours = |row: &Process| row.id.pid == own || ours.iter().any(|our| our.id == row.id);
    let mut found: Vec<Process> = Vec::new();
    for root in table.iter().filter(|row| roots.contains(&row.id)) {
        found.push(root.clone());
        found.extend(process::below(root.id.pid, table));
    }
    found.retain(|row| !is_ours(row));
    found.sort_by_key(|row| row.id);
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::tests::row;

    #[test]
    fn roots_count_with_all_below_them_once_and_without_bench() {
        let own = process::own_pid();
        let far = own + 1_000_000;
        let table = [row(far, 1), row(far + 1, far), row(far + 2, 1), row(own, far)];
        let pids = |roots: &[i32]| -> Vec<i32> {
            let roots: Vec<ProcessId> =
                roots.iter().map(|pid| ProcessId { pid: *pid, start_time: 1 }).collect();
            with_below(&roots, &table).iter().map(|row| row.id.pid).collect()
        };
        assert_eq!(pids(&[far, far + 1]), [far, far + 1]);
        let recycled = [ProcessId { pid: far, start_time: 2 }];
        assert!(with_below(&recycled, &table).is_empty());
    }

    #[test]
    fn an_engine_is_here_by_every_address_of_this_machine() {
        let addresses = own_addresses();
        assert!(addresses.iter().any(IpAddr::is_loopback), "{addresses:?}");
        for address in addresses.iter().filter(|address| address.is_ipv4()) {
            assert!(leads_here(&format!("http://{address}:8"), 8), "{address}");
        }
    }

    #[test]
    fn an_engine_elsewhere_has_no_processes_and_one_that_is_gone_says_so() {
        // An address of RFC 5737, which is nobody's.
        assert!(EngineProcesses::behind("http://192.0.2.1:80", 80).is_none());
        let port = port::pick().unwrap();
        let gone = EngineProcesses::behind(&format!("http://127.0.0.1:{port}"), port).unwrap();
        assert_eq!(gone.pids(), Err(format!("no process listens on port {port} here")));
    }
}
