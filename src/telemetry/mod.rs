//! GPU, host and engine counters; facts of the machine.
//!
//! Probes know nothing of engines: what they need of one (its pids, its metrics text) is handed
//! to them as a function.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads /proc and the GPU library, samples on threads of its own"
)]

pub mod busy_programs;
mod environment;
pub mod gpu;
pub mod host;
pub mod log_rates;
pub mod process;
pub mod prometheus;
pub mod sampler;

pub use environment::environment;

use crate::record::telemetry::{ProbeName, TelemetrySample};
use crate::units::Nanos;

/// Something that can be sampled while load runs.
///
/// A probe may block; it is then late alone, as each has a thread of its own.
pub trait Probe: Send {
    /// Returns which probe this is.
    fn name(&self) -> ProbeName;

    /// Returns what can be seen now. `now` is the trial's clock: a sample bears the time at which
    /// it was taken, not that at which a slow library was first asked.
    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample>;
}
