//! The note on disk by which a later start recognises what an earlier one left behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::process::ProcessId;

/// End of the name of a ledger file.
pub const SUFFIX: &str = ".ledger.json";

/// What is known of one started engine; kept from before its start until nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The run.
    pub run_id: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// Number of the start, from 1.
    pub attempt: u32,
    /// The boot of the machine in which the pids mean something.
    pub boot_id: String,
    /// The runner.
    pub runner: ProcessId,
    /// The guardian: while it lives, the engine is looked after.
    pub guardian: ProcessId,
    /// The engine's first process; absent until it is started.
    pub leader: Option<ProcessId>,
    /// Device of the log file, which all its processes hold open.
    pub log_device: u64,
    /// Inode of the log file.
    pub log_inode: u64,
    /// The port.
    pub port: u16,
}

impl Ledger {
    /// Returns where the ledger of a guardian lies.
    pub fn path(dir: &Path, guardian_pid: i32) -> PathBuf {
        dir.join(format!("engine-{guardian_pid}{SUFFIX}"))
    }

    /// Writes the ledger so that a reader sees the old one or the new one, never half of one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension("tmp");
        let mut file = File::create(&draft)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        fs::rename(&draft, path)
    }

    /// Reads a ledger.
    ///
    /// # Errors
    /// When the file cannot be read or is not a ledger.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}
