//! Network namespaces, each with a link to this machine's own.

use std::process::Command;

/// They go when this is dropped.
pub(crate) struct Namespaces {
    names: Vec<String>,
}

impl Namespaces {
    /// Makes some; `None` where this process may not.
    pub(crate) fn new(n: usize) -> Option<Self> {
        let mut made = Self { names: Vec::new() };
        for at in 1..=n {
            let name = format!("bench-{}-{at}", std::process::id());
            let link = format!("bn{}x{at}", std::process::id() % 100_000);
            made.names.push(name.clone());
            let script = format!(
                "set -e
                ip netns add {name}
                ip link add {link} type veth peer name eth0 netns {name}
                ip addr add 10.97.{at}.1/24 dev {link}
                ip link set {link} up
                ip -n {name} addr add 10.97.{at}.2/24 dev eth0
                ip -n {name} link set lo up
                ip -n {name} link set eth0 up
                ip -n {name} route add default via 10.97.{at}.1"
            );
            if !Command::new("sh").args(["-c", &script]).status().ok()?.success() {
                return None;
            }
        }
        Some(made)
    }

    /// Returns a command for a client in each.
    pub(crate) fn commands(&self) -> Vec<String> {
        let command = |name: &String| format!("[\"ip\", \"netns\", \"exec\", \"{name}\"]");
        self.names.iter().map(command).collect()
    }

    /// Address of this machine that all of them reach.
    pub(crate) const HOST: &str = "10.97.1.1";
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            // The link goes with its namespace.
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}
