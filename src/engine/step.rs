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
}
