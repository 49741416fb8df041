//! `--slurm`: what is submitted, and what became of it.

mod commands;
mod progress;
pub(crate) mod status;
mod submission;
pub(crate) mod submit;
