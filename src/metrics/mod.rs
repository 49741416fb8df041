//! Records in, numbers out: every definition of `bench help metrics` lives here.
//!
//! [`accumulate::CellAccumulator`] takes the records of one cell in a stream; what comes out is
//! a [`summary::CellSummary`].

pub(crate) mod accumulate;
pub(crate) mod axes;
pub(crate) mod bounds;
pub(crate) mod bounds_held;
pub(crate) mod capacity;
pub(crate) mod catalogue;
mod caveats;
pub(crate) mod compare;
pub(crate) mod condition;
pub(crate) mod cpu_contention;
pub(crate) mod decide;
pub(crate) mod device;
pub(crate) mod distribution;
pub(crate) mod energy;
pub(crate) mod engine_counters;
mod engine_figures;
pub(crate) mod evidence;
pub(crate) mod failures;
pub(crate) mod few_samples;
pub(crate) mod figures;
pub(crate) mod gates;
pub(crate) mod goodput;
pub(crate) mod history;
mod latencies;
mod load_time;
pub(crate) mod own_lag;
mod per_trial;
pub(crate) mod quantity;
pub(crate) mod reading;
pub(crate) mod reference;
pub(crate) mod request;
mod resources;
pub(crate) mod saturation;
pub(crate) mod search;
mod steady;
pub(crate) mod summarise;
pub(crate) mod summary;
pub(crate) mod summary_file;
mod tails;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod totals;
pub(crate) mod validity;
pub(crate) mod wall_time;
pub(crate) mod window;
