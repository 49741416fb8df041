//! The file by which a later start recognises what an earlier one left running.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::process::ProcessId;

/// End of the name of a ledger file.
pub const SUFFIX: &str = ".ledger.json";

/// The facts about one started engine. The file exists from before the start until no process of
/// the engine is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The run.
    pub run_id: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// Number of the start, from 1.
    pub attempt: u32,
    /// The boot in which the pids are valid.
    pub boot_id: String,
    /// The runner.
    pub runner: ProcessId,
    /// The guardian. While it lives, the engine is not an orphan.
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
    /// Returns the path of a guardian's ledger.
    pub fn path(dir: &Path, guardian_pid: i32) -> PathBuf {
        dir.join(format!("engine-{guardian_pid}{SUFFIX}"))
    }

    /// Writes the ledger by renaming a complete file: a reader sees the old one or the new one.
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
