//! `--slurm`: what is submitted, what became of it, and the run that its tasks make.

mod commands;
pub(crate) mod merged_run;
mod progress;
pub(crate) mod status;
mod submission;
pub(crate) mod submit;
