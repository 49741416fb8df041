//! Runs whose shares are measured apart, each into a directory of its own: what is there of them,
//! and the one run that they make.

pub(crate) mod changed;
pub(crate) mod merged_run;
pub(crate) mod places;
pub(crate) mod progress;
pub(crate) mod reused;
pub(crate) mod times;
