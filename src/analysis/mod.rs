//! From a run directory to the values that a report is made of.
#![expect(clippy::disallowed_methods, reason = "edge: reads golds and files of answers")]

pub(crate) mod compared;
pub(crate) mod input;
pub(crate) mod request_rows;
pub(crate) mod rescore;
pub(crate) mod run;
pub(crate) mod subject;

mod golds;
pub(crate) mod records;
mod references;
mod reused_cells;
mod series;
