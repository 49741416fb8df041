//! Engines as processes, seen from outside: their life, their ports, what they leave.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: starts processes and looks at what is left"
)]

mod bed;
mod fake_gpus;
mod gpu;
mod instants;
mod lifecycle;
mod orphans;
mod port;
mod telemetry;
#[path = "../undecided/mod.rs"]
mod undecided;

use bench::engine::{Engine, NotStarted};
use bench::plan::launch::Launch;
use bench::record::event::EngineFailure;

use crate::bed::Bed;

/// Starts an engine that is not to become ready, and returns how it failed.
fn fail(bed: &Bed, launch: &Launch) -> EngineFailure {
    match Engine::start(launch, &bed.context(), &mut |_| {}) {
        Err(NotStarted::Failed(failure)) => *failure,
        other => panic!("started, or interrupted: {other:?}"),
    }
}
