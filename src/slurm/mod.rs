//! What Slurm is told and what it answers, as text: scripts of a plan's shares, states of jobs.

pub(crate) mod answer;
pub(crate) mod script;
pub(crate) mod share;
#[cfg(test)]
mod tests;
