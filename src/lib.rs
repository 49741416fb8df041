//! `bench` measures language-model inference.
//!
//! One direction: scenario → plan → run → records on disk → analysis → report. The README's
//! section "Architecture" names the rooms; `tests/architecture.rs` holds the arrows.

pub mod analysis;
pub mod cli;
pub mod clock;
pub mod datasets;
pub mod diagnostic;
pub mod engine;
pub mod ids;
pub mod load;
pub mod metrics;
pub mod openai;
pub mod plan;
pub mod published;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod score;
pub mod secrets;
pub mod seed;
pub mod serve;
pub mod stats;
pub mod store;
pub mod telemetry;
pub mod units;
pub mod workload;
