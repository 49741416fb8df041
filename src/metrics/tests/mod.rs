//! Small plans, trials and cells that tests compute with.

pub(crate) mod fixture;
mod gates;
