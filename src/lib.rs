//! `bench` measures language-model inference.
//!
//! One direction: scenario → plan → run → records on disk → analysis → report. CONTRIBUTING.md
//! names the rooms; `tests/architecture` holds the arrows. [`help`] has the pages for users.

mod analysis;
mod chat_template;
pub mod cli;
mod clock;
mod datasets;
mod diagnostic;
pub mod engine;
pub mod help;
pub mod ids;
mod importers;
pub mod load;
mod metrics;
mod openai;
pub mod plan;
mod published;
pub mod record;
mod report;
mod run;
mod scenario;
mod score;
pub mod secrets;
pub mod seed;
mod serve;
mod slurm;
mod stats;
mod store;
pub mod telemetry;
pub mod units;
pub mod workload;
