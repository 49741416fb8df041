//! Conducts a plan and emits what happens.

#![expect(
    clippy::disallowed_methods,
    reason = "hall: watches engine and user beside the load, and reads what the run kept"
)]

mod budget_order;
mod busy_machine;
pub(crate) mod clients;
pub(crate) mod conduct;
pub(crate) mod devices;
mod disk_watch;
mod engine_tokens;
pub(crate) mod input_drift;
pub(crate) mod prepare;
mod prompts;
pub(crate) mod reuse;
pub(crate) mod schedule;
mod session_budget;
mod stall;
mod starts;
mod steady;
mod telemetry;
mod trial;
mod trial_spec;
mod until;

use std::path::PathBuf;
use std::sync::Arc;

use crate::load::spec::{Live, LoadError};
use crate::record::event::RunEvent;
use crate::record::telemetry::TelemetrySample;
use crate::run::clients::ClientsError;
use crate::store::error::StoreError;
use crate::units::Nanos;

/// What observers of a run are told.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// Something happened; it is in the run directory already.
    Event(Box<RunEvent>),
    /// A trial began whose counts can be read here while it goes on.
    Live(Arc<Live>),
    /// Something was sampled beside the load; it is on its way to the run directory.
    Sample(TelemetrySample),
    /// An engine is waited for that is not ready yet.
    Waiting {
        /// Its name in the scenario.
        engine: String,
        /// What is waited for, in words.
        what: String,
        /// What came instead; empty when nothing was asked yet.
        last: String,
        /// Time since its start.
        elapsed: Nanos,
        /// Time at which the wait ends.
        limit: Nanos,
    },
    /// The disk has been taking one record of a trial for so long that nobody waits any more. The
    /// thread that writes cannot be ended: the program has to be left.
    DiskHangs {
        /// Where the trial's records go.
        path: PathBuf,
        /// For how long.
        silent: Nanos,
    },
}

/// Why `bench` itself could not go on. What engines do wrong is data instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The run directory could not be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The load could not be generated.
    #[error("generate the load of cell {cell}: {source}")]
    Load {
        /// The cell's name.
        cell: String,
        /// Why.
        source: LoadError,
    },
    /// The clients that share the load could not do their part.
    #[error("share the load of cell {cell}: {source}")]
    Clients {
        /// The cell's name.
        cell: String,
        /// Why.
        source: ClientsError,
    },
    /// The guardian of an engine was ended by somebody else.
    #[error("keep {engine} running: {why}{}", left_told(.left_behind))]
    Unguarded {
        /// Name of the engine in the scenario.
        engine: String,
        /// What is known of it.
        why: String,
        /// What the engine left behind as it was ended.
        left_behind: Vec<String>,
    },
    /// Requests could not be made from the data.
    #[error("make the requests of cell {cell}: {why}")]
    Workload {
        /// The cell's name.
        cell: String,
        /// Why.
        why: String,
    },
}

fn left_told(left_behind: &[String]) -> String {
    match left_behind {
        [] => String::new(),
        left => format!("; left behind: {}", left.join(", ")),
    }
}
