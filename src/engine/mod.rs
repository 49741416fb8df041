//! Engines as processes: launch under a guardian, wait until ready, prove ownership, watch, stop.
//!
//! The runner never starts an engine itself. It starts a *guardian* (this program again, in a
//! session of its own), which is the engine's subreaper, waits on a pipe from the runner and
//! takes the whole process tree down when the pipe closes: so not even a SIGKILL of the runner
//! leaves a process behind. [`stop::orphans`] finds what the death of both would leave.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: starts engine processes, reads /proc and logs, talks to engines, waits"
)]

pub mod credentials;
pub mod discover;
mod file_hashes;
pub mod guardian;
pub mod http;
pub(crate) mod installed;
pub mod interrupt;
pub mod log;
pub(crate) mod prefetch;
pub mod process;
pub mod ready;
pub mod running;
pub mod start;
pub mod step;
pub mod stop;
pub(crate) mod tokenize;

pub use running::Engine;
pub use start::{NotStarted, StartContext, this_program};
pub use step::StartStep;
