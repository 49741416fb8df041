//! `--slurm`: what is submitted, and what became of it.

mod commands;
pub(crate) mod progress;
pub(crate) mod settings;
mod submission;
pub(crate) mod submit;
