//! What runner and guardian say to each other, one JSON text per line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::process::ProcessId;
use crate::units::Nanos;

/// What the runner asks. The end of the pipe means that the runner is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start the engine; the first order and given once.
    Start(Box<StartOrder>),
    /// The engine is ready: from now on each of its lasting processes must stay alive.
    Serving,
    /// Take the tree down.
    Stop {
        /// Time between SIGTERM and SIGKILL.
        grace: Nanos,
    },
    /// Kill the tree now.
    Kill,
}

/// The engine to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartOrder {
    /// The run.
    pub run_id: String,
    /// Engine name in the scenario.
    pub engine: String,
    /// Number of the start, from 1.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
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
    /// Grace when the runner disappears.
    pub grace: Nanos,
    /// Environment variables of the engine that hold secrets → those of the guardian's own
    /// environment that they come from. The values go through no pipe.
    pub env_from: BTreeMap<String, String>,
}

/// What the guardian tells. The end of the pipe without [`GuardianMessage::Gone`] means that it was killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardianMessage {
    /// The engine's first process runs.
    Started {
        /// It.
        leader: ProcessId,
        /// Monotonic time right before the spawn.
        at: Nanos,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        error: String,
    },
    /// The processes that are watched.
    Ranks {
        /// They.
        ranks: Vec<ProcessId>,
    },
    /// The first process ended.
    LeaderExited {
        /// Status in words.
        status: String,
        /// Whether it was ended by SIGKILL, which only others send.
        was_killed: bool,
    },
    /// A watched process ended.
    RankGone {
        /// `pid name`.
        rank: String,
    },
    /// The tree is down; the last word.
    Gone {
        /// Time from the first signal to the last process gone.
        took: Nanos,
        /// Processes that needed SIGKILL, as `pid name`.
        killed: Vec<String>,
        /// Processes that could not be ended.
        survivors: Vec<String>,
    },
}
