//! What is told while an engine starts and becomes ready.

use crate::units::Nanos;

/// What happens during a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// The engine is about to be started; again with another port if the first was taken.
    Spawning {
        /// The picked port.
        port: u16,
        /// Exact argv.
        argv: Vec<String>,
    },
    /// It reached a stage.
    Stage {
        /// Stage name.
        name: String,
        /// Time since spawn.
        at: Nanos,
    },
    /// It is still waited for; told every second.
    Waiting {
        /// What is waited for, in words.
        what: String,
        /// What came instead; empty when nothing was asked yet.
        last: String,
        /// Time since spawn.
        elapsed: Nanos,
        /// Time at which the wait ends.
        limit: Nanos,
    },
}
