//! Records in, numbers out: every definition of `bench help metrics` lives here.
//!
//! [`accumulate::CellAccumulator`] takes the records of one cell in a stream; what comes out is
//! a [`summary::CellSummary`].

pub mod accumulate;
pub mod axes;
pub(crate) mod bounds;
pub mod capacity;
pub mod catalogue;
mod caveats;
pub mod compare;
pub mod condition;
pub(crate) mod cpu_contention;
pub(crate) mod decide;
pub mod device;
pub mod distribution;
pub mod energy;
pub mod engine_counters;
mod engine_figures;
pub mod evidence;
pub(crate) mod failures;
pub mod few_samples;
pub(crate) mod figures;
pub mod gates;
pub mod goodput;
pub(crate) mod history;
mod latencies;
mod load_time;
pub(crate) mod own_lag;
mod per_trial;
pub mod quantity;
pub(crate) mod reading;
pub mod reference;
pub mod request;
mod resources;
pub mod saturation;
pub mod search;
mod steady;
pub mod summarise;
pub mod summary;
pub(crate) mod summary_file;
mod tails;
#[cfg(test)]
pub(crate) mod tests;
pub mod totals;
pub mod validity;
pub mod wall_time;
pub mod window;
