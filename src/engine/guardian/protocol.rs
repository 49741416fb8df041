//! The messages between runner and guardian, one JSON text per line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::process::ProcessId;
use crate::units::Nanos;

/// An order of the runner. The end of the pipe means that the runner is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start the engine. This order comes first, and once.
    Start(Box<StartOrder>),
    /// The engine is ready. From now on each of its ranks must stay alive.
    Serving,
    /// End the process tree.
    Stop {
        /// Time between SIGTERM and SIGKILL.
        grace: Nanos,
    },
    /// Kill the process tree now.
    Kill,
}

/// The engine to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOrder {
    /// The run.
    pub run_id: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// Number of the start, from 1.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Program and arguments that end an engine which was handed to a daemon; else empty.
    pub stop_argv: Vec<String>,
    /// Environment on top of the inherited one.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: Option<PathBuf>,
    /// Log file.
    pub log: PathBuf,
    /// Directory of the ledger.
    pub ledger_dir: PathBuf,
    /// The runner.
    pub runner: ProcessId,
    /// The port.
    pub port: u16,
    /// Time between SIGTERM and SIGKILL when the runner disappears.
    pub grace: Nanos,
    /// The engine's environment variables that hold secrets, each with the variable of the
    /// guardian's own environment from which it is filled. No secret goes through the pipe.
    pub env_from: BTreeMap<String, String>,
}

/// A message of the guardian. The end of the pipe without [`GuardianMessage::Gone`] means that the
/// guardian was killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardianMessage {
    /// The engine's first process is running.
    Started {
        /// The first process.
        leader: ProcessId,
        /// Monotonic time right before the spawn.
        at: Nanos,
    },
    /// The engine could not be started.
    NotStarted {
        /// The reason.
        error: String,
    },
    /// The guardian has begun to watch the ranks.
    Ranks {
        /// The processes that must stay alive while the engine serves.
        ranks: Vec<ProcessId>,
    },
    /// The first process has ended.
    LeaderExited {
        /// Exit status in words.
        status: String,
        /// Whether its exit status was 0.
        is_success: bool,
        /// Whether SIGKILL ended it. The guardian has not sent one at this point.
        was_killed: bool,
    },
    /// A watched process has ended.
    RankGone {
        /// `pid name`.
        rank: String,
    },
    /// The process tree has ended. This is the last message.
    Gone {
        /// Time from the first signal to the end of the last process.
        took: Nanos,
        /// Processes that needed SIGKILL, as `pid name`.
        killed: Vec<String>,
        /// Processes that could not be ended.
        survivors: Vec<String>,
    },
}
