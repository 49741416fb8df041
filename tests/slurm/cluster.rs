//! A Slurm of its own, with nothing left of it afterwards.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

/// A controller and two nodes.
pub(crate) struct Cluster {
    dir: TempDir,
}

impl Cluster {
    /// Starts one; says why there can be none here.
    pub(crate) fn start() -> Result<Self, String> {
        Self::of(&["slurmctld", "slurmd", "sbatch", "squeue"], 3)
    }

    /// Starts one that keeps accounts, whose controller forgets a job seconds after its end.
    pub(crate) fn with_accounts() -> Result<Self, String> {
        let programs = ["slurmctld", "slurmd", "sbatch", "squeue", "sacct", "slurmdbd"];
        Self::of(&[&programs[..], &["mariadbd", "mariadb-install-db"]].concat(), 5)
    }

    fn of(programs: &[&str], n_ports: usize) -> Result<Self, String> {
        for program in programs {
            let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
            if !places.iter().any(|dir| Path::new(dir).join(program).exists()) {
                return Err(format!("{program} is not installed"));
            }
        }
        if !Uid::effective().is_root() {
            return Err("nodes of Slurm are started by root alone".to_owned());
        }
        let cluster = Self { dir: tempfile::tempdir().unwrap() };
        let ports: Vec<String> = (0..n_ports).map(|_| free_port().to_string()).collect();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm/cluster.sh");
        let output = Command::new(script).arg(cluster.path()).args(ports).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(cluster)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.path().join("slurm.conf")
    }

    /// Runs one of Slurm's commands.
    pub(crate) fn slurm(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program).args(args).env("SLURM_CONF", self.conf()).output().unwrap()
    }

    /// Returns the file that holds the controller's pid.
    pub(crate) fn controller_pid(&self) -> PathBuf {
        self.path().join("run/slurmctld.pid")
    }

    /// Starts the controller again.
    pub(crate) fn restart_controller(&self) {
        assert!(self.slurm("slurmctld", &[]).status.success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Daemons, steps and whatever jobs left: all have the path of its configuration in their
        // environment.
        let mark = format!("SLURM_CONF={}", self.conf().display());
        for _ in 0..20 {
            let pids = pids_with(mark.as_bytes());
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // It may have ended meanwhile.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

/// Returns a port that nobody is given by chance meanwhile: a database takes seconds to be there.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 20_000 + (std::process::id() % 500) as u16 * 20;
    let mut ports = std::iter::repeat_with(|| begin + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Returns the processes in whose environment a text stands.
pub(crate) fn pids_with(mark: &[u8]) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    let has_mark = |pid: &u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|text| text.split(|byte| *byte == 0).any(|line| line == mark))
    };
    pids.filter(has_mark).collect()
}
