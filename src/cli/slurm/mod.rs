//! `--slurm`: what is submitted, and what became of it.

mod commands;
pub(crate) mod progress;
mod submission;
pub(crate) mod submit;
