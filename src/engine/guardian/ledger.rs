//! The file by which a later start recognises what an earlier one left running.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::guardian::protocol::StartOrder;
use crate::engine::process::ProcessId;

/// End of the name of a ledger file.
pub const SUFFIX: &str = ".ledger.json";

/// Variable of an engine's environment, and of all that it starts, that names its guardian.
pub const GUARDED_BY: &str = "GUARDED_BY_BENCH";

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
    /// All its other processes when it began to serve. Some of them may write elsewhere, overwrite
    /// their environment and outlive the first one, as the daemons of Ray do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ProcessId>,
    /// Device of the log file, which all its processes hold open.
    pub log_device: u64,
    /// Inode of the log file.
    pub log_inode: u64,
    /// The port.
    pub port: u16,
    /// The order to start it, without secrets, where its command hands it to a daemon: only the
    /// order's `stop-command` ends it. The log's path is relative to the ledger's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<Box<StartOrder>>,
}

impl Ledger {
    /// Returns the path of a guardian's ledger.
    pub fn path(dir: &Path, guardian_pid: i32) -> PathBuf {
        dir.join(format!("engine-{guardian_pid}{SUFFIX}"))
    }

    /// Returns what [`GUARDED_BY`] is in the environment of the guardian's engine.
    pub fn mark(guardian: ProcessId) -> String {
        format!("{}-{}", guardian.pid, guardian.start_time)
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
