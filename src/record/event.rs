//! The events of a run, in order: the one stream that progress, resume and report read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CellId, LaunchId};
use crate::record::tagged::tagged;
use crate::units::Nanos;

/// A run event with its place in time and order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRecord {
    /// Position in the stream, from 0; goes on over resumed runs.
    pub seq: u64,
    /// Wall-clock time, nanoseconds since the Unix epoch; for people, and for where a run's time
    /// went, never for a number that was measured.
    pub unix_ns: u64,
    /// What happened.
    pub event: RunEvent,
}

/// The stage of a start in which the engine listens on its port.
pub const PORT_BOUND: &str = "port-bound";

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RunEvent {
    /// The run began, or went on after an interruption.
    RunStarted {
        /// Whether it continues an earlier one.
        resumed: bool,
        /// Cells in the plan.
        n_cells: u32,
    },
    /// A cell will not be run.
    CellSkipped {
        /// The cell.
        cell: CellId,
        /// The reason, with the way to change it.
        reason: String,
    },
    /// An engine is being started.
    EngineStarting {
        /// The launch.
        launch: LaunchId,
        /// Engine name in the scenario.
        engine: String,
        /// Number of the start of this launch, from 1.
        attempt: u32,
        /// Exact argv.
        argv: Vec<String>,
        /// The port that `bench` picked.
        port: u16,
        /// Log file, relative to the run directory.
        log: String,
    },
    /// An engine reached a stage of its start.
    EngineStage {
        /// The launch.
        launch: LaunchId,
        /// Stage name.
        stage: String,
        /// Time since spawn.
        at: Nanos,
    },
    /// An engine answered with its first token, from a process tree that is ours.
    EngineReady {
        /// The launch.
        launch: LaunchId,
        /// Stages of the start.
        timeline: LoadTimeline,
        /// The facts that the engine tells of itself.
        facts: EngineFacts,
    },
    /// An engine could not be started, or died.
    EngineFailed {
        /// The launch.
        launch: LaunchId,
        /// Its outcome.
        failure: EngineFailure,
    },
    /// An engine is gone.
    EngineStopped {
        /// The launch.
        launch: LaunchId,
        /// How the stop went.
        stop: StopRecord,
    },
    /// A trial of a cell began.
    TrialStarted {
        /// The cell.
        cell: CellId,
        /// Trial number, from 1.
        trial: u32,
        /// The launch whose engine serves it.
        launch: LaunchId,
    },
    /// A phase began.
    PhaseStarted {
        /// The cell.
        cell: CellId,
        /// Trial number.
        trial: u32,
        /// Phase name.
        phase: String,
        /// Requests that are due in it, if it is bounded by a count.
        n_requests: Option<u64>,
    },
    /// A trial is complete and on disk.
    TrialFinished {
        /// The cell.
        cell: CellId,
        /// Trial number.
        trial: u32,
    },
    /// A cell is over.
    CellFinished {
        /// The cell.
        cell: CellId,
        /// Its outcome.
        outcome: CellOutcome,
    },
    /// A search goes on with another load: the plan has one cell more.
    PointAdded {
        /// The cell with which the search began.
        first: CellId,
        /// Streams, or requests per second.
        load: f64,
    },
    /// The run goes on with a changed scenario: cells before and after may differ.
    ScenarioChanged {
        /// Keys that changed, `engine.slow.itl: 9ms -> 10ms`.
        changes: Vec<String>,
    },
    /// These cells are to be measured again, whatever became of them so far.
    RetryAsked {
        /// The cells.
        cells: Vec<CellId>,
    },
    /// Cells are not measured here: their trials are those of another run. The next events of
    /// their engines are of that run too; their times are when they were taken.
    Reused {
        /// Directory of that run.
        from: String,
        /// The cells.
        cells: Vec<CellId>,
    },
    /// A caveat that belongs to the whole run. Runs of format 1 call it a doubt.
    #[serde(alias = "doubt")]
    Caveat {
        /// The doubt, with the measured value.
        what: String,
        /// Advice.
        advice: String,
    },
    /// The user interrupted the run.
    Interrupted {
        /// Signal name.
        signal: String,
    },
    /// The run is over.
    RunFinished {
        /// Exit code of the program.
        code: u8,
    },
}

