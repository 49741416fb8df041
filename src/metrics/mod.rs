//! Records in, numbers out: every definition of `bench help metrics` lives here.
//!
//! [`accumulate::CellAccumulator`] takes the records of one cell in a stream; what comes out is
//! a [`summary::CellSummary`].

pub(crate) mod accumulate;
pub(crate) mod axes;
pub(crate) mod bounds;
pub(crate) mod bounds_held;
pub(crate) mod by_name;
pub(crate) mod capacity;
pub(crate) mod catalogue;
mod caveats;
pub(crate) mod client_lag;
pub(crate) mod compare;
pub(crate) mod condition;
pub(crate) mod cpu_contention;
pub(crate) mod decide;
pub(crate) mod device;
pub(crate) mod distribution;
pub(crate) mod energy;
pub(crate) mod engine_counters;
mod engine_figures;
mod engine_tokens;
pub(crate) mod evidence;
pub(crate) mod failures;
pub(crate) mod few_samples;
pub(crate) mod figures;
pub(crate) mod gates;
pub(crate) mod goodput;
pub(crate) mod history;
mod latencies;
mod lengths;
pub(crate) mod load_search;
mod load_time;
pub(crate) mod neighbours;
pub(crate) mod per_trial;
pub(crate) mod quantity;
pub(crate) mod reference_cell;
pub(crate) mod request;
pub(crate) mod required_share;
mod resources;
pub(crate) mod saturation;
mod steady;
mod stream_tails;
pub(crate) mod summarise;
pub(crate) mod summary;
pub(crate) mod summary_file;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod totals;
pub(crate) mod validity;
pub(crate) mod wall_time;
pub(crate) mod window;