/// The start of an engine in stages, as time since spawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadTimeline {
    /// The listening socket appeared.
    pub port_bound: Option<Nanos>,
    /// The health URL answered 200.
    pub healthy: Option<Nanos>,
    /// The probe request's first token arrived: the load time.
    pub first_token: Option<Nanos>,
    /// Stages from the engine's log, in order of appearance.
    pub log_stages: Vec<LogStage>,
    /// State of the page cache before the start.
    pub page_cache: PageCache,
}

/// One stage that the engine's log tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogStage {
    /// Stage name from the preset: `weights`, `compile`, `graph-capture` …
    pub name: String,
    /// When its line appeared, since spawn.
    pub at: Nanos,
    /// How long the engine says it took.
    pub took: Option<Nanos>,
}

/// State of the page cache for the model's files before a start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PageCache {
    /// Left as it was.
    #[default]
    AsFound,
    /// The model's files were dropped from it.
    Cold,
    /// They were read into it while the engine before was measured.
    Prefetched,
}

/// The facts that an engine tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineFacts {
    /// Version, from the version command or an endpoint.
    pub version: Option<String>,
    /// Served model ids.
    pub models: Vec<String>,
    /// Effective configuration, by names the preset maps to ours (`context-length`, `kv-dtype` …).
    pub configuration: BTreeMap<String, String>,
    /// SHA-256 of the model's files, by file name, where they are local.
    pub model_files: BTreeMap<String, String>,
    /// Environment variables of the engine, by allow-list of names.
    pub env: BTreeMap<String, String>,
    /// Prompt tokens that the engine counted for a fixed sentence.
    pub probe_prompt_tokens: Option<u32>,
    /// Processes found on the GPUs before the start that are not ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_gpu_processes: Vec<String>,
}

/// How an engine failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineFailure {
    /// The class.
    pub class: FailureClass,
    /// One sentence.
    pub message: String,
    /// Exit status in words, if the process ended: `exit status 1`, `signal 9 (KILL)`.
    pub exit: Option<String>,
    /// Time since spawn.
    pub after: Nanos,
    /// The last lines of its log, sanitised.
    pub log_tail: Vec<String>,
}

tagged! {
    /// Classes of engine failures.
    pub enum FailureClass {
        /// The program could not be started.
        Spawn = "spawn",
        /// It ended before it was ready.
        ExitedEarly = "exited-early",
        /// It ended while it was serving.
        Died = "died",
        /// Not ready in time.
        TimedOut = "timed-out",
        /// Out of device or host memory.
        OutOfMemory = "out-of-memory",
        /// The asked-for number format is not supported.
        UnsupportedDtype = "unsupported-dtype",
        /// The port was taken, or somebody else answers on it.
        Port = "port",
        /// It serves another model than the asked one.
        WrongModel = "wrong-model",
        /// It answers, but not as it should.
        Server = "server",
        /// It stopped making progress.
        Stalled = "stalled",
    }
}

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRecord {
    /// Time from the first signal to the last process gone.
    pub took: Nanos,
    /// Processes that needed SIGKILL, as `pid name`.
    pub killed: Vec<String>,
    /// Processes that are still there: the environment is dirty.
    pub survivors: Vec<String>,
    /// Whether the port could be bound again.
    pub port_free: bool,
    /// Device memory that did not return to its baseline, bytes by GPU UUID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub memory_left_bytes: BTreeMap<String, u64>,
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CellOutcome {
    /// All trials are complete.
    Complete,
    /// It cannot run here.
    Skipped(String),
    /// The engine failed.
    Failed(EngineFailure),
    /// The user interrupted it.
    Interrupted,
}
